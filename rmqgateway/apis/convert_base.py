"""Small conversions that every call needs: durations, timestamps, topics and groups, endpoints."""

from __future__ import annotations

import ipaddress

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2

__all__ = ["duration_ms", "duration_of", "endpoints_of", "millis", "resource_of", "timestamp_of", "varint", "version_of"]


def duration_ms(duration: Duration) -> int:
    """Milliseconds, rounded down."""
    return duration.seconds * 1000 + duration.nanos // 1_000_000


def duration_of(milliseconds: int) -> Duration:
    """The duration of so many milliseconds."""
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def millis(timestamp: Timestamp) -> int:
    """Milliseconds since 1970."""
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000


def timestamp_of(milliseconds: int) -> Timestamp:
    """The timestamp of so many milliseconds since 1970."""
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def resource_of(name: str) -> v2.Resource:
    """The resource of an inner name: the namespace apart."""
    namespace, percent, plain = name.partition("%")
    if percent and namespace:
        return v2.Resource(resource_namespace=namespace, name=plain)
    return v2.Resource(name=name)


def endpoints_of(host: str) -> v2.Endpoints:
    """The endpoints of "host:port" or "[v6]:port"."""
    name, _, port = host.rpartition(":")
    name = name.strip("[]")
    try:
        version = ipaddress.ip_address(name.partition("%")[0]).version
    except ValueError:
        scheme = v2.DOMAIN_NAME
    else:
        scheme = v2.IPv4 if version == 4 else v2.IPv6
    return v2.Endpoints(scheme=scheme, addresses=(v2.Address(host=name, port=int(port)),))


_LENGTHS = [bytes((length,)) for length in range(128)]


def prefixed(data: bytes) -> bytes:
    """Bytes with their length before them, as protobuf writes strings and messages."""
    size = len(data)
    return (_LENGTHS[size] if size < 128 else varint(size)) + data


def varint(value: int) -> bytes:
    """A number of at least 0 as protobuf writes it."""
    if value < 128:
        return _LENGTHS[value]
    if value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a client's version, such as "5.2.0-SNAPSHOT", as far as it has some."""
    numbers = []
    for part in text.split("-")[0].split("."):
        if not part.isdigit() or len(part) > 6:
            break
        numbers.append(int(part))
    return tuple(numbers)
