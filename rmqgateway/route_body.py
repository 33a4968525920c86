"""Routes as Remoting's bodies, for whoever tells them: name server answers, and the Admin service's route as text."""

from __future__ import annotations

from rmqgateway.commands import Route, RouteBroker
from rmqgateway.wire.bodies.routes import BrokerData, QueueData, TopicRouteData

__all__ = ["broker_data", "route_data"]


def broker_data(broker: RouteBroker, host: str) -> BrokerData:
    """A broker. :param host: this gateway as its client has reached it, for an address that is this gateway's own."""
    return BrokerData(
        broker_addrs={number: address or host for number, address in broker.addresses},
        broker_name=broker.name,
        cluster=broker.cluster,
    )


def route_data(route: Route, host: str) -> TopicRouteData:
    """A topic's brokers and queues. :param host: see `broker_data`."""
    return TopicRouteData(
        broker_datas=[broker_data(broker, host) for broker in route.brokers],
        order_topic_conf=route.order_configuration or None,
        queue_datas=[
            QueueData(
                broker_name=queues.broker_name,
                perm=int(queues.permission),
                read_queue_nums=queues.read_queues,
                topic_sys_flag=queues.topic_sys_flag,
                write_queue_nums=queues.write_queues,
            )
            for queues in route.queues
        ],
    )
