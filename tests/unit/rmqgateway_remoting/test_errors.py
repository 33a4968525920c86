"""Errors in RocketMQ's numbers."""

from __future__ import annotations

import pytest

from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.request_codes import ResponseCode
from rmqgateway_remoting.errors import RESPONSE_CODES, response_code
from rmqgateway_remoting.table import OPERATIONS


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_number(code: Code) -> None:
    assert response_code(GatewayError(code, "why")) == RESPONSE_CODES[code] != 0


def test_a_brokers_own_number_is_passed_on() -> None:
    assert response_code(GatewayError(Code.UPSTREAM_ERROR, "why", upstream_code=211)) == 211


def test_an_operation_may_answer_otherwise() -> None:
    overrides = OPERATIONS[203].errors
    assert response_code(GatewayError(Code.GROUP_NOT_FOUND, "why"), overrides) == ResponseCode.CONSUMER_NOT_ONLINE
    assert response_code(GatewayError(Code.BUSY, "why"), overrides) == ResponseCode.SYSTEM_BUSY
