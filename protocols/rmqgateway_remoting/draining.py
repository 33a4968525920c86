"""When a gateway that stops may close a connection of a client that is not told to go, or does not."""

from __future__ import annotations

__all__ = ["PATIENCE", "next_look"]

#: For so many seconds a client that knows no GO_AWAY may be busy; the next moment in which it waits for nothing is its last.
PATIENCE = 1.0
#: A client that has said nothing for so many seconds is quiet.
_QUIET = 0.5
_SOON = 0.05


def next_look(now: float, since: float, deadline: float, heard: float, busy: bool) -> float | None:
    """In how many seconds to look again; None if the connection is to be closed now.

    :param since: when the drain began. :param heard: when the client said something last.
    :param busy: requests are under way, or answers are not written.
    """
    impatient = now - since >= PATIENCE
    if now >= deadline or (not busy and (impatient or now - heard >= _QUIET)):
        return None
    return max(0.0, min(_SOON if impatient else _QUIET, deadline - now))
