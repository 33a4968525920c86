"""Users that the configuration gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmqgateway.commands import Decision, PolicyType, UserStatus, UserType
from rmqgateway.config_sources import ConfigurationError
from rmqgateway.governance.user_file import UsersSettings, configured_users

GOOD = """
[users.root]
secret = "r00t"
type = "Super"

[users."orders.service"]
secret = "s3cret"
status = "disable"
policies = [
    { resource = "topic:orders*", actions = ["pub", "Sub"] },
    { resource = ["Group:a", "Group:b"], actions = ["Sub"], source_ips = ["10.0.0.0/8"], policy_type = "Default" },
    { resource = "Topic:orders-secret", actions = ["All"], decision = "Deny" },
]
"""


def place(key: str) -> str:
    return f"--set users.{key}"


def read(tmp_path: Path, text: str, mode: int = 0o600, **settings: str) -> list[object]:
    path = tmp_path / "users.toml"
    path.write_text(text)
    path.chmod(mode)
    return list(configured_users(UsersSettings(file=str(path), **settings), place))


def test_users_and_policies(tmp_path: Path) -> None:
    root, service = read(tmp_path, GOOD)
    assert (root.name, root.secret, root.type) == ("root", "r00t", UserType.SUPER)  # type: ignore[attr-defined]
    assert service.status is UserStatus.DISABLE  # type: ignore[attr-defined]
    custom, default = service.policies  # type: ignore[attr-defined]
    assert [entry.resource for entry in custom.entries] == ["Topic:orders*", "Topic:orders-secret"]
    assert custom.entries[0].actions == ("Pub", "Sub") and custom.entries[1].decision is Decision.DENY
    assert default.type is PolicyType.DEFAULT and default.entries[1].source_ips == ("10.0.0.0/8",)


def test_one_super_user_by_two_settings(tmp_path: Path) -> None:
    (one,) = configured_users(UsersSettings(super_user="root", super_secret="r00t"), place)
    assert one.type is UserType.SUPER and one.secret == "r00t"
    assert len(read(tmp_path, GOOD, super_user="admin", super_secret="x")) == 3
    with pytest.raises(ConfigurationError, match="--set users.super_user"):
        read(tmp_path, GOOD, super_user="root", super_secret="x")
    for half in ({"super_user": "root"}, {"super_secret": "x"}):
        with pytest.raises(ValueError, match="expected super_"):
            UsersSettings(**half)
    assert configured_users(UsersSettings(), place) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users = 1", "expected tables"),
        ("[user.a]\nsecret='x'", "got user"),
        ("[users.a]", "secret"),
        ("[users.a]\nsecret = 'hush'\ntype = 'Root'", "users.a"),
        ("[users.a]\nsecret = 'hush'\nsecrets = 'x'", "secrets"),
        ("[users.'a b']\nsecret = 'hush'", "user name"),
        ("[users.a]\nsecret = ''", "password"),
        ("[users.a]\nsecret = 'hush'\npolicies = [{resource = 'Tpic:x', actions = ['Pub']}]", "Topic:NAME"),
        ("[users.a]\nsecret = 'hush'\npolicies = [{resource = 'Topic:x', actions = ['Write']}]", "Pub"),
        ("[users.a\n", "no TOML"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_with_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value) and "users.toml" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--set users\.file: .*cannot be read: No such file"):
        configured_users(UsersSettings(file=str(tmp_path / "none")), place)


def test_others_that_may_read_it_are_told_of(tmp_path: Path) -> None:
    from twisted.logger import globalLogPublisher

    events: list[dict[str, object]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        read(tmp_path, GOOD, 0o644)
        assert any("chmod 600" in str(event.get("log_format")) for event in events)
        events.clear()
        read(tmp_path, GOOD, 0o600)
        assert not events
    finally:
        globalLogPublisher.removeObserver(events.append)
