"""What a request's header list must look like (RFC 9113 section 8.2 and 8.3, RFC 8441)."""

from __future__ import annotations

import re
from functools import lru_cache

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_decoder import field_is_valid
from rmqgateway.wire.hpack_tables import Header

__all__ = ["NO_LENGTH", "RequestHead", "check_fields", "read_request", "read_trailers"]

#: method, scheme, authority, path, protocol, regular fields, content-length or NO_LENGTH
RequestHead = tuple[bytes, bytes, bytes, bytes, bytes, list[Header], int]

NO_LENGTH = -1

_COLON = 0x3A
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol", b":status"})
_REQUEST = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
# Section 8.2.2.
_CONNECTION_SPECIFIC = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_WATCHED = _PSEUDO | _CONNECTION_SPECIFIC | {b"te", b"content-length", b"host"}
_METHODS = frozenset({b"POST", b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"})

_valid_method = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_valid_path = re.compile(rb"/[\x21-\x7e\x80-\xff]*").fullmatch
# No user information (section 8.3.1), no path, no blanks.
_valid_authority = re.compile(rb"[^\x00-\x20/?#@\\\x7f]*").fullmatch
_valid_scheme = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*").fullmatch


def _malformed(message: str) -> WireError:
    return WireError(f"malformed request: {message}", fatal=False)


def check_fields(headers: list[Header]) -> None:
    """Every name and value against section 8.2.1; needed only where the decoder saw a bad one before."""
    for name, value in headers:
        if not field_is_valid(name, value):
            raise _malformed(f"field {name[:64]!r} has a forbidden name or value")


def read_request(headers: list[Header], extended_connect: bool) -> RequestHead:
    """The parts of a request's head, from fields that are each valid. WireError (not fatal): malformed."""
    count = 0
    for name, _ in headers:
        if name[0] != _COLON:
            break
        count += 1
    method, scheme, authority, path, protocol = _read_pseudo(tuple(headers[:count]), extended_connect)
    regular = headers[count:]
    length = NO_LENGTH
    for name, value in regular:
        if name in _WATCHED:
            if name == b"te":
                if value.lower() != b"trailers":
                    raise _malformed("te other than trailers")
            elif name == b"content-length":
                length = _content_length(value, length)
            elif name == b"host":
                if authority and value.lower() != authority.lower():
                    raise _malformed("host differs from :authority")
                if not _valid_authority(value):
                    raise _malformed("host is no host and port")
            elif name in _CONNECTION_SPECIFIC:
                raise _malformed(f"{name.decode('ascii')} is a field of HTTP/1.1 connections")
            else:
                raise _malformed("a pseudo-header field after a regular one")
    return method, scheme, authority, path, protocol, regular, length


# Clients ask for few things, again and again.
@lru_cache(64)
def _read_pseudo(
    fields: tuple[Header, ...], extended_connect: bool
) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    count = len(fields)
    pseudo = dict(fields)
    if len(pseudo) != count:
        raise _malformed("a pseudo-header field is repeated")
    if not pseudo.keys() <= _REQUEST:
        raise _malformed("it has a pseudo-header field of a response")
    method = pseudo.get(b":method", b"")
    scheme = pseudo.get(b":scheme", b"")
    authority = pseudo.get(b":authority", b"")
    path = pseudo.get(b":path", b"")
    protocol = pseudo.get(b":protocol", b"")
    if method not in _METHODS and not _valid_method(method):
        raise _malformed(":method is missing or no token")
    if authority and not _valid_authority(authority):
        raise _malformed(":authority is no host and port")
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if b":scheme" in pseudo or b":path" in pseudo or not authority:
            raise _malformed("CONNECT takes :authority, and neither :scheme nor :path")
    else:
        if b":protocol" in pseudo and not (extended_connect and method == b"CONNECT" and protocol):
            raise _malformed(":protocol is not enabled here")
        if not _valid_scheme(scheme):
            raise _malformed(":scheme is missing or no scheme")
        if not _valid_path(path) and not (path == b"*" and method == b"OPTIONS"):
            raise _malformed(":path is missing or does not begin with a slash")
    return method, scheme, authority, path, protocol


def _content_length(value: bytes, before: int) -> int:
    # isdigit on bytes knows ASCII only; 18 digits are beyond any body and below any trouble.
    if not value.isdigit() or len(value) > 18:
        raise _malformed("content-length is no number")
    length = int(value)
    if before not in (NO_LENGTH, length):
        raise _malformed("two different content-lengths")
    return length


def read_trailers(headers: list[Header]) -> None:
    """Check a trailer section of valid fields (section 8.1). WireError (not fatal): malformed."""
    for name, _ in headers:
        if name in _WATCHED and name not in (b"te", b"host", b"content-length"):
            raise _malformed(f"{name.decode('ascii')} in trailers")
