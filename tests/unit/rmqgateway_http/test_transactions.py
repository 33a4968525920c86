"""Prepare, commit, roll back; and the questions about what nobody ended."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.testing import NoReplyYet
from tests.unit.rmqgateway_http.kit import JSON, Api

BEGIN = "/v1/topics/orders/transactions"
CHECKS = "/v1/producer-groups/orders/checks"


def make() -> Api:
    return Api(LocalSettings(transaction_check_s=6, transaction_interval_s=6))


def begin(api: Api, target: str = BEGIN) -> str:
    found = api.request("POST", target, [], b"half", 201).json()
    assert set(found) == {"transaction", "message_id", "queue_id"}
    transaction: str = found["transaction"]
    return transaction


def test_a_prepared_message_comes_when_it_is_committed() -> None:
    api = make()
    transaction = begin(api)
    assert api.receive("orders") == []
    api.request("POST", f"/v1/transactions/{transaction}/commit", body=b"", status=204)
    assert api.bodies("orders") == ["half"]
    found = api.problem(404, "POST", f"/v1/transactions/{transaction}/commit", body=b"")
    assert found["code"] == "INVALID_TRANSACTION_ID"


def test_a_prepared_message_never_comes_when_it_is_rolled_back() -> None:
    api = make()
    transaction = begin(api)
    api.request("POST", f"/v1/transactions/{transaction}/rollback", body=b"", status=204)
    api.world.advance(60)
    assert api.receive("orders") == []


def test_an_envelope_can_be_prepared_too() -> None:
    api = make()
    found = api.request("POST", BEGIN, [JSON], b'{"body":"j","tag":"t"}', 201).json()
    api.request("POST", f"/v1/transactions/{found['transaction']}/commit", body=b"", status=204)
    (got,) = api.receive("orders")
    assert (got["body"], got["tag"]) == ("j", "t")
    api.problem(400, "POST", BEGIN, [JSON], b'{"messages":[{}]}')


def test_a_question_is_fetched_by_long_poll_and_answered() -> None:
    api = make()
    begin(api)
    api.client.start("GET", f"{CHECKS}?wait=20")
    with pytest.raises(NoReplyYet):
        api.client.response()
    api.world.advance(8)
    (asked,) = api.client.response().json()["transactions"]
    assert (asked["body"], asked["topic"], asked["checks"]) == ("half", "orders", 1)
    api.request("POST", f"/v1/transactions/{asked['transaction']}/commit", body=b"", status=204)
    assert api.bodies("orders") == ["half"]
    api.world.advance(10)
    assert api.request("GET", CHECKS, status=200).json() == {"transactions": []}


def test_a_question_between_two_polls_is_kept() -> None:
    api = make()
    assert api.request("GET", CHECKS, status=200).json() == {"transactions": []}
    begin(api)
    api.world.advance(8)
    assert len(api.request("GET", CHECKS, status=200).json()["transactions"]) == 1
    assert api.request("GET", CHECKS, status=200).json() == {"transactions": []}


def test_one_that_was_ended_meanwhile_is_asked_no_more() -> None:
    api = make()
    api.request("GET", CHECKS, status=200)
    transaction = begin(api)
    api.world.advance(8)
    api.request("POST", f"/v1/transactions/{transaction}/commit", body=b"", status=204)
    assert api.request("GET", CHECKS, status=200).json() == {"transactions": []}


def test_a_poll_that_ends_empty_and_one_whose_client_goes() -> None:
    api = make()
    api.client.start("GET", f"{CHECKS}?wait=2")
    waiting = api.another()
    waiting.start("GET", f"{CHECKS}?wait=20")
    api.world.advance(1)
    waiting.close()
    api.world.advance(2)
    assert api.client.response().json() == {"transactions": []}
    begin(api)
    api.world.advance(8)
    assert len(api.request("GET", CHECKS, status=200).json()["transactions"]) == 1


def test_another_producer_group() -> None:
    api = make()
    begin(api, f"{BEGIN}?producer_group=shop&check_after=1s")
    api.client.start("GET", "/v1/producer-groups/shop/checks?wait=20")
    api.world.advance(3)
    assert len(api.client.response().json()["transactions"]) == 1


def test_the_group_is_left_when_nobody_asks_any_more() -> None:
    api = make()
    before = len(api.world.gateway.sessions)
    api.request("GET", CHECKS, status=200)
    assert len(api.world.gateway.sessions) == before + 2  # the connection's and the group's
    api.world.advance(130, step=1)
    assert len(api.world.gateway.sessions) <= before + 1
    api.request("GET", CHECKS, status=200)


def test_a_group_whose_name_is_none() -> None:
    api = make()
    api.problem(400, "GET", "/v1/producer-groups/a%20b/checks")
    assert len(api.world.gateway.sessions) == 1


def test_the_gateway_stops_while_somebody_waits() -> None:
    api = make()
    api.client.start("GET", f"{CHECKS}?wait=20")
    api.world.gateway.drain(5, "stopping")
    api.world.settle()
    assert api.client.response().status == 503
    assert len(api.world.gateway.sessions) == 1  # the connection's, until it is closed


def test_a_group_that_is_polled_for_long_stays_known() -> None:
    api = make()
    for _ in range(6):
        api.client.start("GET", f"{CHECKS}?wait=30")
        api.world.advance(31, step=1)
        assert api.client.response().json() == {"transactions": []}
    begin(api)
    api.client.start("GET", f"{CHECKS}?wait=30")
    api.world.advance(8)
    assert len(api.client.response().json()["transactions"]) == 1


def test_too_many_groups() -> None:
    from rmqgateway_http import transactions

    api = make()
    api.request("GET", CHECKS, status=200)
    service = api.front_end._service
    assert service is not None
    (checker,) = service.checkers.values()
    service.checkers.update({(None, f"g{n}"): checker for n in range(transactions._MAX_CHECKERS)})
    assert api.problem(429, "GET", "/v1/producer-groups/another/checks")["code"] == "TOO_MANY_REQUESTS"
    service.checkers.clear()


def test_a_message_group_can_be_prepared() -> None:
    api = make()
    found = api.request("POST", f"{BEGIN}?message_group=m", [], b"half", 201).json()
    api.request("POST", f"/v1/transactions/{found['transaction']}/commit", body=b"", status=204)
    (got,) = api.receive("orders")
    assert (got["message_group"], got["queue_id"]) == ("m", found["queue_id"])
