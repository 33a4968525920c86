"""The two kinds of message ids.

An *offset message id* is made by the broker: host (4 or 16 bytes), port (4), physical offset (8), in
upper-case hex: 32 or 56 digits. Clients dial the host in it. A *unique id* (property UNIQ_KEY) is made by
the client: host (4 or 16), process id (2), a number of the process (4), milliseconds since the first of the
month in local time (4), counter (2): 32 or 56 digits too. Source: ``MessageDecoder.createMessageId`` and
``MessageClientIDSetter`` of 5.5.0.
"""

from __future__ import annotations

import ipaddress
import struct
import time
from functools import lru_cache

from rmqgateway.errors import WireError

__all__ = [
    "UniqueIdGenerator",
    "decode_offset_message_id",
    "encode_offset_message_id",
    "host_bytes",
    "host_text",
    "unique_id_time",
]

_I64 = struct.Struct(">q")
_TAIL = struct.Struct(">IH")


def host_bytes(address: str, port: int) -> bytes:
    """4 or 16 address bytes and 4 of the port: the form of hosts in stored messages and ids.

    :raise WireError: not fatal: `address` is not an IP address, or `port` not a port.
    """
    try:
        packed = ipaddress.ip_address(address.partition("%")[0]).packed
    except ValueError:
        raise WireError(f"host: expected an IP address, got {address!r}", fatal=False) from None
    if not 0 <= port <= 65535:
        raise WireError(f"port: expected 0..65535, got {port}", fatal=False)
    return packed + port.to_bytes(4, "big")


@lru_cache(1024)
def host_text(host: bytes) -> tuple[str, int]:
    """Address and port of the form that `host_bytes` makes.

    :raise WireError: not fatal: not 8 or 20 bytes.
    """
    if len(host) not in (8, 20):
        raise WireError(f"host: expected 8 or 20 bytes, got {len(host)}", fatal=False)
    return str(ipaddress.ip_address(host[:-4])), int.from_bytes(host[-4:], "big")


def encode_offset_message_id(host: bytes, physical_offset: int) -> str:
    """The id of the message at `physical_offset` of the broker at `host` (see `host_bytes`)."""
    return (host + _I64.pack(physical_offset)).hex().upper()


def decode_offset_message_id(message_id: str) -> tuple[bytes, int]:
    """Host (see `host_text`) and physical offset.

    :raise WireError: not fatal: not 32 or 56 hexadecimal digits.
    """
    data = _unhex(message_id)
    return data[:-8], _I64.unpack_from(data, len(data) - 8)[0]


class UniqueIdGenerator:
    """Makes unique ids as Apache's Java client does.

    :param address: 4 or 16 bytes that tell this machine from others.
    :param process_id: of it the low 16 bits count.
    :param instance: 32 bits that tell this generator from others in the process.
    """

    def __init__(self, address: bytes, process_id: int, instance: int) -> None:
        if len(address) not in (4, 16):
            raise WireError(f"address: expected 4 or 16 bytes, got {len(address)}", fatal=False)
        self._fixed = (address + struct.pack(">HI", process_id & 0xFFFF, instance & 0xFFFFFFFF)).hex().upper()
        self._counter = 0
        self._month_start = 0
        self._next_month = 0

    def next(self, now_ms: int) -> str:
        """A new id.

        :param now_ms: the time, ms since the epoch.
        """
        start = self._month_start
        # A clock that is set back by minutes (NTP) does not move the month; ids stay apart by their counter.
        if now_ms >= self._next_month or now_ms <= start - 1_000_000:
            self._month_start, self._next_month = _month(now_ms)
        count = self._counter
        self._counter = count + 1 & 0xFFFF
        return f"{self._fixed}{max(0, now_ms - self._month_start):08X}{count:04X}"


def unique_id_time(unique_id: str, now_ms: int) -> int:
    """When a unique id was made, ms since the epoch: the latest such time not after `now_ms`, since ids
    hold no month.

    :raise WireError: not fatal: not 32 or 56 hexadecimal digits.
    """
    data = _unhex(unique_id)
    span: int = _TAIL.unpack_from(data, len(data) - 6)[0]
    start = _month(now_ms)[0]
    if start + span >= now_ms:
        start = _month(start - 1)[0]
    return start + span


def _unhex(text: str) -> bytes:
    if len(text) not in (32, 56):
        raise WireError(
            f"message id: expected 32 or 56 hexadecimal digits, got {len(text)} characters", fatal=False
        )
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    # fromhex passes over blanks, which an id has none of.
    if len(data) * 2 != len(text):
        raise WireError(f"message id: expected hexadecimal digits, got {text!r}", fatal=False)
    return data


def _month(now_ms: int) -> tuple[int, int]:
    """The first moment of the month of `now_ms` and of the next one in local time, ms."""
    here = time.localtime(now_ms // 1000)
    start = time.mktime((here.tm_year, here.tm_mon, 1, 0, 0, 0, 0, 0, -1))
    year, month = (here.tm_year + 1, 1) if here.tm_mon == 12 else (here.tm_year, here.tm_mon + 1)
    return int(start) * 1000, int(time.mktime((year, month, 1, 0, 0, 0, 0, 0, -1))) * 1000
