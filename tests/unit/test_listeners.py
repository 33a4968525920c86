"""Listeners: recognition to hand-over, limits, advertised addresses, what is said of a port that cannot be had."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from rmqgateway.config_sections import ListenerSettings, ListeningSettings, TLSSettings
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.frontend import ConnectionInformation, Recognition
from rmqgateway.listeners import Listener, check_advertised, is_loopback, parse_endpoint, with_backlog
from rmqgateway.listeners_limits import Connections
from rmqgateway.listeners_tls import Certificates
from rmqgateway.recognition import Found

LOCAL = IPv4Address("TCP", "127.0.0.1", 9876)
DONE = Failure(ConnectionDone())


class Spoken(Protocol):
    def __init__(self, information: ConnectionInformation) -> None:
        self.information = information
        self.heard: list[bytes] = []
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = DONE) -> None:
        self.ended = True


class Zed:
    """A protocol whose first byte is z; a whole beginning is zz."""

    name = "zed"
    recognition_order = 50
    web_socket_protocols = ()

    def __init__(self) -> None:
        self.made: list[Spoken] = []

    def recognise(self, first_bytes: bytes) -> Recognition:
        if first_bytes[:1] not in (b"", b"z"):
            return Recognition.NO
        return Recognition.YES if len(first_bytes) > 1 else Recognition.MORE

    def make_protocol(self, gateway: object, connection: ConnectionInformation) -> Spoken:
        self.made.append(Spoken(connection))
        return self.made[-1]


class Transport(StringTransport):
    """Delivers like a TCP transport: to whatever its ``protocol`` is by now."""

    protocol: Any = None

    def connectionLost(self, reason: Failure) -> None:
        self.protocol.connectionLost(reason)

    def startTLS(self, context: object) -> None:
        raise AssertionError("no TLS in this test")


class Port:
    def __init__(self, host: object = LOCAL) -> None:
        self.host = host
        self.calls: list[str] = []

    def getHost(self) -> object:
        return self.host

    def startReading(self) -> None:
        self.calls.append("start")

    def stopReading(self) -> None:
        self.calls.append("stop")


def listener(
    front_ends: list[Any], clock: Clock | None = None, connections: Connections | None = None, **settings: Any
) -> Listener:
    more = {name: settings.pop(name) for name in ("advertise", "http", "certificates") if name in settings}
    more.setdefault("certificates", Certificates(TLSSettings(mode="off"), "/nonexistent"))
    gateway: Any = SimpleNamespace(guarded=settings.pop("guarded", False))
    return Listener(
        "test",
        None,
        ListenerSettings(endpoint="tcp:9876:interface=127.0.0.1"),
        "--listen test",
        front_ends,
        [front_end.name for front_end in front_ends],
        gateway=gateway,
        reactor=clock or Clock(),
        settings=ListeningSettings(**settings),
        connections=connections or Connections(100, 2),
        **more,
    )


def connect(
    to: Listener, peer: object = IPv4Address("TCP", "127.0.0.1", 50000), host: object = LOCAL
) -> Transport:
    protocol: Any = to.buildProtocol(peer)  # type: ignore[arg-type]
    assert protocol is not None
    transport = Transport(hostAddress=host, peerAddress=peer)  # type: ignore[arg-type]
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return transport


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_a_recognised_connection_is_handed_over_with_what_was_read() -> None:
    zed = Zed()
    transport = connect(listener([zed]))
    transport.protocol.dataReceived(b"z")
    assert not zed.made
    transport.protocol.dataReceived(b"z and more")
    (spoken,) = zed.made
    assert spoken.heard == [b"zz and more"]
    assert spoken.transport is transport
    assert transport.protocol is spoken, "nothing stays between transport and protocol"
    information = spoken.information
    assert (information.advertised, information.secure, information.listener) == (
        "127.0.0.1:9876",
        False,
        "test",
    )


def test_after_the_hand_over_nothing_of_the_first_protocol_acts() -> None:
    clock, zed = Clock(), Zed()
    transport = connect(listener([zed], clock))
    transport.protocol.dataReceived(b"zz")
    clock.advance(100)
    assert not transport.disconnecting and not transport.disconnected
    assert not clock.getDelayedCalls()


def test_a_silent_connection_is_closed_without_a_word(logged: list[LogEvent]) -> None:
    clock = Clock()
    transport = connect(listener([Zed()], clock))
    clock.advance(4.9)
    assert not transport.disconnecting
    clock.advance(0.2)
    assert transport.disconnecting
    assert not logged


def test_a_connection_that_drips_is_closed_in_time(logged: list[LogEvent]) -> None:
    clock = Clock()
    transport = connect(listener([Zed()], clock))
    transport.protocol.dataReceived(b"z")
    clock.advance(5.1)
    assert transport.disconnecting
    assert "told no protocol in time" in str(logged[0]["log_format"])


def test_unknown_bytes_close_it_and_the_log_is_not_flooded(logged: list[LogEvent]) -> None:
    clock = Clock()
    to = listener([Zed()], clock)
    for _ in range(50):
        transport = connect(to)
        transport.protocol.dataReceived(b"\xffgarbage\n")
        assert transport.disconnecting
        transport.protocol.dataReceived(b"zz")  # what comes after is not heard
        transport.connectionLost(DONE)
    assert len(logged) == 1
    assert logged[0]["begin"] == "\\xffgarbage\\n"
    clock.advance(11)
    connect(to).protocol.dataReceived(b"?")
    assert "and 49 more like this" in str(logged[1]["log_format"])


def test_a_transport_that_cannot_change_its_protocol_is_served_all_the_same() -> None:
    zed = Zed()
    protocol: Any = listener([zed]).buildProtocol(LOCAL)
    transport = StringTransport(hostAddress=LOCAL, peerAddress=LOCAL)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"zz")
    protocol.dataReceived(b"more")
    protocol.connectionLost(DONE)
    assert zed.made[0].heard == [b"zz", b"more"]
    assert zed.made[0].ended


def test_a_layer_between_transport_and_us_delivers_to_the_new_protocol() -> None:
    class Layer(Transport):
        wrappedProtocol: Any = None

    zed = Zed()
    protocol: Any = listener([zed]).buildProtocol(LOCAL)
    layer = Layer(hostAddress=LOCAL, peerAddress=LOCAL)
    layer.wrappedProtocol = protocol
    protocol.makeConnection(layer)
    protocol.dataReceived(b"zz")
    assert layer.wrappedProtocol is zed.made[0]


def test_a_listener_whose_server_speaks_first_waits_for_nothing() -> None:
    class First(Zed):
        def recognise(self, first_bytes: bytes) -> Recognition:
            return Recognition.YES

    first = First()
    transport = connect(listener([first], http=False))
    assert transport.protocol is first.made[0]


def test_http_is_told_what_is_served_here() -> None:
    transport = connect(listener([Zed()]))
    transport.protocol.dataReceived(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    head, body = transport.value().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 501 ")
    assert f"content-length: {len(body)}".encode() in head
    assert b"serves zed" in body
    assert transport.disconnecting


def test_http_2_is_told_so_in_its_own_words() -> None:
    transport = connect(listener([Zed()]))
    transport.protocol.dataReceived(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    value = transport.value()
    assert value[:9] == bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # SETTINGS
    assert value[12] == 7 and value[22:26] == b"\x00\x00\x00\x0d"  # GOAWAY, HTTP_1_1_REQUIRED
    assert int.from_bytes(value[9:12], "big") == len(value) - 18
    assert b"serves zed" in value


# Limits.


def test_one_too_many_of_an_address_is_refused_loopback_is_not() -> None:
    connections = Connections(100, 2)
    to = listener([Zed()], connections=connections)
    remote = IPv4Address("TCP", "192.0.2.1", 1)
    first = connect(to, remote)
    connect(to, remote)
    assert to.buildProtocol(remote) is None
    assert to.buildProtocol(IPv4Address("TCP", "192.0.2.2", 1)) is not None
    for _ in range(5):
        connect(to)
    first.connectionLost(DONE)
    assert to.buildProtocol(remote) is not None


def test_a_connection_counts_until_it_is_lost_whatever_it_speaks_by_then() -> None:
    connections = Connections(100, 2)
    transport = connect(listener([Zed()], connections=connections))
    assert connections.count == 1
    transport.protocol.dataReceived(b"zz")
    assert connections.count == 1
    transport.protocol = Spoken(transport.protocol.information)  # an upgrade
    transport.connectionLost(DONE)
    assert connections.count == 0
    assert transport.protocol.ended


def test_at_the_total_accepting_pauses_until_some_have_gone(logged: list[LogEvent]) -> None:
    port = Port()
    connections = Connections(3, 10)
    connections.ports.append(port)
    to = listener([Zed()], connections=connections)
    transports = [connect(to) for _ in range(3)]
    assert port.calls == ["stop"]
    assert to.buildProtocol(LOCAL) is None
    transports[0].connectionLost(DONE)
    assert port.calls == ["stop"]
    transports[1].connectionLost(DONE)
    assert port.calls == ["stop", "start"]
    assert connections.refused == 1
    assert "listening.connections" in str(logged[0]["log_format"])


def test_addresses_leave_nothing_behind() -> None:
    connections = Connections(1000, 2)
    for number in range(500):
        address = f"192.0.2.{number}"
        assert connections.opened(address)
        connections.closed(address)
    assert not connections.by_address and connections.count == 0


# Addresses.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", ("example.org", 0)),
        ("example.org:9876", ("example.org", 9876)),
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:9876", ("2001:db8::1", 9876)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
    ],
)
def test_an_advertised_address_is_a_host_with_or_without_port(text: str, expected: tuple[str, int]) -> None:
    assert check_advertised(text, "--advertise") == expected


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "0.0.0.0:9876", "[::]:9876", "::", "a:b", "a:99999", "a b", "http://a:1", ""]
)
def test_a_wrong_advertised_address_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--advertise: "):
        check_advertised(text, "--advertise")


def test_what_is_advertised() -> None:
    assert listener([]).advertised(LOCAL) == "127.0.0.1:9876"
    assert listener([]).advertised(IPv6Address("TCP", "::1", 9876)) == "[::1]:9876"
    assert listener([], advertise=("example.org", 0)).advertised(LOCAL) == "example.org:9876"
    assert listener([], advertise=("example.org", 1)).advertised(LOCAL) == "example.org:1"


def test_loopback() -> None:
    assert (
        is_loopback("127.0.0.1")
        and is_loopback("127.8.8.8")
        and is_loopback("::1")
        and is_loopback("localhost")
    )
    assert not is_loopback("0.0.0.0") and not is_loopback("192.0.2.1") and not is_loopback("::")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_other_addresses_than_loopback_must_be_allowed_while_no_user_exists(host: str) -> None:
    def bound(**settings: Any) -> Listener:
        made = listener([], **settings)
        made.bound(Port(IPv4Address("TCP", host, 9876)))  # the stored users are not known yet
        return made

    with pytest.raises(ConfigurationError, match=r"--listen test: .*users.*listening.remote_without_users=true"):
        bound().check_exposure()
    bound(remote_without_users=True).check_exposure()
    bound(guarded=True).check_exposure()


def test_unix_sockets_and_loopback_need_no_permission() -> None:
    for host in (LOCAL, UNIXAddress(b"/run/x.sock")):
        port: Any = Port(host)
        made = listener([])
        made.bound(port)
        made.check_exposure()


def cannot(number: int, port: int = 9876) -> str:
    return str(listener([]).cannot_listen(CannotListenError("127.0.0.1", port, OSError(number, "text"))))


def test_a_port_that_cannot_be_had_is_named_with_its_setting() -> None:
    assert cannot(errno.EADDRINUSE) == (
        "--listen test: the listener 'test': port 9876 of 127.0.0.1 is in use; "
        "choose another: --listen test=tcp:PORT:interface=127.0.0.1"
    )
    assert "ports below 1024" in cannot(errno.EACCES, 80)
    assert "no such address" in cannot(errno.EADDRNOTAVAIL)


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("tpc:9876", "did you mean 'tcp'"),
        ("tcp", "is no endpoint such as"),
        ("tcp:many", "is no endpoint such as"),
        ("tcp:1:interfaces=127.0.0.1", "is no endpoint such as"),
    ],
)
def test_a_wrong_endpoint_is_named_with_its_place(endpoint: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--listen test: ") as raised:
        parse_endpoint(Clock(), endpoint, "--listen test")
    assert text in str(raised.value)


def test_a_socket_of_systemd_that_was_not_given_is_named() -> None:
    """Started by hand instead of by its unit: a sentence, no traceback."""
    for endpoint in ("systemd:domain=INET:index=7", "systemd:domain=INET:name=clients"):
        with pytest.raises(ConfigurationError, match=r"--listen test: .*no such socket.*LISTEN_FDS"):
            parse_endpoint(Clock(), endpoint, "--listen test")



# TLS, with real sockets on loopback: the reactor's own startTLS is what is tried.


def serve_tls(tmp_path: Path, reactor: Any, **tls: Any) -> tuple[Zed, Listener, Any]:
    zed = Zed()
    to = listener([zed], reactor, certificates=Certificates(TLSSettings(**tls), str(tmp_path / "tls")))
    return zed, to, reactor.listenTCP(0, to, interface="127.0.0.1")


def talk_tls(port: int, trusted: str | None, *pieces: bytes) -> bytes:
    import ssl

    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2", "http/1.1", "other"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        for piece in pieces:
            secure.sendall(piece)
        return secure.recv(100)


class Echo(Spoken):
    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.transport is not None:
            self.transport.write(data.upper())


@pytest.mark.parametrize("pieces", [(b"zzz",), (b"z", b"zz")])
@pytest_twisted.ensureDeferred
async def test_tls_comes_on_the_same_port_with_a_certificate_of_the_installation(
    tmp_path: Path, pieces: tuple[bytes, ...]
) -> None:
    from twisted.internet import reactor

    zed, to, port = serve_tls(tmp_path, reactor)
    zed.make_protocol = lambda gateway, connection: zed.made.append(Echo(connection)) or zed.made[-1]  # type: ignore[method-assign,func-returns-value]
    to.certificates.ensure()
    try:
        answer = await deferToThread(talk_tls, port.getHost().port, to.certificates.certificate_path, *pieces)
        assert answer in (b"ZZZ", b"ZZ", b"Z")
        assert zed.made[0].information.secure
        assert oct((tmp_path / "tls" / "private_key.pem").stat().st_mode)[-3:] == "600"
    finally:
        await port.stopListening()


def test_tls_off_and_required() -> None:
    off = Certificates(TLSSettings(mode="off"), "/x")
    assert not off.offered(True)
    auto = Certificates(TLSSettings(), "/x")
    assert auto.offered(True) and not auto.offered(False), "the generated certificate is for loopback only"
    with pytest.raises(ConfigurationError, match=r"tls.mode: required needs a certificate"):
        Certificates(TLSSettings(mode="required"), "/x").check()
    to = listener([Zed()], certificates=Certificates(TLSSettings(mode="required", certificate="c"), "/x"))
    transport = connect(to)
    transport.protocol.dataReceived(b"zz")
    assert transport.disconnecting


def test_a_configured_certificate_is_loaded_at_start(tmp_path: Path) -> None:
    generated = Certificates(TLSSettings(), str(tmp_path))
    generated.ensure()
    given = Certificates(
        TLSSettings(certificate=generated.certificate_path, private_key=generated.key_path),
        str(tmp_path / "unused"),
    )
    given.check()
    assert given.offered(False) and not given.is_generated
    assert not (tmp_path / "unused").exists()
    with pytest.raises(ConfigurationError, match="missing.pem .*cannot be used: No such file"):
        Certificates(TLSSettings(certificate=str(tmp_path / "missing.pem")), "/x").check()


def test_a_damaged_generated_certificate_is_made_again(tmp_path: Path) -> None:
    certificates = Certificates(TLSSettings(), str(tmp_path))
    certificates.ensure()
    Path(certificates.key_path).write_text("damaged")
    assert Certificates(TLSSettings(), str(tmp_path)).context() is not None
    assert Path(certificates.key_path).read_text() != "damaged"


def test_the_generated_certificate_is_no_authority(tmp_path: Path) -> None:
    """rustls refuses an authority as a server's own certificate (CaUsedAsEndEntity), and so does Firefox."""
    from cryptography import x509

    certificates = Certificates(TLSSettings(), str(tmp_path))
    certificates.ensure()
    made = x509.load_pem_x509_certificate(Path(certificates.certificate_path).read_bytes())
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_found_is_what_the_core_itself_knows() -> None:
    assert {found.name for found in Found} == {"TLS", "HTTP_1", "HTTP_2", "MORE", "UNKNOWN"}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp:9876:interface=127.0.0.1", "tcp:9876:interface=127.0.0.1:backlog=4096"),
        ("tcp6:9876", "tcp6:9876:backlog=4096"),
        ("tcp:9876:backlog=7", "tcp:9876:backlog=7"),
        ("unix:/run/x", "unix:/run/x"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_a_storm_of_connections_finds_room(endpoint: str, expected: str) -> None:
    assert with_backlog(endpoint) == expected
