"""Several runs of one client's scenarios beside each other: over TLS and without, one driver for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from tests.interop.drivers import Driver

__all__ = ["each_of", "running"]


def each_of(runs: Mapping[str, Sequence[str]]) -> pytest.MarkDecorator:
    """One test for each scenario of each run: its arguments are `run` and `scenario`."""
    return pytest.mark.parametrize(("run", "scenario"), [(run, name) for run, names in runs.items() for name in names])


@contextmanager
def running() -> Iterator[dict[str, Driver]]:
    """Drivers by run; those that are put in are stopped at the end."""
    started: dict[str, Driver] = {}
    try:
        yield started
    finally:
        for driver in started.values():
            driver.stop()
