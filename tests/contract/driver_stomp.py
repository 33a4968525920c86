"""The example front-end of a third party, STOMP: what it has no words for, it does not override."""

from __future__ import annotations

from typing import Any

from rmqgateway.errors import Code
from rmqgateway.testing import World
from tests.contract.driver import Driver, Got, Refused, Sent

__all__ = ["StompDriver"]


class StompDriver(Driver):
    name = "stomp"

    def __init__(self, world: World) -> None:
        # The example is a distribution of its own; `conftest.py` puts its source on the path.
        from rmqgateway_stomp.codec import Frame, FrameDecoder, encode_frame
        from rmqgateway_stomp.frontend import StompFrontEnd
        from rmqgateway_stomp.protocol import StompSettings

        super().__init__(world)
        front_end = StompFrontEnd()
        front_end.configure(StompSettings(prefetch=1000))
        self._protocol, self._transport = world.connect(front_end)
        self._decoder = FrameDecoder(1 << 20, 1 << 24)
        self._frame, self._encode = Frame, encode_frame
        self._came: dict[str, list[Any]] = {}
        self._subscribed: dict[tuple[str, str, str], str] = {}
        self._receipts = 0
        self._tell("CONNECT", {"accept-version": "1.2", "host": "x"}, receipt=False)

    def words(self, code: Code) -> object:
        return code.value

    def close(self) -> None:
        self._protocol.connectionLost()  # type: ignore[call-arg]  # the reason has a default
        self.world.settle()

    def _tell(self, command: str, headers: dict[str, str], body: bytes = b"", receipt: bool = True) -> None:
        self._receipts += 1
        wanted = str(self._receipts)
        if receipt:
            headers = {**headers, "receipt": wanted}
        self._protocol.dataReceived(self._encode(self._frame(command, headers, body)))
        self.world.settle()
        if receipt:
            assert wanted in self._read(), f"{command} was not receipted"

    def _read(self) -> list[str]:
        receipts = []
        for frame in self._decoder.receive_data(self._transport.value()):
            if frame.command == "MESSAGE":
                self._came.setdefault(frame.headers["subscription"], []).append(frame)
            elif frame.command == "RECEIPT":
                receipts.append(frame.headers["receipt-id"])
            elif frame.command == "ERROR":
                self._transport.clear()
                raise Refused(frame.headers["message"], frame.body.decode())
        self._transport.clear()
        return receipts

    def send(
        self,
        topic: str,
        body: str,
        *,
        tag: str = "",
        keys: str = "",
        message_group: str = "",
        delay_ms: int = 0,
        properties: dict[str, str] | None = None,
    ) -> Sent:
        headers = {"tags": tag, "keys": keys, "message-group": message_group, **(properties or {})}
        if delay_ms:
            headers["delay"] = str(delay_ms)
        headers = {name: value for name, value in headers.items() if value}
        self._tell("SEND", {"destination": f"/topic/{topic}", **headers}, body.encode())
        return Sent()

    def receive(self, group: str, topic: str, max_messages: int = 32, tags: str = "*") -> list[Got]:
        key = self._subscribed.get((group, topic, tags))
        if key is None:
            key = self._subscribed[group, topic, tags] = str(len(self._subscribed))
            headers = {
                "id": key,
                "destination": f"/topic/{topic}",
                "group": group,
                "ack": "client-individual",
                "tags": tags,
                "prefetch-count": str(max_messages),
            }
            self._tell("SUBSCRIBE", headers)
        self.world.settle()
        self._read()
        return [
            Got(
                frame.body.decode(),
                {
                    **frame.headers,
                    "TAGS": frame.headers.get("tags", ""),
                    "KEYS": frame.headers.get("keys", ""),
                    "UNIQ_KEY": frame.headers["message-id"],
                },
                topic,
                handle=frame.headers["ack"],
                attempt=int(frame.headers["delivery-attempt"]),
            )
            for frame in self._came.pop(key, [])
        ]

    def ack(self, group: str, topic: str, message: Got) -> None:
        self._tell("ACK", {"id": message.handle})

    def release(self, group: str, topic: str, message: Got, delay_ms: int) -> None:
        self._tell("NACK", {"id": message.handle, "delay": str(delay_ms)})

    def dead_letter(self, group: str, topic: str, message: Got) -> None:
        self._tell("NACK", {"id": message.handle, "requeue": "false"})
