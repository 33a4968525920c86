"""Administration of users and policies: RocketMQ's ACL 2.0 (3001 to 3010), as ``AdminBrokerProcessor`` of 5.5.0 serves it.

One difference: a real broker tells every user's password to whoever may list users; here it is never told, so ``copyUser`` of
mqadmin copies into this gateway, and from it only to where the user exists.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeVar

import msgspec

from rmqgateway.commands import (
    Acl,
    CreateAcl,
    CreateUser,
    Decision,
    DeleteAcl,
    DeleteUser,
    FoundAcls,
    FoundUsers,
    GetAcl,
    GetUser,
    ListAcls,
    ListUsers,
    Policy,
    PolicyEntry,
    PolicyType,
    UpdateAcl,
    UpdateUser,
    UserInformation,
    UserStatus,
    UserType,
)
from rmqgateway.errors import Code, WireError
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.acl import AclInfo, PolicyEntryInfo, PolicyInfo, UserInfo
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import Operation, Peer, reply_nothing, respond, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]

E = TypeVar("E", bound=Enum)


def _one_of(kind: type[E], value: str | None, field: str) -> E | None:
    """The member of this value, in any case of letters; None if there is none given."""
    if not value:
        return None
    for member in kind:
        if str(member.value).lower() == value.lower():
            return member
    expected = " or ".join(str(member.value) for member in kind)
    raise WireError(f"{field}: expected {expected}, got {value[:40]!r}", fatal=False)


# Users.


def parse_create_user(request: RemotingCommand, peer: Peer) -> CreateUser:
    """AUTH_CREATE_USER."""
    body = decode_body(request.body, UserInfo)
    return CreateUser(
        text(request.ext_fields, "username"),
        body.password or "",
        _one_of(UserType, body.user_type, "userType") or UserType.NORMAL,
        _one_of(UserStatus, body.user_status, "userStatus") or UserStatus.ENABLE,
    )


def parse_update_user(request: RemotingCommand, peer: Peer) -> UpdateUser:
    """AUTH_UPDATE_USER."""
    body = decode_body(request.body, UserInfo)
    return UpdateUser(
        text(request.ext_fields, "username"),
        body.password or "",
        _one_of(UserType, body.user_type, "userType"),
        _one_of(UserStatus, body.user_status, "userStatus"),
    )


def parse_delete_user(request: RemotingCommand, peer: Peer) -> DeleteUser:
    """AUTH_DELETE_USER."""
    return DeleteUser(text(request.ext_fields, "username"))


def parse_get_user(request: RemotingCommand, peer: Peer) -> GetUser:
    """AUTH_GET_USER."""
    return GetUser(text(request.ext_fields, "username"))


def _user(user: UserInformation) -> UserInfo:
    return UserInfo(user_status=user.status.value, user_type=user.type.value, username=user.name)


def reply_user(reply: FoundUsers, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``UserInfo`` without its password; no body where there is no such user."""
    respond(request, out, body=encode_body(_user(reply.users[0])) if reply.users else b"")


def parse_list_users(request: RemotingCommand, peer: Peer) -> ListUsers:
    """AUTH_LIST_USER."""
    return ListUsers(request.ext_fields.get("filter", ""))


def reply_users(reply: FoundUsers, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """An array of ``UserInfo``; no body where it would be empty."""
    respond(request, out, body=_array(_user(user) for user in reply.users))


# Policies.


def _policies(body: AclInfo) -> tuple[Policy, ...]:
    return tuple(
        Policy(
            _one_of(PolicyType, policy.policy_type, "policyType") or PolicyType.CUSTOM,
            tuple(map(_entry, policy.entries or ())),
        )
        for policy in body.policies or ()
    )


def _entry(entry: PolicyEntryInfo) -> PolicyEntry:
    decision = _one_of(Decision, entry.decision, "decision")
    if decision is None:
        raise WireError("decision: expected Allow or Deny, got none", fatal=False)
    return PolicyEntry(entry.resource or "", tuple(entry.actions or ()), tuple(entry.source_ips or ()), decision)


def parse_create_acl(request: RemotingCommand, peer: Peer) -> CreateAcl:
    """AUTH_CREATE_ACL."""
    return CreateAcl(text(request.ext_fields, "subject"), _policies(decode_body(request.body, AclInfo)))


def parse_update_acl(request: RemotingCommand, peer: Peer) -> UpdateAcl:
    """AUTH_UPDATE_ACL."""
    return UpdateAcl(text(request.ext_fields, "subject"), _policies(decode_body(request.body, AclInfo)))


def parse_delete_acl(request: RemotingCommand, peer: Peer) -> DeleteAcl:
    """AUTH_DELETE_ACL."""
    ext = request.ext_fields
    return DeleteAcl(
        text(ext, "subject"), _one_of(PolicyType, ext.get("policyType"), "policyType"), ext.get("resource", "")
    )


def parse_get_acl(request: RemotingCommand, peer: Peer) -> GetAcl:
    """AUTH_GET_ACL."""
    return GetAcl(text(request.ext_fields, "subject"))


def _acl(acl: Acl) -> AclInfo:
    return AclInfo(
        policies=[
            PolicyInfo(
                entries=[
                    PolicyEntryInfo(
                        actions=list(entry.actions),
                        decision=entry.decision.value,
                        resource=entry.resource,
                        source_ips=list(entry.source_ips) or None,
                    )
                    for entry in policy.entries
                ],
                policy_type=policy.type.value,
            )
            for policy in acl.policies
        ],
        subject=acl.subject,
    )


def reply_acl(reply: FoundAcls, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``AclInfo``; no body where the user has no policies."""
    respond(request, out, body=encode_body(_acl(reply.acls[0])) if reply.acls else b"")


def parse_list_acls(request: RemotingCommand, peer: Peer) -> ListAcls:
    """AUTH_LIST_ACL."""
    ext = request.ext_fields
    return ListAcls(ext.get("subjectFilter", ""), ext.get("resourceFilter", ""))


def reply_acls(reply: FoundAcls, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """An array of ``AclInfo``; no body where it would be empty."""
    respond(request, out, body=_array(_acl(acl) for acl in reply.acls))


def _array(bodies: Iterable[UserInfo | AclInfo]) -> bytes:
    encoded = [msgspec.Raw(encode_body(body)) for body in bodies]
    return msgspec.json.encode(encoded) if encoded else b""


#: What a real broker refuses for a rule of users it refuses as a matter of permission.
_AS_BROKERS = {
    Code.USER_NOT_FOUND: ResponseCode.NO_PERMISSION,
    Code.POLICY_NOT_FOUND: ResponseCode.NO_PERMISSION,
    Code.ALREADY_EXISTS: ResponseCode.NO_PERMISSION,
}

OPERATIONS = (
    Operation(RequestCode.AUTH_CREATE_USER, CreateUser, parse_create_user, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_UPDATE_USER, UpdateUser, parse_update_user, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_DELETE_USER, DeleteUser, parse_delete_user, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_GET_USER, GetUser, parse_get_user, reply_user),
    Operation(RequestCode.AUTH_LIST_USER, ListUsers, parse_list_users, reply_users),
    Operation(RequestCode.AUTH_CREATE_ACL, CreateAcl, parse_create_acl, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_UPDATE_ACL, UpdateAcl, parse_update_acl, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_DELETE_ACL, DeleteAcl, parse_delete_acl, reply_nothing, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_GET_ACL, GetAcl, parse_get_acl, reply_acl, errors=_AS_BROKERS),
    Operation(RequestCode.AUTH_LIST_ACL, ListAcls, parse_list_acls, reply_acls),
)
