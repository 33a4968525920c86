"""One STOMP connection."""

import msgspec
from twisted.internet.defer import Deferred

from rmqgateway.connection import ClientConnection
from rmqgateway.context import Credential
from rmqgateway.errors import WireError
from rmqgateway.setting_types import Positive
from rmqgateway.wire.text import number, required
from rmqgateway_stomp import convert
from rmqgateway_stomp.codec import Frame, FrameDecoder, encode_frame


class StompSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the STOMP front-end; sizes in bytes.

    :ivar max_head: command and headers of a frame.
    :ivar max_body: a frame's body.
    :ivar prefetch: messages that a subscription may have unacknowledged.
    :ivar default_group: the consumer group of a SUBSCRIBE that names none.
    :ivar nack_delay_ms: how long after a NACK a message comes again.
    :ivar heart_beat_ms: how often heart-beats are sent and wanted, where the client has them; 0: never.
    """

    max_head: Positive = 32 * 1024
    max_body: Positive = 4 * 1024 * 1024
    prefetch: Positive = 32
    default_group: str = "STOMP"
    nack_delay_ms: int = 10_000
    heart_beat_ms: int = 10_000


class StompProtocol(ClientConnection):
    front_end = "stomp"
    settings: StompSettings

    def opened(self) -> None:
        self._decoder = FrameDecoder(self.settings.max_head, self.settings.max_body)
        self._connected = False
        self.expect_every(self.stalled_seconds)  # until it says CONNECT

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.receive_data(data):
            self.serve(self._carry_out, frame)

    def _carry_out(self, frame: Frame) -> object:
        match frame.command:
            case "CONNECT" | "STOMP" if not self._connected:
                self._connect(frame)
                return None
            case "SEND" if self._connected:
                return self.execute(convert.send_messages(frame), len(frame.body))
            case "SUBSCRIBE" if self._connected:
                return self._subscribe(frame, required(frame.headers, "id"))
            case "UNSUBSCRIBE":
                return self.consumers.close(required(frame.headers, "id"))
            case "ACK" | "NACK":
                settlement, delay_ms = convert.settlement(frame, self.settings.nack_delay_ms)
                return self.consumers.settle(required(frame.headers, "id"), settlement, delay_ms)
            case "DISCONNECT":
                return self.finished()
            case command:
                raise WireError(f"{command[:40]!r} is unknown, or not expected now")

    def served(self, frame: Frame, reply: object) -> None:
        if receipt := frame.headers.get("receipt"):
            self.send(encode_frame(Frame("RECEIPT", {"receipt-id": receipt})))
        if frame.command == "DISCONNECT":
            self.close()

    def failed(self, error: BaseException | None, frame: Frame | None = None) -> None:
        self.send(encode_frame(convert.error(error, frame.headers.get("receipt") if frame else None)))
        self.close()

    def _connect(self, frame: Frame) -> None:
        headers, beat = frame.headers, self.settings.heart_beat_ms
        if "1.2" not in required(headers, "accept-version").split(","):
            raise WireError(f"accept-version: expected 1.2, got {headers['accept-version'][:40]!r}")
        if "login" in headers:
            self.authenticate(Credential.from_password(headers["login"], headers.get("passcode", "")))
        gives, _, wants = headers.get("heart-beat", "0,0").partition(",")
        self.expect_every(2 * convert.heart_beat(gives, beat))
        self.send_every(convert.heart_beat(wants, beat), b"\n")
        self._connected = True
        self.send(encode_frame(Frame("CONNECTED", {"version": "1.2", "heart-beat": f"{beat},{beat}"})))

    def _subscribe(self, frame: Frame, name: str) -> Deferred[None]:
        most = self.settings.prefetch
        return self.consumers.begin(
            name,
            convert.subscription(frame, self.settings.default_group),
            min(number(frame.headers.get("prefetch-count", str(most)), "prefetch-count"), most),
            lambda delivery, token: self.send(encode_frame(convert.message(frame, delivery, token))),
            cumulative=frame.headers.get("ack") == "client",
        )
