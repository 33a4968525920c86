"""Policies: how their resources are written, and which one decides. After ``AclAuthorizationHandler`` of RocketMQ 5.5.0.

Of the entries that match resource, action and source address, the most particular decides: a named resource before the
longest prefix, before all of a kind, before everything; among equals a denial. Default policies are asked only where no
custom one matches. Where nothing matches, the answer is no.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from rmqgateway.commands import Action, Decision, Policy, PolicyEntry, PolicyType, Resource
from rmqgateway.errors import Code, GatewayError

__all__ = ["Rule", "address_of", "canonical_resource", "check_policies", "decide", "merge", "remove", "rules_of", "user_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KINDS = {kind.value.lower(): kind for kind in Resource}
_ALL = "All"
_ACTIONS = {action.value.lower(): action.value for action in Action if action is not Action.NONE} | {"all": _ALL}
_LITERAL, _PREFIXED, _ANY = range(3)
_MAX_NAME = 255
#: Entries of one user: each request that nothing cached answers is matched with all of them.
_MAX_ENTRIES = 1024
_SUBJECT = "User:"


class Rule:
    """A policy's entry, ready to be matched. :ivar rank: the least of those that match decides."""

    __slots__ = ("actions", "allows", "is_default", "kind", "name", "networks", "pattern", "rank")

    def __init__(self, entry: PolicyEntry, type_: PolicyType) -> None:
        self.kind, self.pattern, self.name = _parse(entry.resource)
        self.actions = frozenset(entry.actions)
        self.networks = tuple(ipaddress.ip_network(source, strict=False) for source in entry.source_ips)
        self.allows = entry.decision is Decision.ALLOW
        self.is_default = type_ is PolicyType.DEFAULT
        self.rank = (self.is_default, self.kind is None, self.pattern, -len(self.name), self.allows)

    def matches(self, kind: Resource, name: str, actions: Sequence[Action], source: Address | None) -> bool:
        """:param name: "*" asks for all of a kind, which only a rule for all of them matches."""
        if self.kind is not None:
            if kind is not self.kind:
                return False
            if self.pattern == _LITERAL:
                if name != self.name:
                    return False
            elif self.pattern == _PREFIXED and (name == "*" or not name.startswith(self.name)):
                return False
        if _ALL not in self.actions and not any(action.value in self.actions for action in actions):
            return False
        return not self.networks or (source is not None and any(source in network for network in self.networks))


def rules_of(policies: Iterable[Policy]) -> tuple[Rule, ...]:
    """The rules of checked policies, the most particular first."""
    rules = [Rule(entry, policy.type) for policy in policies for entry in policy.entries]
    return tuple(sorted(rules, key=lambda rule: rule.rank))


def decide(
    rules: Iterable[Rule], kind: Resource, name: str, actions: Sequence[Action], source: Address | None
) -> bool | None:
    """Whether one of `actions` is permitted, None if no rule matches. :param rules: as `rules_of` orders them."""
    for rule in rules:
        if rule.matches(kind, name, actions, source):
            return rule.allows
    return None


def address_of(peer: str) -> Address | None:
    """The address of "host:port"; None for a peer that has none (a UNIX socket)."""
    host = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return ipaddress.IPv4Address(mapped)
    return None if address.is_unspecified else address


# Reading what people write.


def user_of(subject: str) -> str:
    """The name in ``User:name``. :raise GatewayError: BAD_REQUEST: another kind of subject."""
    if not subject.lower().startswith(_SUBJECT.lower()) or len(subject) == len(_SUBJECT):
        raise GatewayError(Code.BAD_REQUEST, f"subject: expected User:NAME, got {subject[:100]!r}")
    return subject[len(_SUBJECT) :]


def canonical_resource(text: str) -> str:
    """A resource as RocketMQ spells it. :raise GatewayError: BAD_REQUEST."""
    kind, pattern, name = _parse(text)
    if kind is None:
        return "*"
    return f"{kind.value}:{name}{'' if pattern == _LITERAL else '*'}"


def check_policies(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """The policies, spelt as RocketMQ does, one for each type. :raise GatewayError: BAD_REQUEST names what is wrong."""
    found = merge((), [Policy(policy.type, tuple(map(_check_entry, policy.entries))) for policy in policies])
    if not any(policy.entries for policy in found):
        raise GatewayError(Code.BAD_REQUEST, "policies: expected at least one entry, got none")
    return found


def merge(old: Iterable[Policy], new: Iterable[Policy]) -> tuple[Policy, ...]:
    """`old` with the entries of `new` in place of those for the same resources.

    :raise GatewayError: BAD_REQUEST: too many entries.
    """
    table: dict[PolicyType, dict[str, PolicyEntry]] = {}
    for policy in (*old, *new):
        table.setdefault(policy.type, {}).update({entry.resource: entry for entry in policy.entries})
    if sum(map(len, table.values())) > _MAX_ENTRIES:
        raise GatewayError(Code.BAD_REQUEST, f"policies: a user has {_MAX_ENTRIES} entries at most")
    return tuple(Policy(type_, tuple(table[type_].values())) for type_ in PolicyType if table.get(type_))


def remove(policies: Iterable[Policy], type_: PolicyType, resource: str) -> tuple[Policy, ...]:
    """`policies` without the entry for a resource. :raise GatewayError: POLICY_NOT_FOUND, BAD_REQUEST."""
    wanted = canonical_resource(resource)
    left = []
    found = False
    for policy in policies:
        entries = tuple(entry for entry in policy.entries if policy.type is not type_ or entry.resource != wanted)
        found = found or len(entries) < len(policy.entries)
        if entries:
            left.append(Policy(policy.type, entries))
    if not found:
        raise GatewayError(Code.POLICY_NOT_FOUND, f"there is no {type_.value} policy for {wanted!r}")
    return tuple(left)


def _check_entry(entry: PolicyEntry) -> PolicyEntry:
    actions = []
    for word in entry.actions:
        action = _ACTIONS.get(word.strip().lower())
        if action is None:
            expected = ", ".join(sorted(_ACTIONS.values()))
            raise GatewayError(Code.BAD_REQUEST, f"actions: expected {expected}, got {word[:40]!r}")
        actions.append(action)
    if not actions:
        raise GatewayError(Code.BAD_REQUEST, "actions: expected at least one, got none")
    if len(entry.source_ips) > _MAX_ENTRIES:
        raise GatewayError(Code.BAD_REQUEST, f"source addresses: expected at most {_MAX_ENTRIES}")
    for source in entry.source_ips:
        try:
            ipaddress.ip_network(source, strict=False)
        except ValueError:
            raise GatewayError(
                Code.BAD_REQUEST, f"source address: expected one such as 10.0.0.1 or 10.0.0.0/8, got {source[:60]!r}"
            ) from None
    return PolicyEntry(
        canonical_resource(entry.resource), tuple(dict.fromkeys(actions)), entry.source_ips, entry.decision
    )


def _parse(text: str) -> tuple[Resource | None, int, str]:
    """Kind (None: any), pattern and name or prefix."""
    if text == "*":
        return None, _ANY, ""
    word, colon, name = text.partition(":")
    kind = _KINDS.get(word.lower())
    if kind is None or not colon or not name or len(name) > _MAX_NAME or "*" in name[:-1]:
        raise GatewayError(
            Code.BAD_REQUEST,
            "resource: expected * or Topic:NAME, Group:NAME or Cluster:NAME, where NAME may be * or end in *, "
            f"got {text[:100]!r}",
        )
    if name == "*":
        return kind, _ANY, ""
    if name.endswith("*"):
        return kind, _PREFIXED, name[:-1]
    return kind, _LITERAL, name
