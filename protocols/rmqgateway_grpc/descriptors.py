"""Descriptors of small services whose .proto files are gRPC's own, written down instead of generated.

Kept in a pool of their own: another library in the process may have registered the same files.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto

__all__ = ["HEALTH", "REFLECTION", "classes_of"]

_STRING, _BYTES, _INT32 = Field.TYPE_STRING, Field.TYPE_BYTES, Field.TYPE_INT32
_pool = descriptor_pool.DescriptorPool()


def _add(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: Any,
    type_name: str = "",
    repeated: bool = False,
    oneof: str = "",
) -> None:
    field = message.field.add(name=name, number=number, type=kind)
    field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if type_name:
        field.type_name = type_name
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0


def _health() -> FileDescriptorProto:
    """``grpc/health/v1/health.proto``."""
    package = "grpc.health.v1"
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package=package, syntax="proto3")
    request = file.message_type.add(name="HealthCheckRequest")
    _add(request, "service", 1, _STRING)
    response = file.message_type.add(name="HealthCheckResponse")
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    _add(response, "status", 1, Field.TYPE_ENUM, f".{package}.HealthCheckResponse.ServingStatus")
    service = file.service.add(name="Health")
    for method in ("Check", "Watch"):
        service.method.add(
            name=method,
            input_type=f".{package}.HealthCheckRequest",
            output_type=f".{package}.HealthCheckResponse",
            server_streaming=method == "Watch",
        )
    return file


def _reflection(version: str) -> FileDescriptorProto:
    """``grpc/reflection/VERSION/reflection.proto``."""
    package = f"grpc.reflection.{version}"
    file = FileDescriptorProto(
        name=f"grpc/reflection/{version}/reflection.proto", package=package, syntax="proto3"
    )
    message = file.message_type.add(name="ServerReflectionRequest")
    _add(message, "host", 1, _STRING)
    for number, name in ((3, "file_by_filename"), (4, "file_containing_symbol")):
        _add(message, name, number, _STRING, oneof="message_request")
    _add(
        message,
        "file_containing_extension",
        5,
        Field.TYPE_MESSAGE,
        f".{package}.ExtensionRequest",
        oneof="message_request",
    )
    for number, name in ((6, "all_extension_numbers_of_type"), (7, "list_services")):
        _add(message, name, number, _STRING, oneof="message_request")
    message = file.message_type.add(name="ExtensionRequest")
    _add(message, "containing_type", 1, _STRING)
    _add(message, "extension_number", 2, _INT32)
    message = file.message_type.add(name="ServerReflectionResponse")
    _add(message, "valid_host", 1, _STRING)
    _add(message, "original_request", 2, Field.TYPE_MESSAGE, f".{package}.ServerReflectionRequest")
    for number, name, kind in (
        (4, "file_descriptor_response", "FileDescriptorResponse"),
        (5, "all_extension_numbers_response", "ExtensionNumberResponse"),
        (6, "list_services_response", "ListServiceResponse"),
        (7, "error_response", "ErrorResponse"),
    ):
        _add(message, name, number, Field.TYPE_MESSAGE, f".{package}.{kind}", oneof="message_response")
    message = file.message_type.add(name="FileDescriptorResponse")
    _add(message, "file_descriptor_proto", 1, _BYTES, repeated=True)
    message = file.message_type.add(name="ExtensionNumberResponse")
    _add(message, "base_type_name", 1, _STRING)
    _add(message, "extension_number", 2, _INT32, repeated=True)
    message = file.message_type.add(name="ListServiceResponse")
    _add(message, "service", 1, Field.TYPE_MESSAGE, f".{package}.ServiceResponse", repeated=True)
    message = file.message_type.add(name="ServiceResponse")
    _add(message, "name", 1, _STRING)
    message = file.message_type.add(name="ErrorResponse")
    _add(message, "error_code", 1, _INT32)
    _add(message, "error_message", 2, _STRING)
    service = file.service.add(name="ServerReflection")
    service.method.add(
        name="ServerReflectionInfo",
        input_type=f".{package}.ServerReflectionRequest",
        output_type=f".{package}.ServerReflectionResponse",
        client_streaming=True,
        server_streaming=True,
    )
    return file


HEALTH = _health()
#: By version.
REFLECTION = {version: _reflection(version) for version in ("v1", "v1alpha")}
for _file in (HEALTH, *REFLECTION.values()):
    _pool.Add(_file)


def classes_of(file: FileDescriptorProto) -> dict[str, Any]:
    """The message classes of a file, by their names without the package."""
    messages = _pool.FindFileByName(file.name).message_types_by_name
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in messages.items()}
