"""The settings of the local backend."""

from __future__ import annotations

import re

import pytest

from rmqgateway.backend.local.settings import LocalSettings, parse_delay_levels


def test_delay_levels_are_rocketmqs() -> None:
    levels = parse_delay_levels(LocalSettings().delay_levels)
    assert len(levels) == 18
    assert levels[:5] == (1000, 5000, 10_000, 30_000, 60_000)
    assert levels[-1] == 7_200_000
    assert parse_delay_levels("2d") == (172_800_000,)


@pytest.mark.parametrize("text", ["1", "s", "1w", "-1s", "1.5s", "1s,2s"])
def test_a_wrong_delay_level_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_delay_levels(text)


def test_every_setting_is_explained() -> None:
    explained = set(re.findall(r":ivar (\w+):", LocalSettings.__doc__ or ""))
    assert explained == set(LocalSettings.__struct_fields__)
