"""Signatures, times, replays and tickets. The signatures come from RocketMQ's own classes and from openssl."""

from __future__ import annotations

import base64
import hmac
import inspect
from typing import Any

import pytest

from rmqgateway.apis.credentials import credential_of as grpc_credential
from rmqgateway.commands import UserStatus, UserType
from rmqgateway.context import Credential
from rmqgateway.errors import NotAuthenticated
from rmqgateway.governance.authentication import Authenticator, Seen, Tickets
from rmqgateway.governance.users import UserRecord, Users
from rmqgateway.wire.remoting import JSON, RemotingCommand
from rmqgateway_mqhttp.credentials import string_to_sign
from rmqgateway_remoting.credentials import credential_of as remoting_credential

#: 2026-01-02 03:04:05 UTC.
NOW = 1_767_323_045.0


class Clocks:
    def __init__(self) -> None:
        self.now = NOW
        self.users = Users([UserRecord("alice", "s3cret"), UserRecord("bob", "s3cret-键", UserType.SUPER)])
        self.made = Authenticator(self.users, lambda: self.now, lambda: self.now)

    def refused(self, credential: Credential) -> str:
        with pytest.raises(NotAuthenticated) as caught:
            self.made.verify(credential)
        return caught.value.reason


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def signed(at: float, zoned: bool = False, name: str = "alice", what: bytes = b"x") -> Credential:
    signature = hmac.digest(b"s3cret", what, "sha1")
    return Credential(name, signature, what, "HmacSHA1", at, zoned=zoned)


# Vectors.


#: What AclClientRPCHook of 5.5.0 made of a request, with the access key alice and the secret s3cret-键.
HOOKED = {
    "a": "producers",
    "b": "orders",
    "e": "0",
    "i": "KEYS\x01k\x02TAGS\x01订单\x02",
    "AccessKey": "alice",
    "Signature": "2Ys8CJy0fSldSHY9zdl6ymdwqhQ=",
}


def of_remoting(
    ext_fields: dict[str, str] | None = None, body: bytes = "hällo".encode(), version: int = 500
) -> Credential:
    ext = dict(HOOKED if ext_fields is None else ext_fields)
    credential = remoting_credential(RemotingCommand(310, 1, 0, version, "JAVA", None, ext, body, JSON))
    assert credential is not None
    return credential


def test_a_request_that_rocketmqs_own_hook_signed() -> None:
    users = Users([UserRecord("alice", "s3cret-键")])
    made = Authenticator(users, lambda: NOW, lambda: NOW)
    assert made.verify(of_remoting()).name == "alice"
    # Clients up to 4.9.3 add this field after they have signed.
    late = {**HOOKED, "_UNIQUE_KEY_QUERY": "true"}
    assert made.verify(of_remoting(ext_fields=late, version=396)).name == "alice"
    changes: list[dict[str, Any]] = [
        {"body": b"hallo"},
        {"ext_fields": {**HOOKED, "b": "other"}},
        {"ext_fields": {**HOOKED, "z": "more"}},
        {"ext_fields": {**HOOKED, "Signature": "AAAA"}},
        {"ext_fields": {**HOOKED, "Signature": "*"}},
        {"ext_fields": {name: value for name, value in HOOKED.items() if name != "Signature"}},
        {"ext_fields": late, "version": 500},
    ]
    for changed in changes:
        with pytest.raises(NotAuthenticated) as caught:
            made.verify(of_remoting(**changed))
        assert caught.value.reason == "signature"


def grpc(date: bytes = b"20260102T030405Z", signature: bytes = b"D52A1B6652308E0056E51C72ABFA9517A91CF875") -> Credential:
    fields = {
        b"x-mq-date-time": date,
        b"authorization": b"MQv2-HMAC-SHA1 Credential=alice, SignedHeaders=x-mq-date-time, Signature=" + signature,
    }
    credential = grpc_credential(fields)
    assert credential is not None
    return credential


def test_grpc_signs_its_date(clocks: Clocks) -> None:
    assert clocks.made.verify(grpc()).name == "alice"
    assert clocks.refused(grpc(b"20260102T030406Z")) == "signature"
    assert clocks.refused(grpc(signature=b"00ff")) == "signature"


def test_apsaramq_http_signs_the_request(clocks: Clocks) -> None:
    signed_bytes = string_to_sign(
        b"POST", b"", b"text/xml;charset=UTF-8", b"Fri, 02 Jan 2026 03:04:05 GMT", [(b"x-mq-version", b"2015-06-06")],
        b"/topics/t/messages",
    )  # fmt: skip
    signature = base64.b64decode("dPBWcXvpy04Bbkma/Yjgy4DjGx4=")
    assert clocks.made.verify(Credential("alice", signature, signed_bytes, "HmacSHA1", NOW)).name == "alice"


# Who it is.


def test_a_password(clocks: Clocks) -> None:
    assert clocks.made.verify(Credential.from_password("alice", "s3cret")).name == "alice"
    assert clocks.refused(Credential.from_password("alice", "S3cret")) == "signature"
    assert clocks.refused(Credential.from_password("eve", "s3cret")) == "unknown"
    assert clocks.refused(Credential("alice", b"", b"", "None")) == "signature"
    assert clocks.refused(Credential()) == "unknown"


def test_a_disabled_user(clocks: Clocks) -> None:
    clocks.users.take(UserRecord("carol", "s3cret", status=UserStatus.DISABLE))
    assert clocks.refused(Credential.from_password("carol", "s3cret")) == "disabled"
    assert clocks.refused(Credential.from_password("carol", "wrong")) == "signature"


def test_a_credential_is_verified_once_and_follows_its_user(clocks: Clocks) -> None:
    clocks.users.take(UserRecord("carol", "s3cret"))
    kept = signed(at=NOW, name="carol")
    first = clocks.made.verify(kept)
    clocks.now += 100_000  # what was let in goes on: an open stream is not asked for its date again
    assert clocks.made.verify(kept) is first
    clocks.users.take(UserRecord("carol", "s3cret", UserType.SUPER))
    assert clocks.made.verify(kept).is_super
    clocks.users.take(UserRecord("carol", "s3cret", status=UserStatus.DISABLE))
    assert clocks.refused(kept) == "disabled"
    clocks.users.take(UserRecord("carol", "other"))
    assert clocks.refused(kept) == "unknown"
    clocks.users.drop("carol")
    assert clocks.refused(kept) == "unknown"


# When it was signed.


@pytest.mark.parametrize(("ahead", "is_right"), [(0, True), (899, True), (-899, True), (901, False), (-901, False)])
def test_dates_are_near(clocks: Clocks, ahead: float, is_right: bool) -> None:
    credential = signed(at=NOW + ahead)
    if is_right:
        clocks.made.verify(credential)
    else:
        assert clocks.refused(credential) == "expired"


@pytest.mark.parametrize("hours", [-12, -9.5, 0, 5.75, 8, 14])
def test_local_times_that_are_called_utc(clocks: Clocks, hours: float) -> None:
    clocks.made.verify(signed(at=NOW + hours * 3600 + 800, zoned=True))
    strict = Authenticator(clocks.users, lambda: NOW, lambda: NOW, strict=True)
    if hours:
        with pytest.raises(NotAuthenticated):
            strict.verify(signed(at=NOW + hours * 3600, zoned=True))
    else:
        strict.verify(signed(at=NOW, zoned=True))


@pytest.mark.parametrize("hours", [-13, 15, -24, 24 * 365])
def test_no_time_zone_is_so_far(clocks: Clocks, hours: float) -> None:
    assert clocks.refused(signed(at=NOW + hours * 3600, zoned=True)) == "expired"


@pytest.mark.parametrize("date", [b"2026-01-02", b"now", b"\xff", b"20261302T030405Z", b"0001-01-01T00:00:00+14:00"])
def test_a_grpc_date_that_is_none_is_long_past(clocks: Clocks, date: bytes) -> None:
    assert clocks.refused(grpc(date, hmac.digest(b"s3cret", date, "sha1").hex().encode())) == "expired"


@pytest.mark.parametrize(
    "date", [b"2026-01-02T03:04:05.123456789Z", b"2026-01-02T11:04:05.5+08:00", b"2026-01-02T03:04:05Z"]
)
def test_rusts_client_signs_another_form_of_date(clocks: Clocks, date: bytes) -> None:
    credential = grpc(date, hmac.digest(b"s3cret", date, "sha1").hex().encode())
    assert clocks.made.verify(credential).name == "alice"
    assert abs((credential.signed_at or 0) - NOW) < 1


# Replays.


def test_equal_requests_of_one_second_are_both_right_and_later_ones_are_not(clocks: Clocks) -> None:
    for _ in range(5):
        clocks.made.verify(signed(at=NOW))
    clocks.now += 9
    clocks.made.verify(signed(at=NOW))
    clocks.now += 2
    assert clocks.refused(signed(at=NOW)) == "replayed"
    clocks.made.verify(signed(at=NOW, what=b"another"))
    clocks.now += 800
    assert clocks.refused(signed(at=NOW)) == "replayed"
    clocks.now += 200
    assert clocks.refused(signed(at=NOW)) == "expired"


def test_a_wrong_signature_takes_no_room(clocks: Clocks) -> None:
    clocks.refused(Credential("alice", b"wrong", b"x", "HmacSHA1", NOW))
    assert len(clocks.made.seen) == 0


def test_signatures_are_forgotten_when_their_dates_have_passed() -> None:
    seen = Seen()
    assert seen.may_come(b"a", NOW, NOW)
    assert seen.may_come(b"b", NOW + 1000, NOW + 1801)
    assert len(seen) == 1


def test_a_flood_of_right_signatures_lets_no_old_one_in_again() -> None:
    seen = Seen(most=10)
    for number in range(30):
        assert seen.may_come(b"%d" % number, NOW + number, NOW + number)
    assert len(seen) == 10
    assert not seen.may_come(b"0", NOW, NOW + 30)
    assert not seen.may_come(b"19", NOW + 19, NOW + 30)
    assert seen.may_come(b"29", NOW + 29, NOW + 30)
    assert seen.may_come(b"new", NOW + 30, NOW + 30)


# Tickets.


def test_a_ticket_is_good_once_and_for_a_minute(clocks: Clocks) -> None:
    ticket = clocks.made.tickets.issue("alice")
    assert ticket is not None and len(ticket) > 40
    assert clocks.made.verify(Credential(token=ticket)).name == "alice"
    assert clocks.refused(Credential(token=ticket)) == "unknown"
    late = clocks.made.tickets.issue("alice")
    clocks.now += 61
    assert clocks.refused(Credential(token=late or "")) == "unknown"
    assert len(clocks.made.tickets) == 0
    assert clocks.refused(Credential(token="\udcff")) == "unknown"


def test_the_ticket_of_a_user_who_is_gone_is_nobodys(clocks: Clocks) -> None:
    ticket = clocks.made.tickets.issue("carol")
    assert clocks.refused(Credential(token=ticket or "")) == "unknown"


def test_tickets_are_limited(clocks: Clocks) -> None:
    tickets = Tickets(lambda: clocks.now)
    made = [tickets.issue("alice") for _ in range(257)]
    assert None not in made[:256] and made[256] is None
    assert tickets.issue("bob") is not None
    assert tickets.take(made[0] or "") == "alice"
    assert tickets.issue("alice") is not None
    clocks.now += 61
    assert tickets.issue("alice") is not None and len(tickets) == 1


def test_no_comparison_tells_by_its_time() -> None:
    """Secrets and signatures are compared by one function only."""
    from rmqgateway.governance import authentication, users

    text = inspect.getsource(authentication) + inspect.getsource(users)
    for wrong in ("signature ==", "signature !=", ".key ==", ".key !=", "secret ==", "secret !="):
        assert wrong not in text
    assert text.count("compare_digest(") == 2

