"""Hosts and origins: who may, as tables."""

from __future__ import annotations

import pytest

from rmqgateway.http.policy import OriginIs, Policy


@pytest.mark.parametrize(
    ("authority", "allowed"),
    [
        (b"localhost", True),
        (b"LOCALHOST:8080", True),
        (b"localhost.", True),
        (b"app.localhost:1", True),
        (b"127.0.0.1:8080", True),
        (b"192.168.1.5", True),
        (b"[::1]:8080", True),
        (b"[::1]", True),
        (b"mq.example:8080", True),
        (b"set.example", True),
        (b"SET.example.:99", True),
        (b"evil.example", False),
        (b"localhost.evil.example", False),
        (b"evil.example:8080", False),
        (b"xlocalhost", False),
        (b"", False),
        (b":80", False),
        (b"[::1", False),
        (b"[::1]x", False),
        (b"[::1]:", False),
        (b"localhost:x", False),
        (b"localhost@evil.example", False),
        (b"\xff", False),
    ],
)
def test_hosts(authority: bytes, allowed: bool) -> None:
    policy = Policy(["set.example"])
    for _ in range(2):
        assert policy.allows_host(authority, "mq.example:8080") is allowed


def test_any_host_may_be_allowed_and_what_is_remembered_is_bounded() -> None:
    assert Policy(["*"]).allows_host(b"whatever:1")
    policy = Policy()
    for number in range(3000):
        assert not policy.allows_host(b"h%d" % number)
    assert len(policy._known) <= 1000


@pytest.mark.parametrize(
    ("origin", "authority", "secure", "expected"),
    [
        (b"http://localhost:8080", b"localhost:8080", False, OriginIs.SAME),
        (b"HTTP://LocalHost:8080", b"localhost:8080", False, OriginIs.SAME),
        (b"http://localhost", b"localhost:80", False, OriginIs.SAME),
        (b"https://localhost", b"localhost:443", True, OriginIs.SAME),
        (b"https://localhost:8080", b"localhost:8080", False, OriginIs.FOREIGN),
        (b"http://localhost:8080", b"localhost:8081", False, OriginIs.FOREIGN),
        (b"http://localhost:8080", b"127.0.0.1:8080", False, OriginIs.FOREIGN),
        (b"https://shop.example", b"localhost", False, OriginIs.ALLOWED),
        (b"https://SHOP.example", b"localhost", True, OriginIs.ALLOWED),
        (b"http://shop.example", b"localhost", False, OriginIs.FOREIGN),
        (b"https://shop.example.evil.example", b"localhost", False, OriginIs.FOREIGN),
        (b"null", b"localhost", False, OriginIs.FOREIGN),
        (b"", b"localhost", False, OriginIs.FOREIGN),
    ],
)
def test_origins(origin: bytes, authority: bytes, secure: bool, expected: OriginIs) -> None:
    assert Policy(origins=["https://shop.example"]).judge_origin(origin, secure, authority) is expected


def test_any_origin_may_be_allowed() -> None:
    assert Policy(origins=["*"]).judge_origin(b"null", False, b"localhost") is OriginIs.ALLOWED
