"""Whose pages and under which names: the Host and Origin checks that keep foreign web pages out; sans-IO.

A page of any site can make its visitor's browser send requests to this gateway, on loopback too. Two things tell:
the Host (a name of the attacker that resolves to our address: DNS rebinding) and the Origin.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable

__all__ = ["OriginIs", "Policy"]

_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class OriginIs(enum.Enum):
    """What an Origin header means here."""

    SAME = "ours"
    ALLOWED = "another that is allowed"
    FOREIGN = "foreign"


class Policy:
    """Judges names and origins.

    :param hosts: names besides localhost and addresses, or "*". :param origins: origins besides our own, or "*".
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._any_host = "*" in self._hosts
        self._origins = {origin.lower().encode() for origin in origins}
        self._any_origin = b"*" in self._origins
        self._known: dict[tuple[bytes, str], bool] = {}

    def allows_host(self, authority: bytes, advertised: str = "") -> bool:
        """Whether a request may be for this Host or :authority.

        An address is always right: there is no name that an attacker could have pointed at us.

        :param advertised: "host:port" that clients of this connection are told.
        """
        if self._any_host:
            return True
        key = (authority, advertised)
        known = self._known.get(key)
        if known is None:
            known = self._judge(authority, advertised)
            if len(self._known) >= 1000:
                self._known.clear()
            self._known[key] = known
        return known

    def _judge(self, authority: bytes, advertised: str) -> bool:
        try:
            text = authority.decode("ascii").lower()
        except UnicodeDecodeError:
            return False
        host, _ = _split(text)
        if host is None:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return True
        host = host.rstrip(".")
        if host == "localhost" or host.endswith(".localhost") or host in self._hosts:
            return True
        return bool(advertised) and host == _split(advertised.lower())[0]

    def judge_origin(self, origin: bytes, is_secure: bool, authority: bytes) -> OriginIs:
        """Judge an Origin header of a request for `authority`."""
        scheme = b"https" if is_secure else b"http"
        lower = origin.lower()
        port = _DEFAULT_PORTS[scheme]
        ours = scheme + b"://" + authority.lower().removesuffix(port)
        if lower.removesuffix(port) == ours:
            return OriginIs.SAME
        if self._any_origin or lower in self._origins:
            return OriginIs.ALLOWED
        return OriginIs.FOREIGN


def _split(text: str) -> tuple[str | None, str]:
    """Host and port of "host", "host:port" or "[v6]:port"; None for none of them."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and (port[0] != ":" or not port[1:].isdigit())):
            return None, ""
        return host, port[1:]
    host, colon, port = text.partition(":")
    if not host or (colon and not port.isdigit()):
        return None, ""
    return host, port
