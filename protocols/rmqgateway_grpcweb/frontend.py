"""The front-end object: settings, routes, sub-protocol, one call for each request or WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from rmqgateway.apis.limits import ApiSettings
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd

if TYPE_CHECKING:
    from rmqgateway.apis.service import Api
    from rmqgateway.context import Context
    from rmqgateway.interfaces import IGateway

__all__ = ["GrpcWebFrontEnd", "GrpcWebSettings", "front_end"]

_TYPES = (
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
)


class GrpcWebSettings(ApiSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    __doc__ = (ApiSettings.__doc__ or "").replace(
        "Settings of the apache.rocketmq.v2 API", "Settings of the gRPC-web front-end"
    )


@implementer(IRequestFrontEnd, IWebSocketFrontEnd)
class GrpcWebFrontEnd:
    """See `IRequestFrontEnd` and `IWebSocketFrontEnd`. :param now_ms: the wall clock, ms since 1970."""

    name = "grpcweb"
    settings = GrpcWebSettings
    #: The sub-protocol of improbable's client.
    protocols: Sequence[str] = ("grpc-websockets",)

    def __init__(self, now_ms: Callable[[], int] | None = None) -> None:
        self._now_ms = now_ms
        self._settings = GrpcWebSettings()
        self._apis: dict[int, tuple[IGateway, Api]] = {}

    def configure(self, settings: GrpcWebSettings) -> None:
        settings.check()
        self._settings = settings
        self._apis = {}

    def routes(self) -> Iterable[RouteDeclaration]:
        return [RouteDeclaration(("POST",), "/*", _TYPES)]

    def respond(self, gateway: IGateway, request: Any, route: RouteDeclaration) -> None:
        # Imported on first use: protobuf costs 40 ms.
        from rmqgateway_grpcweb.call import WebCall

        WebCall(self._api(gateway), request)

    def open(self, gateway: IGateway, context: Context, socket: Any) -> Any:
        from rmqgateway_grpcweb.web_socket import SocketCalls

        return SocketCalls(self._api(gateway), context, socket)

    def _api(self, gateway: IGateway) -> Api:
        from rmqgateway.apis.service import api_of

        return api_of(gateway, self._settings, self._apis, self._now_ms)


#: What the drop-in names.
front_end = GrpcWebFrontEnd()
