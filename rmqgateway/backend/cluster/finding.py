"""Which of several brokers has a message that is named by its place in a log: the same offset may be used at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_id import decode_offset_message_id, host_text
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway.wire.request_codes import RequestCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.component import Core
    from rmqgateway.context import Context

__all__ = ["Finder"]

#: A broker that cannot be asked may have it: then nothing is said to be missing.
_AWAY: Final = (Code.UPSTREAM_UNAVAILABLE, Code.TIMEOUT, Code.BUSY, Code.SHUTTING_DOWN)
#: Where a message that is somewhere else for a while names its own topic.
_OWN_TOPIC: Final = ("RETRY_TOPIC", "REAL_TOPIC")


class Finder:
    """Finds brokers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def broker(
        self, context: Context, physical_offset: int, broker_name: str = "", message_id: str = "", topic: str = ""
    ) -> str:
        """The broker that is named, whose address is in the offset message id, the only one, or the one that shows a message
        there. Requests that change something must not go to another: brokers take whatever is at the place.

        :raise GatewayError: MESSAGE_NOT_FOUND: none has it; BAD_REQUEST: several have one there; those of a broker that
            could not be asked.
        """
        routes = self._core.routes
        if broker_name:
            if broker_name not in routes.brokers:
                routes.master(broker_name)  # raises
            return broker_name
        named = self._of_id(message_id)
        if named is not None:
            return named
        if len(routes.brokers) == 1:
            return next(iter(routes.brokers))
        found = await self._shown(context, physical_offset, topic)
        if not found:
            names = ", ".join(sorted(routes.brokers))
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"none of the brokers {names} has such a message at {physical_offset}")
        if len(found) > 1:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"each of the brokers {', '.join(name for name, _ in found)} has a message at {physical_offset}: name the broker",
            )
        return found[0][0]

    async def message(self, context: Context, physical_offset: int, broker_name: str = "", topic: str = "") -> bytes:
        """The message at a place. :raise GatewayError: as `broker`."""
        name = await self.broker(context, physical_offset, broker_name, "", topic)
        message = await self._view(context, name, physical_offset, topic)
        if message is None:
            raise GatewayError(Code.MESSAGE_NOT_FOUND, f"broker {name} has no message at {physical_offset}")
        return message

    def _of_id(self, message_id: str) -> str | None:
        if not message_id:
            return None
        try:
            host, port = host_text(decode_offset_message_id(message_id)[0])
        except WireError:
            return None
        return self._core.routes.reached_by(f"{host}:{port}")

    async def _shown(self, context: Context, physical_offset: int, topic: str) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        away: GatewayError | None = None
        for name in sorted(self._core.routes.brokers):
            try:
                message = await self._view(context, name, physical_offset, topic)
            except GatewayError as error:
                if error.code in _AWAY:
                    away = error
                    continue
                raise
            if message is not None and (not topic or topic in _topics(message)):
                found.append((name, message))
        if away is not None:
            raise away
        return found

    async def _view(self, context: Context, name: str, physical_offset: int, topic: str) -> bytes | None:
        """What a broker has at the place, or None. What lies between two messages may be shown as one: it must say itself
        that it is there."""
        ext = {"offset": str(physical_offset), "bname": name}
        if topic:
            ext["topic"] = topic
        try:
            answer = await self._core.ask(
                self._core.routes.reading(name), RequestCode.VIEW_MESSAGE_BY_ID, ext, context=context
            )
        except GatewayError as error:
            if error.code in (Code.UPSTREAM_ERROR, Code.MESSAGE_NOT_FOUND):
                return None
            raise
        return answer.body if stored_message.is_stored_at(answer.body, physical_offset) else None


def _topics(message: bytes) -> set[str]:
    named = decode_properties(stored_message.properties(message))
    own = {named[name] for name in _OWN_TOPIC if name in named}
    return own | {stored_message.topic(message).decode("utf-8", "replace")}
