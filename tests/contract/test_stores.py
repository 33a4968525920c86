"""What every store must do: each scenario over each store, and a state machine against a model."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from rmqgateway.backend.store.durable import DurableStore
from rmqgateway.backend.store.interfaces import IMessageStore, IMetadata, IStoredQueue
from rmqgateway.backend.store.memory import MemoryStore
from rmqgateway.backend.store.records import MESSAGE, RECORD_HEADER, frame
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.worker import InlineWorker
from rmqgateway.errors import StoreError

KINDS = ["memory", "sync", "async"]
SEGMENT = 1 << 16


def stored(timestamp: int, body: bytes = b"", v6: bool = False) -> bytearray:
    """A stored message as far as a store looks: sysFlag, offsets, store timestamp."""
    message = bytearray(88 + 24 * v6) + body
    struct.pack_into(">i", message, 36, 16 if v6 else 0)
    struct.pack_into(">q", message, 68 if v6 else 56, timestamp)
    return message


def offset_in(message: bytes) -> int:
    return int(struct.unpack_from(">q", message, 20)[0])


def position_in(message: bytes) -> int:
    return int(struct.unpack_from(">q", message, 28)[0])


def settle_clock(clock: Clock, seconds: float = 0) -> None:
    """Run what is due, until nothing is."""
    clock.advance(seconds)
    for _ in range(20000):
        if not [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]:
            return
        clock.advance(0)
    raise AssertionError("the store does not come to rest")


class Owner:
    """Somebody with state: a list of what was appended."""

    def __init__(self, kind: int = 7) -> None:
        self.kind = kind
        self.state: list[bytes] = []
        self.seen: list[tuple[int, int, int]] = []

    def register(self, store: MemoryStore | DurableStore) -> None:
        store.register_state(self.kind, self.restore, self.state.append, self.snapshot)
        store.register_replay(lambda topic, queue, offset, message: self.seen.append((topic, queue, offset)))

    def restore(self, piece: bytes) -> None:
        self.state += [piece[at : at + 4] for at in range(0, len(piece), 4)]

    def snapshot(self) -> list[bytes]:
        half = len(self.state) // 2
        return [b"".join(self.state[:half]), b"".join(self.state[half:])]


class House:
    """A store, its clock, and what survives when it goes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.path = tempfile.mkdtemp() if kind != "memory" else ""
        self.clock = Clock()
        self.owner = Owner()
        self.store = self._make()
        self.owner.register(self.store)
        self.store.open()

    def _make(self, contents: object = None) -> MemoryStore | DurableStore:
        if self.kind == "memory":
            return MemoryStore(self.clock, contents)  # type: ignore[arg-type]
        few = StoreSettings(
            flush="async" if self.kind == "async" else "sync",
            segment_bytes=SEGMENT,
            cache_bytes=1 << 14,
            group_bytes=1 << 13,
            snapshot_bytes=1 << 17,
            read_ahead_bytes=1 << 19,
            index_files=2,
            disk_limit=1.0,
        )
        return DurableStore(
            self.path, self.clock, few, writer=InlineWorker(self.clock), chores=InlineWorker(self.clock), now=lambda: 1.0
        )

    def settle(self, seconds: float = 0) -> None:
        """Run what is due, until nothing is."""
        settle_clock(self.clock, seconds)

    def restart(self, crash: bool = False) -> None:
        """Close (or not), and open again with a new owner."""
        store = self.store
        if crash:
            if isinstance(store, DurableStore):
                store.log.close()
                store.directory.close()
        else:
            closed = store.close()
            self.settle()
            assert closed.called
        self.clock = Clock()
        self.owner = Owner()
        self.store = self._make(getattr(store, "contents", None))
        self.owner.register(self.store)
        self.store.open()

    def remove(self) -> None:
        store = self.store
        if isinstance(store, DurableStore):
            store.log.close()
            store.directory.close()
            shutil.rmtree(self.path)


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    it = House(request.param)
    yield it
    it.remove()


def read_all(house: House, topic: int = 1, queue: int = 0, at_once: int = 7) -> list[bytes]:
    it = house.store.queue(topic, queue)
    found: list[bytes] = []
    offset = it.min_offset
    while offset < it.max_offset:
        some = it.read(offset, at_once, 1 << 20)
        assert some
        found += some
        offset += len(some)
    return found


def fill(house: House, count: int, body: bytes = b"x" * 200, queues: int = 1) -> list[int]:
    positions = []
    for number in range(count):
        queue = house.store.queue(1, number % queues)
        positions.append(queue.append(stored(1000 + number, body), [b"topic#key%d" % number, b"topic#all"]))
        if number % 10 == 9:
            house.settle()
    house.settle()
    return positions


def test_provides_the_interfaces(house: House) -> None:
    assert verifyObject(IMessageStore, house.store)
    assert verifyObject(IMetadata, house.store.metadata)
    assert verifyObject(IStoredQueue, house.store.queue(1, 0))


def test_a_message_is_visible_once_durable_and_then_the_callbacks_run(house: House) -> None:
    queue = house.store.queue(1, 3)
    assert (queue.min_offset, queue.max_offset, queue.next_offset) == (0, 0, 0)
    seen: list[tuple[BaseException | None, int]] = []
    position = queue.append(stored(5, b"one"))
    house.store.when_durable(lambda error: seen.append((error, queue.max_offset)))
    second = queue.append(stored(6, b"two"))
    assert (queue.max_offset, queue.next_offset, seen, queue.read(0, 1, 100)) == (0, 2, [], [])
    house.settle()
    assert seen == [(None, 2)]
    found = queue.read(0, 10, 10000)
    assert [offset_in(it) for it in found] == [0, 1]
    assert [position_in(it) for it in found] == [position, second]
    assert second > position
    assert [bytes(it[88:]) for it in found] == [b"one", b"two"]


def test_when_durable_with_nothing_under_way_is_at_once(house: House) -> None:
    seen: list[BaseException | None] = []
    house.store.when_durable(seen.append)
    assert seen == [None]


def test_callbacks_run_in_order_even_if_one_fails(house: House) -> None:
    seen: list[int] = []

    def fails(error: BaseException | None) -> None:
        raise RuntimeError("planted")

    def later(error: BaseException | None) -> None:
        seen.append(1)
        house.store.append_state(7, b"more")
        house.store.when_durable(lambda error: seen.append(3))

    house.store.append_state(7, b"once")
    house.store.when_durable(fails)
    house.store.when_durable(later)
    house.store.when_durable(lambda error: seen.append(2))
    house.settle()
    assert seen == [1, 2, 3]


def test_the_scope_is_around_the_callbacks_of_a_group(house: House) -> None:
    seen: list[str] = []

    class Scope:
        def enter(self) -> None:
            seen.append("enter")

        def leave(self) -> None:
            seen.append("leave")

    house.store.scope = Scope()
    house.store.append_state(7, b"once")
    house.store.when_durable(lambda error: seen.append("a"))
    house.store.when_durable(lambda error: seen.append("b"))
    house.settle()
    assert seen == ["enter", "a", "b", "leave"]


def test_reading_stops_at_the_limits(house: House) -> None:
    fill(house, 20, b"y" * 12)
    queue = house.store.queue(1, 0)
    assert len(queue.read(0, 5, 10000)) == 5
    assert len(queue.read(0, 50, 100)) == 1
    assert len(queue.read(0, 50, 1)) == 1
    assert len(queue.read(0, 50, 299)) == 2
    assert len(queue.read(0, 50, 300)) == 3
    assert len(queue.read(18, 50, 10000)) == 2
    assert queue.read(20, 5, 100) == queue.read(-1, 5, 100) == queue.read(99, 5, 100) == []
    assert queue.read(3, 0, 100) == []


def test_reading_across_segments_and_restarts(house: House) -> None:
    fill(house, 1000, queues=3)
    for _ in range(3):
        for queue in range(3):
            found = read_all(house, 1, queue)
            assert [offset_in(it) for it in found] == list(range(len(found)))
            assert len(found) == 334 - (queue > 0)
        house.restart()
    house.restart(crash=True)
    assert len(read_all(house, 1, 0, 32)) == 334


def test_read_at_is_safe_for_any_number(house: House) -> None:
    positions = fill(house, 300)
    for position in positions[::13]:
        message = house.store.read_at(position)
        assert message is not None
        assert position_in(message) == position
    for number in (-1, 1, positions[5] + 1, positions[5] - 1, 1 << 40, (1 << 63) - 1, 1 << 70):
        assert house.store.read_at(number) is None
    house.restart()
    found = house.store.read_at(positions[-1])
    assert found is not None
    assert offset_in(found) == 299


def test_a_record_forged_within_a_body_is_no_message(house: House) -> None:
    """Positions can be foretold: whoever sends may put what looks like a record where it will lie."""
    fill(house, 5)
    begin = fill(house, 1)[0] + RECORD_HEADER + 88 + 200 + 4 * 2  # where the next record begins
    inside = begin + RECORD_HEADER + 88
    for topic, queue, offset in ((1, 0, 2), (1, 0, 6), (1, 3, 0), (2, 0, 0)):
        forged = stored(1, b"forged")
        struct.pack_into(">qq", forged, 20, offset, inside)
        head = frame(MESSAGE, 0, topic, queue, inside, bytes(forged))
        position = house.store.queue(1, 0).append(stored(1, head + bytes(forged)))
        if house.kind != "memory":
            assert position == begin
        house.settle()
        assert house.store.read_at(position) is not None
        assert house.store.read_at(inside) is None
        begin, inside = begin + RECORD_HEADER + 88 + len(head + forged), inside + RECORD_HEADER + 88 + len(head + forged)


def test_a_position_is_not_readable_before_it_is_durable(house: House) -> None:
    position = house.store.queue(1, 0).append(stored(1))
    assert house.store.read_at(position) is None
    assert house.store.query_key(b"topic#k", 0, 10, 5) == []
    house.settle()
    assert house.store.read_at(position) is not None


def test_keys(house: House) -> None:
    fill(house, 500)
    store = house.store
    for _ in range(2):
        assert [offset_in(it) for it in store.query_key(b"topic#key77", 0, 1 << 60, 9)] == [77]
        assert [offset_in(it) for it in store.query_key(b"topic#all", 0, 1 << 60, 3)] == [499, 498, 497]
        assert [offset_in(it) for it in store.query_key(b"topic#all", 1100, 1101, 99)] == [101, 100]
        assert len(store.query_key(b"topic#all", 0, 1 << 60, 999)) == 500
        assert store.query_key(b"topic#none", 0, 1 << 60, 9) == []
        assert store.query_key(b"topic#key77", 0, 1076, 9) == []
        house.restart()
        store = house.store


def test_many_keys_on_one_message(house: House) -> None:
    keys = [b"t#%d" % n for n in range(20)]
    house.store.queue(1, 0).append(stored(5), keys)
    house.settle()
    assert all(len(house.store.query_key(key, 0, 10, 2)) == 1 for key in keys)


def test_time(house: House) -> None:
    fill(house, 400)
    queue = house.store.queue(1, 0)
    for number in (0, 1, 199, 399):
        assert queue.store_timestamp(number) == 1000 + number
        assert queue.offset_by_time(1000 + number) == number
        assert queue.offset_by_time(1000 + number, lower=False) == number
    assert queue.offset_by_time(0) == 0
    assert queue.offset_by_time(5000) == 400
    assert queue.offset_by_time(5000, lower=False) == 399
    assert queue.store_timestamp(-1) == queue.store_timestamp(400) == -1
    v6 = house.store.queue(1, 1)
    v6.append(stored(7000, v6=True))
    v6.append(stored(7000, v6=True))
    house.settle()
    assert v6.store_timestamp(0) == 7000
    assert (v6.offset_by_time(7000), v6.offset_by_time(7000, lower=False)) == (0, 1)


def test_state_comes_back_once_and_in_order(house: House) -> None:
    store = house.store
    wanted = []
    for number in range(2000):
        piece = b"%04d" % number
        wanted.append(piece)
        house.owner.state.append(piece)
        store.append_state(7, piece)
        store.queue(1, 0).append(stored(number, b"z" * 50))
        if number % 100 == 0:
            house.settle()
    house.settle()
    house.restart(crash=True)
    assert house.owner.state == wanted
    assert [it[2] for it in house.owner.seen] == list(range(2000))[-len(house.owner.seen) :]
    house.restart()
    assert house.owner.state == wanted
    house.restart()
    assert (house.owner.state, house.owner.seen) == (wanted, [])


def test_what_was_not_durable_is_gone_after_a_crash(house: House) -> None:
    fill(house, 10)
    house.store.queue(1, 0).append(stored(9999))
    house.store.append_state(7, b"lost")
    house.store.metadata.change([("topics", "lost", b"1")])
    house.restart(crash=True)
    queue = house.store.queue(1, 0)
    assert (queue.max_offset, queue.next_offset, house.owner.state) == (10, 10, [])
    assert house.store.metadata.get("topics", "lost") is None


def test_metadata(house: House) -> None:
    metadata = house.store.metadata
    done = metadata.change([("topics", "b", b"2"), ("topics", "ä", b""), ("groups", "a", b"x" * 1000)])
    assert not done.called
    assert (metadata.get("topics", "b"), list(metadata.items("topics"))) == (b"2", [])
    house.settle()
    assert done.called
    assert list(metadata.items("topics")) == [("b", b"2"), ("ä", b"")]
    metadata.change([("topics", "b", None), ("topics", "none", None), ("topics", "c", b"3")])
    house.settle()
    for crash in (True, False, False):
        metadata = house.store.metadata
        assert list(metadata.items("topics")) == [("c", b"3"), ("ä", b"")]
        assert metadata.get("groups", "a") == b"x" * 1000
        assert metadata.get("topics", "b") is None
        assert list(metadata.items("no such table")) == []
        house.restart(crash=crash)


def test_a_dropped_topic_is_gone_for_good(house: House) -> None:
    fill(house, 30, queues=2)
    position = house.store.queue(2, 0).append(stored(5000, b"other"))
    house.settle()
    queue, first = house.store.queue(1, 0), house.store.queue(1, 0).read(0, 1, 1)[0]
    house.store.drop_topic(1)
    house.settle()
    for _ in range(3):
        assert queue.read(0, 10, 1000) == []
        with pytest.raises(StoreError):
            house.store.queue(1, 0)
        assert house.store.read_at(position_in(first)) is None
        assert house.store.query_key(b"topic#all", 0, 1 << 60, 3) == []
        assert house.store.read_at(position) is not None
        house.restart()
    with pytest.raises(StoreError):
        queue.append(stored(1))


def test_nothing_goes_in_before_open_or_after_close(house: House) -> None:
    queue = house.store.queue(1, 0)
    closed = house.store.close()
    house.settle()
    assert closed.called
    with pytest.raises(StoreError):
        queue.append(stored(1))
    with pytest.raises(StoreError):
        house.store.append_state(7, b"late")
    failures: list[object] = []
    house.store.metadata.change([("a", "b", b"c")]).addErrback(failures.append)
    assert len(failures) == 1
    with pytest.raises(ValueError, match="kind"):
        house.store.register_state(7, print, print, list) if house.kind != "memory" else house.store.register_state(
            0, print, print, list
        )


def test_statistics_name_what_is_there(house: House) -> None:
    assert house.store.statistics()["min_timestamp"] == -1
    fill(house, 10)
    first = house.store.queue(1, 0).store_timestamp(0)
    for _ in range(2):
        assert house.store.statistics()["min_timestamp"] == first > 0
        house.restart()
    it = house.store.statistics()
    assert it["kind"] == ("memory" if house.kind == "memory" else "durable")
    assert it["queues"] == 1
    assert int(it["max_position"]) >= 10 * 288
    fill(house, 1)
    assert int(house.store.statistics()["commit_groups"]) >= 1


def test_a_big_message_among_small_ones(house: House) -> None:
    small = fill(house, 50)
    queue = house.store.queue(1, 0)
    big = bytes(range(256)) * 200
    queue.append(stored(5000, big))
    fill(house, 50)
    house.restart()
    found = read_all(house)
    assert len(found) == 101
    assert bytes(found[50][88:]) == big
    assert small


def test_memory_by_hand() -> None:
    """What only the one in memory has: groups held back, a planted failure, fullness and retention by hand."""
    clock = Clock()
    store = MemoryStore(clock, manual=True)
    store.open()
    queue = store.queue(1, 0)
    outcomes: list[BaseException | None] = []
    for number in range(4):
        queue.append(stored(number))
    store.when_durable(outcomes.append)
    clock.advance(10)
    assert (queue.max_offset, outcomes) == (0, [])
    store.commit()
    store.commit()
    assert (queue.max_offset, outcomes) == (4, [None])
    queue.drop_before(3)
    assert (queue.min_offset, len(queue.read(3, 9, 999)), queue.read(2, 9, 999)) == (3, 1, [])
    assert MemoryStore(clock, store.contents).queue(1, 0).min_offset == 3
    queue.append(stored(9))
    store.drop_topic(1)
    store.commit()
    assert store.statistics()["queues"] == 0
    store.is_full = True
    with pytest.raises(StoreError):
        store.queue(2, 0).append(stored(1))
    store.append_state(7, b"goes on")
    store.when_durable(outcomes.append)
    store.fail("planted")
    store.when_durable(outcomes.append)
    store.commit()
    assert [type(it) for it in outcomes[1:]] == [StoreError, StoreError]
    with pytest.raises(StoreError, match="planted"):
        store.append_state(7, b"x")


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of operations, with restarts and crashes between any two, against lists and dicts."""

    kind = "memory"

    @initialize()
    def begin(self) -> None:
        self.house = House(self.kind)
        self.durable: dict[tuple[int, int], list[bytes]] = {}
        self.pending: list[Callable[[], None]] = []
        self.state: list[bytes] = []
        self.tables: dict[tuple[str, str], bytes] = {}
        self.next: dict[tuple[int, int], int] = {}
        self.time = 0
        self.number = 0

    @rule(topic=st.integers(1, 3), queue=st.integers(0, 2), size=st.integers(0, 6000), times=st.integers(1, 12))
    def send(self, topic: int, queue: int, size: int, times: int) -> None:
        it = self.house.store.queue(topic, queue)
        for _ in range(times):
            self.time += 1
            message = stored(self.time, b"b" * size)
            offset = self.next.get((topic, queue), 0)
            assert it.next_offset == offset
            self.next[topic, queue] = offset + 1
            it.append(message, [b"%d#%d" % (topic, self.time)])
            copy = bytes(message)
            self.pending.append(lambda copy=copy: self.durable.setdefault((topic, queue), []).append(copy))  # type: ignore[misc]

    @rule()
    def change_state(self) -> None:
        self.number += 1
        piece = b"%04d" % (self.number % 10000)
        self.house.owner.state.append(piece)
        self.house.store.append_state(7, piece)
        self.pending.append(lambda: self.state.append(piece))

    @rule(key=st.sampled_from("abc"), value=st.one_of(st.none(), st.binary(max_size=50)))
    def change_metadata(self, key: str, value: bytes | None) -> None:
        self.house.store.metadata.change([("table", key, value)])

        def change() -> None:
            if value is None:
                self.tables.pop(("table", key), None)
            else:
                self.tables["table", key] = value

        self.pending.append(change)

    def committed(self) -> None:
        for change in self.pending:
            change()
        self.pending = []

    @rule(seconds=st.sampled_from([0, 0, 0, 1, 15, 70]))
    def settle(self, seconds: float) -> None:
        self.house.settle(seconds)
        self.committed()

    @rule()
    def restart(self) -> None:
        self.committed()
        self.house.restart()
        self.check_state()

    @rule()
    def crash(self) -> None:
        self.pending = []
        self.house.restart(crash=True)
        self.next = {key: len(messages) for key, messages in self.durable.items()}
        self.check_state()

    def check_state(self) -> None:
        assert self.house.owner.state == self.state
        items = [(key, value) for (_, key), value in sorted(self.tables.items())]
        assert list(self.house.store.metadata.items("table")) == items

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        for (topic, queue), messages in self.durable.items():
            it = self.house.store.queue(topic, queue)
            assert (it.min_offset, it.max_offset) == (0, len(messages))
            start = data.draw(st.integers(0, len(messages)))
            found = it.read(start, 10, 20000)
            assert found == messages[start : start + len(found)]
            assert bool(found) == (start < len(messages))
            if found:
                assert self.house.store.read_at(position_in(found[0])) == found[0]
                stamp = it.store_timestamp(start)
                assert it.offset_by_time(stamp) == start
                assert self.house.store.query_key(b"%d#%d" % (topic, stamp), stamp, stamp, 2) == [found[0]]

    @invariant()
    def nothing_is_visible_early(self) -> None:
        if hasattr(self, "house"):
            for key, messages in self.durable.items():
                assert self.house.store.queue(*key).max_offset == len(messages)

    def teardown(self) -> None:
        if hasattr(self, "house"):
            for key, messages in self.durable.items():
                if messages:
                    assert read_all(self.house, *key) == messages
            self.house.remove()


def _machine(kind_of_store: str, examples: int) -> type:
    machine: type[StoreMachine] = type(f"Machine_{kind_of_store}", (StoreMachine,), {"kind": kind_of_store})
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return case


TestMemoryMachine = _machine("memory", 50)
TestSyncMachine = _machine("sync", 120)
TestAsyncMachine = _machine("async", 60)
