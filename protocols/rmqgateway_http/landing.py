"""GET /: what this is and what to try, for whoever comes by with a browser or curl."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rmqgateway_http.codec_json import LandingOut, encode_json
from rmqgateway_http.openapi_page import STYLE
from rmqgateway_http.pages import HTML

if TYPE_CHECKING:
    from rmqgateway_http.call import Call

__all__ = ["landing"]

_TITLE = "rmqgateway"
_WHAT = "A gateway to Apache RocketMQ: topics and consumer groups for RocketMQ clients, gRPC, HTTP and WebSocket, on one port."
_VARY = (b"vary", b"accept")
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-cache"), _VARY)
_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-cache"), _VARY)
#: What there may be to look at, as far as a front-end of this listener serves it.
_PATHS = (
    ("/docs", "every request of the HTTP API, explained"),
    ("/openapi.json", "the same for programs: OpenAPI 3.1"),
    ("/examples/chat", "a chat in the browser, over a WebSocket"),
    ("/client/rmqgateway.js", "the browser's client: one ES module"),
    ("/asyncapi.json", "the WebSocket protocol: AsyncAPI 3"),
    ("/healthz", "whether the process lives"),
    ("/readyz", "whether it serves"),
)
#: What else this listener understands, by the name of its front-end. {host} is the address that the request came to.
_FRONT_ENDS = {
    "remoting": "RocketMQ clients 4.x and 5.x: name server address {host}",
    "grpc": "RocketMQ's gRPC clients 5.x: endpoint {host}",
    "grpcweb": "gRPC-web of browsers: {scheme}://{host}",
    "http": "HTTP: REST in JSON, Server-Sent Events, CloudEvents: {scheme}://{host}/v1",
    "mqhttp": "SDKs of the ApsaraMQ HTTP protocol: {scheme}://{host}",
    "websocket": "WebSocket, sub-protocol rmqgateway.v1.json: {socket}://{host}/",
}


def landing(call: Call) -> None:
    """This page: HTML for browsers, else text, or JSON for who asks for that."""
    kind = _wanted(call.request.fields.get(b"accept", b""))
    found = _what_is_here(call)
    if kind == b"application/json":
        call.answer(200, encode_json(found), _JSON)
    elif kind == b"text/html":
        call.answer(200, _page(found).encode(), (*HTML, _VARY))
    else:
        call.answer(200, _text(found).encode(), _TEXT)


def _wanted(accepted: bytes) -> bytes:
    """Of what the client names, the kind that it likes best; text if it names none."""
    best, kind = 0.0, b"text/plain"
    for item in accepted[:1000].lower().split(b",")[:32]:
        name, _, parameters = item.partition(b";")
        name = name.strip()
        if name not in (b"text/html", b"application/json", b"text/plain"):
            continue
        weight = 1.0
        for parameter in parameters.split(b";"):
            if parameter.strip().startswith(b"q="):
                try:
                    weight = float(parameter.strip()[2:])
                except ValueError:
                    weight = 0.0
        if best < weight <= 1.0:
            best, kind = weight, name
    return kind


def _what_is_here(call: Call) -> LandingOut:
    request = call.request
    secure = request.information.secure
    scheme, socket = ("https", "wss") if secure else ("http", "ws")
    host = request.authority.decode("ascii", "replace") or request.information.advertised
    user = "-u NAME:SECRET " if call.gateway.guarded else ""
    curl = "curl -k " if secure and host.startswith(("127.", "localhost", "[::1]")) else "curl "
    base = f"{scheme}://{host}"
    return LandingOut(
        _TITLE,
        _WHAT,
        [
            f"{curl}{user}-d 'Hello' {base}/v1/topics/hello/messages",
            f"{curl}{user}'{base}/v1/topics/hello/groups/me/messages?wait=10'",
            f"{curl}{user}-N {base}/v1/topics/hello/groups/me/stream",
        ],
        {path: words for path, words in _PATHS if path in request.paths},
        {
            name: _FRONT_ENDS.get(name, "").format(host=host, scheme=scheme, socket=socket)
            for name in request.front_ends
        },
    )


def _text(found: LandingOut) -> str:
    widest = max(map(len, found.paths), default=0)
    return "\n".join(
        [
            f"{found.title}: {found.about}",
            "",
            "Try (send, receive, follow):",
            *(f"  {line}" for line in found.try_this),
            "",
            "Look:",
            *(f"  {path:<{widest}}  {words}" for path, words in found.paths.items()),
            "",
            "This port takes:",
            *(f"  {words or name}" for name, words in found.front_ends.items()),
            "",
        ]
    )


_MORE_STYLE = """
pre{background:#8882;border-radius:6px;padding:.6rem .8rem;overflow-x:auto;user-select:all}
h2{font-size:1.1rem}td:first-child{white-space:nowrap;width:1%;padding-right:1.5rem}
"""


def _page(found: LandingOut) -> str:
    tries = zip(("Send", "Receive", "Follow"), found.try_this, strict=True)
    return "".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>{found.title}</title><style>{STYLE}{_MORE_STYLE}</style>",
            f"<h1>{found.title}</h1><p>{escape(found.about)}</p><h2>Try</h2>",
            *(f"<p>{word}:</p><pre>{escape(line)}</pre>" for word, line in tries),
            "<h2>Look</h2><table>",
            *(f"<tr><td><a href={path}>{path}</a><td>{escape(words)}" for path, words in found.paths.items()),
            "</table><h2>This port takes</h2><table>",
            *(
                f"<tr><td><code>{escape(name)}</code><td>{escape(words)}"
                for name, words in found.front_ends.items()
            ),
            "</table>",
        ]
    )
