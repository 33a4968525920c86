"""Users and their policies, durable; the rules are in `rmqgateway.governance.users`."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.commands import (
    Acl,
    CreateAcl,
    CreateUser,
    DeleteAcl,
    DeleteUser,
    FoundAcls,
    FoundUsers,
    GetAcl,
    GetUser,
    ListAcls,
    ListUsers,
    Policy,
    PolicyType,
    UpdateAcl,
    UpdateUser,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.acl import remove, user_of
from rmqgateway.governance.users import User, UserRecord, Users, check_record

__all__ = ["StoredUsers"]

_TABLE = "users"
_log = Logger()


class _Record(msgspec.Struct, array_like=True):
    """What the metadata table holds for a user. :ivar format: 1."""

    format: int
    user: UserRecord


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class StoredUsers(Component):
    """Keeps `users` as they are stored. A change counts at once, and is answered when it is durable."""

    def __init__(self, core: Core, users: Users) -> None:
        super().__init__(core)
        self._users = users

    def handlers(self) -> Handlers:
        return {
            CreateUser: self.create_user,
            UpdateUser: self.update_user,
            DeleteUser: self.delete_user,
            GetUser: self.get_user,
            ListUsers: self.list_users,
            CreateAcl: self.change_acl,
            UpdateAcl: self.change_acl,
            DeleteAcl: self.delete_acl,
            GetAcl: self.get_acl,
            ListAcls: self.list_acls,
        }

    def start(self) -> None:
        found = []
        for name, value in self.core.store.metadata.items(_TABLE):
            try:
                found.append(check_record(_decode(value).user))
            except (msgspec.MsgspecError, GatewayError) as error:
                # Without its record nobody is this user: what cannot be read lets nobody in.
                _log.error("the record of user {name} is passed over: {error}", name=name, error=error)
        self._users.load(found)

    # Users.

    def create_user(self, context: Context, command: CreateUser) -> Deferred[None]:
        return self._keep(context, self._users.created(command, self._by(context)), "is made")

    def update_user(self, context: Context, command: UpdateUser) -> Deferred[None]:
        return self._keep(context, self._users.updated(command, self._by(context)), "is changed")

    def delete_user(self, context: Context, command: DeleteUser) -> Deferred[None] | None:
        if not self._users.deletable(command.name, self._by(context)):
            return None
        self._users.drop(command.name)
        _note(context, command.name, "is deleted")
        return self.core.store.metadata.change([(_TABLE, command.name, None)])

    def get_user(self, context: Context, command: GetUser) -> FoundUsers:
        if not command.name.strip():
            raise GatewayError(Code.BAD_REQUEST, "username: expected one, got none")
        found = self._users.by_name.get(command.name)
        return FoundUsers() if found is None else FoundUsers((found.information(),))

    def list_users(self, context: Context, command: ListUsers) -> FoundUsers:
        users = self._users.by_name
        return FoundUsers(
            tuple(users[name].information() for name in sorted(users) if command.filter in name)
        )

    # Policies.

    def change_acl(self, context: Context, command: CreateAcl | UpdateAcl) -> Deferred[None]:
        record = self._users.with_policies(user_of(command.subject), command.policies)
        return self._keep(context, record, "has other policies")

    def delete_acl(self, context: Context, command: DeleteAcl) -> Deferred[None]:
        def left(record: UserRecord) -> tuple[Policy, ...]:
            if not command.resource:
                return ()
            return remove(record.policies, command.policy_type or PolicyType.CUSTOM, command.resource)

        record = self._users.without_policy(user_of(command.subject), left)
        return self._keep(context, record, "has fewer policies")

    def get_acl(self, context: Context, command: GetAcl) -> FoundAcls:
        found = self._users.find(user_of(command.subject))
        return FoundAcls((_acl(found),) if found.record.policies else ())

    def list_acls(self, context: Context, command: ListAcls) -> FoundAcls:
        found = []
        for name in sorted(self._users.by_name):
            acl = _acl(self._users.by_name[name])
            if command.subject_filter not in acl.subject:
                continue
            policies = []
            for policy in acl.policies:
                entries = tuple(entry for entry in policy.entries if command.resource_filter in entry.resource)
                if entries:
                    policies.append(Policy(policy.type, entries))
            if policies:
                found.append(Acl(acl.subject, tuple(policies)))
        return FoundAcls(tuple(found))

    # Inside.

    def _by(self, context: Context) -> User | None:
        """Who asks; None while there are no users, when everybody may do everything."""
        return context.verified if self._users else None

    def _keep(self, context: Context, record: UserRecord, what: str) -> Deferred[None]:
        self._users.take(record)
        _note(context, record.name, what)
        return self.core.store.metadata.change([(_TABLE, record.name, _encode(_Record(1, record)))])


def _note(context: Context, name: str, what: str) -> None:
    """Who changed whom is in the log."""
    by = context.user or "nobody in particular"
    _log.info("user {name} {what} (by {by}, {peer})", name=name, what=what, by=by, peer=context.session.peer)


def _acl(user: User) -> Acl:
    return Acl(f"User:{user.name}", user.record.policies)
