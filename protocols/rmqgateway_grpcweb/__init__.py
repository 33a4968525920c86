"""The gRPC-web front-end: the API of the official 5.x clients, for browsers.

``frontend`` declares the routes and the WebSocket sub-protocol; ``call`` is one call over HTTP/1.1 or HTTP/2, as
``application/grpc-web`` or, in base64, ``-text``; ``web_socket`` is one over a WebSocket, in the manner of improbable's client,
with which a browser can speak in both directions. What the calls mean is in ``rmqgateway.apis``, shared with gRPC.
"""

from __future__ import annotations
