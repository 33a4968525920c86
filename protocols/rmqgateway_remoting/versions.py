"""Versions as Remoting says them: ordinals of ``MQVersion.Version`` of 5.5.0, two for each release (the snapshot first)."""

from __future__ import annotations

__all__ = ["V4_9_3", "V4_9_4", "V5_3_1", "version_name", "version_ordinal"]

_EARLIEST = (
    "SNAPSHOT ALPHA1 BETA1 BETA2 BETA3 BETA4 BETA5 BETA6_SNAPSHOT BETA6 BETA7_SNAPSHOT BETA7 BETA8_SNAPSHOT BETA8"
    " BETA9_SNAPSHOT BETA9 FINAL"
)
#: Of each line: first and last patch.
_LINES = [((3, 0), 1, 15), ((3, 1), 0, 9), ((3, 2), 0, 9)]
_LINES += [((3, minor), 1, 9) for minor in range(3, 10)]
_LINES += [((major, minor), 0, 9) for major in (4, 5) for minor in range(10)]


def _names() -> list[str]:
    names = [f"V3_0_0_{word}" for word in _EARLIEST.split()]
    for (major, minor), first, last in _LINES:
        for patch in range(first, last + 1):
            names += (f"V{major}_{minor}_{patch}_SNAPSHOT", f"V{major}_{minor}_{patch}")
    return names


_NAMES = _names()
_ORDINALS = {name: ordinal for ordinal, name in enumerate(_NAMES)}

V4_9_3 = _ORDINALS["V4_9_3"]
V4_9_4 = _ORDINALS["V4_9_4"]
V5_3_1 = _ORDINALS["V5_3_1"]


def version_name(ordinal: int) -> str:
    """``"V5_5_0"`` for 513; ``"HIGHER_VERSION"`` above the last that 5.5.0 knows."""
    if 0 <= ordinal < len(_NAMES):
        return _NAMES[ordinal]
    return "HIGHER_VERSION" if ordinal > 0 else ""


def version_ordinal(name: str) -> int:
    """The ordinal of a name; of what is no such name ("5.0.7" of a gRPC client) that of the release it means, else 0."""
    ordinal = _ORDINALS.get(name)
    if ordinal is None:
        ordinal = _ORDINALS.get("V" + name.removeprefix("v").replace(".", "_"), 0)
    return ordinal
