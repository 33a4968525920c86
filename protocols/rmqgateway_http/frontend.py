"""The front-end object: settings and routes; everything else is imported with the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from zope.interface import implementer

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rmqgateway_http.service import HttpService

__all__ = ["HttpFrontEnd", "HttpFrontEndSettings", "front_end"]

#: OPTIONS too: which methods a path has is known here, not to the core.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Request headers that pages of allowed origins may send. Names of properties differ: pages send those in JSON.
_ALLOW_HEADERS = (
    "content-encoding", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-dataschema",
    "x-rocketmq-tag", "x-rocketmq-keys", "x-rocketmq-message-group", "x-rocketmq-delay", "x-rocketmq-deliver-at",
    "x-rocketmq-delay-level", "x-rocketmq-queue-id", "x-rocketmq-producer-group",
)  # fmt: skip
_EXPOSE_HEADERS = (
    "x-rocketmq-message-id", "x-rocketmq-receipt-handle", "x-rocketmq-tag", "x-rocketmq-keys",
    "x-rocketmq-delivery-attempt", "x-rocketmq-message-group", "x-rocketmq-reply-to",
)  # fmt: skip


class HttpFrontEndSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the HTTP front-end; sizes in bytes, times in seconds.

    :ivar max_body: the largest message body.
    :ivar max_request: the largest request that is JSON (an envelope with many messages, CloudEvents), uncompressed.
    :ivar max_messages: messages in one request, at most.
    :ivar max_wait_s: the longest long poll.
    :ivar invisible_s: how long a received message stays invisible to others when the request does not say.
    :ivar gzip_from: responses of at least this size are compressed for clients that accept it; 0 is never.
    :ivar gzip_streams: streams that are compressed at the same time, 32 KiB each; those beyond are not, whatever they accept.
    :ivar stream_window: how many messages a stream's client may have unsettled when it does not say.
    :ivar stream_bytes: a stream whose client has left so much unread gets nothing more until it has read half.
    :ivar stream_ping_s: a stream without messages says so every so often, so that what is between keeps it open.
    :ivar resume_s: how long the unsettled messages of a broken stream of Server-Sent Events wait for it to come back.
    """

    max_body: int = 4 * 1024 * 1024
    max_request: int = 16 * 1024 * 1024
    max_messages: int = 1024
    max_wait_s: float = 30.0
    invisible_s: float = 60.0
    gzip_from: int = 1024
    gzip_streams: int = 1000
    stream_window: int = 32
    stream_bytes: int = 64 * 1024
    stream_ping_s: float = 15.0
    resume_s: float = 2.0


@implementer(IRequestFrontEnd)
class HttpFrontEnd:
    """See `IRequestFrontEnd`."""

    name = "http"
    settings = HttpFrontEndSettings

    def __init__(self) -> None:
        self._settings = HttpFrontEndSettings()
        self._gateway: Any = None
        self._service: HttpService | None = None

    def configure(self, settings: HttpFrontEndSettings) -> None:
        for field in ("max_body", "max_request", "max_messages", "invisible_s", "stream_window", "stream_bytes", "stream_ping_s"):
            if getattr(settings, field) <= 0:
                raise ValueError(f"{field}: expected more than 0, got {getattr(settings, field)}")
        for field, most in (("max_wait_s", 30.0), ("resume_s", 60.0)):
            if not 0 <= getattr(settings, field) <= most:
                raise ValueError(f"{field}: expected 0 to {most:g}, got {getattr(settings, field)}")
        for field in ("gzip_from", "gzip_streams"):
            if getattr(settings, field) < 0:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(settings, field)}")
        self._settings = settings
        self._service = None

    def routes(self) -> Iterable[RouteDeclaration]:
        yield RouteDeclaration(_METHODS, "/v1/*", allow_headers=_ALLOW_HEADERS, expose_headers=_EXPOSE_HEADERS)
        for path in ("/openapi.json", "/docs", "/healthz", "/readyz"):
            yield RouteDeclaration(("GET",), path)
        # Whoever has something better to show there may.
        yield RouteDeclaration(("GET",), "/", priority=-10)

    def respond(self, gateway: Any, request: Any, route: RouteDeclaration) -> None:
        service = self._service
        if service is None or self._gateway is not gateway:
            from rmqgateway_http.service import HttpService

            service = self._service = HttpService(gateway, self._settings)
            self._gateway = gateway
        service.respond(request)


#: What the drop-in names.
front_end = HttpFrontEnd()
