"""First bytes decide, in a stated order, whatever pieces they come in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.frontend import Recognition
from rmqgateway.recognition import FIRST_BYTES, Found, Recogniser
from rmqgateway_remoting.frontend import RemotingFrontEnd

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REMOTING = b'\x00\x00\x00\x20\x00\x00\x00\x1c{"code":34,"opaque":0}'
TLS = b"\x16\x03\x01\x02\x00\x01"


class Begins:
    """Recognises a fixed beginning."""

    web_socket_protocols = ()

    def __init__(self, name: str, beginning: bytes, order: int) -> None:
        self.name, self.beginning, self.recognition_order = name, beginning, order

    def recognise(self, first_bytes: bytes) -> Recognition:
        if first_bytes.startswith(self.beginning):
            return Recognition.YES
        return Recognition.MORE if self.beginning.startswith(first_bytes) else Recognition.NO


STOMP: Any = Begins("stomp", b"CONNECT\n", 60)
MQTT: Any = Begins("mqtt", b"\x10", 70)
REMOTING_FRONT_END = RemotingFrontEnd()
ALL = Recogniser([MQTT, STOMP, REMOTING_FRONT_END])


@pytest.mark.parametrize(
    ("first_bytes", "expected"),
    [
        (TLS, Found.TLS),
        (PREFACE, Found.HTTP_2),
        (b"GET / HTTP/1.1\r\n", Found.HTTP_1),
        (b"OPTIONS * HTTP/1.1\r\n", Found.HTTP_1),
        (b"CONNECT a:1 HTTP/1.1\r\n", Found.HTTP_1),
        (b"CONNECT\naccept-version:1.2\n", STOMP),
        (b"\x10\x10\x00\x04MQTT", MQTT),
        (REMOTING, REMOTING_FRONT_END),
        (b"", Found.MORE),
        (b"\x16", Found.MORE),
        (b"GE", Found.MORE),
        (b"CONNECT", Found.MORE),
        (b"PRI * HTTP/2.0\r\n", Found.MORE),
        (b"\x00\x00\x00\x20", Found.MORE),
        (b"get / HTTP/1.1", Found.UNKNOWN),
        (b"PRI * HTTP/3", Found.UNKNOWN),
        (b"\x16\x05", Found.UNKNOWN),
        (b"\xff\xff\xff\xff", Found.UNKNOWN),
        (b"SSH-2.0-OpenSSH", Found.UNKNOWN),
    ],
)
def test_each_protocol_is_told_by_its_first_bytes(first_bytes: bytes, expected: object) -> None:
    assert ALL.judge(first_bytes, tls=True) is expected


@pytest.mark.parametrize(
    "whole", [TLS, PREFACE, b"POST /x HTTP/1.1\r\n", b"CONNECT\n", b"\x10\x10", REMOTING]
)
def test_one_byte_at_a_time_gives_the_same(whole: bytes) -> None:
    for length in range(len(whole) + 1):
        judgement = ALL.judge(whole[:length], tls=True)
        if judgement is not Found.MORE:
            break
    assert judgement is ALL.judge(whole, tls=True)
    assert judgement not in (Found.MORE, Found.UNKNOWN)


def test_without_a_certificate_a_handshake_is_unknown() -> None:
    assert ALL.judge(TLS, tls=False) is Found.UNKNOWN


def test_a_listener_without_http_leaves_request_lines_to_its_front_ends() -> None:
    get: Any = Begins("get", b"GET ", 1)
    assert Recogniser([get], http=False).judge(b"GET x", tls=False) is get
    assert Recogniser([], http=False).judge(b"GET x", tls=False) is Found.UNKNOWN


def test_smaller_orders_are_asked_first_and_yes_wins_over_an_earlier_more() -> None:
    early: Any = Begins("early", b"ab", 1)
    late: Any = Begins("late", b"ab", 2)
    longer: Any = Begins("longer", b"abc", 0)
    assert Recogniser([late, early]).judge(b"ab", tls=False) is early
    assert Recogniser([late, early, longer]).judge(b"ab", tls=False) is early


def test_nobody_is_given_more_than_64_bytes_or_asks_for_more() -> None:
    seen: list[int] = []

    class Greedy(Begins):
        def recognise(self, first_bytes: bytes) -> Recognition:
            seen.append(len(first_bytes))
            return Recognition.MORE

    greedy: Any = Greedy("greedy", b"", 1)
    assert Recogniser([greedy]).judge(b"\xfe" * 63, tls=False) is Found.MORE
    assert Recogniser([greedy]).judge(b"\xfe" * 1000, tls=False) is Found.UNKNOWN
    assert max(seen) == FIRST_BYTES


def test_a_front_end_that_speaks_first_needs_a_listener_of_its_own() -> None:
    speaks: Any = Begins("speaks", b"", 1)
    assert Recogniser([speaks], http=False).speaks_first is speaks
    assert Recogniser([speaks], http=True).speaks_first is None
    assert Recogniser([speaks, STOMP], http=False).speaks_first is None
    assert Recogniser([STOMP], http=False).speaks_first is None


@given(st.binary(max_size=100))
def test_garbage_is_judged_without_an_error(first_bytes: bytes) -> None:
    judgement = ALL.judge(first_bytes, tls=True)
    assert judgement is not Found.MORE or len(first_bytes) < FIRST_BYTES
