"""Who asks: signatures and tickets, verified; each credential once, however many commands it is offered with.

The secret of a user is the key of its signatures; comparisons take constant time. What a wire can tell about the time of
a signature is held against the clock:

* ApsaraMQ HTTP (``Credential.signed_at``): 15 minutes before or after. Its dates have seconds, and its SDKs sign neither body
  nor a number, so two requests of one second are signed alike and both are right; a signature is therefore taken again for
  10 seconds after it came first, which covers the second and a client's own repetition, and never afterwards.
* gRPC (``Credential.zoned``): the same 15 minutes; but Java's and other clients write their *local* time and call it UTC, so
  any time zone's offset is taken, unless `strict` says that all clients run in UTC.
* Remoting signs what is asked, not when.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from rmqgateway.errors import NotAuthenticated

if TYPE_CHECKING:
    from rmqgateway.context import Credential
    from rmqgateway.governance.users import User, Users

__all__ = ["Authenticator", "Seen", "Tickets"]

_WINDOW_S = 900.0
#: The earliest and the latest local time there is, as seconds from UTC.
_WEST_S, _EAST_S = -12 * 3600.0, 14 * 3600.0
_AGAIN_S = 10.0
_MAX_SEEN = 100_000
TICKET_S = 60.0
_MAX_TICKETS = 10_000
_MAX_TICKETS_OF_USER = 256
_ALGORITHMS = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
#: What unknown users' signatures are compared with, so that they cost what those of known ones do.
_NOBODY = secrets.token_bytes(20)


class Authenticator:
    """:param now: the wall clock, seconds since 1970. :param seconds: a clock that only goes on."""

    def __init__(
        self, users: Users, now: Callable[[], float], seconds: Callable[[], float], strict: bool = False
    ) -> None:
        self._users = users
        self._now = now
        self._strict = strict
        self.seen = Seen()
        self.tickets = Tickets(seconds)

    def verify(self, credential: Credential) -> User:
        """Whose it is. :raise NotAuthenticated: nobody's."""
        known: User | None = credential.user
        if known is None:
            user = self._user_of_token(credential.token) if credential.token else self._user_of_signature(credential)
        else:
            user = self._users.by_name.get(known.name)  # type: ignore[assignment]
            if user is known and user.enabled:
                return user
            # The user has changed since; a signature of old stays right as long as its key does.
            if user is None or not user.has_secret(known.key):
                raise NotAuthenticated("unknown", f"user {known.name!r} is not what it was; sign anew")
        if not user.enabled:
            raise NotAuthenticated("disabled", f"user {user.name!r} is disabled")
        credential.user = user
        return user

    def _user_of_token(self, token: str) -> User:
        name = self.tickets.take(token)
        user = None if name is None else self._users.by_name.get(name)
        if user is None:
            raise NotAuthenticated("unknown", "the ticket is unknown, used already, or its 60 seconds are over")
        return user

    def _user_of_signature(self, credential: Credential) -> User:
        user = self._users.by_name.get(credential.access_key)
        algorithm = _ALGORITHMS.get(credential.algorithm)
        if algorithm is None:
            raise NotAuthenticated("signature", f"signature: expected HmacSHA1, got {credential.algorithm[:20]!r}")
        expected = hmac.digest(_NOBODY if user is None else user.key, credential.signed, algorithm)
        is_right = hmac.compare_digest(expected, credential.signature)
        if user is None:
            raise NotAuthenticated("unknown", f"user {credential.access_key[:128]!r} is not found")
        if not is_right:
            raise NotAuthenticated("signature", f"the signature of user {user.name!r} is not right")
        if credential.signed_at is not None:
            self._check_time(credential, credential.signed_at)
        return user

    def _check_time(self, credential: Credential, signed_at: float) -> None:
        now = self._now()
        ahead = signed_at - now
        if credential.zoned and not self._strict:
            is_near = _WEST_S - _WINDOW_S <= ahead <= _EAST_S + _WINDOW_S
        else:
            is_near = abs(ahead) <= _WINDOW_S
        if not is_near:
            side = "after" if ahead > 0 else "before"
            raise NotAuthenticated(
                "expired", f"signed {abs(ahead):.0f} s {side} the gateway's time; expected 900 s at most: set the clock"
            )
        if not credential.zoned and not self.seen.may_come(credential.signature, signed_at, now):
            raise NotAuthenticated("replayed", f"the signature came {_AGAIN_S:.0f} s ago or longer; sign each request anew")


class Seen:
    """The signatures that have come, for as long as their times would be taken. :param most: how many are kept; when there
    are more, what is signed before the oldest of them is taken no more."""

    def __init__(self, most: int = _MAX_SEEN) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # came first, signed at
        self._floor = float("-inf")

    def __len__(self) -> int:
        return len(self._seen)

    def may_come(self, signature: bytes, signed_at: float, now: float) -> bool:
        """Whether a right signature is new, or came first only just now."""
        seen = self._seen
        came = seen.get(signature)
        if came is not None:
            return now - came[0] <= _AGAIN_S
        if signed_at <= self._floor:
            return False
        while seen:
            oldest = next(iter(seen))
            if len(seen) < self._most and now - seen[oldest][0] <= 2 * _WINDOW_S:
                break
            _, was_signed = seen.pop(oldest)
            if now - was_signed <= _WINDOW_S:
                self._floor = max(self._floor, was_signed)
        seen[signature] = (now, signed_at)
        return True


class Tickets:
    """Tokens of 60 seconds that are good once: for what cannot sign (a page that opens a WebSocket).

    Only their digests are kept.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._tickets: OrderedDict[bytes, tuple[float, str]] = OrderedDict()  # end, user
        self._count: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, name: str) -> str | None:
        """A ticket for a user, "" for nobody while no users exist; None if too many are out."""
        self._expire()
        if len(self._tickets) >= _MAX_TICKETS or self._count.get(name, 0) >= _MAX_TICKETS_OF_USER:
            return None
        ticket = secrets.token_urlsafe(32)
        self._tickets[_digest(ticket)] = (self._seconds() + TICKET_S, name)
        self._count[name] = self._count.get(name, 0) + 1
        return ticket

    def take(self, ticket: str) -> str | None:
        """The user of a ticket, which is none any more; None if it is none."""
        self._expire()
        digest = _digest(ticket)
        found = self._tickets.get(digest)
        if found is None:
            return None
        self._forget(digest)
        return found[1]

    def _expire(self) -> None:
        now = self._seconds()
        while self._tickets:
            oldest, (end, _) = next(iter(self._tickets.items()))
            if end > now:
                return
            self._forget(oldest)

    def _forget(self, digest: bytes) -> None:
        _, name = self._tickets.pop(digest)
        left = self._count[name] - 1
        if left:
            self._count[name] = left
        else:
            del self._count[name]


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "surrogateescape")).digest()
