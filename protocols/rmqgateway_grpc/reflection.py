"""``grpc.reflection``, both versions: the .proto files of what is served, for tools such as grpcurl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2, service_pb2
from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.apis.service import ADMIN_SERVICE, MESSAGING_SERVICE
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway_grpc.descriptors import HEALTH, REFLECTION, classes_of

__all__ = ["reflection_methods"]

_SERVICES = (
    MESSAGING_SERVICE,
    ADMIN_SERVICE,
    "grpc.health.v1.Health",
    *(f"grpc.reflection.{version}.ServerReflection" for version in REFLECTION),
)


def _with_imports(name: str, found: dict[str, FileDescriptorProto]) -> None:
    if name in found:
        return
    file = FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
    found[name] = file
    for other in file.dependency:
        _with_imports(other, found)


class _Files:
    """The files of what is served, by file name and by the full names that they define."""

    def __init__(self) -> None:
        self.by_name: dict[str, FileDescriptorProto] = {}
        for module in (service_pb2, admin_pb2):
            _with_imports(module.DESCRIPTOR.name, self.by_name)
        for file in (HEALTH, *REFLECTION.values()):
            self.by_name[file.name] = file
        self.by_symbol: dict[str, str] = {}
        for file in self.by_name.values():
            for symbol in _symbols(file):
                self.by_symbol.setdefault(symbol, file.name)

    def with_imports(self, name: str) -> list[bytes]:
        """A file and all that it imports, itself first."""
        names = [name]
        for known in names:
            names += [other for other in self.by_name[known].dependency if other not in names]
        return [self.by_name[one].SerializeToString() for one in names]


def _symbols(file: FileDescriptorProto) -> list[str]:
    found: list[str] = []

    def messages(prefix: str, items: Any) -> None:
        for item in items:
            name = f"{prefix}.{item.name}"
            found.append(name)
            found.extend(f"{name}.{field.name}" for field in item.field)
            found.extend(f"{name}.{enum.name}" for enum in item.enum_type)
            messages(name, item.nested_type)

    messages(file.package, file.message_type)
    found.extend(f"{file.package}.{enum.name}" for enum in file.enum_type)
    for service in file.service:
        found.append(f"{file.package}.{service.name}")
        found.extend(f"{file.package}.{service.name}.{method.name}" for method in service.method)
    return found


def _handler(version: str, files: _Files) -> Callable[[Rpc, bytes], None]:
    classes = classes_of(REFLECTION[version])
    request_class, response_class = classes["ServerReflectionRequest"], classes["ServerReflectionResponse"]

    def handle(rpc: Rpc, data: bytes) -> None:
        request = request_class.FromString(data)
        response = response_class(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        name = None
        if kind == "list_services":
            for service in _SERVICES:
                response.list_services_response.service.add(name=service)
        elif kind == "file_by_filename":
            name = request.file_by_filename if request.file_by_filename in files.by_name else None
        elif kind == "file_containing_symbol":
            name = files.by_symbol.get(request.file_containing_symbol)
        elif kind == "all_extension_numbers_of_type" and request.all_extension_numbers_of_type in files.by_symbol:
            response.all_extension_numbers_response.base_type_name = request.all_extension_numbers_of_type
        if name is not None:
            response.file_descriptor_response.file_descriptor_proto.extend(files.with_imports(name))
        elif response.WhichOneof("message_response") is None:
            response.error_response.error_code = GrpcStatus.NOT_FOUND
            response.error_response.error_message = "not found"
        rpc.write(response.SerializeToString())

    return handle


def reflection_methods() -> dict[str, Method]:
    """By path."""
    files = _Files()
    return {
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": Method(
            "ServerReflectionInfo",
            _handler(version, files),
            lambda _: b"",
            streams=True,
            bidirectional=True,
            anonymous=True,
        )
        for version in REFLECTION
    }
