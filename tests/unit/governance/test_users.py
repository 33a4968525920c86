"""Who may change whom, and what always remains."""

from __future__ import annotations

import pytest

from rmqgateway import commands as c
from rmqgateway.commands import CreateUser, UpdateUser, UserStatus, UserType
from rmqgateway.errors import Code, GatewayError
from rmqgateway.governance.users import User, UserRecord, Users, check_record

SUPER, NORMAL = UserType.SUPER, UserType.NORMAL


def users(*configured: UserRecord) -> Users:
    made = Users(configured)
    made.take(UserRecord("root", "r00t", SUPER))
    made.take(UserRecord("alice", "secret"))
    return made


def refused(code: Code, call: object, *arguments: object) -> str:
    with pytest.raises(GatewayError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.code is code
    return caught.value.message


def who(made: Users, name: str) -> User:
    return made.by_name[name]


def test_the_first_user_is_super_and_enabled() -> None:
    empty = Users()
    assert "Super" in refused(Code.BAD_REQUEST, empty.created, CreateUser("a", "x"), None)
    assert "Super" in refused(Code.BAD_REQUEST, empty.created, CreateUser("a", "x", SUPER, UserStatus.DISABLE), None)
    assert empty.created(CreateUser("a", "x", SUPER), None).type is SUPER
    assert len(empty) == 0, "nothing is changed before it is stored"


def test_the_last_enabled_super_user_remains() -> None:
    made = users()
    root = who(made, "root")
    refused(Code.BAD_REQUEST, made.deletable, "root", root)
    refused(Code.BAD_REQUEST, made.updated, UpdateUser("root", type=NORMAL), root)
    refused(Code.BAD_REQUEST, made.updated, UpdateUser("root", status=UserStatus.DISABLE), root)
    made.take(made.updated(UpdateUser("alice", type=SUPER), root))
    assert made.deletable("root", root)
    made.drop("root")
    refused(Code.BAD_REQUEST, made.deletable, "alice", who(made, "alice"))


def test_super_users_are_touched_by_super_users_only() -> None:
    made = users()
    alice, root = who(made, "alice"), who(made, "root")
    refused(Code.FORBIDDEN, made.created, CreateUser("eve", "x", SUPER), alice)
    refused(Code.FORBIDDEN, made.updated, UpdateUser("alice", type=SUPER), alice)
    refused(Code.FORBIDDEN, made.updated, UpdateUser("root", "mine"), alice)
    refused(Code.FORBIDDEN, made.deletable, "root", alice)
    made.created(CreateUser("eve", "x"), alice)
    made.created(CreateUser("eve", "x", SUPER), root)


def test_a_change_leaves_the_rest() -> None:
    made = users()
    record = made.updated(UpdateUser("alice", "other"), who(made, "root"))
    assert record == UserRecord("alice", "other")
    entry = c.PolicyEntry("Topic:t", ("Pub",))
    made.take(made.with_policies("alice", [c.Policy(entries=(entry,))]))
    changed = made.updated(UpdateUser("alice", status=UserStatus.DISABLE), who(made, "root"))
    assert changed.policies[0].entries == (entry,) and changed.secret == "secret"
    refused(Code.USER_NOT_FOUND, made.updated, UpdateUser("nobody"), None)
    assert made.deletable("nobody", None) is False
    refused(Code.ALREADY_EXISTS, made.created, CreateUser("alice", "x"), None)


def test_users_of_the_configuration_win_and_are_not_changed() -> None:
    made = users(UserRecord("alice", "configured", SUPER), UserRecord("carol", "x"))
    assert who(made, "alice").is_super and who(made, "alice").information().configured
    assert "configuration" in refused(Code.FORBIDDEN, made.updated, UpdateUser("alice", "x"), who(made, "root"))
    refused(Code.FORBIDDEN, made.deletable, "carol", who(made, "root"))
    refused(Code.FORBIDDEN, made.with_policies, "carol", [])
    refused(Code.ALREADY_EXISTS, made.created, CreateUser("carol", "x"), who(made, "root"))
    # One Super user of the configuration is enough.
    assert made.deletable("root", who(made, "root"))
    again = users()
    assert not who(again, "alice").is_super, "what was stored comes back"


def test_a_configuration_without_a_super_user_is_somebodys_decision() -> None:
    made = Users([UserRecord("service", "x")])
    made.take(made.created(CreateUser("other", "x"), None))
    assert made.deletable("other", None)


def test_watchers_are_told() -> None:
    made = users()
    seen: list[int] = []
    made.watch(lambda: seen.append(len(made)))
    made.take(UserRecord("bob", "x"))
    made.drop("bob")
    made.drop("bob")
    made.load([UserRecord("x", "y", SUPER)])
    assert seen == [3, 2, 1]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "a/b", "a=b", "x" * 129, "a\n"])
def test_names_that_some_header_cannot_carry_are_refused(name: str) -> None:
    assert "user name" in refused(Code.BAD_REQUEST, check_record, UserRecord(name, "x"))


@pytest.mark.parametrize("secret", ["", " ", "x" * 257, "a\nb", "\x00"])
def test_secrets_that_are_none(secret: str) -> None:
    assert refused(Code.BAD_REQUEST, check_record, UserRecord("a", secret)).startswith("password of user 'a': expected")


def test_many_decisions_are_not_all_kept() -> None:
    entry = c.PolicyEntry("Topic:t*", ("Pub",))
    user = User(UserRecord("a", "x", policies=(c.Policy(entries=(entry,)),)))
    for number in range(10_000):
        assert user.decide(c.Resource.TOPIC, f"t{number}", (c.Action.PUB,), None)
    assert len(user._decisions) <= 4096
