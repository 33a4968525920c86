"""After each test here, no file of its stores is open: a store that was closed, or failed to open, keeps none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.open_files import open_files


@pytest.fixture(autouse=True)
def _files_are_closed(tmp_path: Path) -> Iterator[None]:
    yield
    assert open_files(tmp_path) == []
