"""What is changed in frames on their way between a client and a broker: addresses, and nothing else.

Sans-IO: whole raw frames in, whole raw frames out. Requests are never changed (their signatures hold). Of answers, those
that hold addresses to be dialled are: `rewriting_table` says for each request code which. Hosts within messages are 8 bytes
at a fixed place (20 for IPv6); the host of an offset message id is its first 16 (40) digits.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from rmqgateway.backend.cluster.ports import BrokerKey, Face
from rmqgateway.errors import WireError
from rmqgateway.wire.fastjson import encode_fastjson, parse_fastjson
from rmqgateway.wire.message_id import host_bytes
from rmqgateway.wire.remoting import JSON, ROCKETMQ, RemotingCommand, decode_frame, encode_command
from rmqgateway.wire.stored_message import message_sizes, store_host, with_store_host

__all__ = [
    "Place",
    "Rewriter",
    "error_frame",
    "rewrite_addresses",
    "rewrite_broker_address",
    "rewrite_check",
    "rewrite_clients",
    "rewrite_messages",
    "rewrite_pushed_message",
    "rewrite_pushed_reply",
    "rewrite_routes",
    "rewrite_send_reply",
]

_read_prefix = struct.Struct(">II").unpack_from
_read_u32 = struct.Struct(">I").unpack_from
_write_prefix = struct.Struct(">II").pack

_BROKER_ADDRESS = re.compile(rb'"brokerAddr":"([^"\\]{1,300})"')

#: Bits of a stored message's system flag, in its last byte (39): born host, store host of IPv6.
_V6 = 0x30
_V6_BORN = 0x10
_V6_STORE = 0x20
#: Of a message whose hosts are of IPv4: bytes 64 to 72.
_STORE_HOST = 64


class Place:
    """Where a connection stands: the face that its client sees, the broker at its other end.

    :ivar clients: as brokers see them ("host:port" of our own end of an upstream connection) -> as they are.
    """

    __slots__ = ("_ids", "clients", "face", "key")

    def __init__(self, face: Face, key: BrokerKey, clients: Mapping[str, str]) -> None:
        self.face = face
        self.key = key
        self.clients = clients
        self._ids: tuple[str, bytes, bytes, bytes, bytes] | None = None

    def ids(self) -> tuple[bytes, bytes, bytes, bytes] | None:
        """How a message id of this broker begins in a JSON header and in a binary one, and what it is to be; None: it
        is of another length, or the broker is known by name only."""
        address = self.face.brokers.addresses.get(self.key, "")
        known = self._ids
        if known is None or known[0] != address:
            known = self._ids = (address, *self._make_ids(address))
        return None if not known[1] else known[1:]

    def _make_ids(self, address: str) -> tuple[bytes, bytes, bytes, bytes]:
        host, _, port = address.rpartition(":")
        try:
            old = host_bytes(host.strip("[]"), int(port)).hex().upper().encode()
        except (WireError, ValueError):
            return b"", b"", b"", b""
        new = self.face.host_of(self.key).hex().upper().encode()
        if len(old) != len(new):
            return b"", b"", b"", b""
        binary = b"\x00\x05msgId" + (len(old) + 16).to_bytes(4, "big")
        return b'"msgId":"' + old, b'"msgId":"' + new, binary + old, binary + new


#: Takes a whole raw frame and gives one. Raises WireError: the frame is not what it should be.
Rewriter: TypeAlias = Callable[[bytes, Place], bytes]


def rewrite_send_reply(frame: bytes, place: Place) -> bytes:
    """SEND_MESSAGE and its like: header field ``msgId``, an offset message id, or several with commas between them."""
    header_end = 8 + (_read_u32(frame, 4)[0] & 0xFFFFFF)
    ids = place.ids()
    if ids is not None:
        json_old, json_new, binary_old, binary_new = ids
        old, new = (json_old, json_new) if frame[4] == JSON else (binary_old, binary_new)
        at = frame.find(old, 8, header_end)
        if at >= 0:
            end = at + len(old) + 16
            # One id, not a list, and the key stands there once: all but the batches of 5.x.
            if (frame[4] == ROCKETMQ or frame[end : end + 1] == b'"') and frame.find(
                old, end, header_end
            ) < 0:
                return b"".join((frame[:at], new, frame[at + len(old) :]))
    command = decode_frame(frame)
    message_ids = command.ext_fields.get("msgId")
    if not message_ids:
        return frame
    command.ext_fields["msgId"] = ",".join(_message_id(one, place) for one in message_ids.split(","))
    return encode_command(command)


def _message_id(message_id: str, place: Place) -> str:
    """An offset message id with the host that stands for the one in it; what is none stays."""
    if len(message_id) not in (32, 56):
        return message_id
    try:
        host = binascii.unhexlify(message_id[:-16])
    except ValueError:
        return message_id
    return place.face.translate(host, place.key).hex().upper() + message_id[-16:]


def rewrite_messages(frame: bytes, place: Place) -> bytes:
    """The body of an answer that is stored messages: their store hosts."""
    word = _read_prefix(frame)[1]
    start = 8 + (word & 0xFFFFFF)
    size = len(frame)
    if start >= size:
        return frame
    face, key = place.face, place.key
    host_of, by_host = face.host_of, face.brokers.by_host
    own = host_of(key)
    if len(own) != 8:
        return _rewrite_messages_slowly(frame, start, place)
    changed = bytearray(frame)
    at = start
    last, new = b"", own
    while at < size:
        if size - at < 91:
            raise WireError(f"stored message: expected at least 91 bytes, got {size - at}", fatal=False)
        (length,) = _read_u32(frame, at)
        if not 91 <= length <= size - at:
            raise WireError(f"stored message: expected a size of 91..{size - at}, got {length}", fatal=False)
        bits = frame[at + 39]
        host_at = at + _STORE_HOST
        if bits & _V6:
            if bits & _V6_STORE:
                return _rewrite_messages_slowly(frame, start, place)
            host_at += 12
        host = frame[host_at : host_at + 8]
        if host != last:
            last = host
            known = by_host(host)
            new = own if known is None else host_of(known)
        changed[host_at : host_at + 8] = new
        at += length
    return bytes(changed)


def _rewrite_messages_slowly(frame: bytes, start: int, place: Place) -> bytes:
    body = _messages(frame[start:], place)
    return b"".join((_write_prefix(start - 4 + len(body), _read_u32(frame, 4)[0]), frame[8:start], body))


def _messages(body: bytes, place: Place) -> bytes:
    """Stored messages with their store hosts changed, of whatever families both are."""
    view = memoryview(body)
    parts: list[bytes] = []
    for at, size in message_sizes(body):
        message = view[at : at + size]
        parts.append(with_store_host(message, place.face.translate(store_host(message), place.key)))
    return b"".join(parts)


def rewrite_addresses(frame: bytes, place: Place) -> bytes:
    """A JSON body that tells where brokers are."""
    command = decode_frame(frame)
    if command.body:
        command.body = rewrite_routes(command.body, place.face)
        return encode_command(command)
    return frame


def rewrite_broker_address(frame: bytes, place: Place) -> bytes:
    """A JSON body that tells by ``brokerAddr`` which broker says it: a key, since quotes within texts are escaped."""
    start = 8 + (_read_u32(frame, 4)[0] & 0xFFFFFF)
    face = place.face

    def here(found: re.Match[bytes]) -> bytes:
        key = face.brokers.at(found[1].decode("utf-8", "replace")) or place.key
        return b'"brokerAddr":"%b"' % (face.address(key) or "").encode()

    body = _BROKER_ADDRESS.sub(here, frame[start:])
    return b"".join((_write_prefix(start - 4 + len(body), _read_u32(frame, 4)[0]), frame[8:start], body))


def rewrite_routes(body: bytes, face: Face) -> bytes:
    """Routes, cluster information, a group of brokers: each address becomes the one by which the client reaches that
    broker here; brokers without one are left out, and so are their queues.

    :raise WireError: it is no JSON object.
    """
    value = parse_fastjson(body)
    if not isinstance(value, dict):
        raise WireError(f"JSON body: expected an object, got {type(value).__name__}", fatal=False)
    if isinstance(value.get("brokerDatas"), list):
        _route(value, face)
    if isinstance(value.get("brokerAddrTable"), dict):
        _cluster(value, face)
    if isinstance(value.get("brokerMemberGroup"), dict):
        _broker(value["brokerMemberGroup"], face)
    if isinstance(value.get("brokerAddr"), str):
        key = face.brokers.at(value["brokerAddr"])
        value["brokerAddr"] = face.address(key) if key is not None else None
    return encode_fastjson({name: item for name, item in value.items() if item is not None})


def _route(value: dict[Any, Any], face: Face) -> None:
    kept = [broker for broker in value["brokerDatas"] if isinstance(broker, dict) and _broker(broker, face)]
    names = {broker.get("brokerName") for broker in kept}
    value["brokerDatas"] = kept
    if isinstance(value.get("queueDatas"), list):
        value["queueDatas"] = [
            queue
            for queue in value["queueDatas"]
            if isinstance(queue, dict) and queue.get("brokerName") in names
        ]
    # Servers of a filter that RocketMQ no longer has: addresses of nobody.
    if value.get("filterServerTable"):
        value["filterServerTable"] = {}


def _cluster(value: dict[Any, Any], face: Face) -> None:
    table = value["brokerAddrTable"]
    kept = {
        name: broker for name, broker in table.items() if isinstance(broker, dict) and _broker(broker, face)
    }
    value["brokerAddrTable"] = kept
    clusters = value.get("clusterAddrTable")
    if isinstance(clusters, dict):
        value["clusterAddrTable"] = {
            cluster: [name for name in names if name in kept] for cluster, names in clusters.items()
        }


def _broker(broker: dict[Any, Any], face: Face) -> bool:
    """Change the addresses of one broker; False if none is left. What is learned on the way is kept."""
    addresses = broker.get("brokerAddrs")
    name = broker.get("brokerName")
    if not isinstance(addresses, dict) or not isinstance(name, str):
        return False
    changed: dict[Any, str] = {}
    for broker_id, address in addresses.items():
        try:
            key = BrokerKey(name, int(broker_id))
        except (ValueError, TypeError):
            continue
        if isinstance(address, str):
            face.brokers.learn(key, address)
        here = face.address(key)
        if here is not None:
            changed[broker_id] = here
    broker["brokerAddrs"] = changed
    return bool(changed)


def rewrite_clients(frame: bytes, place: Place) -> bytes:
    """Who is connected: clients of this gateway are told by their own addresses, not by the gateway's."""
    command = decode_frame(frame)
    if not command.body:
        return frame
    value = parse_fastjson(command.body)
    if not _client_addresses(value, place.clients):
        return frame
    command.body = encode_fastjson(value)
    return encode_command(command)


def _client_addresses(value: Any, clients: Mapping[str, str]) -> bool:
    changed = False
    if isinstance(value, dict):
        for name, item in value.items():
            if name in ("clientAddr", "remoteIP") and isinstance(item, str):
                known = clients.get(item.removeprefix("/"))
                if known is not None:
                    value[name] = known
                    changed = True
            elif isinstance(item, (dict, list)):
                changed |= _client_addresses(item, clients)
    elif isinstance(value, list):
        for item in value:
            changed |= _client_addresses(item, clients)
    return changed


def rewrite_check(frame: bytes, place: Place) -> bytes:
    """CHECK_TRANSACTION_STATE from a broker: header field ``offsetMsgId``, and the half message in its body."""
    return _pushed(frame, place, "offsetMsgId")


def rewrite_pushed_message(frame: bytes, place: Place) -> bytes:
    """CONSUME_MESSAGE_DIRECTLY from a broker: the message in its body, the id that it was asked by in its header."""
    return _pushed(frame, place, "msgId")


def _pushed(frame: bytes, place: Place, field: str) -> bytes:
    command = decode_frame(frame)
    message_id = command.ext_fields.get(field)
    if message_id and _is_offset_id(message_id, place):
        command.ext_fields[field] = _message_id(message_id, place)
    if command.body:
        command.body = _messages(command.body, place)
    return encode_command(command)


def _is_offset_id(message_id: str, place: Place) -> bool:
    """Clients' own ids look alike: only one whose host is a broker's is an offset message id."""
    try:
        return place.face.brokers.by_host(binascii.unhexlify(message_id[:-16])) is not None
    except ValueError:
        return False


def rewrite_pushed_reply(frame: bytes, place: Place) -> bytes:
    """PUSH_REPLY_MESSAGE_TO_CLIENT from a broker: header field ``storeHost``, "host:port"."""
    command = decode_frame(frame)
    brokers = place.face.brokers
    address = command.ext_fields.get("storeHost", "")
    key = brokers.at(address.removeprefix("/")) or place.key
    here = place.face.address(key)
    if not address or here is None:
        return frame
    command.ext_fields["storeHost"] = here
    return encode_command(command)


def error_frame(opaque: int, code: int, remark: str) -> bytes:
    """The answer to a request whose answer could not be had."""
    return encode_command(RemotingCommand(code, opaque, 1, 513, "JAVA", remark))
