"""One STOMP connection."""

from typing import Annotated, Any

import msgspec
from twisted.internet.defer import Deferred

from rmqgateway.connection import ClientConnection
from rmqgateway.consumer import Consumer
from rmqgateway.context import Credential
from rmqgateway.errors import WireError
from rmqgateway.frontend import ConnectionInformation
from rmqgateway.interfaces import IGateway
from rmqgateway.subscription import Delivery
from rmqgateway_stomp import convert
from rmqgateway_stomp.codec import Frame, FrameDecoder, encode_frame

_Positive = Annotated[int, msgspec.Meta(gt=0)]


class StompSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the STOMP front-end; sizes in bytes.

    :ivar max_head: command and headers of a frame.
    :ivar max_body: a frame's body.
    :ivar prefetch: messages that a subscription may have unacknowledged.
    :ivar default_group: the consumer group of a SUBSCRIBE that names none.
    :ivar nack_delay_ms: how long after a NACK a message comes again.
    :ivar heart_beat_ms: how often heart-beats are sent and wanted, where the client has them; 0: never.
    """

    max_head: _Positive = 32 * 1024
    max_body: _Positive = 4 * 1024 * 1024
    prefetch: _Positive = 32
    default_group: str = "STOMP"
    nack_delay_ms: int = 10_000
    heart_beat_ms: int = 10_000


class StompProtocol(ClientConnection):
    front_end = "stomp"

    def __init__(self, gateway: IGateway, connection: ConnectionInformation, settings: StompSettings) -> None:
        super().__init__(gateway, connection)
        self._settings = settings
        self._decoder = FrameDecoder(settings.max_head, settings.max_body)
        self._connected = False
        self._consumers: dict[str, Consumer] = {}

    def opened(self) -> None:
        self.expect_every(self.stalled_seconds)  # until it says CONNECT

    def send_frame(self, frame: Frame) -> None:
        self.send(encode_frame(frame))

    def failed(self, error: BaseException | None, receipt: str = "") -> None:
        self.send_frame(convert.error(error, receipt))
        self.close()

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.receive_data(data):
            self._frame_received(frame, frame.headers.get("receipt", ""))

    def _frame_received(self, frame: Frame, receipt: str) -> None:
        self.attempt(self._serve, frame).addCallbacks(
            lambda _: self._succeeded(frame, receipt), lambda failure: self.failed(failure.value, receipt)
        )

    def _serve(self, frame: Frame) -> Deferred[Any]:
        key = frame.headers.get("id", "")
        match frame.command:
            case "CONNECT" | "STOMP" if not self._connected:
                return self._connect(frame)
            case "SEND" if self._connected:
                return self.execute(convert.send_messages(frame), len(frame.body))
            case "SUBSCRIBE" if self._connected and key not in self._consumers:
                return self._subscribe(frame, convert.needed(frame, "id"))
            case "UNSUBSCRIBE" if key in self._consumers:
                return self._consumers.pop(key).close()
            case "ACK" | "NACK" if key.rpartition(" ")[0] in self._consumers:
                return self._settle(frame, *key.rsplit(" ", 1))
            case "DISCONNECT" if self._connected:
                return self.finished()
            case command:
                raise WireError(f"{command[:40]!r} is unknown, or not expected now or with this id")

    def _succeeded(self, frame: Frame, receipt: str) -> None:
        if receipt:
            self.send_frame(Frame("RECEIPT", {"receipt-id": receipt}))
        if frame.command == "DISCONNECT":
            self.close()

    def _connect(self, frame: Frame) -> Deferred[None]:
        headers, beat = frame.headers, self._settings.heart_beat_ms
        if "1.2" not in convert.needed(frame, "accept-version").split(","):
            raise WireError(f"accept-version: expected 1.2, got {headers['accept-version']!r}")
        if "login" in headers:
            self.authenticate(Credential.from_password(headers["login"], headers.get("passcode", "")))
        gives, _, wants = headers.get("heart-beat", "0,0").partition(",")
        self.expect_every(2 * convert.seconds(gives, beat))
        self.send_every(convert.seconds(wants, beat), b"\n")
        self._connected = True
        self.send_frame(Frame("CONNECTED", {"version": "1.2", "heart-beat": f"{beat},{beat}"}))
        return self.finished()

    def _subscribe(self, frame: Frame, key: str) -> Deferred[None]:
        wanted = convert.subscription(frame, self._settings.default_group)
        window = convert.number(frame.headers.get("prefetch-count", str(self._settings.prefetch)))

        def deliver(delivery: Delivery, number: int) -> None:
            self.send_frame(convert.message(frame, delivery, number))

        cumulative = frame.headers.get("ack") == "client"
        self._consumers[key] = Consumer(self, wanted, min(window, self._settings.prefetch), deliver, cumulative)
        return self._consumers[key].begin()

    def _settle(self, frame: Frame, key: str, number: str) -> Deferred[None]:
        settlement, delay = convert.settlement(frame, self._settings.nack_delay_ms)
        return self._consumers[key].settle(convert.number(number), settlement, delay)
