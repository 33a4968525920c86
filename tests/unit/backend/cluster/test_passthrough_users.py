"""The long way, when users exist: frames are decoded and judged, and go on as they came."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

import pytest

from rmqgateway.commands import UserType
from rmqgateway.governance.resources import needs_of
from rmqgateway.governance.users import UserRecord
from rmqgateway.wire.message_batch import BatchedMessage, encode_batch
from rmqgateway.wire.remoting import RemotingCommand, decode_frame, encode_request
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import Peer
from rmqgateway_remoting.passthrough_commands import command_of
from tests.unit.backend.cluster.pair import Pair


def signed(
    code: int, opaque: int, ext: dict[str, str], secret: str, body: bytes = b"", key: str = "boss"
) -> bytes:
    """As a client with an AclClientRPCHook sends it."""
    given = {**ext, "AccessKey": key}
    content = "".join(given[name] for name in sorted(given)).encode() + body
    signature = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha1).digest()).decode()
    return encode_request(code, opaque, {**given, "Signature": signature}, body, version=513)


SEND = {
    "a": "P",
    "b": "T",
    "c": "TBW102",
    "d": "4",
    "e": "0",
    "f": "0",
    "g": "1",
    "h": "0",
    "i": "",
    "j": "0",
    "k": "false",
}


NOTIFY = {"consumerGroup": "G", "topic": "T", "queueId": "0", "pollTime": "1", "bornTime": "1"}


def guarded() -> Pair:
    pair = Pair().connect()
    pair.gateway.guard.users.take(UserRecord("boss", "s3cret", UserType.SUPER))
    pair.gateway.guard.users.take(UserRecord("nobody", "s3cret"))
    assert pair.gateway.guarded
    return pair


def test_a_signed_request_goes_on_unchanged() -> None:
    pair = guarded()
    frame = signed(310, 1, SEND, "s3cret", b"x")
    pair.protocol.dataReceived(frame)
    assert pair.broker.value() == frame
    assert not pair.client.value()


@pytest.mark.parametrize(
    "frame",
    [
        encode_request(310, 1, SEND, b"x", version=513),
        signed(310, 1, SEND, "wrong", b"x"),
        signed(310, 1, SEND, "s3cret", b"x", key="nobody"),
        signed(310, 1, SEND, "s3cret", b"x", key="unknown"),
        signed(28, 1, {}, "s3cret", key="nobody"),
        signed(3001, 1, {"username": "u"}, "s3cret", b"{}", key="nobody"),
        signed(2004, 1, {}, "s3cret", key="nobody"),
        signed(200054, 1, NOTIFY, "s3cret", key="nobody"),
    ],
)
def test_what_is_not_allowed_is_refused_here(frame: bytes) -> None:
    pair = guarded()
    pair.protocol.dataReceived(frame)
    assert pair.broker.value() == b""
    assert [(each.code, each.opaque) for each in pair.client.commands()] == [(ResponseCode.NO_PERMISSION, 1)]


@pytest.mark.parametrize(
    "frame",
    [
        signed(310, 1, {name: value for name, value in SEND.items() if name != "b"}, "s3cret", b"x"),
        signed(320, 1, {**SEND, "m": "true", "e": "x"}, "s3cret", b"x"),
        signed(11, 1, {"consumerGroup": "G", "topic": "T", "queueId": "x", "queueOffset": "0"}, "s3cret"),
    ],
)
def test_a_header_that_is_not_what_it_should_be_is_refused_by_name(frame: bytes) -> None:
    pair = guarded()
    pair.protocol.dataReceived(frame)
    (told,) = pair.client.commands()
    assert told.code == ResponseCode.INVALID_PARAMETER
    assert pair.broker.value() == b""


def test_what_does_not_count_for_judging_a_send_is_the_brokers_to_refuse_as_without_users() -> None:
    pair = guarded()
    frame = signed(310, 1, {**SEND, "e": "x"}, "s3cret", b"x")
    pair.protocol.dataReceived(frame)
    assert pair.broker.value() == frame


def test_a_header_that_cannot_be_read_is_told_with_its_opaque() -> None:
    pair = guarded()
    header = b'{"code":310,"opaque":9,"extFields":{"a":[]},"flag":0,"version":1}'
    pair.protocol.dataReceived(struct.pack(">II", 4 + len(header), len(header)) + header)
    (told,) = pair.client.commands()
    assert (told.code, told.opaque) == (ResponseCode.INVALID_PARAMETER, 9)
    assert pair.broker.value() == b""


def test_the_first_user_counts_at_once_for_connections_that_are_there() -> None:
    pair = Pair().connect()
    plain = encode_request(310, 1, SEND, b"x")
    pair.protocol.dataReceived(plain)
    pair.gateway.guard.users.take(UserRecord("boss", "s3cret", UserType.SUPER))
    pair.protocol.dataReceived(plain)
    assert pair.broker.value() == plain


def test_answers_of_clients_are_not_judged() -> None:
    pair = guarded()
    pair.upstream.dataReceived(encode_request(307, 9, {}))
    answer = encode_request(0, 9, {}).replace(b'"flag":0', b'"flag":1')
    assert decode_frame(answer).is_response
    pair.protocol.dataReceived(answer)
    assert pair.broker.value() == answer


@pytest.mark.parametrize("code", RequestCode, ids=lambda code: code.name)
def test_every_code_is_judged_as_some_command(code: RequestCode) -> None:
    """What the local backend does not know is reading or changing the cluster; nothing is let through unjudged."""
    from rmqgateway.errors import WireError
    from rmqgateway_remoting.table import OPERATIONS

    pair = Pair().connect()
    request = decode_frame(encode_request(int(code), 1, {"consumerGroup": "G", "topic": "T"}))
    try:
        command = command_of(request, Peer(pair.protocol._session))
    except WireError:
        assert code in OPERATIONS
        return
    if code not in OPERATIONS and code not in (RequestCode.NOTIFICATION, RequestCode.POLLING_INFO):
        reads = code.name.startswith(("GET_", "QUERY_", "VIEW_", "CHECK_"))
        assert type(command).__name__ == ("GetBrokerConfiguration" if reads else "ChangeKeyValues")


@pytest.mark.parametrize("word", ["true", "TRUE", "True"])
def test_what_is_in_a_batch_is_judged_however_it_is_called_one(word: str) -> None:
    """As Java reads a boolean."""
    body = encode_batch([BatchedMessage(b"x", b"INNER_MULTI_DISPATCH\x01%LMQ%$theirs$chat\x02")])
    request = RemotingCommand(310, 1, ext_fields={**SEND, "m": word}, body=body)
    command = command_of(request, Peer(guarded().protocol._session))
    assert [need[1] for need in needs_of(command)] == ["T", "theirs"]
