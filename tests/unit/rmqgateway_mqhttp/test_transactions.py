"""Half messages: published, committed, rolled back, fetched when they are to be checked."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands import Heartbeat, SendMessages
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import CheckTransaction
from rmqgateway.message import Message
from rmqgateway.testing import NoReplyYet, World
from rmqgateway_mqhttp.checks import producer_group_of
from rmqgateway_mqhttp.convert_handles import HalfHandle, decode_half_handle, encode_half_handle
from tests.unit.rmqgateway_mqhttp.helpers import Client, ack_errors, error, messages

POP = "/topics/T/messages?consumer=P&numOfMessages=16&trans=pop"


def half(client: Client, body: str = "half", seconds: int = 10, query: str = "") -> str:
    return client.publish("T", body, properties=f"__TransCheckT:{seconds}|KEYS:k|", query=query)[
        "ReceiptHandle"
    ]


def consumed(client: Client) -> list[str]:
    response = client.ask("GET", "/topics/T/messages?consumer=G&numOfMessages=16")
    return [one["MessageBody"] for one in messages(response)] if response.status == 200 else []


def test_commit_with_the_handle_of_the_publish() -> None:
    client = Client()
    client.publish("T", "plain")
    handle = half(client)
    assert consumed(client) == ["plain"]
    assert client.delete("T", "consumer=P&trans=commit", [handle]).status == 204
    assert consumed(client) == ["half"]


def test_go_leaves_the_group_out() -> None:
    client = Client()
    handle = half(client)
    assert client.delete("T", "consumer=&trans=commit", [handle]).status == 204
    assert consumed(client) == ["half"]


def test_roll_back() -> None:
    client = Client()
    handle = half(client)
    assert client.delete("T", "consumer=P&trans=rollback", [handle]).status == 204
    (wrong,) = ack_errors(client.delete("T", "consumer=P&trans=commit", [handle]))
    assert wrong["ErrorCode"] == "MessageNotExist"
    client.world.advance(60, 1.0)
    assert consumed(client) == []
    assert error(client.ask("GET", POP)) == (404, "MessageNotExist")


def test_in_a_namespace() -> None:
    client = Client()
    handle = half(client, query="?ns=NS")
    assert client.delete("T", "consumer=P&ns=NS&trans=commit", [handle]).status == 204
    assert [one["MessageBody"] for one in client.consume("T", "G", "&numOfMessages=1&ns=NS")] == ["half"]


def test_the_handle_of_the_publish_is_valid_until_the_first_check() -> None:
    client = Client()
    handle = half(client)
    client.world.advance(10, 1.0)
    (wrong,) = ack_errors(client.delete("T", "consumer=P&trans=commit", [handle]))
    assert (wrong["ErrorCode"], wrong["ReceiptHandle"]) == ("MessageNotExist", handle)


def test_fetched_at_its_check_and_committed() -> None:
    client = Client()
    half(client)
    client.http.start("GET", POP + "&waitseconds=30")
    client.world.advance(9, 1.0)
    with pytest.raises(NoReplyYet):
        client.http.response()
    client.world.advance(1.1)
    (message,) = messages(client.http.response())
    assert (message["MessageBody"], message["ConsumedTimes"]) == ("half", "1")
    assert sorted(message["Properties"].split("|")) == ["", "KEYS:k", "__TransCheckT:10"]
    assert int(message["NextConsumeTime"]) == int(message["FirstConsumeTime"]) + 30_000
    (wrong,) = ack_errors(client.delete("T", "consumer=another&trans=commit", [message["ReceiptHandle"]]))
    assert wrong["ErrorCode"] == "ReceiptHandleError"
    assert client.delete("T", "consumer=P&trans=commit", [message["ReceiptHandle"]]).status == 204
    assert consumed(client) == ["half"]


def test_checks_of_one_moment_go_together() -> None:
    client = Client()
    for number in range(5):
        half(client, str(number))
    client.http.start("GET", POP.replace("16", "3") + "&waitseconds=30")
    client.world.advance(10.1, 1.0)
    first = messages(client.http.response())
    second = messages(client.ask("GET", POP + "&waitseconds=30"))
    assert [one["MessageBody"] for one in first + second] == ["0", "1", "2", "3", "4"]
    assert len(first) == 3


def test_kept_between_two_fetches_and_asked_again() -> None:
    client = Client()
    assert consumed(client) == []
    half(client)
    assert error(client.ask("GET", POP)) == (404, "MessageNotExist")  # from now on we are asked
    client.world.advance(12, 1.0)
    (first,) = messages(client.ask("GET", POP))
    client.world.advance(29, 1.0)  # the next check, 30 s after the first
    (second,) = messages(client.ask("GET", POP))
    assert (second["MessageId"], second["ConsumedTimes"]) == (first["MessageId"], "2")
    assert client.delete("T", "consumer=P&trans=rollback", [second["ReceiptHandle"]]).status == 204
    client.world.advance(31, 1.0)
    assert error(client.ask("GET", POP)) == (404, "MessageNotExist")


def test_an_ended_transaction_is_not_fetched() -> None:
    client = Client()
    handle = half(client, seconds=20)
    client.ask("GET", POP)
    client.world.advance(19.9)
    assert client.delete("T", "consumer=P&trans=commit", [handle]).status == 204
    client.world.advance(1)
    assert error(client.ask("GET", POP)) == (404, "MessageNotExist")


def test_a_handle_outlives_a_restart() -> None:
    client = Client()
    handle = half(client)
    later = Client(client.world.restart())
    assert later.delete("T", "consumer=P&trans=commit", [handle]).status == 204
    assert consumed(later) == ["half"]


def test_half_messages_of_other_producers_by_their_group() -> None:
    """A producer of another protocol says its group; whoever fetches for that group decides."""
    client = Client()
    world = client.world
    properties = b"TRAN_MSG\x01true\x02UNIQ_KEY\x01ID\x02CHECK_IMMUNITY_TIME_IN_SECONDS\x011\x02"
    command = SendMessages("T", (Message(b"other's", properties, sys_flag=4),), "P")
    world.execute(world.session(), command)
    client.ask("GET", POP)
    world.advance(1.1)
    (message,) = messages(client.ask("GET", POP))
    assert message["MessageBody"] == "other's"
    assert client.delete("T", "consumer=P&trans=commit", [message["ReceiptHandle"]]).status == 204
    assert consumed(client) == ["other's"]


def test_other_producers_of_the_topic_are_not_asked() -> None:
    client = Client()
    world = client.world
    other = world.session()
    world.execute(other, Heartbeat("other", producers=("T", "P")))
    half(client)
    client.ask("GET", POP)
    world.advance(11, 1.0)
    assert not [event for event in other.events if isinstance(event, CheckTransaction)]
    assert messages(client.ask("GET", POP))


def test_checks_of_other_topics_are_left_to_others() -> None:
    client = Client()
    world = client.world
    other = world.session()
    world.execute(other, Heartbeat("other", producers=("P",)))
    client.publish("T", "there is such a topic")
    client.ask("GET", POP)
    properties = b"TRAN_MSG\x01true\x02UNIQ_KEY\x01ID\x02CHECK_IMMUNITY_TIME_IN_SECONDS\x011\x02"
    world.execute(world.session(), SendMessages("U", (Message(b"x", properties, sys_flag=4),), "P"))
    world.advance(1.1)
    assert [event for event in other.events if isinstance(event, CheckTransaction)]
    assert error(client.ask("GET", POP)) == (404, "MessageNotExist")


def test_who_fetches_no_more_is_asked_no_more() -> None:
    client = Client()
    client.publish("T", "there is such a topic")
    client.ask("GET", POP)
    assert len(client.front_end._responder.transactions.checks) == 1  # type: ignore[union-attr]
    client.world.advance(125, 1.0)
    assert len(client.front_end._responder.transactions.checks) == 0  # type: ignore[union-attr]


def test_who_goes_while_waiting_leaves_the_check_to_the_next() -> None:
    client = Client()
    half(client)
    client.http.start("GET", POP + "&waitseconds=30")
    client.http.close()
    client.world.advance(11, 1.0)
    again = client
    again.http.connect()
    (message,) = messages(again.ask("GET", POP))
    assert message["MessageBody"] == "half"


def test_a_wait_ends_in_time_and_when_the_gateway_drains() -> None:
    client = Client()
    client.publish("T", "there is such a topic")
    client.http.start("GET", POP + "&waitseconds=2")
    client.world.advance(2.1)
    assert error(client.http.response()) == (404, "MessageNotExist")
    client.http.start("GET", POP + "&waitseconds=30")
    client.world.gateway.drain(10, "stopping")
    client.world.settle()
    assert error(client.http.response()) == (404, "MessageNotExist")
    client.http.close()
    assert not client.world.gateway.sessions  # for these the process would wait


@pytest.mark.parametrize(
    "handle", ["nonsense", "half-1-", "half-1-AAAA", "half-1-é", "0 1 2 0 0 rmqgateway 0 0"]
)
def test_what_is_no_handle_of_a_half_message(handle: str) -> None:
    client = Client()
    (wrong,) = ack_errors(client.delete("T", "consumer=P&trans=commit", [handle]))
    assert (wrong["ErrorCode"], wrong["ReceiptHandle"]) == ("ReceiptHandleError", handle)


def test_a_handle_made_up_ends_nobody_s_transaction() -> None:
    client = Client(World(LocalSettings()))
    handle = decode_half_handle(half(client))
    for forged in (
        HalfHandle(
            "another", "", handle.transaction_id, handle.queue_offset, handle.physical_offset, handle.expires
        ),
        HalfHandle(handle.producer_group, "", handle.transaction_id, handle.queue_offset, 7, handle.expires),
    ):
        assert client.delete("T", "consumer=P&trans=commit", [encode_half_handle(forged)]).status in (
            403,
            404,
        )
    assert consumed(client) == []
    response = client.delete("U", "consumer=P&trans=commit", [encode_half_handle(handle)])
    assert response.status == 400


def test_the_door_judges_each_command_of_a_request_as_one_user() -> None:
    """It verifies a signature once for each request: a second time would look like a replay."""
    client = Client()
    half(client)
    verified: list[str] = []

    def verify(context: Context, command: object) -> None:
        if context.user is None:
            context.user = "user"
            verified.append(type(command).__name__)

    client.world.gateway.authorizer = verify
    client.ask("GET", POP)
    assert verified == ["EndTransaction"]


def test_reading_half_messages_is_judged_as_ending_them() -> None:
    client = Client()
    half(client)

    def nobody_may_publish(context: object, command: object) -> None:
        if type(command).__name__ == "EndTransaction":
            raise GatewayError(Code.FORBIDDEN, "not yours")

    client.world.gateway.authorizer = nobody_may_publish
    assert error(client.ask("GET", POP)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "properties",
    ["__TransCheckT:9", "__TransCheckT:301", "__TransCheckT:x", "__TransCheckT:20|__STARTDELIVERTIME:5"],
)
def test_bad_half_messages(properties: str) -> None:
    client = Client()
    body = f"<Message><MessageBody>x</MessageBody><Properties>{properties}</Properties></Message>"
    assert error(client.ask("POST", "/topics/T/messages", body)) == (400, "InvalidArgument")


def test_the_group_of_a_topic() -> None:
    assert producer_group_of("T") == "MQHTTP_T"
    assert producer_group_of("NS%T") == "NS%MQHTTP_T"
