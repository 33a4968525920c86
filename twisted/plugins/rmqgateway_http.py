"""The HTTP front-end."""

from rmqgateway.frontend import FrontEndMaker

http = FrontEndMaker(
    "http",
    "REST in JSON, Server-Sent Events, CloudEvents, OpenAPI: for curl, scripts and browsers.",
    "rmqgateway_http.frontend",
    enabled_by_default=True,
)
