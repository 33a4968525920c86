"""The messages of ``grpc.testing.TestService``, as far as its interop cases need them, by their names.

Source: gRPC's src/proto/grpc/testing/messages.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

__all__ = ["MESSAGES"]

_PACKAGE = "grpc.testing"
_INT32, _BYTES, _STRING, _BOOL = Field.TYPE_INT32, Field.TYPE_BYTES, Field.TYPE_STRING, Field.TYPE_BOOL

#: Fields by message: (name, number, a type or the name of a message, repeated).
_FIELDS: dict[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "Empty": (),
    "BoolValue": (("value", 1, _BOOL, False),),
    "Payload": (("type", 1, _INT32, False), ("body", 2, _BYTES, False)),
    "EchoStatus": (("code", 1, _INT32, False), ("message", 2, _STRING, False)),
    "SimpleRequest": (
        ("response_size", 2, _INT32, False),
        ("payload", 3, "Payload", False),
        ("response_compressed", 6, "BoolValue", False),
        ("response_status", 7, "EchoStatus", False),
        ("expect_compressed", 8, "BoolValue", False),
    ),
    "SimpleResponse": (("payload", 1, "Payload", False),),
    "StreamingInputCallRequest": (
        ("payload", 1, "Payload", False),
        ("expect_compressed", 2, "BoolValue", False),
    ),
    "StreamingInputCallResponse": (("aggregated_payload_size", 1, _INT32, False),),
    "ResponseParameters": (
        ("size", 1, _INT32, False),
        ("interval_us", 2, _INT32, False),
        ("compressed", 3, "BoolValue", False),
    ),
    "StreamingOutputCallRequest": (
        ("response_parameters", 2, "ResponseParameters", True),
        ("payload", 3, "Payload", False),
        ("response_status", 7, "EchoStatus", False),
    ),
    "StreamingOutputCallResponse": (("payload", 1, "Payload", False),),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="interop.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            field: Any = declared.field.add(name=name, number=number)
            field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
#: The classes, by name.
MESSAGES: dict[str, Any] = {
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    for name in _FIELDS
}
