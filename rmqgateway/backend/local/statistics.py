"""Counters by topic and group, and rates over the last minute, hour and day, for those who administer."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.topics import Topics

__all__ = ["Counter", "Statistics"]

K = TypeVar("K")

_SAMPLE_S = 10.0
#: (seconds between samples, how many): for the last minute, hour and day.
_SPANS = ((_SAMPLE_S, 7), (600.0, 7), (3600.0, 25))

#: When (reactor seconds), messages, bytes.
_Sample = tuple[float, int, int]


class Counter:
    """Messages and bytes since the start of the process, and samples of the last minute, hour and day.

    Most counters of many groups and topics count nothing most of the time: such a one has one sample of each kind, the last.
    """

    __slots__ = ("_samples", "_still", "bytes", "messages")

    def __init__(self, now: float) -> None:
        self.messages = 0
        self.bytes = 0
        self._still = 0  # the count for which there is no more than one sample of each kind
        first = (now, 0, 0)
        self._samples: tuple[list[_Sample], ...] = ([first], [first], [first])

    def add(self, messages: int, size: int) -> None:
        """Count."""
        self.messages += messages
        self.bytes += size

    def sample(self, now: float) -> None:
        """Remember the counts of now, where the last sample is old enough."""
        messages = self.messages
        if messages == self._still:
            return
        still = True
        for (every, size), samples in zip(_SPANS, self._samples, strict=True):
            when, before, size_before = samples[-1]
            if messages == before == samples[0][1]:
                # Nothing happened as far back as is asked for.
                if len(samples) > 1:
                    del samples[:-1]
                continue
            still = False
            since = now - when
            if since < every - 0.5:
                continue
            if since >= every + _SAMPLE_S / 2:
                # First those that were left out while nothing happened, for the times at which they were due.
                due = int((since + 0.5) / every)
                samples += [(when + step * every, before, size_before) for step in range(max(1, due - size + 1), due)]
                when += due * every
                if now - when >= _SAMPLE_S / 2:
                    samples.append((when, before, size_before))
                    del samples[:-size]
                    continue
            samples.append((now, messages, self.bytes))
            if len(samples) > size:
                del samples[0 : len(samples) - size]
        if still:
            self._still = messages

    def within(self, now: float, seconds: float) -> tuple[int, int, float]:
        """Messages and bytes of the last so many seconds, as far as they were sampled, and over how many seconds."""
        samples = self._samples[0 if seconds <= 60 else 1 if seconds <= 3600 else 2]
        for when, messages, size in samples:
            if now - when <= seconds + _SAMPLE_S:
                return self.messages - messages, self.bytes - size, now - when
        _, messages, size = samples[-1]  # nothing had happened until the newest sample was due
        return self.messages - messages, self.bytes - size, seconds

    def rate(self, now: float) -> float:
        """Messages per second over the last minute, as far as it was sampled."""
        messages, _, over = self.within(now, 60.0)
        return messages / over if over > 0 else 0.0


class Statistics(Component):
    """All counters. Topics count their own messages (`Topic.put_messages`, …); this samples them.

    :ivar gets: by (group, topic): messages handed out. :ivar send_backs: by (group, topic): messages given back.
    :ivar dead_letters: by group: messages moved to the dead-letter queue.
    """

    def __init__(self, core: Core, topics: Topics) -> None:
        super().__init__(core)
        self.gets: dict[tuple[str, str], Counter] = {}
        self.send_backs: dict[tuple[str, str], Counter] = {}
        self.dead_letters: dict[str, Counter] = {}
        self.puts: dict[str, Counter] = {}
        self._all_puts = Counter(core.reactor.seconds())
        self._all_gets = Counter(core.reactor.seconds())
        self.started_ms = core.now_ms()
        #: Totals at the last two midnights (local time), as far as this process has lived.
        self.puts_at_yesterday = self.puts_at_midnight = 0
        self.gets_at_yesterday = self.gets_at_midnight = 0
        self._day = time.localtime(self.started_ms / 1000).tm_yday
        self._topics = topics

    def start(self) -> None:
        self._sample()
        self.every(_SAMPLE_S, self._sample)

    def got(self, group: str, topic: str, messages: int, size: int) -> None:
        """Messages were handed out to a group, by pull or pop."""
        counter = self.gets.get((group, topic))
        if counter is None:
            counter = self._new(self.gets, (group, topic))
        counter.messages += messages
        counter.bytes += size

    def gave_back(self, group: str, topic: str) -> None:
        """A message was given back for another attempt."""
        (self.send_backs.get((group, topic)) or self._new(self.send_backs, (group, topic))).add(1, 0)

    def died(self, group: str) -> None:
        """A message went to a group's dead-letter queue."""
        (self.dead_letters.get(group) or self._new(self.dead_letters, group)).add(1, 0)

    def put_rate(self, topic: str) -> float:
        """Messages per second put into a topic over the last minute."""
        self._take(topic)
        counter = self.puts.get(topic)
        return 0.0 if counter is None else counter.rate(self.core.reactor.seconds())

    def get_rate(self, group: str, topic: str) -> float:
        """Messages per second handed out to a group over the last minute."""
        counter = self.gets.get((group, topic))
        return 0.0 if counter is None else counter.rate(self.core.reactor.seconds())

    def put_counter(self, topic: str) -> Counter | None:
        """What was put into a topic, up to now."""
        self._take(topic)
        return self.puts.get(topic)

    def all_puts(self) -> Counter:
        """What was put into all topics together, up to now."""
        self._all_puts.messages, self._all_puts.bytes = self.total_puts()
        return self._all_puts

    def all_gets(self) -> Counter:
        """What was handed out to all groups together, up to now."""
        self._all_gets.messages, self._all_gets.bytes = self.total_gets()
        return self._all_gets

    def rates(self) -> tuple[float, float]:
        """Messages per second over the last minute, put and handed out, all topics together."""
        now = self.core.reactor.seconds()
        for name in self._topics.by_name:
            self._take(name)
        puts = sum(counter.rate(now) for counter in self.puts.values())
        return puts, sum(counter.rate(now) for counter in self.gets.values())

    def total_puts(self) -> tuple[int, int]:
        """Messages and bytes put into all topics since the start."""
        topics = self._topics.by_name.values()
        return sum(topic.put_messages for topic in topics), sum(topic.put_bytes for topic in topics)

    def total_gets(self) -> tuple[int, int]:
        """Messages and bytes handed out since the start."""
        counters = self.gets.values()
        return sum(counter.messages for counter in counters), sum(counter.bytes for counter in counters)

    def _new(self, table: dict[K, Counter], key: K) -> Counter:
        counter = Counter(self.core.reactor.seconds())
        table[key] = counter
        return counter

    def _take(self, name: str) -> None:
        topic = self._topics.get(name)
        if topic is not None and topic.put_messages:
            counter = self.puts.get(name) or self._new(self.puts, name)
            counter.messages, counter.bytes = topic.put_messages, topic.put_bytes

    def _sample(self) -> None:
        now = self.core.reactor.seconds()
        for name in self._topics.by_name:
            self._take(name)
        tables: list[dict[Any, Counter]] = [self.puts, self.gets, self.send_backs, self.dead_letters]
        for table in tables:
            for counter in table.values():
                counter.sample(now)
        self.all_puts().sample(now)
        self.all_gets().sample(now)
        for name in self.puts.keys() - self._topics.by_name.keys():
            del self.puts[name]
        day = time.localtime(self.core.now_ms() / 1000).tm_yday
        if day != self._day:
            self._day = day
            self.puts_at_yesterday, self.puts_at_midnight = self.puts_at_midnight, self.total_puts()[0]
            self.gets_at_yesterday, self.gets_at_midnight = self.gets_at_midnight, self.total_gets()[0]
