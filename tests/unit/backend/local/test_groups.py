"""The registry of consumer groups."""

from __future__ import annotations

import pytest

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.testing import World


def test_a_group_is_created_on_first_use_and_kept() -> None:
    world = World()
    assert world.backend.groups.find("g").retry_max_times == 16
    world.settle()
    assert "g" in world.restart().backend.groups.by_name


def test_no_group_is_created_when_told_so_but_the_tools_are_let_in() -> None:
    groups = World(LocalSettings(auto_create_groups=False)).backend.groups
    with pytest.raises(GatewayError) as caught:
        groups.find("g")
    assert caught.value.code is Code.GROUP_NOT_FOUND
    assert groups.find("TOOLS_CONSUMER").name == "TOOLS_CONSUMER"
    assert groups.find("CID_RMQ_SYS_X").name == "CID_RMQ_SYS_X"


def test_changes_and_deletions_are_kept() -> None:
    world = World()
    groups = world.backend.groups
    groups.create([GroupConfig("g", retry_max_times=3), GroupConfig("h")])
    gone: list[str] = []
    groups.on_delete.append(gone.append)
    groups.delete("h")
    groups.delete("h")
    assert gone == ["h"]
    world.settle()
    again = world.restart().backend.groups
    assert again.existing("g").retry_max_times == 3
    assert again.version == groups.version
    with pytest.raises(GatewayError) as caught:
        again.existing("h")
    assert caught.value.code is Code.GROUP_NOT_FOUND
    names = [config.name for config in again.configs()]
    assert names == sorted(names)


def test_there_is_a_limit() -> None:
    groups = World(LocalSettings(max_groups=9)).backend.groups
    groups.find("one")
    with pytest.raises(GatewayError) as caught:
        groups.find("two")
    assert caught.value.code is Code.STORE_FULL
