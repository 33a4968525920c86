"""What is told about the API and the process: OpenAPI, a page that renders it, health."""

from __future__ import annotations

from functools import lru_cache

from rmqgateway_http.call import Call
from rmqgateway_http.codec_json import Status, encode_json

__all__ = ["HTML", "docs", "health", "openapi", "readiness"]

_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-cache"))
#: Headers of a page: no script, nothing from elsewhere.
HTML = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@lru_cache(1)
def _document() -> bytes:
    from rmqgateway_http.openapi import make_document

    return encode_json(make_document())


@lru_cache(1)
def _page() -> bytes:
    from rmqgateway_http.openapi import make_document
    from rmqgateway_http.openapi_page import render

    return render(make_document()).encode()


def openapi(call: Call) -> None:
    """This API as an OpenAPI 3.1 document."""
    call.answer(200, _document(), _JSON)


def docs(call: Call) -> None:
    """The same as a page for people."""
    call.answer(200, _page(), HTML)


def health(call: Call) -> None:
    """Whether the process lives."""
    call.answer_json(200, Status("alive"))


def readiness(call: Call) -> None:
    """Whether commands are served; 503 says why not."""
    reason = call.gateway.ready()
    if reason is None:
        call.answer_json(200, Status("ready"))
    else:
        call.answer_json(503, Status(reason))
