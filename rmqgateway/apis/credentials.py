"""The ``authorization`` of a call as a credential. Source: ``Signature.java`` of the Java client, and
``DefaultAuthenticationContextBuilder`` of 5.5.0: HMAC-SHA1 over the value of ``x-mq-date-time``, in hexadecimal digits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.refusals import Refusal
from rmqgateway.context import Credential

__all__ = ["credential_of"]

_ALGORITHM = "MQv2-HMAC-SHA1"


def credential_of(fields: Mapping[bytes, bytes]) -> Credential | None:
    """What the call's metadata offer, or None. The time is marked as one whose zone is not known: clients write their local
    time as UTC. One that is no time is long past.

    :raise Refusal: UNAUTHORIZED: not of this form.
    """
    header = fields.get(b"authorization")
    if not header:
        return None
    date_time = fields.get(b"x-mq-date-time")
    if not date_time:
        raise Refusal(v2.UNAUTHORIZED, "datetime is null.")
    algorithm, _, items = header.decode("utf-8", "replace").partition(" ")
    if algorithm != _ALGORITHM or not items:
        raise Refusal(v2.UNAUTHORIZED, f"authentication header is incorrect: expected {_ALGORITHM} and its items")
    key = ""
    signature = b""
    for item in items.split(","):
        name, equals, value = item.strip().partition("=")
        if not equals:
            raise Refusal(v2.UNAUTHORIZED, "authentication keyValues length is incorrect: expected name=value")
        if name == "Credential":
            key = value.partition("/")[0]
        elif name == "Signature":
            try:
                signature = bytes.fromhex(value)
            except ValueError:
                raise Refusal(v2.UNAUTHORIZED, "the signature is not in hexadecimal digits") from None
    token = fields.get(b"x-mq-session-token", b"").decode("utf-8", "replace")
    return Credential(key, signature, date_time, "HmacSHA1", _seconds_of(date_time), security_token=token, zoned=True)


@lru_cache(64)
def _seconds_of(date_time: bytes) -> float:
    """Seconds since 1970 of ``20260102T030405Z``; kept, since all calls of a second have the same.

    Rust's client writes RFC 3339 instead, with its zone's offset or as UTC.
    """
    try:
        text = date_time.decode("ascii")
        if "-" not in text:
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if "T" not in text:
            return 0.0
        made = datetime.fromisoformat(text)
        return (made if made.tzinfo is not None else made.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
