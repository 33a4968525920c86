"""The front-end object: settings and routes; what answers is imported with the first request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from zope.interface import implementer

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.interfaces import IGateway, IRequest
    from rmqgateway_mqhttp.requests import Responder

__all__ = ["MqHttpFrontEnd", "MqHttpSettings", "front_end"]


class MqHttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the MQ HTTP front-end.

    :ivar max_request: bytes of a request's body; the XML of a message is longer than its body.
    :ivar invisible_seconds: how long a consumed message is kept from others of its group until it is acknowledged.
    :ivar half_invisible_seconds: how long the handle of a fetched half message is valid.
    """

    max_request: int = 8 * 1024 * 1024
    invisible_seconds: float = 300.0
    half_invisible_seconds: float = 30.0


@implementer(IRequestFrontEnd)
class MqHttpFrontEnd:
    """See `IRequestFrontEnd`. :param now: the wall clock, seconds since 1970."""

    name = "mqhttp"
    settings = MqHttpSettings

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._settings = MqHttpSettings()
        self._now = now
        self._responder: Responder | None = None

    def configure(self, settings: MqHttpSettings) -> None:
        if settings.max_request < 1024:
            raise ValueError(f"max_request: expected at least 1024, got {settings.max_request}")
        for field in ("invisible_seconds", "half_invisible_seconds"):
            if not 0.001 <= getattr(settings, field) <= 12 * 3600:
                raise ValueError(f"{field}: expected 0.001 to 43200, got {getattr(settings, field)}")
        self._settings = settings

    def routes(self) -> tuple[RouteDeclaration, ...]:
        return (
            RouteDeclaration(
                ("POST", "GET", "DELETE"),
                "/topics/*",
                allow_headers=("authorization", "content-md5", "date", "security-token", "x-mq-version"),
                expose_headers=("x-mq-request-id",),
            ),
        )

    def respond(self, gateway: IGateway, request: IRequest, route: RouteDeclaration) -> None:
        responder = self._responder
        if responder is None or responder.gateway is not gateway:
            # Imported here so that announcing the front-end costs next to nothing.
            from rmqgateway_mqhttp.requests import Responder

            responder = self._responder = Responder(gateway, self._settings, self._now)
        responder.respond(request)


#: What the drop-in names.
front_end = MqHttpFrontEnd()
