"""Looking into raw Remoting frames without decoding them, for whoever forwards them unchanged but for the
opaque."""

from __future__ import annotations

import re
import struct

import msgspec

from rmqgateway.wire.remoting import decode_frame, encode_command
from rmqgateway.wire.remoting_binary import FIXED_SIZE, OPAQUE_POSITION

__all__ = ["Scan", "scan", "splice_opaque"]


class Scan(msgspec.Struct, gc=False):
    """What a forwarder needs to know of a frame."""

    code: int
    opaque: int
    flag: int = 0


_decode = msgspec.json.Decoder(Scan).decode
_read_prefix = struct.Struct(">II").unpack_from
_write_prefix = struct.Struct(">II").pack
_read_binary = struct.Struct(">hxxxii").unpack_from
_write_int = struct.Struct(">i").pack
_OPAQUE = re.compile(rb'"opaque"[ \t\r\n]*:[ \t\r\n]*(-?[0-9]+)(?=[ \t\r\n]*[,}])')


def scan(frame: bytes) -> Scan:
    """Code, opaque and flag of a whole raw frame (from FrameSplitter, so its lengths are right).

    :raise WireError: not fatal: the header cannot be decoded.
    """
    word = _read_prefix(frame)[1]
    if word >> 24 == 0:
        try:
            # A view, not a slice: the header is not copied.
            return _decode(memoryview(frame)[8 : 8 + word])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            pass
    elif word & 0xFFFFFF >= FIXED_SIZE:
        code, opaque, flag = _read_binary(frame, 8)
        return Scan(code, opaque, flag)
    command = decode_frame(frame)
    return Scan(command.code, command.opaque, command.flag)


def splice_opaque(frame: bytes, opaque: int) -> bytes:
    """The same frame with another opaque, everything else byte for byte as it was.

    Where the place of the opaque in a JSON header is not beyond doubt (the key occurs twice, or within
    extFields, or as a string) the header is decoded and encoded anew, which drops fields that RocketMQ does
    not define.

    :raise WireError: not fatal: the header cannot be decoded.
    """
    word = _read_prefix(frame)[1]
    if word >> 24 == 1:
        if word & 0xFFFFFF < FIXED_SIZE:
            decode_frame(frame)  # raises: says what is wrong with it
        position = 8 + OPAQUE_POSITION
        return b"".join((frame[:position], _write_int(opaque), frame[position + 4 :]))
    body_start = 8 + word
    header = frame[8:body_start]
    if header.count(b'"opaque"') == 1:
        found = _OPAQUE.search(header)
        if found is not None:
            new = b"%b%d%b" % (header[: found.start(1)], opaque, header[found.end(1) :])
            try:
                # Proves that what was replaced is the top level's: a reader of the result sees the new
                # number.
                if _decode(new).opaque == opaque:
                    size = len(new)
                    return b"".join(
                        (_write_prefix(4 + size + len(frame) - body_start, size), new, frame[body_start:])
                    )
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
                pass
    command = decode_frame(frame)
    command.opaque = opaque
    return encode_command(command)
