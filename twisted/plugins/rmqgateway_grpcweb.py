"""The gRPC-web front-end."""

from rmqgateway.frontend import FrontEndMaker

grpcweb = FrontEndMaker(
    "grpcweb",
    "gRPC-web for browsers, over HTTP and, in both directions, over WebSocket.",
    "rmqgateway_grpcweb.frontend",
    enabled_by_default=True,
)
