"""The front-end object: settings, sub-protocols, pages; a client's code is imported with the first client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway_websocket.pages import Pages
from rmqgateway_websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    from rmqgateway.context import Context
    from rmqgateway.interfaces import IGateway, IRequest, IWebSocket
    from rmqgateway_websocket.connection import Client
    from rmqgateway_websocket.sent_ids import SentIds

__all__ = ["WebSocketFrontEnd"]


@implementer(IWebSocketFrontEnd, IRequestFrontEnd)
class WebSocketFrontEnd:
    """See the package. :param wall: seconds since 1970."""

    name = "websocket"
    settings = WebSocketSettings
    #: MessagePack first: a client that offers both has a use for bytes.
    protocols = ("rmqgateway.v1.msgpack", "rmqgateway.v1.json")

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._settings = WebSocketSettings()
        self._pages = Pages(True)
        self._ids: tuple[IGateway, SentIds] | None = None

    def configure(self, settings: WebSocketSettings) -> None:
        """See IFrontEnd."""
        self._settings = settings
        self._pages = Pages(settings.example)

    def open(self, gateway: IGateway, context: Context, socket: IWebSocket) -> Client:
        """See IWebSocketFrontEnd."""
        from rmqgateway_websocket.codec import CODECS
        from rmqgateway_websocket.connection import Client

        information = getattr(getattr(socket, "request", None), "information", None)
        private = bool(information is not None and information.secure) or _is_loopback(context.session.peer)
        return Client(
            self._settings, gateway, context, socket, CODECS[socket.protocol], self._sent_ids(gateway), private
        )

    def _sent_ids(self, gateway: IGateway) -> SentIds:
        """The memory of this gateway."""
        if self._ids is None or self._ids[0] is not gateway:
            from rmqgateway_websocket.sent_ids import SentIds

            self._ids = gateway, SentIds(gateway, self._wall, self._settings.remembered_ids)
        return self._ids[1]

    def routes(self) -> Iterable[RouteDeclaration]:
        """See IRequestFrontEnd."""
        return self._pages.routes()

    def respond(self, gateway: IGateway, request: IRequest, route: RouteDeclaration) -> None:
        """See IRequestFrontEnd."""
        path: Any = route.data
        self._pages.respond(request, path)


def _is_loopback(peer: str) -> bool:
    return peer.startswith(("127.", "[::1]", "0.0.0.0:0"))
