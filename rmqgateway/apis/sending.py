"""SendMessage calls of one turn, handed to the door together: nearly all of a small send's cost is paid once per turn then."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rmqgateway.apis.convert_sending import write_sent
from rmqgateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.apis.rpc import Rpc
    from rmqgateway.commands import SendMessages, SendResults
    from rmqgateway.interfaces import IGateway

__all__ = ["Sends"]


class Sends:
    """What waits for the end of the turn. It is a `rmqgateway.outbox.Sender`: the turn's end is when its outbox flushes."""

    def __init__(self, gateway: IGateway) -> None:
        self._gateway = gateway
        self._outbox = gateway.outbox
        self._rpcs: list[Rpc] = []
        self._commands: list[SendMessages] = []

    def add(self, rpc: Rpc, command: SendMessages) -> None:
        """Carry out `command`, and answer `rpc`, which waits for nothing else."""
        self._rpcs.append(rpc)
        self._commands.append(command)
        if len(self._rpcs) == 1:
            self._outbox.ready(self)

    def flush(self) -> None:
        """See `rmqgateway.outbox.Sender`."""
        rpcs, self._rpcs = self._rpcs, []
        commands, self._commands = self._commands, []
        count = len(rpcs)
        gateway = self._gateway
        self._outbox.enter()
        try:
            if count == 1:
                if rpcs[0].context.session.paced:
                    self._wait(rpcs[0], commands[0])
                    return
                gateway.perform(rpcs[0].context, commands[0], _done, rpcs[0])
                return
            first = 0
            while first < count:
                # Those of one session in a row. With users each call has its own credential, and the door looks at each.
                session = rpcs[first].context.session
                end = first + 1
                if not gateway.guarded:
                    while end < count and rpcs[end].context.session is session:
                        end += 1
                if session.paced:
                    for rpc, command in zip(rpcs[first:end], commands[first:end], strict=True):
                        self._wait(rpc, command)
                else:
                    gateway.perform_sends(
                        rpcs[first].context, commands[first:end], _done, _done_together, rpcs[first:end]
                    )
                first = end
        finally:
            self._outbox.leave()


    def _wait(self, rpc: Rpc, command: SendMessages) -> None:
        """Too many bytes are under way in the process: it is carried out later."""
        go = partial(self._gateway.perform, rpc.context, command, _done, rpc)
        try:
            give_up = self._gateway.wait_for_room(command, go)
        except GatewayError as error:
            rpc.refuse(error)
        else:
            rpc.on_gone(lambda _: give_up())


def _done(rpc: Rpc, reply: SendResults | None, error: GatewayError | None) -> None:
    if rpc.done:
        return
    if error is not None:
        rpc.refuse(error)
    elif reply is not None:
        rpc.reply(write_sent(reply))


def _done_together(rpcs: Sequence[Rpc], replies: Sequence[SendResults]) -> None:
    for rpc, reply in zip(rpcs, replies, strict=True):
        if not rpc.done:
            rpc.reply(write_sent(reply))
