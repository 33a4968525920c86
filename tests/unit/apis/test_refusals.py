"""Every error has a status code, and the ones that clients act on have the proxy's."""

from __future__ import annotations

import pytest

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.refusals import STATUS_CODES, Refusal, status_of
from rmqgateway.errors import Code, GatewayError, WireError


def test_the_table_covers_every_code() -> None:
    assert set(STATUS_CODES) == set(Code)
    assert all(v2.BAD_REQUEST <= code < v2.FAILED_TO_CONSUME_MESSAGE for code in STATUS_CODES.values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GatewayError(Code.TOPIC_NOT_FOUND, "x"), v2.TOPIC_NOT_FOUND),
        (GatewayError(Code.BUSY, "x"), v2.TOO_MANY_REQUESTS),
        (GatewayError(Code.UNSUPPORTED, "x"), v2.UNSUPPORTED),
        (GatewayError(Code.UPSTREAM_ERROR, "x"), v2.INTERNAL_SERVER_ERROR),
        (GatewayError(Code.UPSTREAM_ERROR, "x", upstream_code=2), v2.TOO_MANY_REQUESTS),
        (GatewayError(Code.UPSTREAM_ERROR, "x", upstream_code=17), v2.TOPIC_NOT_FOUND),
        (GatewayError(Code.UPSTREAM_ERROR, "x", upstream_code=99999), v2.INTERNAL_SERVER_ERROR),
        (Refusal(v2.ILLEGAL_MESSAGE_ID, "x"), v2.ILLEGAL_MESSAGE_ID),
        (WireError("x"), v2.BAD_REQUEST),
    ],
)
def test_what_is_answered(error: Refusal | GatewayError | WireError, code: int) -> None:
    assert status_of(error) == v2.Status(code=code, message="x")
