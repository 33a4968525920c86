"""Who asks, over what, until when."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rmqgateway.commands import Action
    from rmqgateway.governance.guard import Guard
    from rmqgateway.governance.users import User
    from rmqgateway.interfaces import ISession

__all__ = ["Context", "Credential"]


class Credential(msgspec.Struct):
    """What a client offers to prove who it is; the door verifies it, nobody else reads a name out of it.

    Either an access key with a signature over the bytes that its protocol signs, or a token.

    :ivar algorithm: ``HmacSHA1`` or ``HmacSHA256``. :ivar signature: raw bytes, decoded from the protocol's text.
    :ivar signed_at: when it says it was signed, seconds since 1970, where its protocol has that; checked for replay.
    :ivar zoned: `signed_at` may be the client's local time; a signature is then not kept from being used again.
    :ivar user: set by the door alone: whose it was when it was verified.
    """

    access_key: str = ""
    signature: bytes = b""
    signed: bytes = b""
    algorithm: str = "HmacSHA1"
    signed_at: float | None = None
    security_token: str = ""
    token: str = ""
    zoned: bool = False
    user: Any = None

    def __repr__(self) -> str:
        return f"Credential({self.access_key!r}, …)"

    @classmethod
    def from_password(cls, name: str, password: str) -> Credential:
        """For protocols that send the secret itself (STOMP's passcode, MQTT's password): the password is the access key's
        secret key, and signs the name. Take it only from a connection that nobody can listen to."""
        signed = name.encode()
        signature = hmac.new(password.encode(), signed, hashlib.sha256).digest()
        return cls(name, signature, signed, "HmacSHA256")


class Context:
    """One request's circumstances. Cheap: made for each request, since one connection can carry several identities.

    :ivar session: the connection's session.
    :ivar credential: what the client offered with this request, or None.
    :ivar deadline: in reactor seconds, when the client stops waiting, or None.
    :ivar trace: W3C ``traceparent`` as sent, or "".
    :ivar request_id: for logs and error replies, or "".
    :ivar own: a front-end asks for itself, after `IGateway.judge` of what its client wants, and shows the client nothing of
        the reply that this would not have: the door does not judge it.
    :ivar namespace: RocketMQ's namespace of the request, or ""; names in commands already carry it.
    """

    __slots__ = (
        "credential",
        "deadline",
        "guard",
        "namespace",
        "own",
        "request_id",
        "session",
        "trace",
        "user",
        "verified",
    )

    def __init__(
        self,
        session: ISession,
        credential: Credential | None = None,
        deadline: float | None = None,
        trace: str = "",
        request_id: str = "",
        namespace: str = "",
        own: bool = False,
    ) -> None:
        self.session = session
        self.credential = credential
        self.deadline = deadline
        self.trace = trace
        self.request_id = request_id
        self.namespace = namespace
        self.own = own
        # Set by the door, from a verified credential only.
        self.user: str | None = None
        self.verified: User | None = None
        self.guard: Guard | None = None

    def require_topic(self, topic: str, group: str, actions: tuple[Action, ...]) -> None:
        """For handlers of commands that do not say which topic they touch: may the caller do one of `actions` to it?

        :param group: the consumer group that the command names, or "". :raise GatewayError: FORBIDDEN.
        """
        if self.guard is not None:
            self.guard.require_topic(self, topic, group, actions)
