"""Request targets: taken apart once, in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.http.targets import normal_path, parse_query, split_target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a?b=c?d", (b"/a", b"b=c?d", b"")),
        (b"/", (b"/", b"", b"")),
        (b"*", (b"*", b"", b"")),
        (b"http://host:80/a?b", (b"/a", b"b", b"host:80")),
        (b"HTTPS://host", (b"/", b"", b"host")),
        (b"http://host?b", (b"/", b"b", b"host")),
    ],
)
def test_a_target_is_split(target: bytes, expected: tuple[bytes, bytes, bytes]) -> None:
    assert split_target(target) == expected


@pytest.mark.parametrize("target", [b"host:443", b"ftp://x/", b"http://", b"http://user@host/", b"a/b", b"http:///a"])
def test_another_target_is_refused(target: bytes) -> None:
    with pytest.raises(WireError, match="request target"):
        split_target(target)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/a%20b", "/a b"),
        (b"/%25TOPIC", "/%TOPIC"),
        (b"/a/./b/../c", "/a/c"),
        (b"/../../etc", "/etc"),
        (b"/a/..", "/"),
        (b"/a/b/.", "/a/b/"),
        (b"/%e4%b8%96", "/世"),
        (b"/a//b", "/a//b"),
        (b"/.hidden", "/.hidden"),
        (b"/a%2e%2e/b", "/a../b"),
    ],
)
def test_a_path_is_decoded_once_and_normalised(raw: bytes, expected: str) -> None:
    assert normal_path(raw) == expected


@pytest.mark.parametrize("raw", [b"/%", b"/%4", b"/%zz", b"/%00", b"/%0a", b"/%ff", b"/\xff", b"/a#b", b"/%7f"])
def test_a_bad_path_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError, match="path"):
        normal_path(raw)


@given(st.binary(max_size=60))
def test_no_path_leads_out(raw: bytes) -> None:
    try:
        path = normal_path(b"/" + raw)
    except WireError:
        return
    assert path.startswith("/")
    assert ".." not in path.split("/")


def test_queries_keep_their_order_and_empty_values() -> None:
    assert parse_query(b"b=1&a=%C3%A9+x&b=&c") == [("b", "1"), ("a", "é x"), ("b", ""), ("c", "")]
    assert parse_query(b"") == []


@pytest.mark.parametrize("raw", [b"a=%", b"a=%ff", b"a=\xff", b"&".join(b"a=1" for _ in range(101))])
def test_a_bad_query_is_the_callers_fault(raw: bytes) -> None:
    with pytest.raises(GatewayError, match="query") as caught:
        parse_query(raw)
    assert caught.value.code is Code.BAD_REQUEST
