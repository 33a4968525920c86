"""Types of settings, for the structs of every front-end: checked when the configuration is read."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

__all__ = ["Positive"]

#: A number above 0.
Positive: TypeAlias = Annotated[int, msgspec.Meta(gt=0)]
