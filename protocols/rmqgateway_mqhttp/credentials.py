"""``Authorization: MQ AccessKeyId:Signature`` as a credential, and Content-MD5.

The signature is HMAC-SHA1 over method, Content-MD5, Content-Type, Date, the x-mq- headers and the request target, each as it
was sent: nothing is rebuilt, since the order of the query and the spelling of ``utf-8`` differ by SDK. Whether it is right, and
whether its time is near enough, is judged by the door. The body is covered only where Content-MD5 is sent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from hashlib import md5
from typing import TYPE_CHECKING

from rmqgateway.context import Credential
from rmqgateway_mqhttp.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.interfaces import IRequest

__all__ = ["check_md5", "credential_of", "string_to_sign"]


def string_to_sign(
    method: bytes,
    content_md5: bytes,
    content_type: bytes,
    date: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    target: bytes,
) -> bytes:
    """What a client signs. :param headers: names in lower case. :param target: path and query as sent."""
    mq = b"".join(
        [b"%b:%b\n" % field for field in sorted(field for field in headers if field[0].startswith(b"x-mq-"))]
    )
    return b"%b\n%b\n%b\n%b\n%b%b" % (method, content_md5, content_type, date, mq, target)


@lru_cache(64)
def _seconds_of(date: bytes) -> float:
    """Seconds since 1970. Kept, since all requests of a second have the same. :raise ValueError: it is no date."""
    parsed = parsedate_tz(date.decode("ascii"))
    if parsed is None:
        raise ValueError
    return float(mktime_tz(parsed))


def credential_of(request: IRequest) -> Credential | None:
    """What a request offers, or None where it offers nothing.

    :raise Refused: 403: not of this form, or without a Date that can be read, by which the door tells replays.
    """
    authorization = request.header(b"authorization")
    if authorization is None:
        return None
    scheme, _, rest = authorization.partition(b" ")
    key, colon, signature = rest.strip().rpartition(b":")
    try:
        if scheme != b"MQ" or not colon or not key:
            raise ValueError
        access_key = key.decode()
        raw = b64decode(signature, validate=True)
        token = (request.header(b"security-token") or b"").decode()
    except (ValueError, Base64Error):
        raise Refused(
            403,
            "AccessIDAuthError",
            "Authorization: expected 'MQ ' + AccessKeyId + ':' + signature in base64",
        ) from None
    date = request.header(b"date") or b""
    try:
        signed_at = _seconds_of(date)
    except (ValueError, OverflowError):
        raise Refused(403, "InvalidDate", "Date: expected as in 'Sun, 06 Nov 1994 08:49:37 GMT'") from None
    signed = string_to_sign(
        request.method.encode(),
        request.header(b"content-md5") or b"",
        request.header(b"content-type") or b"",
        date,
        request.headers,
        request.target,
    )
    return Credential(access_key, raw, signed, "HmacSHA1", signed_at, security_token=token)


def check_md5(request: IRequest, body: bytes) -> None:
    """Compare Content-MD5, where it is sent, with the body: base64 of the 32 lower-case digits, not of the 16 bytes.

    :raise Refused: 400.
    """
    told = request.header(b"content-md5")
    if told is not None and told != b64encode(md5(body, usedforsecurity=False).hexdigest().encode()):
        raise Refused(
            400,
            "InvalidDigest",
            "Content-MD5: it is not that of the body (base64 of its 32 hexadecimal digits)",
        )
