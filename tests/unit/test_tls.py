"""TLS upon a transport in memory, against the standard library's own other side."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rmqgateway.backend.cluster.secure import Secure
from rmqgateway.backend.cluster.settings import ClusterSettings
from rmqgateway.config_sections import TLSSettings
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.listeners_tls import Certificates, generate
from rmqgateway.tls import TLSTransport


class Above:
    """The protocol that TLS is for."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.reason: Failure | None = None
        self.paused = 0
        self.on_data: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.reads.append(data)
        if self.on_data is not None:
            self.on_data(data)

    def connectionLost(self, reason: Failure) -> None:
        self.reason = reason

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.paused -= 1

    def stopProducing(self) -> None:
        pass


class Peer:
    """The other side, as the standard library does it."""

    def __init__(self, context: ssl.SSLContext, name: str | None = "localhost") -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=name is None, server_hostname=name
        )
        self.opened = False
        self.heard = b""
        self.ended = False

    def take(self, data: bytes) -> bytes:
        """What it says to that."""
        self.incoming.write(data)
        try:
            if not self.opened:
                self.tls.do_handshake()
                self.opened = True
            while True:
                piece = self.tls.read(65536)
                if not piece:
                    self.ended = True
                    break
                self.heard += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return self.outgoing.read()

    def say(self, data: bytes) -> bytes:
        """Records with this."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.tls.write(rest) :]
        return self.outgoing.read()


class World:
    """A server's side in memory, and its client."""

    def __init__(self, directory: Path, **tls: Any) -> None:
        certificates = Certificates(TLSSettings(**tls), str(directory))
        certificates.ensure()
        self.above = Above()
        self.below = StringTransport()
        self.server = TLSTransport(certificates.context(), self.below, self.above)  # type: ignore[arg-type]
        self.context = ssl.create_default_context(cafile=certificates.certificate_path)
        self.client = Peer(self.context)

    def shake_hands(self) -> None:
        for _ in range(4):
            self.to_server(self.client.take(self.from_server()))
        assert self.client.opened

    def from_server(self) -> bytes:
        data: bytes = self.below.value()
        self.below.clear()
        return data

    def to_server(self, data: bytes) -> None:
        if data:
            self.server.dataReceived(data)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def world(directory: Path) -> World:
    made = World(directory)
    made.shake_hands()
    return made


def test_many_records_of_one_read_are_handed_on_in_one_piece(world: World) -> None:
    world.to_server(b"".join(world.client.say(piece) for piece in (b"one ", b"two ", b"three")))
    assert world.above.reads == [b"one two three"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 20_000), max_size=20),
)
def test_any_cut_of_the_bytes_gives_the_same(directory: Path, sizes: list[int], cuts: list[int]) -> None:
    world = World(directory)
    world.shake_hands()
    sent = b"".join(bytes([at & 255]) * size for at, size in enumerate(sizes))
    rest = world.client.say(sent)
    for cut in cuts:
        world.to_server(rest[:cut])
        rest = rest[cut:]
    world.to_server(rest)
    assert b"".join(world.above.reads) == sent


def test_the_handshake_byte_by_byte(directory: Path) -> None:
    world = World(directory)
    for _ in range(4):
        for byte in world.client.take(world.from_server()):
            world.to_server(bytes([byte]))
    for byte in world.client.say(b"hello"):
        world.to_server(bytes([byte]))
    assert world.above.reads == [b"hello"]


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 1_000_000])
def test_what_is_written_arrives(world: World, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    world.server.write(data[:size])
    world.client.take(world.from_server())
    assert world.client.heard == data[:size]


def test_writing_while_reading_goes_out_at_once(world: World) -> None:
    world.above.on_data = lambda data: world.server.writeSequence([data.upper(), b"!"])
    world.to_server(world.client.say(b"hello"))
    world.client.take(world.from_server())
    assert world.client.heard == b"HELLO!"


def test_closing_tells_the_peer_after_everything_written(world: World) -> None:
    world.server.write(b"last")
    world.server.loseConnection()
    world.server.write(b"too late")
    assert world.below.disconnecting and world.server.disconnecting
    world.client.take(world.from_server())
    assert (world.client.heard, world.client.ended) == (b"last", True)


def test_nothing_is_handed_on_after_closing(world: World) -> None:
    world.server.loseConnection()
    world.to_server(world.client.say(b"more"))
    assert world.above.reads == []


def test_the_peers_end_closes_and_what_follows_it_is_nobodys(world: World) -> None:
    said = world.client.say(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        world.client.tls.unwrap()
    world.to_server(said + world.client.outgoing.read() + b"junk" * 10)
    assert world.above.reads == [b"bye"]
    assert world.below.disconnecting
    world.client.take(world.from_server())
    assert world.client.ended


@pytest.mark.parametrize("where", ["instead of hello", "instead of a record"])
def test_what_is_no_tls_ends_the_connection_with_its_reason(directory: Path, where: str) -> None:
    world = World(directory)
    if where == "instead of a record":
        world.shake_hands()
    world.to_server(b"\x16\x03\x01\x00\x05nope!" + bytes(200))
    assert world.below.disconnecting
    assert world.below.value()[:1] in (b"\x15", b"\x17"), "the peer is sent an alert"
    world.server.dataReceived(b"more of that")
    world.server.connectionLost(Failure(ConnectionLost()))
    assert world.above.reason is not None
    assert isinstance(world.above.reason.value, ssl.SSLError)
    assert world.server.disconnected


def test_a_changed_record_is_refused(world: World) -> None:
    record = bytearray(world.client.say(b"pay 1"))
    record[-1] ^= 1
    world.to_server(world.client.say(b"x")[:0] + bytes(record))
    assert world.above.reads == []
    assert world.below.disconnecting


def test_a_connection_that_breaks_says_what_the_transport_says(world: World) -> None:
    world.server.connectionLost(Failure(ConnectionLost()))
    assert world.above.reason is not None
    assert world.above.reason.check(ConnectionLost)
    world.server.write(b"to nobody")
    assert not world.below.value()


def test_aborting(world: World) -> None:
    world.server.abortConnection()
    world.server.write(b"more")
    assert world.below.disconnected
    assert not world.below.value()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["other"], None), ([], None)],
)
def test_protocols(directory: Path, offered: list[str], chosen: str | None) -> None:
    world = World(directory)
    if offered:
        world.context.set_alpn_protocols(offered)
        world.client = Peer(world.context)
    world.shake_hands()
    assert world.client.tls.selected_alpn_protocol() == chosen


@pytest.mark.parametrize(("least", "served"), [("1.2", True), ("1.3", False)])
def test_the_least_version(directory: Path, least: str, served: bool) -> None:
    world = World(directory, minimum_version=least)
    world.context.maximum_version = ssl.TLSVersion.TLSv1_2
    world.client = Peer(world.context)
    if served:
        world.shake_hands()
        assert world.client.tls.version() == "TLSv1.2"
    else:
        world.to_server(world.client.take(b""))
        assert world.below.disconnecting


def test_back_pressure_is_the_transports(world: World) -> None:
    world.server.registerProducer(world.above, True)
    assert world.below.producer is world.above and world.above.paused == 0
    world.server.pauseProducing()
    assert world.below.producerState == "paused"
    world.server.resumeProducing()
    assert world.below.producerState == "producing"
    world.server.unregisterProducer()
    assert world.below.producer is None
    assert (world.server.getPeer(), world.server.getHost()) == (world.below.getPeer(), world.below.getHost())


# Connections that go out.


class Out:
    """A client's side in memory, and its server."""

    def __init__(self, directory: Path, address: str = "localhost:1", **settings: Any) -> None:
        server = Certificates(TLSSettings(), str(directory))
        server.ensure()
        if settings.get("tls_ca") == "right":
            settings["tls_ca"] = server.certificate_path
        self.above = Above()
        self.below: Any = StringTransport()
        secure = Secure(ClusterSettings(**settings))
        self.transport: Any = secure(self.below, self.above, address)  # type: ignore[arg-type]
        self.server = Peer(server.context(), None)

    def talk(self) -> None:
        for _ in range(4):
            said = self.server.take(self.below.value())
            self.below.clear()
            if said:
                self.transport.dataReceived(said)


@pytest.mark.parametrize("address", ["localhost:10911", "127.0.0.1:10911", "[::1]:10911"])
def test_a_broker_with_a_good_certificate(directory: Path, address: str) -> None:
    out = Out(directory, address, tls="verify", tls_ca="right")
    assert out.below.protocol is out.transport
    out.transport.write(b"early")
    out.transport.registerProducer(out.above, True)
    assert out.above.paused == 1, "what is kept for the handshake does not grow"
    out.talk()
    assert (out.server.heard, out.above.paused) == (b"early", 0)
    out.transport.dataReceived(out.server.say(b"answer"))
    assert out.above.reads == [b"answer"]


def test_what_was_written_before_the_handshake_and_closing_arrives(directory: Path) -> None:
    out = Out(directory, tls="unverified")
    out.transport.write(b"last words")
    out.transport.loseConnection()
    assert not out.below.disconnecting
    out.talk()
    assert (out.server.heard, out.server.ended, out.below.disconnecting) == (b"last words", True, True)


@pytest.mark.parametrize(
    ("address", "settings", "words"),
    [
        ("broker.example:1", {"tls": "verify", "tls_ca": "right"}, "Hostname mismatch"),
        ("10.0.0.1:1", {"tls": "verify", "tls_ca": "right"}, "IP address mismatch"),
        ("localhost:1", {"tls": "verify"}, "self-signed"),
    ],
)
def test_a_broker_that_is_another_is_told_nothing(
    directory: Path, address: str, settings: Any, words: str
) -> None:
    out = Out(directory, address, **settings)
    out.transport.write(b"secret")
    for _ in range(2):
        said = out.server.take(out.below.value())
        out.below.clear()
        out.transport.dataReceived(said)
        if out.below.disconnecting:
            break
    assert out.below.disconnecting
    with pytest.raises(ssl.SSLError):
        out.server.take(out.below.value())
    assert out.server.heard == b""
    out.transport.connectionLost(Failure(ConnectionLost()))
    assert words in out.above.reason.getErrorMessage()  # type: ignore[union-attr]


def test_unverified_takes_any_certificate(directory: Path) -> None:
    out = Out(directory, "elsewhere.example:1", tls="unverified")
    out.transport.write(b"hello")
    out.talk()
    assert out.server.heard == b"hello"


def test_a_host_that_no_certificate_can_name(directory: Path) -> None:
    out = Out(directory, ":10911", tls="unverified")
    assert out.transport is out.below and out.below.disconnected


def test_without_tls_the_transport_stays(directory: Path) -> None:
    out = Out(directory, tls="off")
    assert out.transport is out.below


def test_authorities_that_cannot_be_used_are_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"cluster\.tls_ca: .*missing\.pem cannot be used: No such file"
    ):
        Secure(ClusterSettings(tls="verify", tls_ca=str(tmp_path / "missing.pem")))
    other = tmp_path / "other.pem"
    other.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"other\.pem cannot be used: it holds no certificate"):
        Secure(ClusterSettings(tls="verify", tls_ca=str(other)))


# Certificates that cannot be used.


def locked(directory: Path) -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization

    certificate, key = str(directory / "c.pem"), str(directory / "k.pem")
    generate(certificate, key)
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    Path(key).write_bytes(
        loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return certificate, key


def test_bad_certificates_are_named(tmp_path: Path) -> None:
    certificate, key = locked(tmp_path)

    def reason(certificate: str, key: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            Certificates(TLSSettings(certificate=certificate, private_key=key), "/x").check()
        return str(caught.value)

    assert "needs a password" in reason(certificate, key)
    assert "holds no private key" in reason(certificate, certificate)
    assert "holds no certificate" in reason(key, key)
    (tmp_path / "other").mkdir()
    generate(str(tmp_path / "other" / "c.pem"), str(tmp_path / "other" / "k.pem"))
    assert "does not belong to" in reason(certificate, str(tmp_path / "other" / "k.pem"))
