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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster_name", "a b"),
        ("broker_name", ""),
        ("broker_name", "DefaultCluster"),
        ("default_queues", 0),
        ("default_queues", 5000),
        ("max_properties_size", 40_000),
        ("max_message_size", -1),
        ("retention_bytes", -1),
        ("client_expiry_s", 0.0),
        ("delay_levels", ""),
        ("delay_levels", "soon"),
    ],
)
def test_a_wrong_value_is_refused_by_the_settings_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        LocalSettings(**{name: value})  # type: ignore[arg-type]
