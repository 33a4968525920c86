"""What the tests of mqadmin find on the server: a topic with three messages, a living consumer, a living producer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.mqadmin import Admin, Printed

if TYPE_CHECKING:
    from tests.interop.conftest import Server

__all__ = ["Scene", "Sent", "admin", "fine", "scene", "shows"]


@dataclass(frozen=True)
class Sent:
    """One stored message: its ids and its place."""

    unique_id: str
    offset_id: str
    queue: str
    offset: str
    body: str
    key: str
    tag: str


@dataclass(frozen=True)
class Scene:
    """A topic of four queues with three messages, one living consumer and one living producer."""

    topic: str
    group: str
    producers: str
    client: str
    sent: tuple[Sent, ...]


@pytest.fixture(scope="session")
def admin(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    started = Admin(server.address, tmp_path_factory.mktemp("mqadmin"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def scene(admin: Admin, server: Server, prefix: str) -> Scene:
    topic, group, producers = f"{prefix}_admin", f"{prefix}_admin_group", f"{prefix}_admin_producers"
    made = admin.run("updateTopic", "-c", server.cluster, "-t", topic, "-r", "4", "-w", "4")
    assert "success" in made.out, made
    admin.until(lambda printed: topic in printed.out, "topicList")
    bodies = (("one", "k1", "A"), ("two", "k2", "B"), ("三", "键三", "标签"))
    produced = admin.run("!produce", producers, topic, *("|".join(each) for each in bodies))
    assert len(produced.lines) == len(bodies), produced
    sent = tuple(
        Sent(line[0], line[1], line[2], line[3], *each)
        for line, each in zip(produced.lines, bodies, strict=True)
    )
    client = admin.run("!consume", group, topic).out.strip()
    received = admin.until(lambda printed: len(printed.lines) == 3, "!received", group)
    assert sorted(received.out.split()) == sorted(each[0] for each in bodies)
    return Scene(topic, group, producers, client, sent)


def fine(printed: Printed) -> Printed:
    """The command said nothing of an exception."""
    assert "Exception" not in printed.err + printed.out, printed
    return printed


def shows(text: str, one: Sent) -> None:
    """All that mqadmin tells of a message is right, its body (which goes into a file) included."""
    told = dict(re.findall(r"^([A-Z][\w ]+): +(.*)$", text, re.M))
    assert told["Tags"] == f"[{one.tag}]"
    assert told["Keys"] == f"[{one.key}]"
    assert told["Queue ID"] == one.queue
    assert told["Queue Offset"] == one.offset
    assert told["Reconsume Times"] == "0"
    assert f"UNIQ_KEY={one.unique_id}" in told["Properties"]
    assert Path(told["Message Body Path"]).read_text() == one.body
