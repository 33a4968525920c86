"""Announcing and configuring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from rmqgateway.frontend import FrontEndMaker
from rmqgateway.http.router import Router
from rmqgateway.interfaces import IRequestFrontEnd
from rmqgateway_http.frontend import HttpFrontEnd, HttpFrontEndSettings, front_end
from tests.unit.rmqgateway_http.kit import Api

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_a_request_front_end() -> None:
    verifyObject(IRequestFrontEnd, front_end)
    assert FrontEndMaker("http", "", "rmqgateway_http.frontend").load() is front_end


def test_its_routes_live_together() -> None:
    assert len(Router([front_end]).routes) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"max_body": 0}, {"max_wait_s": 31}, {"resume_s": -1}, {"stream_window": 0}, {"gzip_from": -1}, {"gzip_streams": -1},
        {"invisible_s": 0.0},
    ],
)
def test_settings_are_checked_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        HttpFrontEnd().configure(HttpFrontEndSettings(**change))


def test_announcing_it_imports_nothing_of_it() -> None:
    """Start-up stays cheap: handlers are imported with the first request."""
    program = (
        "import sys; from rmqgateway_http.frontend import front_end; list(front_end.routes());"
        "print([name for name in sys.modules if name.startswith('rmqgateway_http.') and name != 'rmqgateway_http.frontend'])"
    )
    path = f"{ROOT}:{ROOT / 'protocols'}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
    assert done.stdout.strip() == "[]"


def test_pages_of_other_origins_are_kept_out() -> None:
    api = Api()
    answer = api.request("POST", "/v1/topics/orders/messages", [("Origin", "https://elsewhere.example")], b"x")
    assert answer.status == 403


def test_requests_in_one_write_are_answered_in_order() -> None:
    api = Api()
    for number in range(3):
        body = b"%d" % number
        api.client._asked.append("POST")
        api.client.protocol.dataReceived(
            b"POST /v1/topics/orders/messages?queue_id=0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n" + body
        )
    api.world.settle()
    assert [api.client.response().json()["queue_offset"] for _ in range(3)] == [0, 1, 2]
