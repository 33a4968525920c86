"""Ordinals of MQVersion, as javap shows them of 5.5.0."""

from __future__ import annotations

import pytest

from rmqgateway.wire.remoting_command import DEFAULT_VERSION
from rmqgateway_remoting.versions import version_name, version_ordinal


@pytest.mark.parametrize(
    ("ordinal", "name"),
    [(0, "V3_0_0_SNAPSHOT"), (15, "V3_0_0_FINAL"), (17, "V3_0_1"), (401, "V4_9_4"), (475, "V5_3_1"), (513, "V5_5_0")],
)
def test_ordinals(ordinal: int, name: str) -> None:
    assert version_name(ordinal) == name
    assert version_ordinal(name) == ordinal


def test_the_unknown_and_other_spellings() -> None:
    assert version_name(DEFAULT_VERSION) == "V5_5_0"
    assert version_name(10_000) == "HIGHER_VERSION"
    assert version_name(-1) == ""
    assert version_ordinal("5.0.7") == version_ordinal("V5_0_7")
    assert version_ordinal("whatever") == 0
