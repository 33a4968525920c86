"""Who there is, and what each of them may do: users given in the configuration, and users stored by the backend.

A user of the configuration wins over a stored one of the same name, which is kept for the day when the configuration
names it no more; no command changes it or its policies. Whoever stores users changes them through here, so that the rules
hold for every backend: only Super users touch Super users, and an enabled Super user always remains.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from rmqgateway.commands import (
    Action,
    CreateUser,
    Policy,
    Resource,
    UpdateUser,
    UserInformation,
    UserStatus,
    UserType,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.acl import Address, address_of, check_policies, decide, merge, rules_of

if TYPE_CHECKING:
    from rmqgateway.interfaces import ISession

__all__ = ["User", "UserRecord", "Users", "check_record"]

#: Names must survive HTTP's Basic, RocketMQ's and ApsaraMQ's headers: no colon, comma, slash, equals sign or space.
_NAME = re.compile(r"[\w.@%|+-]{1,128}")
_MAX_SECRET = 256
_MAX_USERS = 10_000
#: Decisions kept for a user; all are dropped when there are so many.
_MAX_DECISIONS = 4096


class UserRecord(msgspec.Struct, frozen=True):
    """A user as it is stored or configured. The secret is there in clear: signatures are made with it."""

    name: str
    secret: str
    type: UserType = UserType.NORMAL
    status: UserStatus = UserStatus.ENABLE
    policies: tuple[Policy, ...] = ()

    def __repr__(self) -> str:
        return f"UserRecord({self.name!r}, ******, {self.type}, {self.status})"


class User:
    """One user, ready to be asked. A change makes another one.

    :ivar key: the secret as bytes.
    """

    __slots__ = ("_decisions", "_rules", "_sees_sources", "configured", "enabled", "is_super", "key", "name", "record")

    def __init__(self, record: UserRecord, configured: bool = False) -> None:
        self.record = record
        self.configured = configured
        self.name = record.name
        self.key = record.secret.encode()
        self.is_super = record.type is UserType.SUPER
        self.enabled = record.status is UserStatus.ENABLE
        self._rules = rules_of(record.policies)
        self._sees_sources = any(rule.networks for rule in self._rules)
        self._decisions: dict[tuple[Resource, str, tuple[Action, ...], int], bool | None] = {}

    def decide(self, kind: Resource, name: str, actions: tuple[Action, ...], source: Address | None) -> bool | None:
        """See `rmqgateway.governance.acl.decide`."""
        # An address as a number, since its own hash is made of text; those of IPv6 that look like IPv4's are told apart.
        if source is None or not self._sees_sources:
            number = -1
        else:
            number = int(source) << 1 | (source.version == 6)
        key = (kind, name, actions, number)
        decisions = self._decisions
        if key not in decisions:
            if len(decisions) >= _MAX_DECISIONS:
                decisions.clear()
            decisions[key] = decide(self._rules, kind, name, actions, source)
        return decisions[key]

    def has_secret(self, key: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.key, key)

    def information(self) -> UserInformation:
        """What may be told."""
        return UserInformation(self.name, self.record.type, self.record.status, self.configured)


class Users:
    """All users. :ivar by_name: read only for others. :ivar cluster: the name that ``Cluster:`` policies mean."""

    def __init__(self, configured: Sequence[UserRecord] = (), cluster: str = "DefaultCluster") -> None:
        self.cluster = cluster
        self._configured = {record.name: User(record, True) for record in configured}
        self._stored: dict[str, User] = {}
        self.by_name: dict[str, User] = dict(self._configured)
        self._watchers: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.by_name)

    def watch(self, callback: Callable[[], None]) -> None:
        """Call after each change."""
        self._watchers.append(callback)

    def may_publish(self, session: ISession, topic: str) -> bool:
        """Whether a producer's client may be shown a half message of a topic, to say what becomes of it."""
        if not self.by_name:
            return True
        user = self.by_name.get(session.user or "")
        if user is None or not user.enabled:
            return False
        source = address_of(session.peer)
        return user.is_super or bool(user.decide(Resource.TOPIC, topic, (Action.PUB,), source))

    # For who stores them.

    def load(self, records: Iterable[UserRecord]) -> None:
        """Take what was stored; nothing is checked."""
        self._stored = {record.name: User(record) for record in records}
        self._changed()

    def take(self, record: UserRecord) -> None:
        """A user is made or changed, as `created` … said."""
        self._stored[record.name] = User(record)
        self._changed()

    def drop(self, name: str) -> None:
        """A user is deleted, as `deletable` said."""
        if self._stored.pop(name, None) is not None:
            self._changed()

    def _changed(self) -> None:
        self.by_name.clear()
        self.by_name.update(self._stored)
        self.by_name.update(self._configured)
        for callback in self._watchers:
            callback()

    # What changes are possible; `by` is the user who wants it, None while there is none.

    def created(self, command: CreateUser, by: User | None) -> UserRecord:
        """The record of a new user. :raise GatewayError: see `CreateUser`."""
        if command.name in self.by_name:
            raise GatewayError(Code.ALREADY_EXISTS, f"user {command.name[:128]!r} exists already")
        if len(self.by_name) >= _MAX_USERS:
            raise GatewayError(Code.BAD_REQUEST, f"there are {_MAX_USERS} users already")
        record = check_record(UserRecord(command.name, command.secret, command.type, command.status))
        self._check_rank(record, by)
        self._check_super_left(record.name, record)
        return record

    def updated(self, command: UpdateUser, by: User | None) -> UserRecord:
        """The record of a changed user. :raise GatewayError: see `UpdateUser`."""
        old = self._changeable(command.name)
        record = check_record(
            UserRecord(
                old.name, command.secret or old.secret, command.type or old.type, command.status or old.status, old.policies
            )
        )
        self._check_rank(old, by)
        self._check_rank(record, by)
        self._check_super_left(record.name, record)
        return record

    def deletable(self, name: str, by: User | None) -> bool:
        """Whether there is such a user. :raise GatewayError: see `DeleteUser`."""
        if name not in self.by_name:
            return False
        self._check_rank(self._changeable(name), by)
        self._check_super_left(name, None)
        return True

    def with_policies(self, name: str, policies: Sequence[Policy]) -> UserRecord:
        """A user's record with more policies. :raise GatewayError: see `CreateAcl`."""
        record = self._changeable(name)
        return msgspec.structs.replace(record, policies=merge(record.policies, check_policies(policies)))

    def without_policy(self, name: str, which: Callable[[UserRecord], tuple[Policy, ...]]) -> UserRecord:
        """A user's record with fewer policies. :raise GatewayError: see `DeleteAcl`."""
        record = self._changeable(name)
        if not record.policies:
            raise GatewayError(Code.POLICY_NOT_FOUND, f"user {name[:128]!r} has no policies")
        return msgspec.structs.replace(record, policies=which(record))

    def find(self, name: str) -> User:
        """:raise GatewayError: USER_NOT_FOUND."""
        found = self.by_name.get(name)
        if found is None:
            raise GatewayError(Code.USER_NOT_FOUND, f"user {name[:128]!r} does not exist")
        return found

    def _changeable(self, name: str) -> UserRecord:
        found = self.find(name)
        if found.configured:
            raise GatewayError(
                Code.FORBIDDEN, f"user {name!r} is given in the gateway's configuration, and is changed there only"
            )
        return found.record

    @staticmethod
    def _check_rank(record: UserRecord, by: User | None) -> None:
        if record.type is UserType.SUPER and by is not None and not by.is_super:
            raise GatewayError(Code.FORBIDDEN, "only a Super user may make, change or delete a Super user")

    def _check_super_left(self, name: str, record: UserRecord | None) -> None:
        """What a change may not do: leave users of whom nobody can administer, or end the checks for everybody."""
        left = {other: user.record for other, user in self.by_name.items() if other != name}
        if record is not None:
            left[name] = record
        for one in left.values():
            if one.type is UserType.SUPER and one.status is UserStatus.ENABLE:
                return
        if self._was_without_super():
            return
        if not self.by_name:
            raise GatewayError(Code.BAD_REQUEST, "the first user must be of type Super, and enabled")
        raise GatewayError(
            Code.BAD_REQUEST,
            f"user {name!r} is the last enabled Super user, and must remain: make another one first",
        )

    def _was_without_super(self) -> bool:
        """Users of the configuration may all be Normal: then nobody administers, which is somebody's decision."""
        return bool(self.by_name) and not any(user.is_super and user.enabled for user in self.by_name.values())


def check_record(record: UserRecord) -> UserRecord:
    """The record, its policies spelt as RocketMQ does. :raise GatewayError: BAD_REQUEST names what is wrong."""
    if _NAME.fullmatch(record.name) is None:
        raise GatewayError(
            Code.BAD_REQUEST,
            f"user name: expected 1 to 128 letters, digits and . _ - @ % | +, got {record.name[:140]!r}",
        )
    if not 1 <= len(record.secret) <= _MAX_SECRET or not record.secret.isprintable() or not record.secret.strip():
        raise GatewayError(
            Code.BAD_REQUEST, f"password of user {record.name!r}: expected 1 to {_MAX_SECRET} printable characters"
        )
    if not record.policies:
        return record
    return msgspec.structs.replace(record, policies=check_policies(record.policies))

