"""Subscriptions of a browser to a broadcast."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rmqgateway_websocket.websockets import JSON, MSGPACK, Browser, Gateway, send, text_of


@pytest.fixture(params=[JSON, MSGPACK])
def browser(request: pytest.FixtureRequest) -> Browser:
    return Gateway().client(request.param)


def listen(browser: Browser, credit: int = 100, **more: Any) -> dict[str, Any]:
    answer = browser.ask("subscribe", subscription="s", topic="T", group="G", broadcast=True, credit=credit, **more)
    browser.read()
    return answer


def texts(browser: Browser) -> list[str]:
    browser.read()
    return [text_of(frame["message"]) for frame in browser.frames if frame["op"] == "deliver"]


def test_everybody_gets_everything_and_settles_nothing(browser: Browser) -> None:
    send(browser, "before")
    others = [browser.gateway.client() for _ in range(2)]
    for one in (browser, *others):
        assert listen(one)["op"] == "done"
        assert one.take("place")[0]["place"].startswith("rmqgateway:")
    send(browser, "1", "2", "3")
    for one in (browser, *others):
        assert sorted(texts(one)) == ["1", "2", "3"]
    answer = browser.ask("ack", subscription="s", numbers=[1])
    assert answer["reason"] == "BAD_RECEIPT_HANDLE"


def test_going_on_after_a_message(browser: Browser) -> None:
    listen(browser)
    (begin,) = browser.take("place")
    send(browser, "1")
    send(browser, "2")
    first, second = browser.take("deliver")
    for place, rest in ((begin["place"], ["1", "2"]), (first["place"], ["2"]), (second["place"], [])):
        back = browser.gateway.client()
        listen(back, place=place)
        assert back.take("place")[0]["place"] == place
        browser.gateway.advance(0.25)
        assert texts(back) == rest


def test_credit_of_a_broadcast(browser: Browser) -> None:
    listen(browser, credit=2)
    for number in range(6):
        send(browser, str(number))
    assert texts(browser) == ["0", "1"]
    browser.ask("credit", subscription="s", messages=10)
    browser.gateway.advance(0.25)
    assert sorted(texts(browser)) == ["0", "1", "2", "3", "4", "5"]
    send(browser, "6")
    assert texts(browser)[-1] == "6"


def test_a_listener_is_a_member_that_administrators_see() -> None:
    from rmqgateway.commands import ListConsumerConnections, MessageModel

    gateway = Gateway()
    browser = gateway.client()
    browser.ask("connect", clientId="page-1")
    listen(browser)
    looker = gateway.world.session()
    found = gateway.world.execute(looker, ListConsumerConnections("G"))
    assert [one.client_id for one in found.connections] == ["page-1"]
    assert found.consumer is not None and found.consumer.model is MessageModel.BROADCASTING


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fifo": True}, "fifo is not for a broadcast"),
        ({"autoAck": True}, "autoAck is not for a broadcast"),
        ({"liteTopics": ["a"]}, "liteTopics is not for a broadcast"),
        ({"place": "x"}, "place: expected what came with a message"),
        ({"broadcast": False, "place": "b:1"}, "place is for a broadcast"),
    ],
)
def test_what_is_not_for_a_broadcast(browser: Browser, more: dict[str, Any], words: str) -> None:
    fields = {"subscription": "s", "topic": "T", "group": "G", "broadcast": True, **more}
    assert words in browser.ask("subscribe", **fields)["message"]
    assert browser.ask("subscribe", subscription="s", topic="T", group="G")["op"] == "done"
