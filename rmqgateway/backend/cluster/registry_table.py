"""What a name server knows: brokers that registered, the topics that they told, who has been silent. Sans-IO.

Behaves as ``RouteInfoManager`` of 5.5.0; times are seconds of the caller's clock.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.routes import BrokerData, QueueData, TopicQueueMappingInfo, TopicRouteData
from rmqgateway.wire.bodies.topics import TopicConfig, TopicConfigSerializeWrapper

__all__ = ["EXPIRY_SECONDS", "Change", "Registration", "RouteTable"]

#: ``DEFAULT_BROKER_CHANNEL_EXPIRED_TIME``: of a broker that does not say itself how long it may be silent.
EXPIRY_SECONDS = 120.0
MASTER_ID = 0
_READ, _WRITE = 4, 2
_UNIT, _UNIT_SUB = 1, 2


class Registration(NamedTuple):
    """The header of REGISTER_BROKER. `acting` None: the broker is older than 5.0 and does not say."""

    cluster: str
    address: str
    name: str
    broker_id: int
    ha_address: str = ""
    zone: str | None = None
    expiry: float = EXPIRY_SECONDS
    acting: bool | None = None


class Change(NamedTuple):
    """The least id of a group of brokers is another now: whom to tell (NOTIFY_MIN_BROKER_ID_CHANGE), and what."""

    name: str
    addresses: tuple[str, ...]
    least_id: int
    least_address: str
    gone: str | None
    ha_address: str | None


class _Live(msgspec.Struct):
    """A broker that is there: keyed by cluster and address."""

    name: str
    broker_id: int
    seen: float
    expiry: float
    version: DataVersion
    ha_address: str
    channel: Any


class RouteTable:
    """See the module. :param acting_master: a slave stands in for a master that is gone (brokers with enableActingMaster)."""

    def __init__(self, acting_master: bool = False) -> None:
        self._acting_master = acting_master
        self.brokers: dict[str, BrokerData] = {}
        self.clusters: dict[str, dict[str, None]] = {}
        self._topics: dict[str, dict[str, QueueData]] = {}
        self._mappings: dict[str, dict[str, TopicQueueMappingInfo]] = {}
        self._live: dict[tuple[str, str], _Live] = {}

    # What brokers say.

    def register(
        self, told: Registration, topics: TopicConfigSerializeWrapper, channel: Any, now: float
    ) -> tuple[tuple[str, str] | None, Change | None]:
        """A broker registers, for the first time or again.

        :return: for a slave, its master's (address, address of replication), else ("", ""); None: refused, since a single
            topic is told by a broker that has not registered. And whom to tell of a new least id.
        """
        data = self.brokers.get(told.name)
        first = data is None
        if data is None:
            data = BrokerData(broker_addrs={}, broker_name=told.name, cluster=told.cluster)
        addresses = data.broker_addrs
        least_before = min(addresses, default=0)
        # A slave that became the master has the same address under another id.
        for broker_id in [each for each, address in addresses.items() if address == told.address]:
            if broker_id != told.broker_id:
                del addresses[broker_id]
        old_address = addresses.get(told.broker_id)
        if old_address is not None and old_address != told.address:
            old = self._live.get((told.cluster, old_address))
            if old is not None and old.version.state_version > topics.data_version.state_version:
                self._live.pop((told.cluster, told.address), None)
                return ("", ""), None
        if old_address is None and len(topics.topic_config_table) == 1:
            return None, None
        self.brokers[told.name] = data
        self.clusters.setdefault(told.cluster, {})[told.name] = None
        data.cluster = told.cluster
        data.enable_acting_master = bool(told.acting)
        data.zone_name = told.zone
        addresses[told.broker_id] = told.address
        first = first or old_address is None
        is_master = told.broker_id == MASTER_ID
        is_prime_slave = told.acting is not None and not is_master and told.broker_id == min(addresses)
        if is_master or is_prime_slave:
            read_only = is_prime_slave and data.enable_acting_master
            self._take_topics(told, topics, first, read_only)
        key = (told.cluster, told.address)
        self._live[key] = _Live(
            told.name, told.broker_id, now, told.expiry, topics.data_version, told.ha_address, channel
        )
        master = ("", "")
        if not is_master:
            master_address = addresses.get(MASTER_ID)
            live = self._live.get((told.cluster, master_address)) if master_address else None
            if master_address and live is not None:
                master = (master_address, live.ha_address)
        change = None
        if told.broker_id < least_before:
            change = self._change(data, None, told.ha_address)
        return master, change

    def _take_topics(
        self, told: Registration, topics: TopicConfigSerializeWrapper, first: bool, read_only: bool
    ) -> None:
        before = self._live.get((told.cluster, told.address))
        changed = first or before is None or before.version != topics.data_version
        for name, topic in topics.topic_config_table.items():
            queues = self._topics.get(name)
            if changed or queues is None or told.name not in queues:
                self._topics.setdefault(name, {})[told.name] = _queue_data(told.name, topic, read_only)
        if changed:
            for name, info in topics.topic_queue_mapping_info_map.items():
                self._mappings.setdefault(name, {})[info.bname or told.name] = info

    def heard(self, cluster: str, address: str, now: float) -> None:
        """A broker is still there."""
        live = self._live.get((cluster, address))
        if live is not None:
            live.seen = now

    def version(self, cluster: str, address: str) -> DataVersion | None:
        """Of the topics that a broker told last."""
        live = self._live.get((cluster, address))
        return None if live is None else live.version

    def unregister(self, cluster: str, address: str, name: str) -> Change | None:
        """A broker leaves."""
        self._live.pop((cluster, address), None)
        data = self.brokers.get(name)
        if data is None:
            return None
        addresses = data.broker_addrs
        least_before = min(addresses, default=0)
        for broker_id in [each for each, other in addresses.items() if other == address]:
            del addresses[broker_id]
        if not addresses:
            del self.brokers[name]
            names = self.clusters.get(data.cluster or cluster, {})
            names.pop(name, None)
            if not names:
                self.clusters.pop(data.cluster or cluster, None)
            self._forget_topics(name)
            return None
        if data.enable_acting_master and min(addresses) > MASTER_ID:
            for queues in self._topics.values():
                if name in queues:
                    queues[name].perm &= ~_WRITE
        if min(addresses) != least_before:
            return self._change(data, address, None)
        return None

    def _forget_topics(self, name: str) -> None:
        for table in (self._topics, self._mappings):
            for topic in [topic for topic, by_broker in table.items() if name in by_broker]:
                del table[topic][name]  # type: ignore[attr-defined]
                if not table[topic]:  # type: ignore[index]
                    del table[topic]  # type: ignore[attr-defined]

    def lost(self, channel: Any) -> list[Change]:
        """A connection is gone, and whoever registered over it."""
        gone = [(key, live) for key, live in self._live.items() if live.channel is channel]
        return self._leave(gone)

    def expire(self, now: float) -> tuple[list[Any], list[Change]]:
        """Brokers that were silent for too long leave: their connections, to be closed, and whom to tell."""
        gone = [(key, live) for key, live in self._live.items() if live.seen + live.expiry < now]
        return [live.channel for _, live in gone], self._leave(gone)

    def _leave(self, gone: list[tuple[tuple[str, str], _Live]]) -> list[Change]:
        changes = [self.unregister(cluster, address, live.name) for (cluster, address), live in gone]
        return [change for change in changes if change is not None]

    def _change(self, data: BrokerData, gone: str | None, ha_address: str | None) -> Change | None:
        """Those that stay are told of one that left; those that were there of one that came."""
        if not (self._acting_master and data.enable_acting_master):
            return None
        addresses = data.broker_addrs
        least = min(addresses)
        told = [address for broker_id, address in addresses.items() if gone is not None or broker_id != least]
        return Change(data.broker_name, tuple(told), least, addresses[least], gone, ha_address)

    # What clients and mqadmin ask.

    def route(self, topic: str) -> TopicRouteData | None:
        """Where a topic is; None: nobody told it."""
        queues = self._topics.get(topic)
        if not queues:
            return None
        brokers = [
            msgspec.structs.replace(self.brokers[name], broker_addrs=dict(self.brokers[name].broker_addrs))
            for name in queues
            if name in self.brokers
        ]
        if not brokers:
            return None
        if self._acting_master:
            for data in brokers:
                addresses = data.broker_addrs
                if (
                    data.enable_acting_master
                    and addresses
                    and MASTER_ID not in addresses
                    and not queues[data.broker_name].perm & _WRITE
                ):
                    addresses[MASTER_ID] = addresses.pop(min(addresses))
        return TopicRouteData(
            broker_datas=brokers,
            queue_datas=list(queues.values()),
            topic_queue_mapping_by_broker=self._mappings.get(topic),
        )

    def topics(self) -> list[str]:
        """All of them."""
        return list(self._topics)

    def topics_of(self, cluster: str) -> list[str]:
        """Those of a cluster."""
        names = self.clusters.get(cluster, {})
        return [topic for topic, queues in self._topics.items() if any(name in queues for name in names)]

    def system_topics(self) -> tuple[list[str], str | None]:
        """Topics named after clusters and brokers, and the address of a broker to ask for the rest."""
        found: dict[str, None] = {}
        for cluster, names in self.clusters.items():
            found[cluster] = None
            found.update(names)
        address = next(
            (address for data in self.brokers.values() for address in data.broker_addrs.values()), None
        )
        return list(found), address

    def unit_topics(self, unit: bool | None, unit_sub: bool | None) -> list[str]:
        """Topics of units, by the bits of their system flag; None: whatever it is."""
        return [
            topic
            for topic, queues in self._topics.items()
            if queues and _has(next(iter(queues.values())).topic_sys_flag, unit, unit_sub)
        ]

    # What changes by hand.

    def set_writable(self, broker: str, writable: bool) -> int:
        """Take or give the permission to write to a broker's topics: how many there are."""
        count = 0
        for queues in self._topics.values():
            data = queues.get(broker)
            if data is not None:
                data.perm = _READ | _WRITE if writable else data.perm & ~_WRITE
                count += 1
        return count

    def delete_topic(self, topic: str, cluster: str) -> None:
        """Forget a topic, of one cluster or ("") of all."""
        if not cluster:
            self._topics.pop(topic, None)
            return
        queues = self._topics.get(topic)
        names = self.clusters.get(cluster, {})
        if queues is not None:
            for name in names:
                queues.pop(name, None)
            if not queues:
                del self._topics[topic]

    def register_topic(self, topic: str, queues: list[QueueData]) -> None:
        """Take a topic's queues from somebody else than its broker; brokers that are not here are refused."""
        if queues and all(data.broker_name in self.brokers for data in queues):
            self._topics.setdefault(topic, {}).update({data.broker_name: data for data in queues})


def _queue_data(broker: str, topic: TopicConfig, read_only: bool) -> QueueData:
    perm = topic.perm & ~_WRITE if read_only else topic.perm
    return QueueData(
        broker_name=broker,
        perm=perm,
        read_queue_nums=topic.read_queue_nums,
        topic_sys_flag=topic.topic_sys_flag,
        write_queue_nums=topic.write_queue_nums,
    )


def _has(flag: int, unit: bool | None, unit_sub: bool | None) -> bool:
    return (unit is None or bool(flag & _UNIT) is unit) and (
        unit_sub is None or bool(flag & _UNIT_SUB) is unit_sub
    )
