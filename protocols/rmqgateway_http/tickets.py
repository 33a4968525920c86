"""Tickets: who can sign a request gets a token for what cannot, such as a page that opens a WebSocket."""

from __future__ import annotations

from rmqgateway_http.call import Call
from rmqgateway_http.codec_json import TicketOut

__all__ = ["create_ticket"]


def create_ticket(call: Call) -> None:
    """Get a ticket: a token in the caller's name, good once and for 60 s, for a WebSocket's first frame or as a Bearer."""
    call.query()
    ticket, seconds = call.gateway.ticket(call.context)
    call.answer_json(201, TicketOut(ticket, int(seconds)))
