"""The gateway as a name server: real brokers register here, so that a small cluster needs no Java name server.

What brokers (and whoever asks this port) are told are the brokers' own addresses. Clients ask the gateway's other listeners,
which change them (`passthrough`). Several gateways are name servers beside each other: brokers register with each.
"""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.cluster.registry_codec import decode_registration
from rmqgateway.backend.cluster.registry_table import EXPIRY_SECONDS, Change, Registration, RouteTable
from rmqgateway.errors import WireError
from rmqgateway.frontend import Recognition
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.session import split_host
from rmqgateway.wire.bodies.codec import decode_body
from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.routes import ClusterInfo, KVTable, TopicList, TopicRouteData
from rmqgateway.wire.fastjson import encode_fastjson
from rmqgateway.wire.remoting import RemotingCommand, RemotingDecoder, encode_request, encode_response
from rmqgateway.wire.request_codes import RequestCode, ResponseCode, request_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure

    from rmqgateway.backend.cluster.registry_settings import RegistrySettings
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway
    from rmqgateway.listeners import Listener

__all__ = ["Registry"]

log = Logger(namespace="rmqgateway.registry")

#: The ordinal of ``MQVersion.Version.V4_9_4``: since then clients read routes as standard JSON.
_V4_9_4 = 401
_ORDER = "ORDER_TOPIC_CONFIG"
_MAX_KEY_VALUES = 100_000
_MAX_VALUE = 65_536
#: A broker says something every 30 s, mostly every second.
_IDLE_SECONDS = 300.0

_Answer = tuple[int, dict[str, str] | None, str | None, bytes]
_DONE: _Answer = (0, None, None, b"")


class _Refused(Exception):
    """What a request is answered with."""

    def __init__(self, code: int, remark: str) -> None:
        super().__init__(remark)
        self.code = code
        self.remark = remark


class Registry:
    """See the module. :param clock: seconds, for how long brokers have been silent."""

    def __init__(self, reactor: Any, settings: RegistrySettings) -> None:
        self.reactor = reactor
        self.settings = settings
        self.table = RouteTable(settings.acting_master)
        self.key_values: dict[str, dict[str, str]] = {}
        self._seconds: Callable[[], float] = reactor.seconds
        self._networks = settings.networks()
        self._listener: Listener | None = None
        self._scan_timer: IDelayedCall | None = None
        self._running = False
        self._handlers: dict[int, Callable[[RemotingCommand, Any], _Answer]] = {
            RequestCode.REGISTER_BROKER: self._register,
            RequestCode.UNREGISTER_BROKER: self._unregister,
            RequestCode.BROKER_HEARTBEAT: self._heartbeat,
            RequestCode.QUERY_DATA_VERSION: self._data_version,
            RequestCode.GET_BROKER_MEMBER_GROUP: self._member_group,
            RequestCode.GET_ROUTEINFO_BY_TOPIC: self._route,
            RequestCode.GET_BROKER_CLUSTER_INFO: self._cluster,
            RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER: self._all_topics,
            RequestCode.GET_TOPICS_BY_CLUSTER: self._topics_of_cluster,
            RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS: self._system_topics,
            RequestCode.GET_UNIT_TOPIC_LIST: lambda request, channel: self._units(True, None),
            RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST: lambda request, channel: self._units(None, True),
            RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: lambda request, channel: self._units(False, True),
            RequestCode.WIPE_WRITE_PERM_OF_BROKER: self._wipe_writing,
            RequestCode.ADD_WRITE_PERM_OF_BROKER: self._add_writing,
            RequestCode.DELETE_TOPIC_IN_NAMESRV: self._delete_topic,
            RequestCode.REGISTER_TOPIC_IN_NAMESRV: self._register_topic,
            RequestCode.PUT_KV_CONFIG: self._put,
            RequestCode.GET_KV_CONFIG: self._get,
            RequestCode.DELETE_KV_CONFIG: self._delete,
            RequestCode.GET_KVLIST_BY_NAMESPACE: self._list,
            RequestCode.GET_NAMESRV_CONFIG: self._configuration,
        }

    # Life.

    def prepare(self, make_listener: Callable[[str, str, str, Any], Listener]) -> None:
        """Bind the port, and read what was kept.

        :param make_listener: makes a listener of (name, endpoint, place, front-end).
        :raise ConfigurationError: the port cannot be bound, or the file is none.
        """
        self._load()
        listener = self._listener = make_listener(
            "registry", self.settings.endpoint, "registry.endpoint", _FrontEnd(self)
        )
        failures: list[Failure] = []

        def not_bound(failure: Failure) -> None:
            error: Any = failure.value
            raise listener.cannot_listen(error) from error

        listening = maybeDeferred(listener.endpoint.listen, listener).addCallbacks(listener.bound, not_bound)
        listening.addErrback(failures.append)
        if failures:
            failures[0].raiseException()

    def start(self) -> None:
        """Begin to look for silent brokers."""
        self._running = True
        self._scan_timer = self.reactor.callLater(self.settings.scan_s, self._scan)

    def stop(self) -> Deferred[Any] | None:
        """Close the port."""
        self._running = False
        if self._scan_timer is not None:
            self._scan_timer.cancel()
            self._scan_timer = None
        if self._listener is None or self._listener.port is None:
            return None
        self._listener.close_waiting()
        return maybeDeferred(self._listener.port.stopListening)

    def _scan(self) -> None:
        self._scan_timer = self.reactor.callLater(self.settings.scan_s, self._scan)
        channels, changes = self.table.expire(self._seconds())
        for channel in channels:
            log.warn("the broker behind {peer} was silent for too long: it has left", peer=channel.peer)
            channel.transport.abortConnection()
        self._tell(changes)

    def lost(self, channel: Any) -> None:
        """A connection is gone."""
        if self._running:
            self._tell(self.table.lost(channel))

    def _tell(self, changes: list[Change]) -> None:
        """Brokers hear at their own ports of another least id; who cannot be reached finds out by asking."""
        for change in changes:
            ext = {
                "minBrokerId": str(change.least_id),
                "brokerName": change.name,
                "minBrokerAddr": change.least_address,
            }
            if change.gone:
                ext["offlineBrokerAddr"] = change.gone
            if change.ha_address:
                ext["haBrokerAddr"] = change.ha_address
            frame = encode_request(int(RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE), 0, ext, oneway=True)
            for address in change.addresses:
                try:
                    host, port = split_host(address)
                except ValueError:
                    continue
                self.reactor.connectTCP(host, port, _Telling(frame), timeout=3.0)

    # Requests.

    def takes(self, peer: Any) -> bool:
        """Whether an address may ask here. What has none (a UNIX socket) is of this machine."""
        host = getattr(peer, "host", None)
        if not host:
            return True
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return address.is_loopback or any(address in network for network in self._networks)

    def answer(self, request: RemotingCommand, channel: Any) -> bytes | None:
        """The response to a request, or None to a one-way one."""
        handler = self._handlers.get(request.code)
        ext: dict[str, str] | None = None
        body = b""
        try:
            if handler is None:
                raise _Refused(*_why_not(request.code))
            code, ext, remark, body = handler(request, channel)
        except _Refused as refusal:
            code, remark = refusal.code, refusal.remark
        except WireError as error:
            code, remark = int(ResponseCode.SYSTEM_ERROR), f"{request_name(request.code)}: {error.message}"
        if request.flag & 2:
            return None
        return encode_response(request.opaque, int(code), ext, remark, body, request.serialization)

    def _register(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        checksum = _number(ext, "bodyCrc32", 0)
        if checksum and checksum != crc32(request.body) & 0x7FFFFFFF:
            raise _Refused(ResponseCode.SYSTEM_ERROR, "bodyCrc32: it is not that of the body")
        acting = ext.get("enableActingMaster")
        told = Registration(
            _text(ext, "clusterName"),
            _text(ext, "brokerAddr"),
            _text(ext, "brokerName"),
            _number(ext, "brokerId"),
            ext.get("haServerAddr", ""),
            ext.get("zoneName"),
            _number(ext, "heartbeatTimeoutMillis", int(EXPIRY_SECONDS * 1000)) / 1000.0,
            None if acting is None else acting.lower() == "true",
        )
        try:
            split_host(told.address)
        except ValueError as error:
            raise _Refused(ResponseCode.SYSTEM_ERROR, f"brokerAddr: {error}") from None
        if told.broker_id < 0:
            raise _Refused(ResponseCode.SYSTEM_ERROR, f"brokerId: expected 0 or more, got {told.broker_id}")
        known = self.table.brokers.get(told.name)
        is_new = known is None or told.broker_id not in known.broker_addrs
        if is_new and self._count() >= self.settings.max_brokers:
            raise _Refused(
                ResponseCode.SYSTEM_ERROR,
                f"{self.settings.max_brokers} brokers are registered (setting registry.max_brokers)",
            )
        topics = decode_registration(
            request.body, ext.get("compressed", "").lower() == "true", request.version
        )
        master, change = self.table.register(told, topics, channel, self._seconds())
        if master is None:
            raise _Refused(
                ResponseCode.SYSTEM_ERROR, "a single topic is told by a broker that has not registered"
            )
        if is_new:
            log.info(
                "the broker {name}:{id} of {cluster} registered: {address}",
                name=told.name,
                id=told.broker_id,
                cluster=told.cluster,
                address=told.address,
            )
        if change is not None:
            self._tell([change])
        answer = {
            name: value for name, value in zip(("masterAddr", "haServerAddr"), master, strict=True) if value
        }
        return 0, answer, None, b""

    def _count(self) -> int:
        return sum(len(data.broker_addrs) for data in self.table.brokers.values())

    def _unregister(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        name = _text(ext, "brokerName")
        change = self.table.unregister(_text(ext, "clusterName"), _text(ext, "brokerAddr"), name)
        log.info("the broker {name}:{id} leaves", name=name, id=ext.get("brokerId"))
        if change is not None:
            self._tell([change])
        return _DONE

    def _heartbeat(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        self.table.heard(_text(ext, "clusterName"), _text(ext, "brokerAddr"), self._seconds())
        return _DONE

    def _data_version(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        cluster, address = _text(ext, "clusterName"), _text(ext, "brokerAddr")
        asked = decode_body(request.body, DataVersion)
        known = self.table.version(cluster, address)
        self.table.heard(cluster, address, self._seconds())
        body = b"" if known is None else encode_fastjson(known)
        return 0, {"changed": "true" if known != asked else "false"}, None, body

    def _member_group(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        name = _text(ext, "brokerName")
        data = self.table.brokers.get(name)
        group = {
            "brokerAddrs": {} if data is None else data.broker_addrs,
            "brokerName": name,
            "cluster": _text(ext, "clusterName"),
        }
        return _body({"brokerMemberGroup": group})

    def _route(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        topic = _text(ext, "topic")
        route = self.table.route(topic)
        if route is None:
            raise _Refused(
                ResponseCode.TOPIC_NOT_EXIST, f"No topic route info in name server for the topic: {topic}"
            )
        route.order_topic_conf = self.key_values.get(_ORDER, {}).get(topic)
        standard = request.version >= _V4_9_4 or ext.get("acceptStandardJsonOnly", "").lower() == "true"
        return 0, None, None, encode_fastjson(route, standard)

    def _cluster(self, request: RemotingCommand, channel: Any) -> _Answer:
        table = self.table
        return _body(
            ClusterInfo(
                broker_addr_table=table.brokers,
                cluster_addr_table={cluster: list(names) for cluster, names in table.clusters.items()},
            )
        )

    def _all_topics(self, request: RemotingCommand, channel: Any) -> _Answer:
        return _body(TopicList(topic_list=self.table.topics()))

    def _topics_of_cluster(self, request: RemotingCommand, channel: Any) -> _Answer:
        return _body(TopicList(topic_list=self.table.topics_of(_text(request.ext_fields, "cluster"))))

    def _system_topics(self, request: RemotingCommand, channel: Any) -> _Answer:
        topics, address = self.table.system_topics()
        return _body(TopicList(broker_addr=address, topic_list=topics))

    def _units(self, unit: bool | None, unit_sub: bool | None) -> _Answer:
        return _body(TopicList(topic_list=self.table.unit_topics(unit, unit_sub)))

    def _wipe_writing(self, request: RemotingCommand, channel: Any) -> _Answer:
        count = self.table.set_writable(_text(request.ext_fields, "brokerName"), False)
        return 0, {"wipeTopicCount": str(count)}, None, b""

    def _add_writing(self, request: RemotingCommand, channel: Any) -> _Answer:
        count = self.table.set_writable(_text(request.ext_fields, "brokerName"), True)
        return 0, {"addTopicCount": str(count)}, None, b""

    def _delete_topic(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        self.table.delete_topic(_text(ext, "topic"), ext.get("clusterName", ""))
        return _DONE

    def _register_topic(self, request: RemotingCommand, channel: Any) -> _Answer:
        if request.body:
            route = decode_body(request.body, TopicRouteData)
            self.table.register_topic(_text(request.ext_fields, "topic"), route.queue_datas)
        return _DONE

    # Key-value configuration.

    def _put(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        namespace, key, value = _text(ext, "namespace"), _text(ext, "key"), ext.get("value", "")
        if max(map(len, (namespace, key, value))) > _MAX_VALUE:
            raise _Refused(ResponseCode.SYSTEM_ERROR, f"expected at most {_MAX_VALUE} characters")
        if sum(map(len, self.key_values.values())) >= _MAX_KEY_VALUES:
            raise _Refused(ResponseCode.SYSTEM_ERROR, f"{_MAX_KEY_VALUES} keys are kept, no more are taken")
        self.key_values.setdefault(namespace, {})[key] = value
        self._save()
        return _DONE

    def _get(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        namespace, key = _text(ext, "namespace"), _text(ext, "key")
        value = self.key_values.get(namespace, {}).get(key)
        if value is None:
            raise _Refused(ResponseCode.QUERY_NOT_FOUND, f"No config item, Namespace: {namespace} Key: {key}")
        return 0, {"value": value}, None, b""

    def _delete(self, request: RemotingCommand, channel: Any) -> _Answer:
        ext = request.ext_fields
        self.key_values.get(_text(ext, "namespace"), {}).pop(_text(ext, "key"), None)
        self._save()
        return _DONE

    def _list(self, request: RemotingCommand, channel: Any) -> _Answer:
        namespace = _text(request.ext_fields, "namespace")
        found = self.key_values.get(namespace)
        if found is None:
            raise _Refused(ResponseCode.QUERY_NOT_FOUND, f"No config item, Namespace: {namespace}")
        return _body(KVTable(table=found))

    def _configuration(self, request: RemotingCommand, channel: Any) -> _Answer:
        """As a Java program writes properties; the file's place is nobody's business."""
        acting = str(self.settings.acting_master).lower()
        lines = (f"supportActingMaster={acting}", f"notifyMinBrokerIdChanged={acting}", "")
        return 0, None, None, "\n".join(lines).encode()

    def _load(self) -> None:
        from rmqgateway.config_sources import ConfigurationError

        path = self.settings.kv_file
        if not path or not os.path.exists(path):
            return
        try:
            with open(path, "rb") as file:
                self.key_values = msgspec.json.decode(file.read(), type=dict[str, dict[str, str]])
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(f"registry.kv_file: {path}: {error}") from error

    def _save(self) -> None:
        """Small, and changed by hand: written at once, whole."""
        path = self.settings.kv_file
        if not path:
            return
        try:
            with open(f"{path}.new", "wb") as file:
                file.write(msgspec.json.encode(self.key_values))
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{path}.new", path)
        except OSError as error:
            log.error("registry.kv_file: {path}: {error}", path=path, error=str(error))
            raise _Refused(ResponseCode.SYSTEM_ERROR, "the change is made, but could not be kept") from error


def _why_not(code: int) -> tuple[int, str]:
    name = request_name(code)
    if code == RequestCode.UPDATE_NAMESRV_CONFIG:
        return (
            int(ResponseCode.NO_PERMISSION),
            f"{name}: the configuration of a process is not changed over the network, by anybody",
        )
    return int(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), f"request code {name} is not served by a name server"


def _body(body: object) -> _Answer:
    return 0, None, None, encode_fastjson(body)


def _text(ext: dict[str, str], name: str) -> str:
    value = ext.get(name)
    if not value:
        raise WireError(f"header field {name}: expected text, got none", fatal=False)
    return value


def _number(ext: dict[str, str], name: str, default: int | None = None) -> int:
    value = ext.get(name)
    if value is None and default is not None:
        return default
    try:
        return int(value or "")
    except ValueError:
        raise WireError(f"header field {name}: expected a number, got {value!r}", fatal=False) from None


@implementer(IConnectionFrontEnd)
class _FrontEnd:
    """What the registry's own listener serves. See `IConnectionFrontEnd`."""

    name = "registry"
    settings = None
    recognition_order = 50
    web_socket_protocols = ()

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def configure(self, settings: Any) -> None:
        return None

    def recognise(self, first_bytes: bytes) -> Recognition:
        """Frames of at most 16 MiB begin with 0 or 1."""
        if not first_bytes:
            return Recognition.MORE
        return Recognition.YES if first_bytes[0] <= 1 else Recognition.NO

    def make_protocol(self, gateway: IGateway, connection: ConnectionInformation) -> _Channel:
        return _Channel(self._registry, connection)


class _Channel(Protocol):
    """One broker's (or anybody's) connection to the registry."""

    transport: Any

    def __init__(self, registry: Registry, connection: ConnectionInformation) -> None:
        self._registry = registry
        self._decoder = RemotingDecoder()
        self._heard = 0.0
        self._timer: IDelayedCall | None = None
        self._taken = registry.takes(connection.peer)
        self._host = getattr(connection.peer, "host", "")
        self.peer = f"{getattr(connection.peer, 'host', '')}:{getattr(connection.peer, 'port', 0)}"

    def connectionMade(self) -> None:
        """See IProtocol."""
        # From an address of this machine's own to the same: that is this machine.
        here = getattr(self.transport.getHost(), "host", None)
        self._taken = self._taken or (here is not None and here == self._host)
        if not self._taken:
            log.warn("{peer} may not ask the registry (setting registry.sources)", peer=self.peer)
            self.transport.abortConnection()
            return
        self._heard = self._registry.reactor.seconds()
        self._timer = self._registry.reactor.callLater(_IDLE_SECONDS, self._check)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if not self._taken:
            return
        self._heard = self._registry.reactor.seconds()
        answers: list[bytes] = []
        broken = False
        for event in self._decoder.receive_data(data):
            if isinstance(event, WireError):
                log.info("a request of {peer} cannot be read: {error}", peer=self.peer, error=event.message)
                broken = broken or event.fatal
            elif not event.flag & 1:
                answer = self._registry.answer(event, self)
                if answer is not None:
                    answers.append(answer)
        if answers:
            self.transport.write(b"".join(answers))
        if broken:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See IProtocol."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._registry.lost(self)

    def pauseProducing(self) -> None:
        """See IPushProducer: it asks faster than it reads."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """See IPushProducer; `connectionLost` follows."""

    def _check(self) -> None:
        left = self._heard + _IDLE_SECONDS - self._registry.reactor.seconds()
        if left <= 0:
            self.transport.abortConnection()
        else:
            self._timer = self._registry.reactor.callLater(left, self._check)


class _Telling(ClientFactory):
    """Says one thing to a broker and goes."""

    noisy = False

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """See IProtocolFactory."""
        return _Saying(self._frame)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        log.info("a broker cannot be told of the least id: {reason}", reason=reason.getErrorMessage())


class _Saying(Protocol):
    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def connectionMade(self) -> None:
        """See IProtocol."""
        transport: Any = self.transport
        transport.write(self._frame)
        transport.loseConnection()
