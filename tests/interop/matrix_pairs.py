"""Which official clients meet in `test_matrix`, and with which kinds of messages."""

from __future__ import annotations

__all__ = ["CLIENTS", "PAIRS"]

CLIENTS = {
    "java": "Java, Remoting 5.5.0",
    "go": "Go, Remoting",
    "java_grpc": "Java, gRPC",
    "python_grpc": "Python, gRPC",
    "mqhttp": "Python, mq_http_sdk",
    "curl": "curl",
    "browser": "the browser's module (node)",
}

#: (who sends, who receives, kind).
PAIRS = (
    ("java", "java_grpc", "normal"),
    ("java", "python_grpc", "normal"),
    ("java", "mqhttp", "normal"),
    ("java", "curl", "normal"),
    ("java", "browser", "normal"),
    ("java_grpc", "java", "normal"),
    ("python_grpc", "java", "normal"),
    ("mqhttp", "java", "normal"),
    ("curl", "java", "normal"),
    ("browser", "java", "normal"),
    ("mqhttp", "java_grpc", "normal"),
    ("curl", "browser", "normal"),
    ("go", "java_grpc", "normal"),
    ("java_grpc", "go", "normal"),
    ("curl", "go", "normal"),
    ("go", "browser", "normal"),
    ("go", "python_grpc", "fifo"),
    ("browser", "go", "delay"),
    ("java", "java_grpc", "fifo"),
    ("java_grpc", "java", "fifo"),
    ("python_grpc", "browser", "fifo"),
    ("browser", "java", "fifo"),
    ("curl", "python_grpc", "fifo"),
    ("java", "curl", "delay"),
    ("java_grpc", "java", "delay"),
    ("mqhttp", "python_grpc", "delay"),
    ("browser", "mqhttp", "delay"),
    ("java", "java_grpc", "transactional"),
    ("java_grpc", "browser", "transactional"),
    ("mqhttp", "java", "transactional"),
    ("curl", "java", "transactional"),
    ("browser", "python_grpc", "transactional"),
    ("java", "python_grpc", "priority"),
    ("python_grpc", "curl", "priority"),
    ("browser", "java_grpc", "priority"),
    ("java_grpc", "python_grpc", "lite"),
    ("python_grpc", "browser", "lite"),
    ("browser", "curl", "lite"),
    ("curl", "java_grpc", "lite"),
)
