"""Which protocol a connection speaks, judged by its first bytes; sans-IO."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

from rmqgateway.frontend import Recognition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.interfaces import IConnectionFrontEnd

__all__ = ["FIRST_BYTES", "Found", "Recogniser"]

#: By this many bytes every protocol must have told itself.
FIRST_BYTES = 64

_HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
# RFC 9110, 9.3 and RFC 5789. Followed by a space: STOMP's CONNECT is followed by a line feed.
_METHODS = tuple(
    method + b" "
    for method in (b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE")
)
_HTTP_BEGINS = frozenset(method[0] for method in _METHODS)


class Found(enum.Enum):
    """What the core itself recognises, or that there is nothing to recognise (yet)."""

    TLS = "TLS"
    HTTP_1 = "HTTP/1.1"
    HTTP_2 = "HTTP/2"
    MORE = "more bytes are needed"
    UNKNOWN = "unknown"


Judgement: TypeAlias = "Found | IConnectionFrontEnd"


class Recogniser:
    """Asks in a stated order: TLS, HTTP/2's preface, an HTTP/1.1 request line, then front-ends by `recognition_order`.

    The first YES wins, also if somebody asked earlier would like MORE: YES is given only by who is certain.

    :param http: whether the core's HTTP is served on this port.
    """

    __slots__ = ("front_ends", "http", "speaks_first")

    def __init__(self, front_ends: Sequence[IConnectionFrontEnd], http: bool = True) -> None:
        self.front_ends = sorted(
            front_ends, key=lambda front_end: (front_end.recognition_order, front_end.name)
        )
        self.http = http
        #: The front-end of a listener of its own whose server speaks first: it says YES to no bytes at all.
        self.speaks_first: IConnectionFrontEnd | None = None
        if not http and len(front_ends) == 1 and front_ends[0].recognise(b"") is Recognition.YES:
            self.speaks_first = front_ends[0]

    def judge(self, first_bytes: bytes, tls: bool) -> Judgement:
        """Judge everything that has come so far.

        :param tls: whether a TLS handshake may come (not twice, and not without a certificate).
        """
        more = False
        begin = first_bytes[:1]
        if tls and begin == b"\x16":  # RFC 8446, 5.1: handshake, version 3.x
            if len(first_bytes) == 1:
                return Found.MORE
            if first_bytes[1] == 3:
                return Found.TLS
        if self.http and begin and begin[0] in _HTTP_BEGINS:
            head = first_bytes[: len(_HTTP_2)]
            if _HTTP_2.startswith(head):
                if len(head) == len(_HTTP_2):
                    return Found.HTTP_2
                more = True
            for method in _METHODS:
                if first_bytes.startswith(method):
                    return Found.HTTP_1
                more = more or method.startswith(first_bytes)
        asked = first_bytes[:FIRST_BYTES]
        for front_end in self.front_ends:
            answer = front_end.recognise(asked)
            if answer is Recognition.YES:
                return front_end
            if answer is Recognition.MORE:
                more = True
        return Found.MORE if more and len(first_bytes) < FIRST_BYTES else Found.UNKNOWN
