"""The signature of a request as a credential; nothing is computed before somebody verifies it.

What is signed are the values of all header fields but the signature, in the order of their names, then the body
(``AclUtils.combineRequestContent`` of 5.5.0); HMAC-SHA1, Base64.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from rmqgateway.context import Credential
from rmqgateway_remoting.versions import V4_9_3

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["credential_of", "signed_content"]

#: A field that clients up to 4.9.3 add after they have signed.
_UNIQUE_KEY_QUERY = "_UNIQUE_KEY_QUERY"
_MOST_FIELDS, _LONGEST_NAME = 40, 64


def _order(names: tuple[str, ...], late: str) -> Callable[[dict[str, str]], tuple[str, ...]]:
    """What takes the values that are signed out of header fields with these names."""
    signed = sorted(name for name in names if name not in ("Signature", late))
    if len(signed) < 2:
        return lambda ext: tuple([ext[name] for name in signed])
    return itemgetter(*signed)


_known_order = lru_cache(256)(_order)


def signed_content(request: RemotingCommand) -> bytes:
    """The bytes that the client signed."""
    ext = request.ext_fields
    late = _UNIQUE_KEY_QUERY if request.version <= V4_9_3 else ""
    # Requests have few sets of names; what no client sends is not kept.
    order = _known_order if len(ext) <= _MOST_FIELDS and max(map(len, ext)) <= _LONGEST_NAME else _order
    return "".join(order(tuple(ext), late)(ext)).encode() + request.body


class _SignedRequest(Credential):
    """A credential whose signed bytes are put together when they are asked for."""

    request: RemotingCommand | None = None

    @property  # type: ignore[misc]
    def signed(self) -> bytes:  # type: ignore[override]
        return b"" if self.request is None else signed_content(self.request)


def credential_of(request: RemotingCommand) -> Credential | None:
    """What the request offers to prove who sends it, or None if it offers nothing."""
    ext = request.ext_fields
    key = ext.get("AccessKey")
    if key is None:
        return None
    try:
        signature = binascii.a2b_base64(ext.get("Signature", ""))
    except ValueError:
        signature = b""
    return _SignedRequest(access_key=key, signature=signature, security_token=ext.get("SecurityToken", ""), request=request)
