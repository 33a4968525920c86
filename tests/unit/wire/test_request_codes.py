"""The names of the numbers."""

from __future__ import annotations

from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name, response_name


def test_names() -> None:
    assert request_name(310) == "SEND_MESSAGE_V2(310)"
    assert request_name(RequestCode.POP_MESSAGE) == "POP_MESSAGE(200050)"
    assert request_name(4242) == "unknown(4242)"
    assert response_name(3) == "REQUEST_CODE_NOT_SUPPORTED(3)"
    assert response_name(-1) == "unknown(-1)"
    assert int(ResponseCode.GO_AWAY) == 1500
