"""What the front-end serves over HTTP: the browser's module, its types, the example page, the AsyncAPI document."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from rmqgateway.frontend import RouteDeclaration

if TYPE_CHECKING:
    from rmqgateway.interfaces import IRequest

__all__ = ["Pages"]

#: path: file of the package's folder ``client``, media type.
_FILES = {
    "/client/rmqgateway.js": ("rmqgateway.js", b"text/javascript; charset=utf-8"),
    "/client/rmqgateway.d.ts": ("rmqgateway.d.ts", b"text/plain; charset=utf-8"),
    "/examples/chat": ("chat.html", b"text/html; charset=utf-8"),
}
_ASYNCAPI = "/asyncapi.json"
_HEADERS = (
    (b"cache-control", b"no-cache"),  # asked again each time, answered by 304
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Pages:
    """Reads each file once. :param example: whether the example is served."""

    def __init__(self, example: bool) -> None:
        self._example = example
        self._read: dict[str, tuple[bytes, tuple[tuple[bytes, bytes], ...]]] = {}

    def routes(self) -> list[RouteDeclaration]:
        """See IRequestFrontEnd."""
        paths = [_ASYNCAPI, *(path for path in _FILES if self._example or path != "/examples/chat")]
        return [RouteDeclaration(("GET",), path, data=path) for path in paths]

    def respond(self, request: IRequest, path: str) -> None:
        """Answer one request for one of the paths."""
        body, headers = self._read.get(path) or self._load(path)
        if request.header(b"if-none-match") == headers[0][1]:
            request.respond(304, (headers[0], _HEADERS[0]))
        else:
            request.respond(200, headers, body)

    def _load(self, path: str) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        if path == _ASYNCAPI:
            from rmqgateway_websocket.asyncapi import document

            body, media_type = document(), b"application/json"
        else:
            name, media_type = _FILES[path]
            body = files("rmqgateway_websocket").joinpath("client", name).read_bytes()
        tag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
        found = self._read[path] = (
            body,
            ((b"etag", tag), (b"content-type", media_type), (b"content-length", b"%d" % len(body)), *_HEADERS),
        )
        return found
