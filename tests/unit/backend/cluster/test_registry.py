"""The gateway as a name server, request by request, over connections in memory."""

from __future__ import annotations

import json
import pathlib
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rmqgateway.backend.cluster import registry_codec
from rmqgateway.backend.cluster.registry import Registry, _FrontEnd
from rmqgateway.backend.cluster.registry_codec import decode_registration
from rmqgateway.backend.cluster.registry_settings import RegistrySettings
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.errors import WireError
from rmqgateway.frontend import ConnectionInformation, Recognition
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.wire.remoting import RemotingCommand, encode_request
from rmqgateway.wire.request_codes import ResponseCode
from tests.unit.backend.cluster.pair import Transport

VERSION = {"counter": 3, "stateVersion": 0, "timestamp": 1700000000000}
BODY = {
    "filterServerList": [],
    "topicConfigSerializeWrapper": {
        "dataVersion": VERSION,
        "mappingDataVersion": VERSION,
        "topicConfigTable": {
            name: {
                "attributes": {},
                "order": False,
                "perm": 6,
                "readQueueNums": 4,
                "topicFilterType": "SINGLE_TAG",
                "topicName": name,
                "topicSysFlag": 0,
                "writeQueueNums": 4,
            }
            for name in ("T", "S")
        },
        "topicQueueMappingDetailMap": {},
        "topicQueueMappingInfoMap": {},
    },
}
HEADER = {
    "clusterName": "c",
    "brokerName": "broker-a",
    "brokerAddr": "10.0.0.1:10911",
    "brokerId": "0",
    "haServerAddr": "10.0.0.1:10912",
    "enableActingMaster": "false",
}


class Served:
    """A registry and the connections to it."""

    def __init__(self, **settings: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.registry = Registry(self.reactor, RegistrySettings(**{"sources": ("10.0.0.0/8",), **settings}))
        self.front_end = _FrontEnd(self.registry)
        self.registry.start()

    def connection(self) -> tuple[Any, Transport]:
        peer = IPv4Address("TCP", "10.0.0.1", 5000)
        protocol = self.front_end.make_protocol(None, ConnectionInformation(peer, "x:1", False, "registry"))  # type: ignore[arg-type]
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(
        self, code: int, ext: dict[str, str], body: bytes = b"", at: Any = None, **more: Any
    ) -> RemotingCommand:
        protocol, transport = at or self.connection()
        protocol.dataReceived(encode_request(code, 5, ext, body, **more))
        (answer,) = transport.commands()
        assert answer.opaque == 5
        return answer

    def register(self, at: Any = None, body: bytes | None = None, **ext: str) -> RemotingCommand:
        given_body = json.dumps(BODY).encode() if body is None else body
        return self.ask(103, {**HEADER, **ext}, given_body, at)


def test_it_is_a_front_end_of_its_own_listener() -> None:
    served = Served()
    verifyObject(IConnectionFrontEnd, served.front_end)
    frame = encode_request(904, 1, {})
    assert served.front_end.recognise(b"") is Recognition.MORE
    assert served.front_end.recognise(frame[:1]) is Recognition.YES
    assert served.front_end.recognise(b"GET / ") is Recognition.NO


@pytest.mark.parametrize(
    ("peer", "taken"),
    [
        ("10.0.0.1", True),
        ("::ffff:10.9.9.9", True),
        ("192.0.2.1", False),
        ("::1", True),
        ("fe80::1%eth0", False),
    ],
)
def test_only_who_may_be_a_broker_is_heard(peer: str, taken: bool) -> None:
    served = Served()
    protocol = served.front_end.make_protocol(
        None,  # type: ignore[arg-type]
        ConnectionInformation(IPv4Address("TCP", peer, 5000), "x:1", False, "registry"),
    )
    transport = Transport()
    protocol.makeConnection(transport)
    protocol.dataReceived(encode_request(103, 5, HEADER, json.dumps(BODY).encode()))
    assert transport.aborted is not taken
    assert bool(served.registry.table.brokers) is taken
    protocol.connectionLost(Failure(ConnectionDone()))


def test_by_default_only_this_machine_is_heard() -> None:
    registry = Registry(MemoryReactorClock(), RegistrySettings())
    assert registry.takes(IPv4Address("TCP", "127.0.0.1", 1))
    assert not registry.takes(IPv4Address("TCP", "10.0.0.1", 1))
    with pytest.raises(ValueError, match="^sources"):
        RegistrySettings(sources=("broker.example",))


def test_a_broker_registers_and_is_found() -> None:
    served = Served()
    assert served.register().code == 0
    route = served.ask(105, {"topic": "T"}, version=513)
    assert json.loads(route.body)["brokerDatas"] == [
        {
            "brokerAddrs": {"0": "10.0.0.1:10911"},
            "brokerName": "broker-a",
            "cluster": "c",
            "enableActingMaster": False,
        }
    ]
    old = served.ask(105, {"topic": "T"}, version=395)
    assert b'"brokerAddrs":{0:"10.0.0.1:10911"}' in old.body
    assert served.ask(105, {"topic": "X"}).code == ResponseCode.TOPIC_NOT_EXIST
    cluster = served.ask(106, {})
    assert b'{0:"10.0.0.1:10911"}' in cluster.body
    assert b'"clusterAddrTable":{"c":["broker-a"]}' in cluster.body
    group = served.ask(901, {"clusterName": "c", "brokerName": "broker-a"})
    assert group.body == (
        b'{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"c"}}'
    )
    assert json.loads(served.ask(206, {}).body)["topicList"] == ["T", "S"]
    assert json.loads(served.ask(224, {"cluster": "c"}).body)["topicList"] == ["T", "S"]
    assert json.loads(served.ask(304, {}).body) == {
        "brokerAddr": "10.0.0.1:10911",
        "topicList": ["c", "broker-a"],
    }
    for code in (311, 312, 313):
        assert json.loads(served.ask(code, {}).body)["topicList"] == []


def test_a_slave_learns_its_master() -> None:
    served = Served()
    master, slave = served.connection(), served.connection()
    served.register(master)
    told = served.register(slave, brokerId="1", brokerAddr="10.0.0.2:10911", haServerAddr="10.0.0.2:10912")
    assert told.ext_fields == {"masterAddr": "10.0.0.1:10911", "haServerAddr": "10.0.0.1:10912"}
    master[0].connectionLost(Failure(ConnectionDone()))
    assert b'{1:"10.0.0.2:10911"}' in served.ask(106, {}).body


def test_data_versions_say_whether_a_broker_must_tell_all_again() -> None:
    served = Served()
    ext = {name: HEADER[name] for name in ("clusterName", "brokerName", "brokerAddr", "brokerId")}
    at = served.connection()
    asked = json.dumps(VERSION).encode()
    assert served.ask(322, ext, asked).ext_fields == {"changed": "true"}
    served.register(at)
    same = served.ask(322, ext, asked)
    assert same.ext_fields == {"changed": "false"}
    assert json.loads(same.body) == VERSION
    other = json.dumps({**VERSION, "counter": 4}).encode()
    assert served.ask(322, ext, other).ext_fields == {"changed": "true"}


def test_the_silent_are_purged_after_120_s_and_beats_keep_a_broker() -> None:
    served = Served()
    at = served.connection()
    served.register(at)
    for _ in range(3):
        served.reactor.pump([5.0] * 20)
        assert served.ask(904, {"clusterName": "c", "brokerAddr": "10.0.0.1:10911"}, at=at).code == 0
    served.reactor.pump([5.0] * 23)
    assert served.ask(105, {"topic": "T"}).code == 0
    served.reactor.pump([5.0] * 2)
    assert served.ask(105, {"topic": "T"}).code == ResponseCode.TOPIC_NOT_EXIST
    assert at[1].aborted


def test_a_broker_says_itself_how_long_it_may_be_silent() -> None:
    served = Served()
    served.register(served.connection(), heartbeatTimeoutMillis="10000")
    served.reactor.pump([5.0] * 2)
    assert served.ask(105, {"topic": "T"}).code == 0
    served.reactor.pump([5.0] * 2)
    assert served.ask(105, {"topic": "T"}).code == ResponseCode.TOPIC_NOT_EXIST


def test_a_broker_leaves() -> None:
    served = Served()
    served.register(served.connection())
    assert served.ask(104, {**HEADER}).code == 0
    assert served.ask(105, {"topic": "T"}).code == ResponseCode.TOPIC_NOT_EXIST


def test_who_stays_is_told_of_a_least_id_that_changed() -> None:
    served = Served(acting_master=True)
    master = served.connection()
    served.register(master, enableActingMaster="true")
    served.register(
        served.connection(),
        brokerId="1",
        brokerAddr="10.0.0.2:10911",
        haServerAddr="10.0.0.2:10912",
        enableActingMaster="true",
    )
    master[0].connectionLost(Failure(ConnectionDone()))
    host, port, factory, *_ = served.reactor.tcpClients[-1]
    assert (host, port) == ("10.0.0.2", 10911)
    transport = Transport()
    factory.buildProtocol(None).makeConnection(transport)
    (told,) = transport.commands()
    assert (told.code, told.flag) == (905, 2)
    assert told.ext_fields == {
        "minBrokerId": "1",
        "brokerName": "broker-a",
        "minBrokerAddr": "10.0.0.2:10911",
        "offlineBrokerAddr": "10.0.0.1:10911",
    }
    assert transport.disconnecting


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"brokerAddr": "nowhere"}, "host:port"),
        ({"brokerId": "x"}, "brokerId"),
        ({"brokerId": "-1"}, "brokerId"),
        ({"clusterName": ""}, "clusterName"),
        ({"bodyCrc32": "7"}, "bodyCrc32"),
        ({"compressed": "true"}, "body"),
    ],
)
def test_registrations_that_are_none(wrong: dict[str, str], says: str) -> None:
    served = Served()
    refused = served.register(**wrong)
    assert refused.code == ResponseCode.SYSTEM_ERROR
    assert says in (refused.remark or "")
    assert not served.registry.table.brokers


def test_a_checksum_that_is_right() -> None:
    body = json.dumps(BODY).encode()
    assert Served().register(body=body, bodyCrc32=str(zlib.crc32(body) & 0x7FFFFFFF)).code == 0


def test_there_is_a_limit_of_brokers() -> None:
    served = Served(max_brokers=1)
    at = served.connection()
    assert served.register(at).code == 0
    assert served.register(at).code == 0
    refused = served.register(brokerName="broker-b")
    assert "max_brokers" in (refused.remark or "")


def test_write_permission_and_topics_by_hand() -> None:
    served = Served()
    served.register(served.connection())
    assert served.ask(205, {"brokerName": "broker-a"}).ext_fields == {"wipeTopicCount": "2"}
    assert b'"perm":4' in served.ask(105, {"topic": "T"}).body
    assert served.ask(327, {"brokerName": "broker-a"}).ext_fields == {"addTopicCount": "2"}
    assert b'"perm":6' in served.ask(105, {"topic": "T"}).body
    assert served.ask(216, {"topic": "T", "clusterName": "c"}).code == 0
    assert served.ask(105, {"topic": "T"}).code == ResponseCode.TOPIC_NOT_EXIST
    route = served.ask(105, {"topic": "S"}, version=513).body
    assert served.ask(217, {"topic": "N"}, route).code == 0
    assert served.ask(105, {"topic": "N"}).code == 0


def test_key_values_are_kept(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "kv.json")
    served = Served(kv_file=path)
    served.register(served.connection())
    put = {"namespace": "ORDER_TOPIC_CONFIG", "key": "T", "value": "broker-a:4"}
    assert served.ask(100, put).code == 0
    assert served.ask(101, put).ext_fields == {"value": "broker-a:4"}
    assert served.ask(101, {**put, "key": "none"}).code == ResponseCode.QUERY_NOT_FOUND
    assert json.loads(served.ask(219, put).body) == {"table": {"T": "broker-a:4"}}
    assert served.ask(219, {"namespace": "none"}).code == ResponseCode.QUERY_NOT_FOUND
    assert json.loads(served.ask(105, {"topic": "T"}, version=513).body)["orderTopicConf"] == "broker-a:4"
    later = Served(kv_file=path)
    later.registry._load()
    assert later.ask(101, put).ext_fields == {"value": "broker-a:4"}
    assert later.ask(102, put).code == 0
    assert json.loads((tmp_path / "kv.json").read_text()) == {"ORDER_TOPIC_CONFIG": {}}
    (tmp_path / "kv.json").write_text("{")
    with pytest.raises(ConfigurationError, match="kv_file"):
        later.registry._load()


def test_nobody_writes_its_configuration() -> None:
    served = Served()
    refused = served.ask(318, {}, b"kvConfigPath=/etc/x")
    assert refused.code == ResponseCode.NO_PERMISSION
    assert b"kvConfigPath" not in served.ask(319, {}).body
    assert served.ask(310, {}).code == ResponseCode.REQUEST_CODE_NOT_SUPPORTED


def test_bytes_that_are_none_of_its_business() -> None:
    served = Served()
    protocol, transport = served.connection()
    protocol.dataReceived(encode_request(904, 1, HEADER, oneway=True))
    assert transport.value() == b""
    protocol.dataReceived(b"\x01\xff\xff\xff" * 4)
    assert transport.disconnecting
    silent, transport = served.connection()
    served.reactor.pump([5.0] * 70)
    assert transport.aborted
    silent.connectionLost(Failure(ConnectionDone()))
    served.registry.stop()


def deflated(topics: list[bytes], mappings: list[bytes] | None, version: bytes = b'{"counter":3}') -> bytes:
    def piece(data: bytes) -> bytes:
        return struct.pack(">i", len(data)) + data

    parts = [piece(version), struct.pack(">i", len(topics)), *map(piece, topics), piece(b"[]")]
    if mappings is not None:
        parts += [struct.pack(">i", len(mappings)), *map(piece, mappings)]
    return zlib.compress(b"".join(parts))


def test_registrations_may_be_deflated() -> None:
    topics = [b"T 4 8 6 SINGLE_TAG {}", b"S 1 1 4 SINGLE_TAG "]
    mapping = b'{"topic":"T","bname":"broker-a","totalQueues":4}'
    found = decode_registration(deflated(topics, [mapping]), True, 513)
    assert found.data_version.counter == 3
    assert [
        (one.topic_name, one.read_queue_nums, one.write_queue_nums, one.perm)
        for one in found.topic_config_table.values()
    ] == [
        ("T", 4, 8, 6),
        ("S", 1, 1, 4),
    ]
    assert found.topic_queue_mapping_info_map["T"].total_queues == 4
    assert set(decode_registration(deflated(topics, None), True, 401).topic_config_table) == {"T", "S"}


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        deflated([b"T x 4 6"], []),
        deflated([b"T"], []),
        zlib.compress(struct.pack(">i", 1 << 30)),
        zlib.compress(struct.pack(">i", -1)),
        zlib.compress(b"ab"),
    ],
)
def test_what_is_no_deflated_registration(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_registration(body, True, 513)


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_codec, "MAX_INFLATED", 1000)
    with pytest.raises(WireError, match="at most 1000"):
        decode_registration(zlib.compress(bytes(100_000)), True, 513)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_raises_nothing_but_wire_errors(body: bytes, packed: bool) -> None:
    try:
        decode_registration(zlib.compress(body) if packed else body, packed, 513)
    except WireError:
        pass


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("tcp:9877:interface=127.0.0.1", "127.0.0.1:9877"),
        ("tcp:9877", "127.0.0.1:9877"),
        ("tcp:9877:interface=10.0.0.5:backlog=5", "10.0.0.5:9877"),
        ("tcp6:9877:interface=\\:\\:", "[::1]:9877"),
    ],
)
def test_where_this_process_finds_it(endpoint: str, address: str) -> None:
    assert RegistrySettings(endpoint=endpoint).address == address


@pytest.mark.parametrize("endpoint", ["unix:/x", "tcp:0", "tcp", "tcp:99999"])
def test_an_endpoint_that_this_process_could_not_find(endpoint: str) -> None:
    with pytest.raises(ValueError, match="^endpoint"):
        RegistrySettings(endpoint=endpoint)
