"""The frames that say who the client is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway import commands
from rmqgateway.context import Context, Credential
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway_websocket import frames

if TYPE_CHECKING:
    from rmqgateway_websocket.connection import Client

__all__ = ["connect", "ping", "refuse_stranger"]

_POLICY = 1008


def connect(client: Client, frame: frames.Connect) -> None:
    offered = [name for name in ("token", "access_key", "ticket") if getattr(frame, name)]
    if len(offered) > 1:
        raise WireError(f"connect: expected one credential, got {' and '.join(offered)}", fatal=False)
    try:
        user = _authenticate(client, frame) if offered else client.gateway.authenticate(client.context, None)
    except GatewayError as error:
        client.refuse(error, frame.id)
        client.socket.close(_POLICY, error.message[:100])
        return
    if frame.client_id:
        client.client_id = frame.client_id
    client.execute(
        frame.id,
        commands.Heartbeat(client.client_id, frame.language or "BROWSER", frame.version),
        lambda _: frames.Connected(
            id=frame.id,
            client_id=client.client_id,
            user=user or "",
            max_under_way=client.settings.under_way,
        ),
    )


def refuse_stranger(client: Client, frame_id: int | str | None) -> None:
    """Users exist, and the first frame does not say who it is: nobody waits for a second one."""
    text = "expected connect with a credential in the first frame, since users exist"
    client.refuse(GatewayError(Code.UNAUTHENTICATED, text), frame_id)
    client.socket.close(_POLICY, text)


def _authenticate(client: Client, frame: frames.Connect) -> str | None:
    if frame.token or frame.ticket:
        credential = Credential(token=frame.token or frame.ticket)
    elif client.private or client.settings.secrets_in_clear:
        credential = Credential.from_password(frame.access_key, frame.secret_key)
    else:
        raise GatewayError(
            Code.UNAUTHENTICATED,
            "connect: a secretKey is taken over TLS only (setting front_ends.websocket.secrets_in_clear)",
        )
    client.context = Context(client.context.session, credential)
    return client.gateway.authenticate(client.context, credential)


def ping(client: Client, frame: frames.Ping) -> None:
    client.done(frame.id)
