"""The model's world over files leaves none of them open: a run makes thousands of such worlds."""

from __future__ import annotations

import random
from pathlib import Path

from rmqgateway.commands import SendMessages
from rmqgateway.message import Message
from tests.contract.durable_world import DurableWorld
from tests.open_files import open_files


def test_no_file_of_it_stays_open() -> None:
    DurableWorld.chance = random.Random(1)
    world = DurableWorld()
    path = world.ground.path
    for number in range(6):
        session = world.session()
        for _ in range(20):
            world.execute(session, SendMessages("topic", (Message(b"x" * 2000),)))
        world.advance(25)
        ended = world.restart() if number % 2 else world.crash()
        assert isinstance(ended, DurableWorld)
        world = ended
    assert open_files(path)
    world.clean()
    assert open_files(path) == [] and not Path(path).exists()
