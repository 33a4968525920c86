"""Remoting headers as RocketMQ's own binary form (serialization 1), the ``RocketMQSerializable`` of 5.5.0.

``code`` int16 | ``language`` byte | ``version`` int16 | ``opaque`` int32 | ``flag`` int32 | remark (int32
length, UTF-8) | ext fields (int32 length of all; each: int16 length, key, int32 length, value). Big-endian.
As the code has 16 bits, the requests from 200000 up (pop and newer) cannot be said in it; Apache's programs
truncate them silently, this encoder refuses.
"""

from __future__ import annotations

import struct

from rmqgateway.errors import WireError
from rmqgateway.wire.remoting_command import LANGUAGE_NAMES, ROCKETMQ, RemotingCommand, language_code

__all__ = ["FIXED_SIZE", "OPAQUE_POSITION", "decode_binary_header", "encode_binary_header"]

#: Bytes up to and with the length of the remark; with the length of the ext fields it is the smallest
#: header, 21.
_HEAD = struct.Struct(">hbhiii")
FIXED_SIZE = _HEAD.size + 4
#: Where in the header the opaque is.
OPAQUE_POSITION = 5

_INT = struct.Struct(">i")
_read_head = _HEAD.unpack_from
_write_head = _HEAD.pack
_read_int = _INT.unpack_from
_write_int = _INT.pack
_write_ext_key = struct.Struct(">h").pack


def decode_binary_header(header: bytes, body: bytes) -> RemotingCommand:
    """Decode one header. Of a key that comes twice the last value counts, as in Apache's.

    :raise WireError: not fatal; carries the opaque as ``request_id`` where it could be read.
    """
    size = len(header)
    if size < FIXED_SIZE:
        raise WireError(
            f"Remoting ROCKETMQ header: expected at least {FIXED_SIZE} bytes, got {size}",
            fatal=False,
            request_id=_opaque_or_none(header),
        )
    code, language, version, opaque, flag, remark_size = _read_head(header)
    remark: str | None = None
    position = FIXED_SIZE
    if remark_size:
        position += remark_size
        if remark_size < 0 or position > size:
            raise _bad_length("remark", remark_size, size - FIXED_SIZE, opaque)
        remark = header[FIXED_SIZE - 4 : position - 4].decode("utf-8", "replace")
    (ext_size,) = _read_int(header, position - 4)
    if ext_size != size - position:
        raise _bad_length("extFields", ext_size, size - position, opaque, exact=True)
    ext_fields: dict[str, str] = {}
    if ext_size:
        # Latin-1 keeps positions, so nearly all strings are plain slices; only non-ASCII ones are decoded
        # again.
        text = header.decode("latin-1")
        while position < size:
            start = position + 2
            if start > size:
                raise _bad_length("extFields key", 2, size - position, opaque)
            end = start + (header[position] << 8 | header[position + 1])
            value_start = end + 4
            if value_start > size:
                raise _bad_length("extFields key", end - start, size - start, opaque)
            (value_size,) = _read_int(header, end)
            position = value_start + value_size
            if value_size < 0 or position > size:
                raise _bad_length("extFields value", value_size, size - value_start, opaque)
            key = text[start:end]
            if not key.isascii():
                key = header[start:end].decode("utf-8", "replace")
            value = text[value_start:position]
            if not value.isascii():
                value = header[value_start:position].decode("utf-8", "replace")
            ext_fields[key] = value
    return RemotingCommand(
        code, opaque, flag, version, LANGUAGE_NAMES.get(language, "OTHER"), remark, ext_fields, body, ROCKETMQ
    )


def encode_binary_header(
    code: int,
    opaque: int,
    flag: int,
    version: int,
    language: str,
    remark: str | None,
    ext_fields: dict[str, str] | None,
) -> bytes:
    """Encode one header.

    :raise WireError: not fatal: the code or the version needs more than 16 bits, or a key more than 32767
        bytes.
    """
    remark_bytes = remark.encode() if remark else b""
    parts = [b"", remark_bytes, b""]
    ext_size = 0
    if ext_fields:
        for key, value in ext_fields.items():
            key_bytes = key.encode()
            value_bytes = value.encode()
            if len(key_bytes) > 32767:
                raise WireError(
                    f"Remoting extFields key: expected at most 32767 bytes, got {len(key_bytes)}", fatal=False
                )
            ext_size += 6 + len(key_bytes) + len(value_bytes)
            parts += (_write_ext_key(len(key_bytes)), key_bytes, _write_int(len(value_bytes)), value_bytes)
    try:
        parts[0] = _write_head(code, language_code(language), version, opaque, flag, len(remark_bytes))
    except struct.error:
        raise WireError(
            f"Remoting ROCKETMQ header: code {code} and version {version} must fit an int16, opaque {opaque}"
            f" and flag {flag} an int32",
            fatal=False,
            request_id=opaque,
        ) from None
    parts[2] = _write_int(ext_size)
    return b"".join(parts)


def _opaque_or_none(header: bytes) -> int | None:
    if len(header) < OPAQUE_POSITION + 4:
        return None
    opaque: int = _read_int(header, OPAQUE_POSITION)[0]
    return opaque


def _bad_length(field: str, got: int, left: int, opaque: int, *, exact: bool = False) -> WireError:
    expected = f"{left} (all that is left)" if exact else f"0..{left}"
    return WireError(
        f"Remoting ROCKETMQ header field {field}: expected a length of {expected}, got {got}",
        fatal=False,
        request_id=opaque,
    )
