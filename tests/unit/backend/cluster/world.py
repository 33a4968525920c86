"""A cluster in memory behind the cluster backend: scripted name servers and brokers, a fake clock, no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.backend import ClusterBackend
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.context import Context
from rmqgateway.errors import GatewayError
from rmqgateway.gateway import Gateway
from rmqgateway.outbox import Outbox
from rmqgateway.wire.remoting import RemotingCommand, encode_request, encode_response
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway.wire.stored_message import encode
from tests.unit.backend.cluster.pair import Transport

NAMES = "10.0.0.9:9876"
A, B, A_SLAVE = "10.0.0.1:10911", "10.0.0.2:10911", "10.0.0.3:10911"
NOW = 1_700_000_000_000

#: What a server answers: (code, header, body), or None: nothing.
Answer = tuple[int, dict[str, str], bytes] | None
OK: Answer = (0, {}, b"")


def stored(
    topic: str, body: bytes, queue_id: int = 0, offset: int = 0, properties: bytes = b"", times: int = 0
) -> bytes:
    """A message as brokers store it."""
    return bytes(
        encode(
            topic.encode(),
            queue_id,
            body,
            properties,
            queue_offset=offset,
            physical_offset=1000 + offset,
            reconsume_times=times,
        )
    )


class Server:
    """One name server or broker. :ivar script: by request code. :ivar asked: everything that was asked, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.script: dict[int, Callable[[RemotingCommand], Answer]] = {}
        self.asked: list[RemotingCommand] = []
        self.up = True
        self.version = 513
        self.connections: list[tuple[Any, Transport]] = []

    def codes(self) -> list[int]:
        """What was asked since the last call."""
        found = [one.code for one in self.asked]
        self.asked.clear()
        return found

    def last(self, code: int) -> RemotingCommand:
        """The last request of this code."""
        return next(one for one in reversed(self.asked) if one.code == code)

    def pump(self) -> bool:
        """Answer what has come; whether anything had."""
        progress = False
        for protocol, transport in list(self.connections):
            if transport.aborted or not transport.value():
                continue
            for request in transport.commands():
                progress = True
                if request.flag & 1:
                    continue
                self.asked.append(request)
                answer = self.script.get(request.code, _unsupported)(request)
                if answer is not None and not request.flag & 2:
                    code, ext, body = answer
                    remark = f"remark {code}" if code else None
                    protocol.dataReceived(
                        encode_response(request.opaque, code, ext, remark, body, version=self.version)
                    )
        return progress

    def push(self, code: int, ext: dict[str, str], body: bytes = b"", opaque: int = 7) -> None:
        """Ask the gateway something, by the first connection."""
        self.connections[0][0].dataReceived(encode_request(code, opaque, ext, body))

    def go(self) -> None:
        """It is not there any more, as after kill -9."""
        self.up = False
        self.lose()

    def lose(self) -> None:
        """All connections are gone."""
        connections, self.connections = self.connections, []
        for protocol, _ in connections:
            protocol.connectionLost(Failure(ConnectionDone()))


def _unsupported(request: RemotingCommand) -> Answer:
    return int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), {}, b""


class World:
    """The backend behind a door, and everything that it talks to.

    :ivar events: what the client's session was told.
    """

    def __init__(self, *, brokers: tuple[str, ...] = (A,), start: bool = True, **settings: Any) -> None:
        self.reactor = MemoryReactorClock()
        outbox = Outbox()
        self.settings = ClusterSettings(**{"namesrv": NAMES, **settings})
        self.backend = ClusterBackend(
            self.settings, self.reactor, outbox, lambda: NOW + int(self.reactor.seconds() * 1000)
        )
        self.gateway = Gateway(self.backend, self.reactor, outbox=outbox)
        self.servers = {address: Server(address) for address in (*self.settings.addresses, A, B, A_SLAVE)}
        self._dialled = 0
        self.addresses: dict[str, dict[int, str]] = {}
        for address in brokers:
            name = "broker-a" if address in (A, A_SLAVE) else "broker-b"
            self.addresses.setdefault(name, {})[1 if address == A_SLAVE else 0] = address
        self.topics: dict[str, int] = {"T": 4}
        for address in self.settings.addresses:
            self.servers[address].script.update(
                {
                    RequestCode.GET_BROKER_CLUSTER_INFO: self._cluster,
                    RequestCode.GET_ROUTEINFO_BY_TOPIC: self._route,
                }
            )
        for address in (A, B, A_SLAVE):
            self.servers[address].script.update(
                {
                    RequestCode.SEND_MESSAGE_V2: self._send,
                    RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG: lambda _: (
                        0,
                        {},
                        b'{"groupName":"G","retryMaxTimes":2}',
                    ),
                    RequestCode.GET_TOPIC_CONFIG: lambda request: (
                        0,
                        {},
                        b'{"topicName":"%b","attributes":{"+message.type":"NORMAL"}}'
                        % request.ext_fields["topic"].encode(),
                    ),
                    RequestCode.HEART_BEAT: lambda _: OK,
                    RequestCode.UNREGISTER_CLIENT: lambda _: OK,
                    RequestCode.ACK_MESSAGE: lambda _: OK,
                    RequestCode.CONSUMER_SEND_MSG_BACK: lambda _: OK,
                    RequestCode.END_TRANSACTION: lambda _: OK,
                }
            )
        self.events: list[Any] = []
        self.session = self.gateway.open_session(
            "test",
            IPv4Address("TCP", "192.0.2.7", 4000),
            "10.1.1.1:8080",
            self._deliver,
            lambda *_: None,
            lambda _: None,
        )
        self.context = Context(self.session)
        if start:
            self.backend.start()
            self.pump()

    def _deliver(self, event: Any) -> bool:
        self.events.append(event)
        return True

    def _cluster(self, request: RemotingCommand) -> Answer:
        brokers = ",".join(f'"{name}":{self._data(name)}' for name in self.addresses)
        names = ",".join(f'"{name}"' for name in self.addresses)
        return 0, {}, f'{{"brokerAddrTable":{{{brokers}}},"clusterAddrTable":{{"c":[{names}]}}}}'.encode()

    def _data(self, name: str) -> str:
        addresses = ",".join(f'{number}:"{address}"' for number, address in self.addresses[name].items())
        return f'{{"brokerAddrs":{{{addresses}}},"brokerName":"{name}","cluster":"c"}}'

    def _route(self, request: RemotingCommand) -> Answer:
        queues = self.topics.get(request.ext_fields["topic"])
        if queues is None:
            return int(ResponseCode.TOPIC_NOT_EXIST), {}, b""
        brokers = ",".join(self._data(name) for name in self.addresses)
        datas = ",".join(
            f'{{"brokerName":"{name}","perm":6,"readQueueNums":{queues},"writeQueueNums":{queues},"topicSysFlag":0}}'
            for name in self.addresses
        )
        return 0, {}, f'{{"brokerDatas":[{brokers}],"queueDatas":[{datas}]}}'.encode()

    @staticmethod
    def _send(request: RemotingCommand) -> Answer:
        ext = {"msgId": "0A000001" + "00002A9F" + f"{77:016X}", "queueId": "1", "queueOffset": "5"}
        if int(request.ext_fields["f"]) & 12 == 4:
            ext["transactionId"] = "X"
        return 0, ext, b""

    def pump(self) -> None:
        """Let everything that has been said be heard."""
        for _ in range(200):
            progress = False
            while self._dialled < len(self.reactor.tcpClients):
                host, port, factory = self.reactor.tcpClients[self._dialled][:3]
                self._dialled += 1
                progress = True
                server = self.servers[f"{host}:{port}"]
                if not server.up:
                    connector = factory._server._connector if hasattr(factory, "_server") else None
                    factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
                    continue
                protocol = factory.buildProtocol(None)
                transport = Transport(hostAddress=IPv4Address("TCP", "10.1.1.1", 5000))
                server.connections.append((protocol, transport))
                protocol.makeConnection(transport)
            for server in self.servers.values():
                progress |= server.pump()
            if not progress:
                return
        raise AssertionError("the servers and the gateway never come to rest")

    def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, and everybody act."""
        for _ in range(round(seconds / step)):
            self.reactor.advance(step)
            self.pump()

    def begin(self, command: Any) -> list[Any]:
        """Execute a command; the list gets its reply or its GatewayError."""
        found: list[Any] = []
        try:
            result = self.gateway.execute(self.context, command)
        except GatewayError as error:
            return [error]
        if isinstance(result, Deferred):
            result.addCallbacks(found.append, lambda failure: found.append(failure.value))
            self.deferred = result
        else:
            found.append(result)
        self.pump()
        return found

    def do(self, command: Any) -> Any:
        """Execute a command that is answered without time passing."""
        found = self.begin(command)
        assert found, f"{type(command).__name__} is not answered"
        return found[0]
