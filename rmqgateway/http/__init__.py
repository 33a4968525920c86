"""The core's one HTTP server: two sans-IO engines (`rmqgateway.wire.http1`, `rmqgateway.wire.http2`), one `Request`.

`server.HttpServer` knows the routes of the front-ends that a listener serves and makes a protocol for each connection:
`http1_connection` or `http2_connection`. Both end in `connection.HttpConnection.dispatch`: Host, Origin, route, then the
front-end's ``respond(gateway, request, route)``. `router` finds routes, `policy` judges hosts and origins, `problems` words
what the core itself refuses, `websocket` takes over at an upgrade.
"""
