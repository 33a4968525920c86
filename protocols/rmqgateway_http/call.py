"""One request under way: its parameters, its body, its answer, and who asks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Coroutine
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.context import Credential
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway_http.codec_json import encode_json, gunzip, read_json
from rmqgateway_http.codec_parameters import read_query
from rmqgateway_http.compressing import GZIPPED, compress, takes_gzip
from rmqgateway_http.problems import status_of

if TYPE_CHECKING:
    from rmqgateway.commands import Command
    from rmqgateway.context import Context
    from rmqgateway.http.request import Request
    from rmqgateway_http.operations import Operation
    from rmqgateway_http.service import HttpService

__all__ = ["JSON", "Call", "Fields", "fields_of"]

log = Logger(namespace="rmqgateway.http")

R = TypeVar("R")
T = TypeVar("T")

Fields = tuple[tuple[bytes, bytes], ...]
_JSON_TYPE = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
#: The same object each time, so that the head of the response is made once.
JSON: Fields = (_JSON_TYPE, _NO_STORE)
#: What curl says of ``-d`` when it is not told better.
_JSON_TYPES = frozenset({b"application/json", b"application/x-www-form-urlencoded", b""})


class Call:
    """:ivar names: the variable parts of the path, in their order. :ivar context: for commands."""

    __slots__ = ("context", "gateway", "names", "operation", "request", "service", "settings")

    def __init__(self, service: HttpService, request: Request, operation: Operation, names: tuple[str, ...]) -> None:
        self.service = service
        self.gateway = service.gateway
        self.settings = service.settings
        self.request = request
        self.operation = operation
        self.names = names
        self.context: Context = request.context
        fields = request.fields
        given = fields.get(b"x-request-id")
        if given is not None:
            self.context.request_id = _request_id(given)
        given = fields.get(b"authorization")
        if given is not None:
            self.context.credential = _credential(given, request)

    # What was asked.

    def query(self) -> dict[str, Any]:
        """The query's parameters, read. :raise GatewayError: BAD_REQUEST."""
        request = self.request
        return read_query(request.query, self.operation.parameters) if request.raw_query else {}

    def content_type(self) -> bytes:
        """The media type of the body, in lower case without parameters, or b""."""
        found = self.request.fields.get(b"content-type")
        return b"" if found is None else _media_type(found)

    def accepts(self, media_type: bytes) -> bool:
        """Whether the client names this type among those that it takes."""
        found = self.request.fields.get(b"accept")
        return found is not None and media_type in found.lower()

    def body(self, limit: int) -> Deferred[bytes]:
        """The whole body, uncompressed. Fails with GatewayError: MESSAGE_TOO_LARGE before it is read, where that is known."""
        coding = self.request.fields.get(b"content-encoding")
        body = self.request.read(limit)
        if coding is None or coding == b"identity":
            return body
        if coding.lower() != b"gzip":
            body.addErrback(lambda _: None)
            raise _Refused(415, "content-encoding", "gzip", coding, ((b"accept-encoding", b"gzip"),))
        return body.addCallback(gunzip, limit)

    async def json(self, kind: type[T]) -> T:
        """The body, decoded. :raise GatewayError: see `read_json`."""
        if self.content_type() not in _JSON_TYPES:
            raise _Refused(415, "content-type", "application/json", self.content_type(), ((b"accept-post", b"application/json"),))
        limit = self.settings.max_request
        return read_json(await self.body(limit), kind, limit)

    # Commands.

    async def execute(self, command: Command[R]) -> R:
        """:raise GatewayError: whatever the door says."""
        result = self.gateway.execute(self.context, command)
        reply: R = await result if isinstance(result, Deferred) else result
        return reply

    def run(self, work: Coroutine[Deferred[Any], Any, None], cancel: bool = False, polls: bool = True) -> None:
        """Let a handler go on by itself; its errors are answered.

        :param cancel: it waits for something that nobody needs any more once the client has gone.
        :param polls: what it waits for can be asked for again, so a gateway that stops need not wait either.
        """
        running: Deferred[None] = Deferred.fromCoroutine(work)
        if not running.called and cancel:
            self.request.on_gone(lambda reason: running.cancel())
            if polls:
                self.request.on_shutdown(lambda deadline, reason: running.cancel())
        running.addErrback(self.failed)

    # Answers.

    def answer(self, status: int, body: bytes, headers: Fields = JSON) -> None:
        """A whole response, compressed where that is worth it and accepted."""
        request = self.request
        if request.done:
            return
        if self.context.request_id:
            request.also(b"x-request-id", self.context.request_id.encode())
        least = self.settings.gzip_from
        if least and len(body) >= least and takes_gzip(request.fields.get(b"accept-encoding")):
            body = compress(body)
            headers += GZIPPED
        request.respond(status, headers, body)

    def answer_json(self, status: int, value: object) -> None:
        """A response in JSON."""
        self.answer(status, encode_json(value))

    def done(self) -> None:
        """204: nothing more to say."""
        self.answer(204, b"", (_NO_STORE,))

    def failed(self, failure: Failure) -> None:
        """Answer the error that a Deferred failed with."""
        error = failure.value
        if isinstance(error, CancelledError) or (isinstance(error, GatewayError) and error.code is Code.CANCELLED):
            # The client went, and hears nothing; or the gateway stops, and a long poll need not be waited for.
            error = GatewayError(Code.SHUTTING_DOWN, "the gateway is shutting down; ask again", retry_after=1.0)
        if not isinstance(error, GatewayError | WireError | _Refused):
            log.failure("{operation} failed", failure=failure, operation=self.operation.name)
            error = GatewayError(Code.INTERNAL, f"{self.operation.name} failed; the gateway's log has the cause")
        self.refuse(error)

    def refuse(self, error: Exception) -> None:
        """Answer an error: GatewayError, WireError or `refused`."""
        if self.request.started:
            self.request.abort(str(error))
            return
        request_id = self.context.request_id or self.service.new_request_id()
        if isinstance(error, _Refused):
            self.request.respond(*error.problem(request_id))
        elif isinstance(error, GatewayError | WireError):
            self.request.respond(*status_of(error, request_id))
        else:
            raise error


class _Refused(Exception):
    """What HTTP has a status of its own for: 415 and 405."""

    def __init__(self, status: int, field: str, expected: str, got: bytes, more: Fields) -> None:
        shown = got.decode("ascii", "replace")[:100] or "none"
        super().__init__(f"{field}: expected {expected}, got {shown}")
        self.status = status
        self.more = more

    def problem(self, request_id: str) -> tuple[int, Fields, bytes]:
        _, headers, body = status_of(GatewayError(Code.BAD_REQUEST, str(self)), request_id)
        word = {405: "method-not-allowed", 415: "unsupported-media-type", 404: "not-found"}[self.status]
        body = body.replace(b'"status":400', b'"status":%d' % self.status)
        body = body.replace(b"urn:rmqgateway:bad-request", b"urn:rmqgateway:" + word.encode())
        body = body.replace(b'"title":"bad request"', b'"title":"%b"' % word.replace("-", " ").encode())
        return self.status, headers + self.more, body


def refused(status: int, field: str, expected: str, got: bytes, more: Fields = ()) -> Exception:
    """To be raised by a handler: 404, 405 or 415."""
    return _Refused(status, field, expected, got, more)


def fields_of(headers: list[tuple[bytes, bytes]]) -> Fields:
    """Headers of a response as `Call.answer` takes them."""
    return (*headers, _NO_STORE)


@lru_cache(256)
def _media_type(given: bytes) -> bytes:
    return given.split(b";", 1)[0].strip().lower()


def _request_id(given: bytes) -> str:
    """What the client called its request; one that could not be sent back as it came is cut."""
    return "".join(character for character in given[:128].decode("ascii", "ignore") if character.isprintable())


def _credential(given: bytes, request: Request) -> Credential:
    """``Bearer`` with a token, or ``Basic`` with access key and secret key where nobody can listen.

    :raise GatewayError: UNAUTHENTICATED.
    """
    scheme, _, value = given.strip().partition(b" ")
    kind = scheme.lower()
    if kind == b"bearer":
        return Credential(token=value.strip().decode("ascii", "replace"))
    if kind != b"basic":
        raise GatewayError(Code.UNAUTHENTICATED, "authorization: expected Bearer or Basic")
    host = str(getattr(request.information.peer, "host", ""))
    if host and not request.information.secure and not host.startswith(("127.", "::1")):
        raise GatewayError(Code.UNAUTHENTICATED, "authorization: Basic sends the secret itself and is taken over TLS only")
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        name = colon = password = ""
    if not colon:
        raise GatewayError(Code.UNAUTHENTICATED, "authorization: expected base64 of NAME:PASSWORD")
    return Credential.from_password(name, password)
