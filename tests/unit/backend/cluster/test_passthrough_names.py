"""The name-server role: several name servers, of which some are dead, silent, or none at all."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rmqgateway.backend.cluster.ports import BrokerKey
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.interfaces import IPassthroughLink
from rmqgateway.wire.remoting import encode_request, encode_response
from rmqgateway.wire.request_codes import ResponseCode
from tests.unit.backend.cluster.pair import KEY, PORT, Pair, Transport

ROUTE = (
    b'{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.4:10911"},"brokerName":"broker-a"}],'
    b'"queueDatas":[{"brokerName":"broker-a"}]}'
)
CLUSTER = (
    b'{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a"}},'
    b'"clusterAddrTable":{"c":["broker-a"]}}'
)


class Names(Pair):
    """A client of the name-server role; `server` connects one of the name servers that were dialled."""

    def __init__(self, **settings: Any) -> None:
        super().__init__("remoting", base_port=0, **settings)

    def dialled(self) -> list[str]:
        return [host for host, *_ in self.reactor.tcpClients]

    def server(self, number: int = -1) -> tuple[Any, Transport]:
        protocol = self.reactor.tcpClients[number][2].buildProtocol(None)
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def fail(self, number: int = -1) -> None:
        factory = self.reactor.tcpClients[number][2]
        factory.clientConnectionFailed(factory._server._connector, Failure(ConnectionRefusedError()))


def answer(server: Any, transport: Transport, body: bytes = b"", code: int = 0) -> list[int]:
    asked = transport.commands()
    for request in asked:
        server.dataReceived(encode_response(request.opaque, code, None, None, body))
    return [request.code for request in asked]


def test_routes_tell_our_ports_and_only_those_that_there_are() -> None:
    pair = Names()
    verifyObject(IPassthroughLink, pair.protocol._link)
    pair.protocol.dataReceived(encode_request(105, 33, {"topic": "T"}))
    server, transport = pair.server()
    assert answer(server, transport, ROUTE) == [105]
    (told,) = pair.client.commands()
    assert told.opaque == 33
    assert told.body == (
        b'{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a"}],"queueDatas":[{"brokerName":"broker-a"}]}'
    )
    assert pair.passthrough.brokers.addresses[BrokerKey("broker-a", 1)] == "10.0.0.4:10911"


def test_an_error_of_a_name_server_is_passed_on() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 33, {"topic": "T"}))
    assert answer(*pair.server(), code=ResponseCode.TOPIC_NOT_EXIST) == [105]
    assert [each.code for each in pair.client.commands()] == [ResponseCode.TOPIC_NOT_EXIST]


def test_a_dead_name_server_is_skipped_and_not_asked_first_again() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 1, {"topic": "T"}))
    pair.fail()
    assert pair.dialled() == ["10.0.0.9", "10.0.0.10"]
    server, transport = pair.server()
    answer(server, transport, ROUTE)
    assert [each.opaque for each in pair.client.commands()] == [1]
    pair.protocol.dataReceived(encode_request(105, 2, {"topic": "T"}))
    assert answer(server, transport, ROUTE) == [105]
    assert pair.dialled() == ["10.0.0.9", "10.0.0.10"]


def test_a_silent_name_server_is_given_up_after_its_time() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 1, {"topic": "T"}))
    _, silent = pair.server()
    pair.reactor.advance(5.1)
    assert silent.aborted
    assert answer(*pair.server(), ROUTE) == [105]
    assert [each.code for each in pair.client.commands()] == [0]


def test_a_name_server_that_is_none() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 1, {"topic": "T"}))
    server, transport = pair.server()
    server.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert transport.aborted
    assert answer(*pair.server(), ROUTE) == [105]


def test_no_name_server_at_all_is_told_to_the_client() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 1, {"topic": "T"}))
    pair.fail()
    pair.fail()
    (told,) = pair.client.commands()
    assert told.code == ResponseCode.SYSTEM_ERROR
    assert "no name server answers: 10.0.0.9:9876" in (told.remark or "")


def test_a_name_server_that_goes_is_connected_to_again() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(105, 1, {"topic": "T"}))
    server, transport = pair.server()
    answer(server, transport, ROUTE)
    server.connectionLost(Failure(ConnectionDone()))
    pair.client.clear()
    pair.protocol.dataReceived(encode_request(105, 2, {"topic": "T"}))
    assert pair.dialled() == ["10.0.0.9", "10.0.0.9"]
    answer(*pair.server(), ROUTE)
    assert [each.opaque for each in pair.client.commands()] == [2]


def test_what_changes_anything_goes_to_all_of_them() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(100, 1, {"namespace": "n", "key": "k", "value": "v"}))
    first, second = pair.server(0), pair.server(1)
    assert answer(*first) == [100]
    assert not pair.client.value()
    assert answer(*second) == [100]
    assert [each.code for each in pair.client.commands()] == [0]


def test_a_change_that_one_refuses_is_refused() -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(205, 1, {"brokerName": "broker-a"}))
    answer(*pair.server(0))
    answer(*pair.server(1), code=1)
    assert [each.code for each in pair.client.commands()] == [1]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (310, ResponseCode.NO_PERMISSION),
        (318, ResponseCode.NO_PERMISSION),
        (103, ResponseCode.NO_PERMISSION),
        (777, 3),
    ],
)
def test_what_is_not_for_a_name_server_is_refused(code: int, told: int) -> None:
    pair = Names()
    pair.protocol.dataReceived(encode_request(code, 1, {}))
    assert [each.code for each in pair.client.commands()] == [told]
    assert pair.dialled() == []


def test_brokers_are_looked_for_until_a_name_server_answers_and_then_now_and_then() -> None:
    pair = Names(known=False)
    assert "no name server" in (pair.passthrough.ready() or "")
    pair.passthrough.start()
    pair.fail()
    pair.fail()
    assert "10.0.0.10:9876" in (pair.passthrough.ready() or "")
    pair.reactor.advance(1.1)
    server, transport = pair.server()
    assert answer(server, transport, CLUSTER) == [106]
    assert pair.passthrough.ready() is None
    assert pair.passthrough.brokers.addresses == {KEY: "10.0.0.1:10911"}
    pair.reactor.advance(29)
    assert transport.commands() == []
    pair.reactor.advance(2)
    assert answer(server, transport, CLUSTER.replace(b"10.0.0.1", b"10.0.0.2")) == [106]
    assert pair.passthrough.brokers.addresses == {KEY: "10.0.0.2:10911"}
    pair.passthrough.refresh_soon()
    pair.reactor.advance(1.1)
    assert answer(server, transport, b"{") == [106]
    pair.passthrough.stop()
    assert transport.aborted
    pair.protocol.connectionLost(Failure(ConnectionDone()))
    assert not pair.reactor.getDelayedCalls()


class _Listening:
    """What a listener of a broker's port is to the passthrough."""

    def __init__(self, reactor: Any, name: str, endpoint: str) -> None:
        self.name, self.text = name, endpoint
        self.endpoint = self
        self.port: Any = None
        self.fails = False
        self.checked = False

    def listen(self, factory: Any) -> object:
        if self.fails:
            raise OSError("in use")
        return self

    def bound(self, port: Any) -> None:
        self.port = port

    def check_exposure(self) -> None:
        self.checked = True

    def cannot_listen(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(f"{self.text}: {error}")

    def stopListening(self) -> None:
        self.port = None

    def close_waiting(self) -> None:
        return None


def test_ports_are_bound_at_start_where_configured_and_when_a_broker_is_seen_by_rule() -> None:
    pair = Pair("remoting", known=False, vip=True, base_port=20_000)
    made: list[_Listening] = []

    def make(name: str, endpoint: str, place: str) -> Any:
        made.append(_Listening(pair.reactor, name, endpoint))
        return made[-1]

    pair.passthrough.prepare(make)
    assert [(each.name, each.text) for each in made] == [
        ("broker broker-a:0", f"tcp:{PORT}:interface=127.0.0.1"),
        ("broker broker-a:0", f"tcp:{PORT - 2}:interface=127.0.0.1"),
    ]
    assert not any(each.checked for each in made)
    pair.passthrough.expose()
    pair.passthrough.brokers.learn(KEY, "10.0.0.1:1")
    pair.passthrough.brokers.learn(BrokerKey("broker-a", 1), "10.0.0.2:1")
    assert [each.text for each in made[2:]] == [
        "tcp:23748:interface=127.0.0.1",
        "tcp:23746:interface=127.0.0.1",
    ]
    assert all(each.port is not None and each.checked for each in made)
    pair.passthrough.close_ports()
    assert all(each.port is None for each in made)
    pair.passthrough.brokers.learn(BrokerKey("broker-b", 0), "10.0.0.3:1")
    assert len(made) == 4


def test_a_configured_port_that_cannot_be_bound_ends_the_start_and_another_does_not() -> None:
    pair = Pair("remoting", known=False, base_port=20_000)

    def make(name: str, endpoint: str, place: str) -> Any:
        made = _Listening(pair.reactor, name, endpoint)
        made.fails = True
        return made

    with pytest.raises(ConfigurationError, match="in use"):
        pair.passthrough.prepare(make)
    pair.passthrough.brokers.learn(BrokerKey("broker-a", 1), "10.0.0.2:1")
    assert BrokerKey("broker-a", 1) not in pair.passthrough._listeners
