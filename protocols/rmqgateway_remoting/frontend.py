"""The front-end object: settings, which connections are Remoting's, one protocol for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rmqgateway.frontend import ConnectionFrontEnd, Recognition
from rmqgateway.wire.remoting import MAX_FRAME, MAX_HEADER

if TYPE_CHECKING:
    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.interfaces import IGateway
    from rmqgateway_remoting.passthrough import PassthroughProtocol
    from rmqgateway_remoting.protocol import RemotingProtocol

__all__ = ["RemotingFrontEnd", "RemotingSettings", "front_end"]


class RemotingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the Remoting front-end; sizes in bytes, times in seconds.

    :ivar max_frame: the largest request, header and body together.
    :ivar max_header: the largest header of a request.
    :ivar in_flight_bytes: of a connection whose unanswered requests hold more, nothing is read until they hold half.
    :ivar in_flight_requests: the same, as a number of requests that do not wait for messages.
    :ivar unsent_bytes: of a connection that has not taken this much of its answers, nothing is read until it has half.
    :ivar max_unsent_bytes: a connection that leaves more than this unread is closed.
    :ivar stalled_seconds: a connection that takes nothing of what is sent to it for this long is closed.
    :ivar idle_seconds: a connection that says nothing for this long is closed.
    """

    max_frame: int = MAX_FRAME
    max_header: int = MAX_HEADER
    in_flight_bytes: int = 32 * 1024 * 1024
    in_flight_requests: int = 10_000
    unsent_bytes: int = 4 * 1024 * 1024
    max_unsent_bytes: int = 64 * 1024 * 1024
    stalled_seconds: float = 30.0
    idle_seconds: float = 120.0


class RemotingFrontEnd(ConnectionFrontEnd):
    """See `IConnectionFrontEnd`."""

    name = "remoting"
    settings = RemotingSettings
    recognition_order = 50

    def configure(self, settings: RemotingSettings) -> None:
        if settings.max_header < 1024:
            raise ValueError(f"max_header: expected at least 1024, got {settings.max_header}")
        if not settings.max_header < settings.max_frame < 1 << 31:
            raise ValueError(f"max_frame: expected more than max_header and less than 2 GiB, got {settings.max_frame}")
        for field in ("in_flight_bytes", "in_flight_requests", "unsent_bytes", "stalled_seconds", "idle_seconds"):
            if getattr(settings, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(settings, field)}")
        if settings.max_unsent_bytes < settings.unsent_bytes:
            raise ValueError(f"max_unsent_bytes: expected at least unsent_bytes, got {settings.max_unsent_bytes}")
        super().configure(settings)

    def recognise(self, first_bytes: bytes) -> Recognition:
        """A frame's length below 16 MiB begins with a zero byte, as no line of text and no TLS record does; the
        serialization is 0 or 1, the header's length fits, and a JSON header begins with a brace."""
        have = len(first_bytes)
        if have and first_bytes[0] > (self._settings.max_frame >> 24):
            return Recognition.NO
        if have < 4:
            return Recognition.MORE
        total = int.from_bytes(first_bytes[:4], "big")
        if not 4 <= total <= self._settings.max_frame - 4:
            return Recognition.NO
        if have >= 5 and first_bytes[4] > 1:
            return Recognition.NO
        if have < 8:
            return Recognition.MORE
        header = int.from_bytes(first_bytes[5:8], "big")
        if not 2 <= header <= min(total - 4, self._settings.max_header):
            return Recognition.NO
        if first_bytes[4] == 1:
            return Recognition.YES if header >= 21 else Recognition.NO
        if have < 9:
            return Recognition.MORE
        return Recognition.YES if first_bytes[8] in b"{ \t\r\n" else Recognition.NO

    def make_protocol(
        self, gateway: IGateway, connection: ConnectionInformation
    ) -> RemotingProtocol | PassthroughProtocol:
        # Imported here so that announcing the front-end costs no reactor.
        if gateway.passthrough is not None:
            from rmqgateway_remoting.passthrough import PassthroughProtocol

            return PassthroughProtocol(gateway, gateway.passthrough, connection, self._settings)
        from rmqgateway_remoting.protocol import RemotingProtocol

        return RemotingProtocol(gateway, connection, self._settings)


#: What the drop-in names.
front_end = RemotingFrontEnd()
