"""What a name server knows of brokers: as RocketMQ's own, case by case."""

from __future__ import annotations

from typing import Any

import msgspec

from rmqgateway.backend.cluster.registry_table import Registration, RouteTable
from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.routes import QueueData, TopicQueueMappingInfo
from rmqgateway.wire.bodies.topics import TopicConfig, TopicConfigSerializeWrapper

MASTER = Registration("c", "10.0.0.1:10911", "broker-a", 0, "10.0.0.1:10912", acting=False)
SLAVE = Registration("c", "10.0.0.2:10911", "broker-a", 1, "10.0.0.2:10912", acting=False)
OTHER = Registration("c", "10.0.0.3:10911", "broker-b", 0, "10.0.0.3:10912", acting=False)


def topics(counter: int = 1, state: int = 0, **table: int) -> TopicConfigSerializeWrapper:
    """Names with the number of their queues; two at least, as a single one is a registration of another kind."""
    given = {"TBW102": 8, **table}
    return TopicConfigSerializeWrapper(
        data_version=DataVersion(counter=counter, state_version=state, timestamp=7),
        topic_config_table={
            name: TopicConfig(topic_name=name, read_queue_nums=count, write_queue_nums=count)
            for name, count in given.items()
        },
    )


def addresses(table: RouteTable, topic: str = "T") -> dict[str, dict[int, str]]:
    route = table.route(topic)
    assert route is not None
    return {data.broker_name: data.broker_addrs for data in route.broker_datas}


def registered(*brokers: Registration, acting: bool = False, **table: int) -> RouteTable:
    made = RouteTable(acting)
    for number, broker in enumerate(brokers):
        assert made.register(broker, topics(**(table or {"T": 4})), number, 0.0)[0] is not None
    return made


def test_routes_from_what_brokers_report() -> None:
    table = registered(MASTER, SLAVE, OTHER)
    route = table.route("T")
    assert route is not None
    assert addresses(table) == {
        "broker-a": {0: "10.0.0.1:10911", 1: "10.0.0.2:10911"},
        "broker-b": {0: "10.0.0.3:10911"},
    }
    assert [(data.broker_name, data.perm, data.read_queue_nums) for data in route.queue_datas] == [
        ("broker-a", 6, 4),
        ("broker-b", 6, 4),
    ]
    assert table.route("unknown") is None
    assert list(table.clusters["c"]) == ["broker-a", "broker-b"]
    route.broker_datas[0].broker_addrs.clear()
    assert addresses(table)["broker-a"]


def test_a_slave_is_told_its_master() -> None:
    table = RouteTable()
    assert table.register(SLAVE, topics(T=4), 1, 0.0) == (("", ""), None)
    assert table.register(MASTER, topics(T=4), 2, 0.0)[0] == ("", "")
    assert table.register(SLAVE, topics(T=4), 1, 0.0)[0] == ("10.0.0.1:10911", "10.0.0.1:10912")


def test_a_plain_slaves_topics_do_not_count_beside_its_master() -> None:
    table = registered(MASTER)
    table.register(SLAVE, topics(T=16), 1, 0.0)
    route = table.route("T")
    assert route is not None
    assert route.queue_datas[0].read_queue_nums == 4


def test_topics_change_with_the_data_version_only() -> None:
    table = registered(MASTER)
    table.set_writable("broker-a", False)
    table.register(MASTER, topics(T=9), 0, 0.0)
    route = table.route("T")
    assert route is not None
    assert (route.queue_datas[0].perm, route.queue_datas[0].read_queue_nums) == (4, 4)
    table.register(MASTER, topics(counter=2, T=9), 0, 0.0)
    route = table.route("T")
    assert route is not None
    assert (route.queue_datas[0].perm, route.queue_datas[0].read_queue_nums) == (6, 9)


def test_a_topic_that_was_deleted_by_hand_comes_back_with_the_next_registration() -> None:
    table = registered(MASTER, OTHER)
    table.delete_topic("T", "c")
    assert table.route("T") is None
    table.register(MASTER, topics(T=4), 0, 0.0)
    assert list(addresses(table)) == ["broker-a"]
    table.delete_topic("T", "another cluster")
    assert table.route("T") is not None
    table.delete_topic("T", "")
    assert table.route("T") is None


def test_a_single_topic_of_a_broker_that_has_not_registered_is_refused() -> None:
    table = RouteTable()
    assert table.register(MASTER, topics(), 0, 0.0) == (None, None)
    assert not table.brokers
    table.register(MASTER, topics(T=4), 0, 0.0)
    assert table.register(MASTER, topics(counter=2), 0, 0.0)[0] == ("", "")


def test_a_slave_that_became_the_master_is_there_once() -> None:
    table = registered(MASTER, SLAVE)
    table.unregister("c", MASTER.address, "broker-a")
    table.register(SLAVE._replace(broker_id=0), topics(counter=5, T=4), 1, 0.0)
    assert addresses(table) == {"broker-a": {0: "10.0.0.2:10911"}}


def test_of_two_with_one_id_the_later_state_wins() -> None:
    table = RouteTable()
    table.register(MASTER, topics(state=5, T=4), 0, 0.0)
    table.register(MASTER._replace(address="10.0.0.9:10911"), topics(state=4, T=4), 1, 0.0)
    assert addresses(table) == {"broker-a": {0: "10.0.0.1:10911"}}
    table.register(MASTER._replace(address="10.0.0.9:10911"), topics(state=6, T=4), 1, 0.0)
    assert addresses(table) == {"broker-a": {0: "10.0.0.9:10911"}}


def test_a_broker_leaves() -> None:
    table = registered(MASTER, SLAVE, OTHER, T=4, S=2)
    table.unregister("c", MASTER.address, "broker-a")
    assert addresses(table)["broker-a"] == {1: "10.0.0.2:10911"}
    table.unregister("c", SLAVE.address, "broker-a")
    assert list(addresses(table)) == ["broker-b"]
    table.unregister("c", OTHER.address, "broker-b")
    assert table.route("T") is None
    assert not table.topics()
    assert not table.clusters
    assert table.unregister("c", OTHER.address, "broker-b") is None


def test_the_silent_are_purged_after_their_time() -> None:
    table = registered(MASTER, OTHER._replace(expiry=10.0))
    assert table.expire(10.0) == ([], [])
    assert table.expire(10.1) == ([1], [])
    assert list(addresses(table)) == ["broker-a"]
    table.heard("c", MASTER.address, 100.0)
    table.heard("c", "nobody", 100.0)
    assert table.expire(219.0) == ([], [])
    assert table.expire(221.0)[0] == [0]
    assert not table.brokers


def test_a_lost_connection_takes_its_brokers_along() -> None:
    table = registered(MASTER, SLAVE)
    assert table.lost("nobody's") == []
    table.lost(0)
    assert addresses(table) == {"broker-a": {1: "10.0.0.2:10911"}}


def test_a_slave_acts_as_master_for_reading_where_that_is_set() -> None:
    acting = [each._replace(acting=True) for each in (MASTER, SLAVE)]
    table = registered(*acting, acting=True)
    change = table.unregister("c", MASTER.address, "broker-a")
    assert change is not None
    assert change[1:] == (("10.0.0.2:10911",), 1, "10.0.0.2:10911", MASTER.address, None)
    route = table.route("T")
    assert route is not None
    assert route.queue_datas[0].perm == 4
    assert addresses(table) == {"broker-a": {0: "10.0.0.2:10911"}}
    assert table.brokers["broker-a"].broker_addrs == {1: "10.0.0.2:10911"}
    table.register(acting[1], topics(counter=2, T=4), 1, 0.0)
    again = table.route("T")
    assert again is not None
    assert again.queue_datas[0].perm == 4
    _, change = table.register(acting[0], topics(counter=3, T=4), 0, 0.0)
    assert change is not None
    assert change[1:] == (("10.0.0.2:10911",), 0, "10.0.0.1:10911", None, "10.0.0.1:10912")


def test_nobody_is_told_where_acting_is_not_set() -> None:
    acting = [each._replace(acting=True) for each in (MASTER, SLAVE)]
    assert registered(*acting).unregister("c", MASTER.address, "broker-a") is None


def test_data_versions() -> None:
    table = registered(MASTER)
    assert table.version("c", MASTER.address) == DataVersion(counter=1, timestamp=7)
    assert table.version("c", "nobody") is None


def test_lists() -> None:
    table = registered(MASTER, OTHER._replace(cluster="d"), T=4)
    assert table.topics() == ["TBW102", "T"]
    assert table.topics_of("c") == ["TBW102", "T"]
    assert table.topics_of("x") == []
    assert table.system_topics() == (["c", "broker-a", "d", "broker-b"], "10.0.0.1:10911")
    given = topics(counter=9, U=1, V=1, W=1)
    for name, flag in (("U", 1), ("V", 2), ("W", 3)):
        given.topic_config_table[name].topic_sys_flag = flag
    table.register(MASTER, given, 0, 0.0)
    assert table.unit_topics(True, None) == ["U", "W"]
    assert table.unit_topics(None, True) == ["V", "W"]
    assert table.unit_topics(False, True) == ["V"]


def test_topics_by_others() -> None:
    table = registered(MASTER)
    queues: Any = QueueData(broker_name="broker-a", perm=6, read_queue_nums=1, write_queue_nums=1)
    table.register_topic("N", [queues])
    assert list(addresses(table, "N")) == ["broker-a"]
    table.register_topic("X", [msgspec.structs.replace(queues, broker_name="unknown")])
    table.register_topic("Y", [])
    assert table.route("X") is None
    assert table.set_writable("broker-a", False) == 3
    assert table.set_writable("unknown", False) == 0


def test_static_topics() -> None:
    table = RouteTable()
    given = topics(T=4)
    given.topic_queue_mapping_info_map["T"] = TopicQueueMappingInfo(
        topic="T", bname="broker-a", total_queues=4
    )
    table.register(MASTER, given, 0, 0.0)
    route = table.route("T")
    assert route is not None
    assert route.topic_queue_mapping_by_broker is not None
    assert route.topic_queue_mapping_by_broker["broker-a"].total_queues == 4
    table.unregister("c", MASTER.address, "broker-a")
    assert not table._mappings
