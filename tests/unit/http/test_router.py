"""Routes: who answers what, and what is refused at start."""

from __future__ import annotations

import pytest

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.router import RouteConflict, Router
from tests.unit.http.serving import Serves


def router(**front_ends: list[RouteDeclaration]) -> Router:
    return Router([Serves(routes=routes, name=name) for name, routes in front_ends.items()])


def owner(of: Router, method: str, path: str, content_type: bytes | None = None) -> str | None:
    route = of.resolve(method.encode(), path.encode()).route_for(content_type)
    return None if route is None else str(route.front_end.name)


GRPC = RouteDeclaration(("POST",), "/*", ("application/grpc", "application/grpc+proto"), priority=-10)
WEB = RouteDeclaration(("POST",), "/*", ("application/grpc-web*",), priority=-10)
REST = RouteDeclaration(("GET", "POST"), "/v1/*", ())
PAGES = RouteDeclaration(("GET",), "/*", ())


@pytest.mark.parametrize(
    ("method", "path", "content_type", "expected"),
    [
        ("POST", "/apache.rocketmq.v2.MessagingService/SendMessage", b"application/grpc", "grpc"),
        ("POST", "/x", b"Application/gRPC+proto; charset=x", "grpc"),
        ("POST", "/x", b"application/grpc-web-text", "web"),
        ("POST", "/x", b"application/json", None),
        ("POST", "/v1/topics", b"application/json", "rest"),
        ("GET", "/v1/topics", None, "rest"),
        ("GET", "/", None, "pages"),
        ("HEAD", "/index.html", None, "pages"),
        ("DELETE", "/", None, None),
    ],
)
def test_front_ends_live_side_by_side(method: str, path: str, content_type: bytes | None, expected: str | None) -> None:
    assert owner(router(grpc=[GRPC], web=[WEB], rest=[REST], pages=[PAGES]), method, path, content_type) == expected


def test_priority_comes_before_precision_and_precision_before_order() -> None:
    whole = RouteDeclaration(("GET",), "/a/b")
    longer = RouteDeclaration(("GET",), "/a/*")
    first = RouteDeclaration(("GET",), "/*", priority=1)
    assert owner(router(longer=[longer], whole=[whole]), "GET", "/a/b") == "whole"
    assert owner(router(shorter=[PAGES], longer=[longer]), "GET", "/a/c") == "longer"
    assert owner(router(whole=[whole], first=[first]), "GET", "/a/b") == "first"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PAGES, RouteDeclaration(("HEAD", "GET"), "/*")),
        (GRPC, RouteDeclaration(("POST",), "/*", ("application/*",), priority=-10)),
        (WEB, RouteDeclaration(("POST",), "/*", ("application/grpc-web+proto",), priority=-10)),
        (WEB, RouteDeclaration(("POST",), "/*", ("application/grpc*",), priority=-10)),
        (GRPC, RouteDeclaration(("POST",), "/*", ("*/*",), priority=-10)),
    ],
)
def test_a_conflict_is_refused_and_names_both(one: RouteDeclaration, other: RouteDeclaration) -> None:
    with pytest.raises(RouteConflict, match=r"(?s)first: .*second: "):
        router(first=[one], second=[other])


@pytest.mark.parametrize("path", ["x", "", "*", "/a*", "/a/*/b", "/a?b", "/a b", "/%61"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(RouteConflict, match="front-end bad"):
        router(bad=[RouteDeclaration(("GET",), path)])


@pytest.mark.parametrize("methods", [(), ("get",)])
def test_methods_that_are_none_are_refused(methods: tuple[str, ...]) -> None:
    with pytest.raises(RouteConflict, match="front-end bad"):
        router(bad=[RouteDeclaration(methods, "/")])


def test_what_a_path_takes_is_known() -> None:
    both = router(rest=[REST], pages=[PAGES])
    assert both.resolve(b"PUT", b"/v1/x").allow == ("GET", "POST", "HEAD", "OPTIONS")
    assert both.resolve(b"PUT", b"/x").allow == ("GET", "HEAD", "OPTIONS")
    assert both.resolve(b"OPTIONS", b"*").allow == ("GET", "POST", "HEAD", "OPTIONS")
    assert router(rest=[REST]).resolve(b"GET", b"/x").allow == ()


def test_to_others_what_takes_every_path_for_its_own_types_does_not_exist() -> None:
    all_of_them = router(grpc=[GRPC], rest=[REST])
    assert all_of_them.resolve(b"GET", b"/nothing").named == ()
    assert all_of_them.resolve(b"OPTIONS", b"/s/m").allow == ("POST", "OPTIONS")
    assert all_of_them.resolve(b"PUT", b"/v1/x").named == ("GET", "POST", "HEAD", "OPTIONS")


def test_a_prefix_does_not_take_its_own_name_without_the_slash() -> None:
    assert owner(router(rest=[REST]), "GET", "/v1") is None
    assert owner(router(rest=[REST]), "GET", "/v1/") == "rest"


def test_dots_do_not_get_around_a_prefix() -> None:
    rest = router(rest=[REST])
    for spelled in ("/v1/../secret", "/v1/%2e%2e/secret", "/v1/.%2E/secret"):
        assert owner(rest, "GET", spelled) is None
    assert owner(rest, "GET", "/x/../v1/y") == "rest"


def test_the_caches_are_bounded() -> None:
    pages = router(pages=[PAGES])
    for number in range(5000):
        found = pages.resolve(b"GET", b"/%d" % number)
        assert found.routes
    assert len(pages._cache) <= 1024
    for number in range(500):
        assert found.route_for(b"a/%d" % number) is not None
    assert len(found._by_type) <= 32
    pages.resolve(b"GET", b"/" + b"x" * 1000)
    assert not any(len(path) > 256 for _, path in pages._cache)


def test_a_request_without_a_media_type_is_not_for_what_takes_every_path_but_only_its_own_types() -> None:
    found = router(grpc=[GRPC], pages=[RouteDeclaration(("GET",), "/healthz")]).resolve(b"POST", b"/healthz")
    assert found.route_for(None) is None
    assert found.route_for(b"application/grpc") is not None
    assert found.named == ("GET", "HEAD", "OPTIONS")
