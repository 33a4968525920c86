"""Which policy decides: beside another implementation of the same rules, and case by case."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.commands import Action, Decision, Policy, PolicyEntry, PolicyType, Resource
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.acl import (
    address_of,
    canonical_resource,
    check_policies,
    decide,
    merge,
    remove,
    rules_of,
    user_of,
)

ALLOW, DENY = Decision.ALLOW, Decision.DENY


def entry(resource: str, *actions: str, decision: Decision = ALLOW, sources: tuple[str, ...] = ()) -> PolicyEntry:
    return PolicyEntry(resource, actions or ("All",), sources, decision)


def ask(
    policies: list[Policy] | list[PolicyEntry],
    name: str,
    action: Action = Action.PUB,
    kind: Resource = Resource.TOPIC,
    source: str = "10.1.2.3:50000",
) -> bool | None:
    if policies and isinstance(policies[0], PolicyEntry):
        policies = [Policy(entries=tuple(policies))]  # type: ignore[arg-type]
    return decide(rules_of(policies), kind, name, (action,), address_of(source))  # type: ignore[arg-type]


def test_nothing_that_matches_is_no_answer() -> None:
    assert ask([], "t") is None
    assert ask([entry("Topic:other")], "t") is None
    assert ask([entry("Group:t")], "t") is None
    assert ask([entry("Topic:t", "Sub")], "t") is None


@pytest.mark.parametrize("resource", ["Topic:orders", "Topic:ord*", "Topic:*", "*"])
def test_what_a_resource_covers(resource: str) -> None:
    assert ask([entry(resource)], "orders") is True
    assert ask([entry(resource)], "other") is (None if "ord" in resource else True)
    assert ask([entry(resource)], "orders", kind=Resource.GROUP) is (True if resource == "*" else None)


def test_all_of_a_kind_is_not_asked_of_a_name_or_a_prefix() -> None:
    assert ask([entry("Topic:orders"), entry("Topic:o*")], "*", Action.LIST) is None
    assert ask([entry("Topic:*")], "*", Action.LIST) is True
    assert ask([entry("*")], "*", Action.LIST, Resource.GROUP) is True


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ("Topic:orders", "Topic:order*"),
        ("Topic:orders", "Topic:*"),
        ("Topic:orders", "*"),
        ("Topic:order*", "Topic:ord*"),
        ("Topic:ord*", "Topic:*"),
        ("Topic:*", "*"),
    ],
)
@pytest.mark.parametrize("decision", [ALLOW, DENY])
def test_the_more_particular_decides(stronger: str, weaker: str, decision: Decision) -> None:
    other = DENY if decision is ALLOW else ALLOW
    entries = [entry(weaker, decision=other), entry(stronger, decision=decision)]
    assert ask(entries, "orders") is (decision is ALLOW)
    assert ask(entries[::-1], "orders") is (decision is ALLOW)


def test_among_equals_a_denial_decides() -> None:
    # Two entries for one resource cannot come from one policy, but from one that was stored twice.
    entries = [Policy(entries=(entry("Topic:t"),)), Policy(entries=(entry("Topic:t", decision=DENY),))]
    assert ask(entries, "t") is False
    assert ask(entries[::-1], "t") is False


def test_default_policies_are_asked_where_no_custom_one_matches() -> None:
    default = Policy(PolicyType.DEFAULT, (entry("Topic:t", decision=DENY), entry("Topic:u")))
    custom = Policy(PolicyType.CUSTOM, (entry("*", "Pub"),))
    assert ask([default, custom], "t") is True
    assert ask([default, custom], "t", Action.SUB) is False
    assert ask([default, custom], "u", Action.SUB) is True


@pytest.mark.parametrize(
    ("source", "peer", "matches"),
    [
        ("10.1.2.3", "10.1.2.3:1", True),
        ("10.1.2.3", "10.1.2.30:1", False),
        ("10.0.0.0/8", "10.255.0.1:1", True),
        ("10.0.0.0/8", "11.0.0.1:1", False),
        ("10.1.2.3/24", "10.1.2.77:1", True),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]:1", True),
        ("fe80::/10", "[fe80::1%eth0]:1", True),
        ("::1", "[::1]:1", True),
        ("::1", "127.0.0.1:1", False),
        ("0.0.0.0/0", "0.0.0.0:0", False),  # a UNIX socket: no address
        ("0.0.0.0/0", "not an address", False),
    ],
)
def test_source_addresses(source: str, peer: str, matches: bool) -> None:
    assert ask([entry("Topic:t", sources=("192.0.2.9", source))], "t", source=peer) is (True if matches else None)


# Beside another implementation: RocketMQ's comparator, spelt out.

NAMES = st.sampled_from(["a", "ab", "abc", "b", "*"])
RESOURCES = st.sampled_from(["*", *(f"{k}:{n}" for k in ("Topic", "Group") for n in ("a", "ab", "a*", "ab*", "*"))])
ENTRIES = st.builds(
    PolicyEntry,
    RESOURCES,
    st.lists(st.sampled_from(["Pub", "Sub", "All"]), min_size=1, max_size=2).map(tuple),
    st.sampled_from([(), ("10.0.0.0/8",), ("192.0.2.1",)]),
    st.sampled_from(Decision),
)


def kind_of(resource: str) -> str:
    return "" if resource == "*" else resource.split(":")[0]


def pattern_of(resource: str) -> int:
    name = resource.split(":")[-1]
    return 2 if name == "*" else 1 if name.endswith("*") else 0


def compare(one: PolicyEntry, other: PolicyEntry) -> int:
    if kind_of(one.resource) != kind_of(other.resource):
        return 1 if kind_of(one.resource) == "" else -1
    if pattern_of(one.resource) != pattern_of(other.resource):
        return pattern_of(one.resource) - pattern_of(other.resource)
    if pattern_of(one.resource) == 1 and len(one.resource) != len(other.resource):
        return len(other.resource) - len(one.resource)
    return (one.decision is ALLOW) - (other.decision is ALLOW)


def oracle(custom: list[PolicyEntry], default: list[PolicyEntry], kind: Resource, name: str, action: Action) -> bool | None:
    for entries in (custom, default):
        matching = [
            one
            for one in entries
            if kind_of(one.resource) in ("", kind.value)
            and (
                pattern_of(one.resource) == 2
                or (pattern_of(one.resource) == 0 and one.resource.split(":")[1] == name)
                or (pattern_of(one.resource) == 1 and name != "*" and name.startswith(one.resource.split(":")[1][:-1]))
            )
            and (action.value in one.actions or "All" in one.actions)
            and one.source_ips != ("192.0.2.1",)
        ]
        if matching:
            return min(matching, key=functools.cmp_to_key(compare)).decision is ALLOW
    return None


@given(
    st.lists(ENTRIES, max_size=6),
    st.lists(ENTRIES, max_size=3),
    st.sampled_from([Resource.TOPIC, Resource.GROUP]),
    NAMES,
    st.sampled_from([Action.PUB, Action.SUB]),
)
def test_decisions_are_those_of_the_other_implementation(
    custom: list[PolicyEntry], default: list[PolicyEntry], kind: Resource, name: str, action: Action
) -> None:
    policies = [Policy(PolicyType.DEFAULT, tuple(default)), Policy(PolicyType.CUSTOM, tuple(custom))]
    assert ask(policies, name, action, kind, "10.9.9.9:1") is oracle(custom, default, kind, name, action)


# What people write.


@pytest.mark.parametrize("text", ["*", "Topic:a", "topic:a", "GROUP:g*", "Cluster:*", "Topic:%RETRY%g", "Topic:ns%t"])
def test_resources_are_spelt_as_rocketmq_does(text: str) -> None:
    word, _, name = text.partition(":")
    assert canonical_resource(text) == (f"{word.capitalize()}:{name}" if name else "*")


@pytest.mark.parametrize(
    "text", ["", "Topic", "Topic:", ":a", "Tpic:a", "Any:a", "Namespace:n", "Topic:a*b", "Topic:**", "a*", "Topic:" + "x" * 256]
)
def test_other_resources_are_refused(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        canonical_resource(text)
    assert caught.value.code is Code.BAD_REQUEST and "Topic:NAME" in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (entry("Topic:t", "Any"), "actions"),
        (entry("Topic:t", "None"), "actions"),
        (entry("Topic:t", "Write"), "actions"),
        (PolicyEntry("Topic:t", ()), "actions"),
        (entry("Topic:t", sources=("localhost",)), "source address"),
        (entry("Topic:t", sources=("10.0.0.0/33",)), "source address"),
        (entry("Topic:t", sources=("10.0.0.1",) * 2000), "source addresses"),
    ],
)
def test_other_entries_are_refused(wrong: PolicyEntry, named: str) -> None:
    with pytest.raises(GatewayError) as caught:
        check_policies([Policy(entries=(wrong,))])
    assert caught.value.code is Code.BAD_REQUEST and named in caught.value.message


def test_a_policy_without_entries_is_none() -> None:
    for empty in ([], [Policy()]):
        with pytest.raises(GatewayError):
            check_policies(empty)


def test_a_user_has_not_more_entries_than_can_be_matched() -> None:
    many = tuple(entry(f"Topic:t{number}") for number in range(1025))
    with pytest.raises(GatewayError):
        check_policies([Policy(entries=many)])
    assert check_policies([Policy(entries=many[1:])])
    with pytest.raises(GatewayError):
        merge([Policy(entries=many[1:])], [Policy(entries=many[:1])])


def test_merging_replaces_entries_of_the_same_resource_and_type() -> None:
    (checked,) = check_policies([Policy(entries=(entry("topic:t", "pub", "PUB"),))])
    assert checked.entries == (entry("Topic:t", "Pub"),)
    merged = merge(
        [checked, Policy(PolicyType.DEFAULT, (entry("Topic:t"),))],
        [Policy(entries=(entry("Topic:t", "Sub"), entry("Topic:u")))],
    )
    assert merged == (
        Policy(PolicyType.CUSTOM, (entry("Topic:t", "Sub"), entry("Topic:u"))),
        Policy(PolicyType.DEFAULT, (entry("Topic:t"),)),
    )
    assert remove(merged, PolicyType.CUSTOM, "TOPIC:t")[0].entries == (entry("Topic:u"),)
    assert len(remove(merged, PolicyType.DEFAULT, "Topic:t")) == 1
    with pytest.raises(GatewayError) as caught:
        remove(merged, PolicyType.DEFAULT, "Topic:u")
    assert caught.value.code is Code.POLICY_NOT_FOUND


def test_subjects() -> None:
    assert user_of("User:alice") == user_of("user:alice") == "alice"
    for wrong in ("alice", "User:", "Role:admin", ""):
        with pytest.raises(GatewayError):
            user_of(wrong)


# What RocketMQ's own classes decided (tests/vectors/capture_acl.py, 5.5.0).

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "acl" / "decisions.json").read_text())


def entry_of(text: str) -> PolicyEntry:
    resource, actions, sources, decision = text.split(";")
    return PolicyEntry(
        resource, tuple(actions.split(",")), tuple(sources.split(",")) if sources else (), Decision(decision)
    )


def test_decisions_are_those_of_rocketmq() -> None:
    assert len(VECTORS) == 600
    for case in VECTORS:
        policies = check_and_merge(case["custom"], case["default"])
        kind, _, name = case["resource"].partition(":")
        actions = [Action(word) for word in case["actions"]]
        found = decide(rules_of(policies), Resource(kind), name, actions, address_of(f"{case['source']}:1"))
        assert {True: "Allow", False: "Deny", None: "None"}[found] == case["decision"], case


def check_and_merge(custom: list[str], default: list[str]) -> tuple[Policy, ...]:
    return merge(
        [Policy(PolicyType.CUSTOM, tuple(map(entry_of, custom)))],
        [Policy(PolicyType.DEFAULT, tuple(map(entry_of, default)))],
    )
