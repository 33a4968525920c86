"""A stored message's body as its producer had it: uncompressed, within a limit."""

from __future__ import annotations

import zlib
from importlib import import_module

from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_const import CompressionType, compression_type

__all__ = ["MAX_BODY", "readable_body"]

#: A body that was 4 MiB before its producer compressed it, and some more.
MAX_BODY = 16 * 1024 * 1024


def readable_body(message: stored_message.Buffer, limit: int = MAX_BODY) -> bytes:
    """The body of a stored message, for protocols whose clients know nothing of RocketMQ's compression.

    :raise WireError: not fatal: damaged, larger than `limit` when uncompressed, or compressed by LZ4 or ZSTD while
        the extra ``rmqgateway[compress]`` is not installed.
    """
    body = stored_message.body(message)
    try:
        kind = compression_type(stored_message.sys_flag(message))
    except ValueError as error:
        raise WireError(f"message body: {error}", fatal=False) from None
    if kind is None:
        return body
    if kind is not CompressionType.ZLIB:
        return _uncompress_optional(kind, body, limit)
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise WireError(f"message body: expected ZLIB, got {error}", fatal=False) from None
    if len(found) > limit:
        raise WireError(f"message body: expected at most {limit} bytes uncompressed", fatal=False)
    if not inflater.eof:
        raise WireError("message body: the ZLIB data ends too early", fatal=False)
    return found


def _uncompress_optional(kind: CompressionType, body: bytes, limit: int) -> bytes:
    try:
        if kind is CompressionType.LZ4:
            inflater = import_module("lz4.frame").LZ4FrameDecompressor()
            found: bytes = inflater.decompress(body, max_length=limit + 1)
        else:
            reader = import_module("zstandard").ZstdDecompressor().stream_reader(body)
            found = reader.read(limit + 1)
    except ImportError:
        raise WireError(
            f"message body: reading {kind.name} needs the extra rmqgateway[compress]", fatal=False
        ) from None
    except Exception as error:
        raise WireError(f"message body: expected {kind.name}, got {error}", fatal=False) from None
    if len(found) > limit:
        raise WireError(f"message body: expected at most {limit} bytes uncompressed", fatal=False)
    return found
