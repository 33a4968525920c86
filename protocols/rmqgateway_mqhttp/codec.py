"""The XML of MQ HTTP: two request documents, five response documents; sans-IO.

Requests come with and without a name space and in any order of elements: what counts is the local name. A document type
declaration is refused, and with it every entity but the five of XML itself. Responses are in one name space *without* a
final slash: the Java SDK binds errors by it, the others do not look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.parsers import expat

from rmqgateway.errors import WireError

__all__ = [
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "NAME_SPACE",
    "escape",
    "is_xml_text",
    "read_message",
    "read_receipt_handles",
    "write_ack_errors",
    "write_error",
    "write_messages",
    "write_published",
]

#: Of every response. Not with the final slash that some SDKs send.
NAME_SPACE = "http://mq.aliyuncs.com/doc/v1"
#: Requests nest two deep; what is deeper than this is not read to its end.
MAX_DEPTH = 8
#: Sixteen handles and their parent are the most that a valid request has.
MAX_ELEMENTS = 64

_MESSAGE_FIELDS = frozenset({"MessageBody", "MessageTag", "Properties"})
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_illegal = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_find_illegal = _illegal.search
_find_special = re.compile("[&<>\r]").search


class _Reader:
    """Reads a document of a root with children that hold text only.

    :ivar root: the root's local name. :ivar children: local name and text of each child, in order.
    """

    def __init__(self, max_depth: int, max_elements: int) -> None:
        self.root = ""
        self.children: list[tuple[str, str]] = []
        self._max_depth = max_depth
        self._left = max_elements
        self._depth = 0
        self._text: list[str] = []

    def parse(self, data: bytes) -> None:
        """:raise WireError: not fatal."""
        # The encoding is given: what the document declares does not count (pyexpat would look for a codec).
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.ExternalEntityRefHandler = self._doctype
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise WireError(
                f"XML: {expat.ErrorString(error.code)} in line {error.lineno}, column {error.offset + 1}",
                fatal=False,
            ) from None

    def _start(self, name: str, _: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0:
            raise WireError("XML: too many elements", fatal=False)
        self._depth += 1
        if self._depth > self._max_depth:
            raise WireError(
                f"XML: expected at most {self._max_depth} elements within each other", fatal=False
            )
        self._check_no_text()
        if self._depth == 1:
            self.root = _local(name)
        elif self._depth > 2:
            raise WireError(f"XML: unexpected element {name[:50]!r} within a field", fatal=False)
        self._text.clear()

    def _end(self, name: str) -> None:
        if self._depth == 2:
            self.children.append((_local(name), "".join(self._text)))
        else:
            self._check_no_text()
        self._text.clear()
        self._depth -= 1

    def _check_no_text(self) -> None:
        if self._text and "".join(self._text).strip():
            raise WireError(f"XML: unexpected text in {self.root[:50]!r} outside its fields", fatal=False)

    def _doctype(self, *_: object) -> int:
        raise WireError("XML: a document type declaration is not allowed", fatal=False)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _children(data: bytes, root: str, max_depth: int, max_elements: int) -> list[tuple[str, str]]:
    reader = _Reader(max_depth, max_elements)
    reader.parse(data)
    if reader.root != root:
        raise WireError(f"XML: expected the root <{root}>, got <{reader.root[:50]}>", fatal=False)
    return reader.children


def read_message(
    data: bytes, max_depth: int = MAX_DEPTH, max_elements: int = MAX_ELEMENTS
) -> tuple[str, str, str]:
    """Body, tag and properties of a ``<Message>``; "" for what is absent.

    :raise WireError: not fatal: no such document; the body is missing or a field unknown or there twice.
    """
    found: dict[str, str] = {}
    for name, text in _children(data, "Message", max_depth, max_elements):
        if name not in _MESSAGE_FIELDS:
            raise WireError(
                f"XML: expected MessageBody, MessageTag and Properties in <Message>, got <{name[:50]}>",
                fatal=False,
            )
        if name in found:
            raise WireError(f"XML: <{name}> is there twice", fatal=False)
        found[name] = text
    body = found.get("MessageBody")
    if body is None:
        raise WireError("XML: <Message> has no <MessageBody>", fatal=False)
    return body, found.get("MessageTag", ""), found.get("Properties", "")


def read_receipt_handles(
    data: bytes, max_depth: int = MAX_DEPTH, max_elements: int = MAX_ELEMENTS
) -> tuple[str, ...]:
    """The handles of a ``<ReceiptHandles>``. :raise WireError: not fatal: no such document."""
    handles = []
    for name, text in _children(data, "ReceiptHandles", max_depth, max_elements):
        if name != "ReceiptHandle":
            raise WireError(
                f"XML: expected <ReceiptHandle> in <ReceiptHandles>, got <{name[:50]}>", fatal=False
            )
        handles.append(text)
    return tuple(handles)


# Writing.


def is_xml_text(text: str) -> bool:
    """Whether XML 1.0 can carry it: no control characters but tab, line feed and carriage return, no surrogates."""
    return _find_illegal(text) is None


def escape(text: str) -> str:
    """Text as an element's content. A reader turns a carriage return into a line feed unless it is escaped."""
    if _find_special(text) is None:
        return text
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _safe(text: str) -> str:
    """For texts that people read, and handles that clients made up: what XML cannot carry is replaced."""
    return escape(_illegal.sub("\ufffd", text))


def write_error(code: str, message: str, request_id: str, host_id: str) -> bytes:
    """An ``<Error>``; no child is empty (the Python SDK takes an empty one for missing)."""
    return (
        f'{_HEAD}<Error xmlns="{NAME_SPACE}"><Code>{code}</Code><Message>{_safe(message) or code}</Message>'
        f"<RequestId>{request_id}</RequestId><HostId>{_safe(host_id) or '-'}</HostId></Error>"
    ).encode()


def write_ack_errors(failed: Iterable[tuple[str, str, str]]) -> bytes:
    """An ``<Errors>`` of (handle, code, text). Each has exactly the three children that the Python SDK compares."""
    parts = [f'{_HEAD}<Errors xmlns="{NAME_SPACE}">']
    for handle, code, text in failed:
        parts.append(
            f"<Error><ErrorCode>{code}</ErrorCode><ErrorMessage>{_safe(text) or code}</ErrorMessage>"
            f"<ReceiptHandle>{_safe(handle) or '-'}</ReceiptHandle></Error>"
        )
    parts.append("</Errors>")
    return "".join(parts).encode()


def write_published(message_id: str, body_md5: str, receipt_handle: str = "") -> bytes:
    """The answer to a publish. :param receipt_handle: of a half message, or ""."""
    handle = f"<ReceiptHandle>{escape(receipt_handle)}</ReceiptHandle>" if receipt_handle else ""
    return (
        f'{_HEAD}<Message xmlns="{NAME_SPACE}"><MessageId>{_safe(message_id)}</MessageId>'
        f"<MessageBodyMD5>{body_md5}</MessageBodyMD5>{handle}</Message>"
    ).encode()


def write_messages(messages: Iterable[str]) -> bytes:
    """The answer to a consume, of entries that `convert_messages` wrote."""
    return f'{_HEAD}<Messages xmlns="{NAME_SPACE}">{"".join(messages)}</Messages>'.encode()
