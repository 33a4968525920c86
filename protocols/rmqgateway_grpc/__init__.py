"""The gRPC front-end: the official RocketMQ 5.x clients in seven languages, over the core's HTTP/2.

``frontend`` declares the routes; ``call`` is one call over one stream; ``health`` and ``reflection`` are what tools such as
grpcurl ask for. What the calls mean is in ``rmqgateway.apis``, shared with gRPC-web.
"""

from __future__ import annotations
