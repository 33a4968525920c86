"""HPACK (RFC 7541): the decoder, the encoder and the field type, under one name."""

from __future__ import annotations

from rmqgateway.wire.hpack_decoder import HeaderListTooLarge, HpackDecoder, field_is_valid
from rmqgateway.wire.hpack_encoder import INDEXED_NAMES, SENSITIVE_NAMES, HpackEncoder
from rmqgateway.wire.hpack_huffman import huffman_decode, huffman_encode
from rmqgateway.wire.hpack_tables import Header

__all__ = [
    "INDEXED_NAMES",
    "SENSITIVE_NAMES",
    "Header",
    "HeaderListTooLarge",
    "HpackDecoder",
    "HpackEncoder",
    "field_is_valid",
    "huffman_decode",
    "huffman_encode",
]
