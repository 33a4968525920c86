"""The gRPC front-end."""

from rmqgateway.frontend import FrontEndMaker

grpc = FrontEndMaker(
    "grpc",
    "The official RocketMQ 5.x clients over gRPC (Java, Go, Node, Python, Rust, C++, C#).",
    "rmqgateway_grpc.frontend",
    enabled_by_default=True,
)
