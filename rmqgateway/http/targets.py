"""A request target taken apart (RFC 9112 3.2), once and in one way; sans-IO."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_to_bytes

from rmqgateway.errors import Code, GatewayError, WireError

__all__ = ["normal_path", "parse_query", "split_target"]

_ABSOLUTE = re.compile(rb"https?://([^/?#@\\]+)(/[^?]*)?(\?.*)?", re.IGNORECASE | re.DOTALL).fullmatch
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_MAX_PARAMETERS = 100


def split_target(target: bytes) -> tuple[bytes, bytes, bytes]:
    """Path and query as sent, and the authority of an absolute target or b"".

    :raise WireError: neither a path nor an http URL (CONNECT's authority is none that is served here).
    """
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        return path, query, b""
    if target == b"*":
        return target, b"", b""
    found = _ABSOLUTE(target)
    if found is None:
        raise WireError(f"request target: expected a path or an http URL, got {target[:100]!r}")
    return found.group(2) or b"/", (found.group(3) or b"?")[1:], found.group(1)


def normal_path(path: bytes) -> str:
    """Percent-decoded once, dot segments resolved afterwards, so that no spelling of them gets through.

    :raise WireError: bad escapes, controls, or not UTF-8.
    """
    if _BAD_ESCAPE(path):
        raise WireError("path: expected two hexadecimal digits behind each %")
    if b"#" in path:
        raise WireError("path: a fragment is not sent to servers")
    try:
        text = unquote_to_bytes(path).decode() if b"%" in path else path.decode()
    except UnicodeDecodeError:
        raise WireError("path: expected UTF-8") from None
    if any(character < " " or character == "\x7f" for character in text):
        raise WireError("path: expected no control characters")
    if "/." not in text:
        return text
    out: list[str] = []
    segments = text.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if out:
                out.pop()
        elif segment != ".":
            out.append(segment)
    if segments[-1] in (".", ".."):
        out.append("")
    return "/" + "/".join(out)


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Decoded parameters in their order. :raise GatewayError: BAD_REQUEST, not UTF-8 or more than 100."""
    if not query:
        return []
    if _BAD_ESCAPE(query):
        raise GatewayError(Code.BAD_REQUEST, "query: expected two hexadecimal digits behind each %")
    try:
        return parse_qsl(
            query.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise GatewayError(Code.BAD_REQUEST, "query: expected UTF-8") from None
    except ValueError:
        raise GatewayError(Code.BAD_REQUEST, f"query: expected at most {_MAX_PARAMETERS} parameters") from None
