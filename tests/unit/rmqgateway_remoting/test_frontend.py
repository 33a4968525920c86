"""Announcing, recognising, configuring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from zope.interface.verify import verifyObject

from rmqgateway.frontend import ConnectionInformation, FrontEndMaker, Recognition
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.wire.remoting import encode_request
from rmqgateway_remoting.frontend import RemotingFrontEnd, RemotingSettings, front_end
from rmqgateway_remoting.protocol import RemotingProtocol
from tests.unit.rmqgateway_remoting.fakes import FakeGateway


def test_it_is_a_connection_front_end() -> None:
    verifyObject(IConnectionFrontEnd, front_end)
    maker = FrontEndMaker("remoting", "", "rmqgateway_remoting.frontend")
    assert maker.load() is front_end


def test_it_makes_protocols() -> None:
    peer = IPv4Address("TCP", "127.0.0.1", 4000)
    made = RemotingFrontEnd().make_protocol(
        FakeGateway(),  # type: ignore[arg-type]
        ConnectionInformation(peer, "127.0.0.1:9876", False, "test"),
    )
    assert isinstance(made, RemotingProtocol)


@pytest.mark.parametrize("serialization", [0, 1])
@pytest.mark.parametrize("body", [b"", b"x" * 4_000_000])
def test_frames_are_recognised_and_no_prefix_of_one_is_refused(serialization: int, body: bytes) -> None:
    frame = encode_request(105, 1, {"topic": "T"}, body, serialization=serialization)
    answers = [front_end.recognise(frame[:size]) for size in range(65)]
    assert Recognition.NO not in answers
    assert answers[-1] is Recognition.YES
    assert answers[9:] == [Recognition.YES] * 56


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT\naccept-version:1.2\n\n",
        b"\x10\x16\x00\x04MQTT\x04\x02\x00<",
        b"AMQP\x00\x01\x00\x00",
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x01\x00\x02\x00\x00\x20{",
        b"\x00\x00\x01\x00\x00\x00\x02\x00{",
        b"\x00\x00\x01\x00\x00\x00\x00\x20GET",
        b"\x00\x00\x01\x00\x01\x00\x00\x10\x00\x22\x00",
        b"\x7f\xff\xff\xff\x00\x00\x00\x20{",
    ],
)
def test_other_protocols_are_not(first: bytes) -> None:
    assert front_end.recognise(first) is Recognition.NO


@given(st.binary(max_size=64))
def test_anything_gets_an_answer(first: bytes) -> None:
    answer = front_end.recognise(first)
    # Nobody waits for ever: with nine bytes all is known.
    assert len(first) < 9 or answer is not Recognition.MORE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_frame", 1 << 40),
        ("max_frame", 100),
        ("max_header", 10),
        ("in_flight_bytes", 0),
        ("in_flight_requests", -1),
        ("unsent_bytes", 0),
        ("max_unsent_bytes", 1),
        ("stalled_seconds", 0.0),
        ("idle_seconds", -5.0),
    ],
)
def test_wrong_settings_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        RemotingFrontEnd().configure(RemotingSettings(**{field: value}))  # type: ignore[arg-type]


def test_every_setting_is_documented() -> None:
    text = RemotingSettings.__doc__ or ""
    for field in RemotingSettings.__struct_fields__:
        assert f":ivar {field}:" in text
