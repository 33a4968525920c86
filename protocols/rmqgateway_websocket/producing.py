"""Frames of producers: sending, transactions, recalling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway import commands
from rmqgateway.errors import GatewayError
from rmqgateway_websocket import convert, frames
from rmqgateway_websocket.convert import id_of

if TYPE_CHECKING:
    from rmqgateway_websocket.connection import Client

__all__ = ["end_transaction", "heartbeat", "recall", "send_messages"]


def send_messages(client: Client, frame: frames.Send) -> None:
    command = convert.send_messages(frame, client.ids.new_id)
    client.refuse_new()
    if frame.transaction:
        known = client.membership.produce((frame.producer_group,))
        if known is not None:
            known.addCallbacks(
                lambda _: _store(client, frame, command), lambda failure: client.refuse(failure.value, frame.id)
            )
            return
    _store(client, frame, command)


def _store(client: Client, frame: frames.Send, command: commands.SendMessages) -> None:
    size = client.size
    client.began(size)

    def done(
        results: list[commands.SendResult] | None, repeated: set[int], error: GatewayError | None
    ) -> None:
        if results is None:
            client.refuse(error, frame.id)
        elif frame.id is not None:
            client.send(convert.sent(frame, results, repeated))
        client.ended(size)

    client.ids.send(client.context, command, [one.message_id for one in frame.messages], done)


def heartbeat(client: Client, frame: frames.Heartbeat) -> None:
    known = client.membership.produce(frame.producer_groups)
    if known is None:
        client.done(frame.id)
    else:
        client.answer(frame.id, known)


def end_transaction(client: Client, frame: frames.Transacting) -> None:
    client.execute(frame.id, convert.end_transaction(frame))


def recall(client: Client, frame: frames.Recall) -> None:
    def answer(reply: commands.RecalledMessage) -> frames.Recalled:
        return frames.Recalled(id=id_of(frame), message_id=reply.unique_key)

    client.execute(frame.id, commands.RecallMessage(frame.topic, frame.recall_handle), answer)
