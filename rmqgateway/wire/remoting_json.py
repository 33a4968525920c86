"""Remoting headers as JSON (serialization 0).

The shape is what fastjson makes of ``RemotingCommand``: a flat object whose ``extFields`` maps strings to
strings. Official clients agree on that but for small liberties, which Apache's parser takes as these do: Go
and old C++ clients send numbers, booleans and null where strings are meant, and numbers within quotes.
"""

from __future__ import annotations

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting_command import JSON, RemotingCommand, require_int32

__all__ = ["decode_json_header", "encode_json_header"]

_decode = msgspec.json.Decoder(RemotingCommand).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_encode_text = msgspec.json.Encoder().encode


class _Head(msgspec.Struct, omit_defaults=True, gc=False):
    # The order is the one in which Apache's programs write, so that our frames equal theirs byte for byte.
    code: int
    extFields: dict[str, str] | None = None  # noqa: N815
    flag: int | None = None
    language: str | None = None
    opaque: int | None = None
    remark: str | None = None
    serializeTypeCurrentRPC: str | None = None  # noqa: N815
    version: int | None = None


def decode_json_header(header: bytes, body: bytes) -> RemotingCommand:
    """Decode one header.

    :raise WireError: not fatal; carries the opaque as ``request_id`` where it could be read.
    """
    try:
        command = _decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        command = _decode_leniently(header)
    command.body = body
    command.serialization = JSON
    return command


def encode_json_header(
    code: int,
    opaque: int,
    flag: int,
    version: int,
    language: str,
    remark: str | None,
    ext_fields: dict[str, str] | None,
) -> bytes:
    """Encode one header; empty or missing `ext_fields` and a missing `remark` are left out."""
    return _encode(_Head(code, ext_fields or None, flag, language, opaque, remark, "JSON", version))


def _decode_leniently(header: bytes) -> RemotingCommand:
    try:
        fields = _decode_any(header)
    except UnicodeDecodeError:
        # Old C++ clients put property bytes in whatever encoding into the header; Java reads them with
        # replacement.
        try:
            fields = _decode_any(header.decode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise WireError(f"Remoting JSON header: {error}", fatal=False) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise WireError(f"Remoting JSON header: {error}", fatal=False) from None
    if not isinstance(fields, dict):
        raise WireError(f"Remoting JSON header: expected an object, got {type(fields).__name__}", fatal=False)
    opaque = _integer(fields, "opaque", None, None)
    ext = fields.get("extFields")
    if ext is None:
        ext = {}
    elif not isinstance(ext, dict):
        raise WireError(
            f"Remoting header field extFields: expected an object, got {type(ext).__name__}",
            fatal=False,
            request_id=opaque,
        )
    return RemotingCommand(
        _integer(fields, "code", None, opaque),
        opaque,
        _integer(fields, "flag", 0, opaque),
        _integer(fields, "version", 0, opaque),
        _string(fields, "language", opaque) or "OTHER",
        _string(fields, "remark", opaque),
        {key: _as_java_string(value) for key, value in ext.items() if value is not None},
    )


def _integer(fields: dict[str, object], name: str, default: int | None, opaque: int | None) -> int:
    value = fields.get(name)
    if value is None:
        if default is not None:
            return default
        raise WireError(
            f"Remoting header field {name}: expected an integer, got none", fatal=False, request_id=opaque
        )
    if isinstance(value, str) and len(value) <= 11:
        try:
            value = int(value)
        except ValueError:
            pass
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        shown = repr(value)[:40]
        raise WireError(
            f"Remoting header field {name}: expected an integer, got {shown}", fatal=False, request_id=opaque
        )
    try:
        return require_int32(value, name)
    except WireError as error:
        error.request_id = opaque
        raise


def _string(fields: dict[str, object], name: str, opaque: int) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return _as_java_string(value)
    raise WireError(
        f"Remoting header field {name}: expected a string, got {type(value).__name__}",
        fatal=False,
        request_id=opaque,
    )


def _as_java_string(value: object) -> str:
    """What fastjson makes of a value that should have been a string."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    return _encode_text(value).decode()
