"""The front-end as the loader sees it, and what it serves over HTTP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from zope.interface.verify import verifyObject

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IFrontEnd, IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.loader import find_makers, load_front_end
from rmqgateway.testing import World
from rmqgateway_websocket.asyncapi import document
from rmqgateway_websocket.frames import CLIENT_FRAMES, SERVER_FRAMES
from rmqgateway_websocket.frontend import WebSocketFrontEnd
from rmqgateway_websocket.settings import WebSocketSettings
from tests.unit.rmqgateway_websocket.websockets import Gateway

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_what_it_says() -> None:
    front_end = WebSocketFrontEnd()
    for interface in (IFrontEnd, IWebSocketFrontEnd, IRequestFrontEnd):
        verifyObject(interface, front_end)


def test_the_loader_finds_it_and_it_is_on_by_default() -> None:
    makers = find_makers()
    assert makers["websocket"].enabled_by_default
    assert load_front_end(makers, "websocket").settings is WebSocketSettings


def test_loading_it_imports_neither_autobahn_nor_a_clients_code() -> None:
    script = (
        "import sys; import rmqgateway_websocket.frontend;"
        "print([name for name in sys.modules if name.startswith('autobahn') or name.endswith(('.connection', '.frames'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protocols'}"},
    )
    assert found.stdout.strip() == "[]", found.stdout


@pytest.mark.parametrize(
    ("path", "media_type", "has"),
    [
        ("/client/rmqgateway.js", "text/javascript; charset=utf-8", b"export class Client"),
        ("/client/rmqgateway.d.ts", "text/plain; charset=utf-8", b"export declare class Client"),
        ("/examples/chat", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/asyncapi.json", "application/json", b'"asyncapi":"3.0.0"'),
    ],
)
def test_pages(path: str, media_type: str, has: bytes) -> None:
    client = World().http(WebSocketFrontEnd())
    answer = client.request("GET", path)
    assert answer.status == 200 and has in answer.body
    assert answer.header("content-type") == media_type
    assert answer.header("x-content-type-options") == "nosniff"
    tag = answer.header("etag")
    assert tag
    again = client.request("GET", path, (("if-none-match", tag),))
    assert again.status == 304 and not again.body
    assert client.request("POST", path, body=b"").status == 405


def test_the_example_can_be_left_out_and_has_at_most_100_lines() -> None:
    front_end = WebSocketFrontEnd()
    front_end.configure(WebSocketSettings(example=False))
    assert World().http(front_end).request("GET", "/examples/chat").status == 404
    assert len((ROOT / "examples" / "browser" / "chat.html").read_text().splitlines()) <= 100


def test_the_asyncapi_document_names_every_frame_and_no_reference_leads_nowhere() -> None:
    found: dict[str, Any] = msgspec.json.decode(document())
    messages = found["channels"]["websocket"]["messages"]
    assert set(messages) == {f"client.{one.__struct_config__.tag}" for one in CLIENT_FRAMES} | {
        f"server.{one.__struct_config__.tag}" for one in SERVER_FRAMES
    }

    def follow(node: Any) -> None:
        if isinstance(node, list):
            for one in node:
                follow(one)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    at: Any = found
                    for part in value.removeprefix("#/").split("/"):
                        at = at[part]
                else:
                    follow(value)

    follow(found)
    assert {operation["action"] for operation in found["operations"].values()} == {"send", "receive"}


def test_a_foreign_page_is_refused() -> None:
    client = Gateway().world.http(WebSocketFrontEnd())
    headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "rmqgateway.v1.json"),
    )
    assert client.request("GET", "/", (*headers, ("Origin", "https://evil.example"))).status == 403
    client.start("GET", "/", (*headers, ("Origin", "http://127.0.0.1:8080")))
    assert client.response(whole=False).status == 101


def test_routes_are_declared_once() -> None:
    routes = list(WebSocketFrontEnd().routes())
    assert all(isinstance(route, RouteDeclaration) and route.methods == ("GET",) for route in routes)
    assert len({route.path for route in routes}) == len(routes) == 4
