"""Which messages a consumer wants: filters compiled, and tried on stored messages."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import Filter, FilterType
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import decode_properties, find_property
from rmqgateway.wire.selectors import Selector, compile_selector

__all__ = ["CompiledFilter", "compile_filter"]

_MAX_EXPRESSION = 16_384


class CompiledFilter(Protocol):
    """A filter, ready to be tried."""

    def matches(self, message: bytes) -> bool:
        """Whether a whole stored message passes."""


class _Tags:
    """``A || B``: messages whose tag is one of them, exactly (RocketMQ's broker compares hashes, its clients the text)."""

    __slots__ = ("_tags",)

    def __init__(self, tags: frozenset[bytes]) -> None:
        self._tags = tags

    def matches(self, message: bytes) -> bool:
        """See CompiledFilter."""
        if message[7] == 0xA7 and not message[39] & 0x30:
            # The usual layout: look into the properties where they are, without a copy.
            place = 88 + int.from_bytes(message[84:88], "big")
            start = place + 3 + message[place]
            at = message.rfind(b"TAGS\x01", start)
            if at < 0:
                return False
            if at == start or message[at - 1] == 2:
                end = message.find(b"\x02", at + 5)
                tag = message[at + 5 : end] if end >= 0 else message[at + 5 :]
                if tag:
                    return tag in self._tags
        return find_property(stored_message.properties(message), b"TAGS") in self._tags


class _Sql:
    """SQL92 over properties."""

    __slots__ = ("_selector",)

    def __init__(self, selector: Selector) -> None:
        self._selector = selector

    def matches(self, message: bytes) -> bool:
        """See CompiledFilter."""
        return self._selector.matches(decode_properties(stored_message.properties(message)))


def compile_filter(wanted: Filter) -> CompiledFilter | None:
    """The filter ready to be tried; None: everything passes.

    :raise GatewayError: BAD_FILTER, saying where.
    """
    return _compile(wanted.expression, wanted.type)


@lru_cache(4096)
def _compile(expression: str, kind: FilterType) -> CompiledFilter | None:
    if len(expression) > _MAX_EXPRESSION:
        raise GatewayError(
            Code.BAD_FILTER,
            f"expected a filter of at most {_MAX_EXPRESSION} characters, got {len(expression)}",
        )
    if kind is FilterType.SQL92:
        try:
            return _Sql(compile_selector(expression))
        except WireError as error:
            raise GatewayError(Code.BAD_FILTER, error.message) from None
    if expression in ("", "*"):
        return None
    tags = frozenset(tag.strip().encode() for tag in expression.split("||")) - {b""}
    if not tags:
        raise GatewayError(Code.BAD_FILTER, f"expected tags separated by ||, got {expression[:300]!r}")
    return _Tags(tags)
