"""The official Python client of gRPC before a real broker: the scenarios that it passes before the embedded one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from rmqgateway.backend.cluster.lite import read_lite_popped
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.clients import LiteSubscription, LiteSubscriptionRequest
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.request_codes import RequestCode
from tests.interop.cluster import Cluster, ask
from tests.interop.drivers import Driver
from tests.interop.groups import create_group
from tests.interop.serving import started
from tests.interop.test_grpc_python import HERE, _interpreter

pytestmark = [pytest.mark.gateway_only, pytest.mark.needs("java", "mvn")]

#: Scenario -> which messages its topic takes. Not among them: lite_simple, which wants nothing more of a lite topic that it
#: has just unsubscribed from; a real broker delivers it, as the last test here sees without a gateway.
SCENARIOS = {
    "transaction_orphan": "TRANSACTION",
    "push_fifo": "FIFO",
    "push": "NORMAL",
    "recall": "DELAY",
    "transaction": "TRANSACTION",
    "normal": "NORMAL",
    "properties": "NORMAL",
    "fifo": "FIFO",
    "delay": "DELAY",
    "change_invisible": "NORMAL",
    "filter_tag": "NORMAL",
    "filter_sql92": "NORMAL",
    "priority": "PRIORITY",
    "lite_push": "LITE",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(Cluster(tmp_path_factory.mktemp("cluster_grpc"))) as made:
        yield made


@pytest.fixture(scope="module")
def driver(cluster: Cluster, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    python = _interpreter()
    directory = tmp_path_factory.mktemp("python_grpc_cluster")
    unique = f"{prefix}_clgrpc"
    for scenario, kind in SCENARIOS.items():
        cluster.create_topic(f"{unique}_{scenario}", kind)
    create_group(cluster.apache.broker_address, f"{unique}_push_fifo_group", orderly=True)
    attributes = {"+lite.bind.topic": f"{unique}_lite_push"}
    create_group(cluster.apache.broker_address, f"{unique}_lite_push_group", orderly=True, attributes=attributes)
    create_group(cluster.apache.broker_address, f"{unique}_fifo_group", orderly=True)
    script = str(HERE / "python" / "scenarios.py")
    command = [str(python), script, cluster.gateway.address, ",".join(SCENARIOS), unique, "plain"]
    started = Driver("python-grpc-cluster", command, directory, 180, {**os.environ, "HOME": str(directory)})
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_python_client(scenario: str, driver: Driver, cluster: Cluster) -> None:
    driver.judge(scenario, cluster.output())


def test_a_broker_delivers_of_a_lite_topic_just_after_it_was_unsubscribed(cluster: Cluster, prefix: str) -> None:
    """Why lite_simple is not among the scenarios: the broker itself, asked without a gateway, does not do what it wants. After
    a pop it keeps the lite topic noted for the client, whether that is subscribed by then or not, and gives once more what is
    there. If this fails, the broker has been mended, and the scenario is to be taken in."""
    topic, group = f"{prefix}_unsubscribed", f"{prefix}_unsubscribed_group"
    address = cluster.apache.broker_address
    cluster.create_topic(topic, "LITE")
    create_group(address, group, orderly=True, attributes={"+lite.bind.topic": topic})

    def change(action: str, lite_topic: str) -> None:
        wanted = LiteSubscription(action=action, client_id="raw", group=group, topic=topic, lite_topic_set=[lite_topic])
        body = encode_body(LiteSubscriptionRequest(subscription_set=[wanted]))
        assert ask(address, RequestCode.LITE_SUBSCRIPTION_CTL, {}, body).code == 0

    def send(lite_topic: str, text: str) -> None:
        properties = encode_properties({"__LITE_TOPIC": lite_topic, "UNIQ_KEY": f"{prefix}{text}"}).decode()
        ext = {"a": "p", "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": "1", "h": "0", "i": properties, "j": "0"}
        answer = ask(address, RequestCode.SEND_MESSAGE_V2, ext, text.encode())
        assert answer.code == 0, answer.remark

    def pop() -> list[str]:
        ext = {"clientId": "raw", "consumerGroup": group, "topic": topic, "maxMsgNum": "16", "invisibleTime": "60000"}
        answer = ask(address, RequestCode.POP_LITE_MESSAGE, {**ext, "pollTime": "0", "bornTime": str(time.time_ns() // 10**6)})
        popped = read_lite_popped(answer, "broker-a") if answer.code == 0 else []
        for one in popped:
            parts = one.handle.split(" ")
            ack = {"consumerGroup": group, "topic": topic, "queueId": "0", "extraInfo": " ".join(parts[:8]), "offset": parts[7]}
            answer = ask(address, RequestCode.ACK_MESSAGE, {**ack, "liteTopic": parts[9]})
            assert answer.code == 0, answer.remark
        return [stored_message.body(one.message).decode() for one in popped]

    change("PARTIAL_ADD", "a")
    send("a", "first")
    end = time.monotonic() + 30
    found: list[str] = []
    while not found and time.monotonic() < end:
        found = pop()
    assert found == ["first"]
    change("PARTIAL_REMOVE", "a")
    send("a", "late")
    end = time.monotonic() + 5
    found = []
    while not found and time.monotonic() < end:
        found = pop()
    assert found == ["late"]
    send("a", "later")
    assert pop() == []
