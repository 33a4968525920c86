"""Users and policies, in the words of RocketMQ's ACL 2.0 (request codes 3001 to 3010)."""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from rmqgateway.commands.base import Action, Command, Reply, Resource

__all__ = [
    "Acl",
    "CreateAcl",
    "CreateUser",
    "Decision",
    "DeleteAcl",
    "DeleteUser",
    "FoundAcls",
    "FoundUsers",
    "GetAcl",
    "GetUser",
    "ListAcls",
    "ListUsers",
    "Policy",
    "PolicyEntry",
    "PolicyType",
    "UpdateAcl",
    "UpdateUser",
    "UserInformation",
    "UserStatus",
    "UserType",
]

_CLUSTER = ((Resource.CLUSTER, None),)


class UserType(enum.Enum):
    """Whether policies are asked at all."""

    SUPER = "Super"
    NORMAL = "Normal"


class UserStatus(enum.Enum):
    """A disabled user is refused, whatever the policies say."""

    ENABLE = "enable"
    DISABLE = "disable"


class Decision(enum.Enum):
    """What a policy says of what it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class PolicyType(enum.Enum):
    """Default policies are asked only where no custom one matches."""

    CUSTOM = "Custom"
    DEFAULT = "Default"


class PolicyEntry(msgspec.Struct, frozen=True):
    """What may be done to one resource, and from where.

    :ivar resource: ``Topic:name``, ``Group:name``, ``Cluster:name``; the name may end in ``*`` (a prefix) or be ``*``
        (all of the kind); ``*`` alone is everything.
    :ivar actions: ``Pub``, ``Sub``, ``Create``, ``Update``, ``Delete``, ``Get``, ``List``, or ``All``.
    :ivar source_ips: addresses and networks (``10.0.0.0/8``) from which it holds; none: from everywhere.
    """

    resource: str
    actions: tuple[str, ...]
    source_ips: tuple[str, ...] = ()
    decision: Decision = Decision.ALLOW


class Policy(msgspec.Struct, frozen=True):
    """The entries of one type; there is one for each resource."""

    type: PolicyType = PolicyType.CUSTOM
    entries: tuple[PolicyEntry, ...] = ()


class Acl(msgspec.Struct, frozen=True):
    """All policies of a subject (``User:name``)."""

    subject: str
    policies: tuple[Policy, ...] = ()


class UserInformation(msgspec.Struct, frozen=True):
    """A user as others see it: the secret is never told, not to itself, not to administrators.

    :ivar configured: given in the gateway's configuration, so no command changes it.
    """

    name: str
    type: UserType
    status: UserStatus
    configured: bool = False


class FoundUsers(Reply, frozen=True):
    """Users, in order of their names."""

    users: tuple[UserInformation, ...] = ()


class FoundAcls(Reply, frozen=True):
    """Policies, in order of their subjects."""

    acls: tuple[Acl, ...] = ()


class CreateUser(Command[None], frozen=True):
    """Make a user. The first user of all must be an enabled Super one: from then on everything needs a credential.

    Only a Super user makes a Super user. Errors: ALREADY_EXISTS, BAD_REQUEST, FORBIDDEN.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    name: str
    secret: str
    type: UserType = UserType.NORMAL
    status: UserStatus = UserStatus.ENABLE

    def __repr__(self) -> str:
        return f"CreateUser({self.name!r}, ******, {self.type}, {self.status})"


class UpdateUser(Command[None], frozen=True):
    """Change what is given of a user: "" and None leave a part as it is.

    Only a Super user changes a Super user or makes one; the last enabled Super user stays one.
    Errors: USER_NOT_FOUND, BAD_REQUEST, FORBIDDEN.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    name: str
    secret: str = ""
    type: UserType | None = None
    status: UserStatus | None = None

    def __repr__(self) -> str:
        return f"UpdateUser({self.name!r}, ******, {self.type}, {self.status})"


class DeleteUser(Command[None], frozen=True):
    """Delete a user and its policies; one that is not there is left so. The last enabled Super user cannot be deleted.

    Errors: BAD_REQUEST, FORBIDDEN.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    name: str


class GetUser(Command[FoundUsers], frozen=True):
    """The user of this name, or nobody. Errors: BAD_REQUEST."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    name: str


class ListUsers(Command[FoundUsers], frozen=True):
    """All users whose names contain `filter`."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    filter: str = ""


class CreateAcl(Command[None], frozen=True):
    """Give a user policies: each entry takes the place of the one that it has for the same resource, the rest stays.

    Errors: USER_NOT_FOUND, BAD_REQUEST, FORBIDDEN (the user is given in the configuration).
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    subject: str
    policies: tuple[Policy, ...]


class UpdateAcl(Command[None], frozen=True):
    """As CreateAcl, which is all that it is in RocketMQ too. Errors: USER_NOT_FOUND, BAD_REQUEST, FORBIDDEN."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    subject: str
    policies: tuple[Policy, ...]


class DeleteAcl(Command[None], frozen=True):
    """Take a user's entry for one resource away, or ("" for `resource`) all policies.

    :ivar policy_type: of which policy; None is the custom one.
    Errors: USER_NOT_FOUND, POLICY_NOT_FOUND, BAD_REQUEST, FORBIDDEN.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True

    subject: str
    policy_type: PolicyType | None = None
    resource: str = ""


class GetAcl(Command[FoundAcls], frozen=True):
    """The policies of a subject, if it has any. Errors: USER_NOT_FOUND, BAD_REQUEST."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    subject: str


class ListAcls(Command[FoundAcls], frozen=True):
    """The policies of all subjects that contain `subject_filter`; of these the entries whose resource contains
    `resource_filter`."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    subject_filter: str = ""
    resource_filter: str = ""
