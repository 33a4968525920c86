"""Users that are given in the configuration: a TOML file, and one Super user by two settings.

::

    [users.root]
    secret = "..."
    type = "Super"

    [users.orders-service]
    secret = "..."
    policies = [
        { resource = "Topic:orders*", actions = ["Pub", "Sub"] },
        { resource = ["Group:orders", "Group:audit"], actions = ["Sub"], source_ips = ["10.0.0.0/8"] },
        { resource = "Topic:orders-secret", actions = ["All"], decision = "Deny" },
    ]
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.logger import Logger

from rmqgateway.commands import Decision, Policy, PolicyEntry, PolicyType, UserStatus, UserType
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.errors import GatewayError
from rmqgateway.governance.users import UserRecord, check_record

__all__ = ["UsersSettings", "configured_users"]

_log = Logger(namespace="rmqgateway.security")


class UsersSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what (docs/security.md). From the first user on, here or stored, everything needs a credential.

    :ivar file: a TOML file with users and their policies, readable by the gateway's user alone.
    :ivar super_user: the name of one Super user, with `super_secret`; for the environment, and for the first user of all.
    :ivar super_secret: its secret: set it by the environment (RMQGATEWAY_USERS__SUPER_SECRET), where nobody else sees it.
    :ivar utc_only: gRPC clients are to sign with UTC, within 15 minutes. Several official ones sign with their local time and
        call it UTC; so unless this is set, every time zone's is taken.
    """

    file: str = ""
    super_user: str = ""
    super_secret: str = ""
    utc_only: bool = False

    def __post_init__(self) -> None:
        if bool(self.super_user) != bool(self.super_secret):
            given, other = ("super_user", "super_secret") if self.super_user else ("super_secret", "super_user")
            raise ValueError(f"{given}: expected {other} too")


class _Policy(msgspec.Struct, forbid_unknown_fields=True):
    resource: str | tuple[str, ...]
    actions: tuple[str, ...]
    source_ips: tuple[str, ...] = ()
    decision: Decision = Decision.ALLOW
    policy_type: PolicyType = PolicyType.CUSTOM


class _User(msgspec.Struct, forbid_unknown_fields=True):
    secret: str
    type: UserType = UserType.NORMAL
    status: UserStatus = UserStatus.ENABLE
    policies: tuple[_Policy, ...] = ()


def configured_users(settings: UsersSettings, place: Callable[[str], str]) -> list[UserRecord]:
    """The users of the configuration. :param place: where a setting was given, for errors.

    :raise ConfigurationError: the file cannot be read, or a user in it is not right.
    """
    found: dict[str, UserRecord] = {}
    if settings.file:
        found = {record.name: record for record in _read(settings.file, place("file"))}
    if settings.super_user:
        if settings.super_user in found:
            raise ConfigurationError(f"{place('super_user')}: user {settings.super_user!r} is in {settings.file} too")
        record = UserRecord(settings.super_user, settings.super_secret, UserType.SUPER)
        found[record.name] = _check(record, place("super_user"))
    return list(found.values())


def _read(path: str, place: str) -> list[UserRecord]:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{place}: {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}: {path} is no TOML: {error}") from None
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        _log.warn("{path} holds secrets, and others may read it: chmod 600 {path}", path=path)
    table = content.pop("users", {})
    if content or not isinstance(table, dict):
        raise ConfigurationError(f"{place}: {path}: expected tables [users.NAME], got {', '.join(content) or 'a value'}")
    return [_user(name, value, f"{path}: users.{name}") for name, value in table.items()]


def _user(name: str, value: Any, place: str) -> UserRecord:
    try:
        user = msgspec.convert(value, _User)
    except msgspec.ValidationError as error:
        # Its text names types and places, never a value.
        raise ConfigurationError(f"{place}: {error}") from None
    policies = []
    for policy in user.policies:
        resources = (policy.resource,) if isinstance(policy.resource, str) else policy.resource
        for resource in resources:
            entry = PolicyEntry(resource, policy.actions, policy.source_ips, policy.decision)
            policies.append(Policy(policy.policy_type, (entry,)))
    return _check(UserRecord(name, user.secret, user.type, user.status, tuple(policies)), place)


def _check(record: UserRecord, place: str) -> UserRecord:
    try:
        return check_record(record)
    except GatewayError as error:
        raise ConfigurationError(f"{place}: {error.message}") from None
