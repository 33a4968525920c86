"""The WebSocket front-end."""

from rmqgateway.frontend import FrontEndMaker

websocket = FrontEndMaker(
    "websocket",
    "WebSocket for browsers: JSON or MessagePack frames, the browser's module, an example page.",
    "rmqgateway_websocket.frontend",
    "WebSocketFrontEnd",
    enabled_by_default=True,
)
