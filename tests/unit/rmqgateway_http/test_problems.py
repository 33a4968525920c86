"""One table for every code."""

from __future__ import annotations

import msgspec
import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.errors import RETRYABLE, Code, GatewayError, WireError
from rmqgateway.wire.http1 import reason_phrase
from rmqgateway_http.problems import PROBLEMS, status_of


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status_and_rocketmqs_word(code: Code) -> None:
    status, word = PROBLEMS[code]
    assert 400 <= status < 600
    assert reason_phrase(status)
    assert v2.Code.Value(word)


@pytest.mark.parametrize("code", Code)
def test_the_problem_says_all(code: Code) -> None:
    status, headers, body = status_of(GatewayError(code, "why", upstream_code=17), "r1")
    value = msgspec.json.decode(body)
    assert value["status"] == status == PROBLEMS[code][0]
    assert value["detail"] == "why"
    assert value["code"] == PROBLEMS[code][1]
    assert value["request_id"] == "r1"
    assert value["upstream_code"] == 17
    assert (b"retry-after" in dict(headers)) == (code in RETRYABLE)


def test_retry_after_is_whole_seconds() -> None:
    for seconds, shown in ((0.2, b"1"), (2.4, b"2"), (None, b"1")):
        _, headers, _ = status_of(GatewayError(Code.BUSY, "", retry_after=seconds))
        assert dict(headers)[b"retry-after"] == shown


def test_bytes_that_are_not_what_they_should_be() -> None:
    status, _, body = status_of(WireError("expected x"))
    assert status == 400
    assert b"expected x" in body
