"""Which port stands for which broker: configured, by rule, and what happens when two want the same."""

from __future__ import annotations

import pytest

from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
from rmqgateway.backend.cluster.ports import (
    STRIDE,
    BrokerKey,
    Brokers,
    Face,
    Ports,
    packed_address,
    parse_brokers,
    ruled_port,
)
from rmqgateway.wire.message_id import host_bytes

A0, A1, B0 = BrokerKey("broker-a", 0), BrokerKey("broker-a", 1), BrokerKey("broker-b", 0)


def test_configured_ports() -> None:
    found = parse_brokers(["broker-a:0=10911", " broker-a:1 = 10921 ", "ns:b=r:0=10931"])
    assert found == {A0: 10911, A1: 10921, BrokerKey("ns:b=r", 0): 10931}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (["broker-a=10911"], "name:id=port"),
        (["broker-a:0"], "name:id=port"),
        (["broker-a:x=10911"], "name:id=port"),
        ([":0=10911"], "name:id=port"),
        (["broker-a:0=0"], "port of 1"),
        (["broker-a:0=65536"], "port of 1"),
        (["broker-a:0=10911", "broker-a:0=10912"], "two ports"),
        (["broker-a:0=10911", "broker-b:0=10911"], "broker-a:0 and to broker-b:0"),
    ],
)
def test_what_is_no_port_of_a_broker_is_refused(entries: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_brokers(entries)


def test_the_rule_is_the_same_for_ever() -> None:
    """Other gateways, and those of later releases, must come to the same ports."""
    assert ruled_port(A0, 20_000, 1_000) == 22_524
    assert ruled_port(A1, 20_000, 1_000) == 23_748
    assert ruled_port(B0, 20_000, 1_000) == 21_720
    assert all((ruled_port(key, 20_000, 7) - 20_000) % STRIDE == 0 for key in (A0, A1, B0))


def test_a_configured_port_wins_and_keeps_the_rule_away() -> None:
    ports = Ports({A0: ruled_port(B0, 20_000, 1_000)}, 20_000, 1_000)
    assert ports.of(A0) == 21_720
    assert ports.of(A1) == 23_748
    assert ports.of(B0) is None
    assert "broker-a:0's" in ports.why_none(B0)


def test_of_two_with_the_same_port_by_rule_the_first_keeps_it() -> None:
    ports = Ports({}, 20_000, 1)
    assert [ports.of(A0), ports.of(B0), ports.of(A0)] == [20_000, None, 20_000]


def test_without_a_rule_only_configured_brokers_have_ports() -> None:
    ports = Ports({A0: 10911}, 0, 1_000)
    assert [ports.of(A0), ports.of(A1)] == [10911, None]
    assert "base_port is 0" in ports.why_none(A1)


def test_what_is_known_of_brokers_follows_their_addresses() -> None:
    found: list[BrokerKey] = []
    brokers = Brokers(Ports({}, 20_000, 1_000), found.append)
    brokers.learn(A0, "10.0.0.1:10911")
    brokers.learn(A0, "10.0.0.1:10911")
    brokers.learn(B0, "no address")
    assert found == [A0]
    brokers.learn(A0, "10.0.0.2:10911")
    assert brokers.at("10.0.0.2:10911") == A0
    assert brokers.at("10.0.0.1:10911") is None
    assert brokers.by_host(host_bytes("10.0.0.2", 10911)) == A0
    assert brokers.by_host(host_bytes("10.0.0.1", 10911)) is None
    assert found == [A0]
    brokers.learn(B0, "broker-b.example:10911")
    assert brokers.at("broker-b.example:10911") == B0


def test_a_broker_that_takes_over_an_address_is_known_by_it() -> None:
    brokers = Brokers(Ports({}, 20_000, 1_000), lambda key: None)
    brokers.learn(A0, "10.0.0.1:10911")
    brokers.learn(B0, "10.0.0.1:10911")
    brokers.learn(A0, "10.0.0.2:10911")
    assert brokers.at("10.0.0.1:10911") == B0
    assert brokers.by_host(host_bytes("10.0.0.1", 10911)) == B0


def test_faces() -> None:
    brokers = Brokers(Ports({A0: 10911}, 0, 1), lambda key: None)
    brokers.learn(A0, "10.0.0.1:10911")
    face = Face(brokers, "2001:db8::1", packed_address("2001:db8::1"))
    assert face.address(A0) == "[2001:db8::1]:10911"
    assert face.address(B0) is None
    assert face.host_of(A0) == host_bytes("2001:db8::1", 10911)
    assert face.translate(host_bytes("10.9.9.9", 1), A0) == face.host_of(A0)
    assert packed_address("gateway.example") == bytes(4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"brokers": ("x",)}, "brokers"),
        ({"slots": 0}, "slots"),
        ({"base_port": 80}, "base_port"),
        ({"base_port": 65_000}, "base_port"),
        ({"forget_s": 0}, "forget_s"),
        ({"message_host": "gateway.example"}, "message_host"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        PassthroughSettings(**settings)  # type: ignore[arg-type]
