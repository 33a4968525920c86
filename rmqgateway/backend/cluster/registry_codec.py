"""The body of REGISTER_BROKER(103): plain JSON, or deflated pieces. Sans-IO.

Deflated (header field ``compressed``), as ``RegisterBrokerBody`` of 5.5.0: int32-prefixed data version (JSON), int32 number of
topics, each int32-prefixed ``name readQueues writeQueues perm filterType attributes`` with spaces between, int32-prefixed JSON
list of filter servers, and from 5.0 on int32 number of static topics, each int32-prefixed JSON.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.bodies.codec import Body, decode_body
from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.routes import TopicQueueMappingInfo
from rmqgateway.wire.bodies.topics import TopicConfig, TopicConfigSerializeWrapper

__all__ = ["MAX_INFLATED", "RegisterBrokerBody", "decode_registration"]

#: A topic takes 150 bytes: more than 400,000 of them.
MAX_INFLATED = 64 * 1024 * 1024
#: The ordinal of ``MQVersion.Version.V5_0_0``: since then static topics follow.
_V5_0_0 = 413

_read_int = struct.Struct(">i").unpack_from


class RegisterBrokerBody(Body, kw_only=True):
    """What a broker says of itself."""

    filter_server_list: list[str] | None = None
    topic_config_serialize_wrapper: TopicConfigSerializeWrapper = msgspec.field(
        default_factory=lambda: TopicConfigSerializeWrapper(data_version=DataVersion(), topic_config_table={})
    )


def decode_registration(body: bytes, compressed: bool, version: int) -> TopicConfigSerializeWrapper:
    """The topics of a registration; none at all of an empty body.

    :param version: the broker's, of the request.
    :raise WireError: not fatal: not of the form, or inflated it is larger than `MAX_INFLATED`.
    """
    if not body or not compressed:
        return decode_body(body, RegisterBrokerBody).topic_config_serialize_wrapper
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise WireError(f"REGISTER_BROKER body: {error}", fatal=False) from None
    if inflater.unconsumed_tail:
        raise WireError(f"REGISTER_BROKER body: expected at most {MAX_INFLATED} bytes inflated", fatal=False)
    return _Pieces(data).registration(version >= _V5_0_0)


class _Pieces:
    """Reads int32-prefixed pieces, never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        if self._at + 4 > len(self._data):
            raise WireError("REGISTER_BROKER body: expected 4 bytes more, got the end", fatal=False)
        (found,) = _read_int(self._data, self._at)
        self._at += 4
        left = len(self._data) - self._at
        if not 0 <= found <= left:
            raise WireError(f"REGISTER_BROKER body: expected a length of 0..{left}, got {found}", fatal=False)
        return int(found)

    def piece(self) -> bytes:
        size = self.number()
        self._at += size
        return self._data[self._at - size : self._at]

    def registration(self, with_mappings: bool) -> TopicConfigSerializeWrapper:
        found = TopicConfigSerializeWrapper(
            data_version=decode_body(self.piece(), DataVersion), topic_config_table={}
        )
        for _ in range(self.number()):
            topic = _topic(self.piece())
            found.topic_config_table[topic.topic_name] = topic
        self.piece()  # filter servers, which there are none of any more
        if with_mappings and self._at < len(self._data):
            for _ in range(self.number()):
                info = decode_body(self.piece(), TopicQueueMappingInfo)
                found.topic_queue_mapping_info_map[info.topic or ""] = info
        return found


def _topic(piece: bytes) -> TopicConfig:
    words = piece.decode("utf-8", "replace").split(" ")
    try:
        return TopicConfig(
            topic_name=words[0],
            read_queue_nums=int(words[1]),
            write_queue_nums=int(words[2]),
            perm=int(words[3]),
        )
    except (ValueError, IndexError):
        raise WireError(
            f"REGISTER_BROKER topic: expected name and three numbers, got {words[:4]}", fatal=False
        ) from None
