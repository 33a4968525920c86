"""The official Java clients 5.5.0 and 4.9.8, unchanged: each scenario of the driver is one test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver, java_driver
from tests.interop.toolchain import classpath

pytestmark = pytest.mark.needs("java", "mvn")

#: Measures time, so nothing else runs meanwhile.
ALONE = ("long_poll_wake",)

SCENARIOS = (
    "queue_lock_expires",
    "queue_lock",
    "retry_ladder",
    "retry_level_chosen",
    "dead_letter",
    "dead_letter_at_once",
    "orderly_suspend",
    "send_message_back",
    "clustering_member_killed",
    "orderly_member_killed",
    "clustering_shared",
    "push_orderly_two_members",
    "broadcasting",
    "push_concurrent",
    "push_orderly",
    "tag_filter",
    "offsets_over_restart",
    "consume_from_first",
    "consume_from_last",
    "consume_from_timestamp",
    "namespace_v1",
    "lite_pull_assign",
    "lite_pull_subscribe",
    "pull_consumer",
    "pull_block_if_not_found",
    "sync_send",
    "async_send",
    "one_way",
    "batch",
    "compressed_zlib",
    "compressed_lz4",
    "compressed_zstd",
    "properties_keys_tags",
    "chinese_text",
    "body_of_4_mb",
    "body_too_large",
    "queue_selector",
    "queue_offsets",
    "view_and_query_message",
    "unsupported_code",
    "unknown_topic",
    "offset_not_found",
)

#: Run once more with headers in RocketMQ's own binary form.
BINARY = (
    "sync_send",
    "async_send",
    "one_way",
    "batch",
    "properties_keys_tags",
    "chinese_text",
    "push_orderly",
    "pull_consumer",
    "lite_pull_subscribe",
    "retry_level_chosen",
    "dead_letter",
    "queue_lock",
    "queue_offsets",
    "view_and_query_message",
    "unsupported_code",
    "unknown_topic",
)

RUNS = {
    "5.5.0": (*ALONE, *SCENARIOS),
    "4.9.8": (*ALONE, *SCENARIOS),
    "5.5.0-binary": BINARY,
    "4.9.8-binary": BINARY,
}


@pytest.fixture(scope="session")
def drivers(
    server: Server, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Driver]]]:
    """All runs: first what measures, one after the other; then the rest, whose waits overlap."""
    directory = tmp_path_factory.mktemp("java")
    started: list[Driver] = []
    by_run: dict[str, dict[str, Driver]] = {}

    def start(run: str, kind: str, names: tuple[str, ...], *options: str) -> Driver:
        version = run.removesuffix("-binary")
        label = f"java-{run}-{kind}"
        unique = f"{prefix}_{run.replace('.', '')}_{kind}"
        driver = java_driver(label, version, server.address, ",".join(names), unique, directory, *options)
        started.append(driver)
        by_run.setdefault(run, {}).update(dict.fromkeys(names, driver))
        return driver

    try:
        for run in ("5.5.0", "4.9.8"):
            start(run, "alone", ALONE).wait()
        # Most scenarios take seconds, a few a minute: the next JVM starts when this one is mostly waiting.
        quick = len(SCENARIOS) - 6
        start("5.5.0", "all", SCENARIOS).wait(quick)
        start("4.9.8", "all", SCENARIOS).wait(quick)
        for run in ("5.5.0-binary", "4.9.8-binary"):
            start(run, "all", BINARY, "-Drocketmq.serialize.type=ROCKETMQ")
        yield by_run
    finally:
        for driver in started:
            driver.stop()


@pytest.mark.parametrize(
    ("run", "scenario"), [(run, scenario) for run, names in RUNS.items() for scenario in names]
)
def test_java_client(run: str, scenario: str, drivers: dict[str, dict[str, Driver]], server: Server) -> None:
    drivers[run][scenario].judge(scenario, server.output())


def test_every_scenario_is_run() -> None:
    """The driver's own list and the one above are the same."""
    listed = subprocess.run(
        ["java", "-Xmx64m", "-cp", classpath("clients", "5.5.0"), "ScenarioRunner", "none", "list", "none"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    assert set(listed) == {*ALONE, *SCENARIOS}
