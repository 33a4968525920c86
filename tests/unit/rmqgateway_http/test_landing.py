"""GET /: for people with a browser or curl."""

from __future__ import annotations

import re
import shlex

import pytest

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.settings import HttpSettings
from rmqgateway.http.testing import HttpClient
from rmqgateway.testing import World
from rmqgateway_http.codec_json import LandingOut
from rmqgateway_http.frontend import HttpFrontEnd
from rmqgateway_http.landing import _page
from rmqgateway_websocket.frontend import WebSocketFrontEnd
from rmqgateway_websocket.settings import WebSocketSettings
from tests.unit.rmqgateway_http.kit import Api

BROWSER = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        (BROWSER[1], "text/html"),
        ("application/json", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("text/html;q=0", "text/plain"),
        ("text/html;q=nan, application/json;q=x, text/plain;q=9", "text/plain"),
    ],
)
def test_each_gets_what_it_asks_for(accept: str | None, kind: str) -> None:
    answer = Api().request("GET", "/", [("Accept", accept)] if accept else [], status=200)
    assert (answer.header("content-type") or "").split(";")[0] == kind
    assert answer.header("vary") == "accept"


def test_head_and_other_methods() -> None:
    api = Api()
    answer = api.request("HEAD", "/", [BROWSER], status=200)
    assert not answer.body and int(answer.header("content-length") or 0) > 1000
    assert set((api.request("POST", "/", body=b"", status=405).header("allow") or "").split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_the_lines_to_try_are_good_as_they_stand() -> None:
    api = Api()
    found = api.request("GET", "/", [("Accept", "application/json"), ("Host", "localhost:8123")], status=200).json()
    send, receive, follow = map(shlex.split, found["try_this"])
    for line in (send, receive, follow):
        assert line[0] == "curl" and line[-1].startswith("http://localhost:8123/v1/")
    api.request("POST", send[-1].partition(":8123")[2], body=send[2].encode(), status=201)
    answer = api.request("GET", receive[-1].partition(":8123")[2], status=200)
    assert answer.json()["messages"][0]["body"] == send[2]
    api.client.start("GET", follow[-1].partition(":8123")[2])
    assert api.client.response(whole=False).status == 200


def test_what_is_served_is_named_and_nothing_else() -> None:
    both = World().http(HttpFrontEnd(), WebSocketFrontEnd())
    alone = Api().client

    def links(client: HttpClient) -> set[str]:
        page = client.request("GET", "/", [BROWSER]).body.decode()
        assert "script" not in page.replace("rmqgateway.js", "") and not re.search(r"(src|href)=.?https?:", page)
        found = set(re.findall(r"href=([^>]+)>", page))
        for path in found:
            assert client.request("GET", path).status == 200
        return found

    assert links(alone) == {"/docs", "/openapi.json", "/healthz", "/readyz"}
    assert links(both) >= {"/docs", "/asyncapi.json", "/client/rmqgateway.js"}
    text = both.request("GET", "/").body.decode()
    assert "ws://127.0.0.1:8080/" in text and "/examples/chat" in text
    quiet = WebSocketFrontEnd()
    quiet.configure(WebSocketSettings(example=False))
    assert "/examples/chat" not in World().http(HttpFrontEnd(), quiet).request("GET", "/").body.decode()


def test_a_page_is_not_made_by_its_visitor() -> None:
    api = World().http(HttpFrontEnd(), settings=HttpSettings(hosts=("*",)))
    answer = api.request("GET", "/", [BROWSER, ("Host", "a'<b>:1")])
    assert b"<b>" not in answer.body
    assert answer.status == 421 or "default-src 'none'" in (answer.header("content-security-policy") or "")
    evil = "<b>'&"
    page = _page(LandingOut("rmqgateway", evil, [evil] * 3, {"/docs": evil}, {evil: evil}))
    assert "<b>" not in page and page.count("&lt;b&gt;") == 7


def test_another_front_end_may_have_the_place() -> None:
    class Better(HttpFrontEnd):
        name = "better"

        def routes(self) -> list[RouteDeclaration]:
            return [RouteDeclaration(("GET",), "/")]

        def respond(self, gateway: object, request: object, route: RouteDeclaration) -> None:
            request.respond(200, (), b"better")  # type: ignore[attr-defined]

    assert World().http(HttpFrontEnd(), Better()).request("GET", "/").body == b"better"
