"""Pages of other origins: who may, with what, and what they get to see."""

from __future__ import annotations

import pytest

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.settings import HttpSettings
from rmqgateway.http.testing import HttpResponse
from rmqgateway.testing import World
from tests.unit.http.serving import Http2Client, Serves

SHOP = "https://shop.example"
ROUTES = [
    RouteDeclaration(("POST",), "/s/*", ("application/grpc-web*",), expose_headers=("x-more",), allow_headers=("X-Special",)),
    RouteDeclaration(("GET", "DELETE"), "/v1/*"),
]


def ask(method: str, path: str, headers: dict[str, str], origins: tuple[str, ...] = (SHOP,)) -> tuple[Serves, HttpResponse]:
    served = Serves(routes=ROUTES)
    client = World().http(served, settings=HttpSettings(origins=origins))
    body = b"x" if method == "POST" else None
    return served, client.request(method, path, list(headers.items()), body)


@pytest.mark.parametrize(
    ("origin", "origins", "status", "allowed"),
    [
        (None, (SHOP,), 200, None),
        ("http://127.0.0.1:8080", (), 200, None),
        (SHOP, (SHOP,), 200, SHOP),
        (SHOP, ("*",), 200, SHOP),
        ("null", ("*",), 200, "null"),
        ("null", ("null",), 200, "null"),
        (SHOP, (), 403, None),
        ("null", (SHOP,), 403, None),
        ("https://evil.example", (SHOP,), 403, None),
        ("http://127.0.0.1:8081", (SHOP,), 403, None),
    ],
)
def test_simple_requests(origin: str | None, origins: tuple[str, ...], status: int, allowed: str | None) -> None:
    served, answer = ask("GET", "/v1/x", {} if origin is None else {"Origin": origin}, origins)
    assert answer.status == status
    assert len(served.requests) == (status == 200)
    assert answer.header("access-control-allow-origin") == allowed
    assert answer.header("vary") == (None if allowed is None else "origin")
    assert answer.header("access-control-allow-credentials") is None


def test_a_refusal_of_the_core_can_be_read_by_an_allowed_page() -> None:
    _, answer = ask("GET", "/nothing", {"Origin": SHOP})
    assert (answer.status, answer.header("access-control-allow-origin")) == (404, SHOP)


@pytest.mark.parametrize("origin", [SHOP, "https://evil.example", "http://127.0.0.1:8080"])
@pytest.mark.parametrize(
    ("path", "method", "asked", "methods", "granted"),
    [
        (
            "/s/m",
            "POST",
            "content-type,x-grpc-web,x-user-agent,grpc-timeout,authorization,x-mq-client-id,x-evil,X-Special",
            "POST, OPTIONS",
            "content-type, x-grpc-web, x-user-agent, grpc-timeout, authorization, x-mq-client-id, x-special",
        ),
        ("/v1/x", "DELETE", "", "GET, DELETE, HEAD, OPTIONS", None),
        ("/v1/x", "DELETE", "x-special", "GET, DELETE, HEAD, OPTIONS", None),
        ("/v1/x", "PUT", "", "GET, DELETE, HEAD, OPTIONS", None),
    ],
)
def test_preflights(origin: str, path: str, method: str, asked: str, methods: str, granted: str | None) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if asked:
        headers["Access-Control-Request-Headers"] = asked
    served, answer = ask("OPTIONS", path, headers)
    assert not served.requests
    if origin == SHOP:
        assert answer.status == 204
        assert answer.header("access-control-allow-origin") == SHOP
        assert answer.header("access-control-allow-methods") == methods
        assert answer.header("access-control-allow-headers") == granted
        assert answer.header("access-control-max-age") == "600"
    else:
        assert answer.status == (403 if "evil" in origin else 204)
        assert answer.header("access-control-allow-methods") is None


def test_a_preflight_for_nothing_is_a_404_and_private_networks_are_granted() -> None:
    headers = {"Origin": SHOP, "Access-Control-Request-Method": "GET"}
    assert ask("OPTIONS", "/nothing", headers)[1].status == 404
    private = ask("OPTIONS", "/v1/x", headers | {"Access-Control-Request-Private-Network": "true"})[1]
    assert private.header("access-control-allow-private-network") == "true"


def test_what_grpc_web_needs_to_see_is_exposed() -> None:
    _, answer = ask("POST", "/s/m", {"Origin": SHOP, "Content-Type": "application/grpc-web+proto"})
    assert answer.status == 200
    exposed = (answer.header("access-control-expose-headers") or "").split(", ")
    assert {"grpc-status", "grpc-message", "x-more"} <= set(exposed)


def test_the_same_over_http_2() -> None:
    client = Http2Client(World(), Serves(routes=ROUTES), settings=HttpSettings(origins=(SHOP,)), secure=True)
    status, headers, _, _ = client.answer(client.ask("GET", "/v1/x", [("origin", SHOP)]))
    assert (status, headers["access-control-allow-origin"]) == (200, SHOP)
    preflight = client.ask("OPTIONS", "/v1/x", [("origin", SHOP), ("access-control-request-method", "DELETE")])
    assert client.answer(preflight)[0] == 204


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://shop.example/x", ""])
def test_an_origin_that_is_none_is_refused_at_start(origin: str) -> None:
    with pytest.raises(ValueError, match="origins: expected scheme"):
        HttpSettings(origins=(origin,))


def test_other_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="idle_s"):
        HttpSettings(idle_s=0)
    with pytest.raises(ValueError, match="body_rate"):
        HttpSettings(body_rate=-1)
    with pytest.raises(ValueError, match="server_header"):
        HttpSettings(server_header="a\r\nb")
