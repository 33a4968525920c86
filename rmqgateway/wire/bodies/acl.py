"""Users and policies (3001 to 3010)."""

from __future__ import annotations

from rmqgateway.wire.bodies.codec import Body

__all__ = ["AclInfo", "PolicyEntryInfo", "PolicyInfo", "UserInfo"]


class UserInfo(Body, kw_only=True):
    """A user; `user_type` is ``Super`` or ``Normal``, `user_status` ``enable`` or ``disable``."""

    password: str | None = None
    user_status: str | None = None
    user_type: str | None = None
    username: str | None = None


class PolicyEntryInfo(Body, kw_only=True):
    """What may be done to one resource (``Topic:name``): actions such as ``Pub``, `decision` ``Allow`` or
    ``Deny``."""

    actions: list[str] | None = None
    decision: str | None = None
    resource: str | None = None
    source_ips: list[str] | None = None


class PolicyInfo(Body, kw_only=True):
    """`policy_type` is ``Custom`` or ``Default``."""

    entries: list[PolicyEntryInfo] | None = None
    policy_type: str | None = None


class AclInfo(Body, kw_only=True):
    """The policies of a subject (``User:name``)."""

    policies: list[PolicyInfo] | None = None
    subject: str | None = None
