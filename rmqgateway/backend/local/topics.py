"""The registry of topics: which exist, under which number the store knows them, how they are configured.

A topic's record is durable before the first message is stored under its number; numbers are never used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.settings import parse_delay_levels
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType, Permission

__all__ = ["Topics"]

_TABLE = "topics"
_COUNTERS = "counters"
_NEXT = "next_topic_number"
_VERSION = "topics_version"


class _Record(msgspec.Struct, array_like=True):
    """What the metadata table holds for a topic. :ivar format: 1."""

    format: int
    number: int
    config: TopicConfig


_log = Logger()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class Topics(Component):
    """All topics.

    :ivar by_name: every topic; read only for others.
    :ivar by_number: the same by the store's number.
    :ivar version: grows with each change.
    :ivar on_delete: called with each topic that was deleted.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.by_name: dict[str, Topic] = {}
        self.by_number: dict[int, Topic] = {}
        self.version = 0
        self.on_delete: list[Callable[[Topic], None]] = []
        self._next_number = 1
        self._creating: dict[str, Deferred[None]] = {}
        self.get = self.by_name.get

    def start(self) -> Deferred[None] | None:
        metadata = self.core.store.metadata
        self._next_number = int(metadata.get(_COUNTERS, _NEXT) or b"1")
        self.version = int(metadata.get(_COUNTERS, _VERSION) or b"0")
        for name, value in metadata.items(_TABLE):
            try:
                record = _decode(value)
            except msgspec.MsgspecError as error:
                _log.error("the record of topic {name} is passed over: {error}", name=name, error=error)
                continue
            self._take(record.number, record.config)
            self._next_number = max(self._next_number, record.number + 1)
        system = {config.name: config for config in self._system_topics()}
        # These two follow the settings, not what was recorded under earlier ones.
        for name in (names.AUTO_CREATE_TOPIC, names.SCHEDULE_TOPIC):
            known = self.by_name.get(name)
            if known is not None and name in system:
                known.configure(system[name])
            elif known is not None:
                del self.by_name[name]
        missing = [config for name, config in system.items() if name not in self.by_name]
        return self._store(missing) if missing else None

    def find(self, name: str) -> Topic:
        """The topic.

        :raise GatewayError: TOPIC_NOT_FOUND.
        """
        topic = self.by_name.get(name)
        if topic is None:
            raise GatewayError(Code.TOPIC_NOT_FOUND, f"topic {name[:300]!r} does not exist")
        return topic

    def configs(self) -> Iterator[TopicConfig]:
        """Every topic's configuration, in order of their names."""
        for name in sorted(self.by_name):
            yield self.by_name[name].config

    def is_system(self, name: str) -> bool:
        """Whether the topic is the system's own (not a user's, nor a retry or dead-letter topic)."""
        settings = self.core.settings
        return names.is_system_topic(name) or name in (
            settings.cluster_name,
            settings.broker_name,
            names.reply_topic(settings.cluster_name),
        )

    # Creating, changing, deleting

    def for_sending(self, name: str, wanted_queues: int = 0) -> Topic | Deferred[Topic]:
        """The topic that a producer sends to, created if that is allowed.

        :param wanted_queues: how many queues the producer would like, 0: no wish.
        :raise GatewayError: BAD_TOPIC_NAME, TOPIC_NOT_FOUND, STORE_FULL (too many topics); or by the Deferred.
        """
        topic = self.by_name.get(name)
        if topic is not None:
            return topic
        names.check_topic(name)
        # RocketMQ creates a group's retry topic even where automatic creation is off.
        if name.startswith(names.RETRY_PREFIX):
            return self.ensure(TopicConfig(name, 1, 1))
        if not self.core.settings.auto_create_topics or names.is_retry_or_dead_letter(name):
            raise GatewayError(
                Code.TOPIC_NOT_FOUND,
                f"topic {name!r} does not exist, and topics are not created on first use",
            )
        default = self.core.settings.default_queues
        queues = min(wanted_queues, default) if wanted_queues > 0 else default
        return self.ensure(TopicConfig(name, queues, queues, message_type=MessageType.MIXED))

    def ensure(self, config: TopicConfig) -> Topic | Deferred[Topic]:
        """The topic of that name as it is, or created like this; the Deferred fires when that is durable.

        :raise GatewayError: STORE_FULL: too many topics.
        """
        topic = self.by_name.get(config.name)
        if topic is not None:
            return topic
        name = config.name
        if name not in self._creating:
            self._store([config])
        found: Deferred[Topic] = Deferred()
        self._when_created(name, found)
        return found

    def create(self, configs: Sequence[TopicConfig]) -> Deferred[None]:
        """Create topics, or change those that exist; all or none. The caller checked names and values.

        :raise GatewayError: STORE_FULL: too many topics.
        """
        under_way = [self._creating[config.name] for config in configs if config.name in self._creating]
        if not under_way:
            return self._store(configs)
        done: Deferred[None] = Deferred()

        def again(_: object) -> None:
            maybeDeferred(self.create, configs).chainDeferred(done)

        under_way[0].addCallback(again)
        return done

    def delete(self, name: str) -> Deferred[None]:
        """Delete a topic and its messages; fires when durable. One that is not there is left so."""
        topic = self.by_name.pop(name, None)
        if topic is None:
            return succeed(None)
        self.by_number.pop(topic.number, None)
        self.version += 1
        done = self.core.store.metadata.change(
            [(_TABLE, name, None), (_COUNTERS, _VERSION, b"%d" % self.version)]
        )
        self.core.store.drop_topic(topic.number)
        for wait in [*topic.waiting, *(wait for queue in topic.queues.values() for wait in queue.waiting)]:
            wait.end("topic")
        for callback in self.on_delete:
            callback(topic)
        return done

    # Inside

    def _store(self, configs: Iterable[TopicConfig]) -> Deferred[None]:
        """Make the records durable, then the topics known."""
        numbered: list[tuple[int, TopicConfig]] = []
        changes: list[tuple[str, str, bytes | None]] = []
        next_number = self._next_number
        for config in configs:
            known = self.by_name.get(config.name)
            number = next_number if known is None else known.number
            next_number += known is None
            numbered.append((number, config))
            changes.append((_TABLE, config.name, _encode(_Record(1, number, config))))
        new = next_number - self._next_number
        if new and len(self.by_name) + len(self._creating) + new > self.core.settings.max_topics:
            raise GatewayError(Code.STORE_FULL, f"there are {len(self.by_name)} topics already (max_topics)")
        self._next_number = next_number
        self.version += 1
        changes.append((_COUNTERS, _NEXT, b"%d" % self._next_number))
        changes.append((_COUNTERS, _VERSION, b"%d" % self.version))
        done: Deferred[None] = Deferred()
        for _, config in numbered:
            if config.name not in self.by_name:
                self._creating[config.name] = Deferred()

        def stored(result: Failure | None) -> None:
            failed = isinstance(result, Failure)
            for number, config in numbered:
                if not failed:
                    self._take(number, config)
            for _, config in numbered:
                waiting = self._creating.pop(config.name, None)
                if waiting is not None:
                    waiting.callback(None)
            if failed:
                done.errback(result)
            else:
                done.callback(None)

        self.core.store.metadata.change(changes).addBoth(stored)
        return done

    def _take(self, number: int, config: TopicConfig) -> None:
        known = self.by_name.get(config.name)
        if known is not None:
            known.configure(config)
            return
        topic = Topic(self.core.store, number, config, self.is_system(config.name))
        self.by_name[config.name] = self.by_number[number] = topic

    def _when_created(self, name: str, found: Deferred[Topic]) -> None:
        def created(_: object) -> None:
            topic = self.by_name.get(name)
            if topic is None:
                found.errback(GatewayError(Code.STORE_FAILED, f"topic {name!r} could not be recorded"))
            elif not found.called:
                found.callback(topic)

        waiting = self._creating.get(name)
        if waiting is None:
            created(None)
        else:
            waiting.addCallback(created)

    def _system_topics(self) -> Iterable[TopicConfig]:
        """Those that a real broker has (``TopicConfigManager.init``)."""
        settings = self.core.settings
        inherit = Permission.INHERIT | Permission.READ_WRITE
        levels = max(18, len(parse_delay_levels(settings.delay_levels)))
        if settings.auto_create_topics:
            yield TopicConfig(
                names.AUTO_CREATE_TOPIC, settings.default_queues, settings.default_queues, inherit
            )
        yield TopicConfig(names.SELF_TEST_TOPIC, 1, 1)
        yield TopicConfig(names.BENCHMARK_TOPIC, 1024, 1024)
        yield TopicConfig(settings.cluster_name, 16, 16, inherit)
        yield TopicConfig(settings.broker_name, 1, 1, inherit)
        yield TopicConfig(names.OFFSET_MOVED_TOPIC, 1, 1)
        yield TopicConfig(names.SCHEDULE_TOPIC, levels, levels)
        yield TopicConfig(names.TRACE_TOPIC, 1, 1)
        yield TopicConfig(names.reply_topic(settings.cluster_name), 1, 1)
        yield TopicConfig(names.HALF_TOPIC, 1, 1)
        yield TopicConfig(names.OP_HALF_TOPIC, 1, 1)
        yield TopicConfig(names.WHEEL_TIMER_TOPIC, 1, 1)
