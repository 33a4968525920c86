"""Queue locks of consumers that consume in order: held by a client id, renewed, expiring.

As RocketMQ's ``RebalanceLockManager`` they are not durable: after a restart clients take them again.
"""

from __future__ import annotations

from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.names import check_client_id, check_group
from rmqgateway.commands.pulling import LockedQueues, LockQueues, UnlockQueues
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageQueue

__all__ = ["Locks"]

_MAX_QUEUES = 65_536


class Locks(Component):
    """All queue locks, by group and queue: who holds it, and until when (reactor seconds)."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._groups: dict[str, dict[MessageQueue, tuple[str, float]]] = {}

    def handlers(self) -> Handlers:
        return {LockQueues: self.lock_queues, UnlockQueues: self.unlock_queues}

    def start(self) -> None:
        self.every(self.core.settings.lock_expiry_s, self._expire)

    def is_held(self, group: str) -> bool:
        """Whether anybody consumes in order in this group."""
        now = self.core.reactor.seconds()
        return any(until > now for _, until in self._groups.get(group, {}).values())

    def holder(self, group: str, queue: MessageQueue) -> str | None:
        """The client id that holds a queue, or None."""
        client_id, until = self._groups.get(group, {}).get(queue, ("", 0.0))
        return client_id if until > self.core.reactor.seconds() else None

    def lock_queues(self, context: Context, command: LockQueues) -> LockedQueues:
        check_group(command.group)
        check_client_id(command.client_id)
        if len(command.queues) > _MAX_QUEUES:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected at most {_MAX_QUEUES} queues, got {len(command.queues)}"
            )
        now = self.core.reactor.seconds()
        until = now + self.core.settings.lock_expiry_s
        held = self._groups.setdefault(command.group, {})
        locked: list[MessageQueue] = []
        for queue in command.queues:
            client_id, expires = held.get(queue, (command.client_id, until))
            if client_id == command.client_id or expires <= now:
                held[queue] = (command.client_id, until)
                locked.append(queue)
        return LockedQueues(tuple(locked))

    def unlock_queues(self, context: Context, command: UnlockQueues) -> None:
        held = self._groups.get(command.group, {})
        for queue in command.queues:
            if held.get(queue, ("", 0.0))[0] == command.client_id:
                del held[queue]

    def _expire(self) -> None:
        now = self.core.reactor.seconds()
        for group, held in list(self._groups.items()):
            for queue in [queue for queue, (_, until) in held.items() if until <= now]:
                del held[queue]
            if not held:
                del self._groups[group]
