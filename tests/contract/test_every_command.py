"""Every command of the model is carried out by a scenario here, or refused by its name; and cancelling means what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmqgateway import commands as c
from rmqgateway.commands import Command, Reply, all_commands
from rmqgateway.errors import Code, GatewayError, UnsupportedCommand
from rmqgateway.events import CheckTransaction, Event, OffsetsAsked, ReplyArrived, RunningInformationAsked
from rmqgateway.message import TAG_ALL, Filter, Message, MessageQueue
from rmqgateway.testing import NoReplyYet, TestSession, World, result_of
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway.wire.stored_message import physical_offset

TOPIC, GROUP = "orders", "group"
BACKENDS = ["local"]


class Scene:
    """A world with a topic of three messages in queue 0, a consumer and a producer."""

    def __init__(self) -> None:
        self.world = World()
        self.session = self.world.session()
        self.sent = [self.send(body) for body in (b"a", b"b", b"c")]

    def send(self, body: bytes, **properties: str) -> c.SendResult:
        message = Message(body, encode_properties(properties), 0)
        return self.do(c.SendMessages(TOPIC, (message,))).results[0]  # type: ignore[no-any-return]

    def do(self, command: Command[Any], session: TestSession | None = None) -> Any:
        return self.world.execute(session or self.session, command)

    def pop(self) -> c.ReceivedMessage:
        return self.do(c.ReceiveMessages(GROUP, TOPIC, max_messages=1)).messages[0]  # type: ignore[no-any-return]

    def member(self, client_id: str = "member") -> TestSession:
        session = self.world.session()
        consumer = c.Consumer(GROUP, subscriptions=(c.Subscribed(TOPIC, Filter("*")),))
        self.do(c.Heartbeat(client_id, "JAVA", "V5_5_0", ("producers",), (consumer,)), session)
        return session

    def asked(self, session: TestSession, command: Command[Any], event: type[Event]) -> Any:
        """A command that asks a client something, answered by it."""
        waiting = self.world.start(self.session, command)
        self.world.settle()
        (found,) = [one for one in session.events if isinstance(one, event)]
        answer = c.AnswerRelay(found.relay_id, body=b'{"x":1}')  # type: ignore[attr-defined]
        self.do(answer, session)
        return result_of(waiting)


def send_back(scene: Scene) -> Any:
    scene.member()
    return scene.do(c.SendBack(GROUP, scene.sent[0].physical_offset, 1, TOPIC))


def send_reply(scene: Scene) -> Any:
    waiting = scene.member("asker")
    message = Message(b"answer", encode_properties({"REPLY_TO_CLIENT": "asker"}))
    reply = scene.do(c.SendReply("DefaultCluster_REPLY_TOPIC", message))
    assert any(isinstance(event, ReplyArrived) for event in waiting.events)
    return reply


def end_transaction(scene: Scene) -> Any:
    half = scene.send(b"half", TRAN_MSG="true", PGROUP="producers")
    return scene.do(c.EndTransaction(TOPIC, "producers", c.TransactionResolution.COMMIT, half.unique_key))


def resume_transaction(scene: Scene) -> Any:
    scene.send(b"half", TRAN_MSG="true", PGROUP="producers")
    settings = scene.world.settings
    for _ in range(settings.transaction_check_max + 1):
        scene.world.advance(settings.transaction_interval_s)
    (given_up,) = scene.do(c.PullMessages("operators", "TRANS_CHECK_MAX_TIME_TOPIC", 0, 0, filter=TAG_ALL)).messages
    return scene.do(c.ResumeTransaction(physical_offset(given_up), TOPIC))


def recall(scene: Scene) -> Any:
    timed = scene.send(b"timed", TIMER_DELIVER_MS=str(scene.world.wall_ms + 60_000))
    return scene.do(c.RecallMessage(TOPIC, timed.recall_handle))


def ack(scene: Scene) -> Any:
    reply = scene.do(c.AckMessages(GROUP, TOPIC, (scene.pop().receipt_handle,)))
    assert reply.results[0].code == ""
    return reply


def with_member(command: Command[Any]) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> Any:
        scene.member()
        return scene.do(command)

    return run


def running_information(scene: Scene) -> Any:
    member = scene.member()
    return scene.asked(member, c.GetRunningInformation(GROUP, "member"), RunningInformationAsked)


def consumer_status(scene: Scene) -> Any:
    member = scene.member()
    waiting = scene.world.start(scene.session, c.GetConsumerStatus(TOPIC, GROUP, "member"))
    scene.world.settle()
    (asked,) = [event for event in member.events if isinstance(event, OffsetsAsked)]
    scene.do(c.AnswerRelay(asked.relay_id, body=b'{"messageQueueTable":{}}'), member)
    return result_of(waiting)


def consume_directly(scene: Scene) -> Any:
    from rmqgateway.events import ConsumeMessageDirectly

    member = scene.member()
    return scene.asked(
        member, c.ConsumeDirectly(GROUP, "member", scene.sent[0].physical_offset, TOPIC), ConsumeMessageDirectly
    )


def answer_nobody(scene: Scene) -> Any:
    return scene.do(c.AnswerRelay(4711))  # what nobody asked for disturbs nobody; answers are in the scenarios below


def offset_of_group(scene: Scene) -> Any:
    scene.do(c.UpdateConsumerOffset(GROUP, TOPIC, 0, 1))
    return scene.do(c.GetConsumerOffset(GROUP, TOPIC, 0))


def clone(scene: Scene) -> Any:
    scene.do(c.UpdateConsumerOffset(GROUP, TOPIC, 0, 2))
    scene.do(c.CreateGroups((c.GroupConfig("clone"),)))
    reply = scene.do(c.CloneOffset(GROUP, "clone", TOPIC))
    assert scene.do(c.GetConsumerOffset("clone", TOPIC, 0)).offset == 2
    return reply


def delete_subscription(scene: Scene) -> Any:
    scene.do(c.CreateGroups((c.GroupConfig(GROUP),)))
    scene.do(c.UpdateConsumerOffset(GROUP, TOPIC, 0, 2))
    reply = scene.do(c.DeleteSubscription(TOPIC, GROUP))
    with pytest.raises(GatewayError):
        scene.do(c.GetConsumerOffset(GROUP, TOPIC, 0, zero_if_new=False))
    return reply


def group_exists(command: Command[Any]) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> Any:
        scene.do(c.UpdateConsumerOffset(GROUP, TOPIC, 0, 1))
        scene.do(c.CreateGroups((c.GroupConfig(GROUP),)))
        return scene.do(command)

    return run


def plain(command: Command[Any]) -> Callable[[Scene], Any]:
    return lambda scene: scene.do(command)


def with_users(command: Command[Any]) -> Callable[[Scene], Any]:
    """There are a Super user, who asks, and a Normal one that has a policy."""

    def run(scene: Scene) -> Any:
        scene.do(c.CreateUser("root", "secret", c.UserType.SUPER))
        scene.session.sign_in("root", "secret")
        scene.do(c.CreateUser("alice", "secret"))
        scene.do(c.CreateAcl("User:alice", (c.Policy(entries=(c.PolicyEntry("Topic:a*", ("Pub",)),)),)))
        return scene.do(command)

    return run


def with_lite(command: Command[Any]) -> Callable[[Scene], Any]:
    """A group subscribed to a lite topic that has a message."""

    def run(scene: Scene) -> Any:
        scene.send(b"lite", __LITE_TOPIC="lite")
        scene.do(c.SyncLiteSubscription(GROUP, TOPIC, "client", "PARTIAL_ADD", ("lite",)))
        return scene.do(command)

    return run


QUEUE = (MessageQueue(TOPIC, "rmqgateway", 0),)
SCENARIOS: dict[type[Command[Any]], Callable[[Scene], Any]] = {
    c.SendMessages: plain(c.SendMessages(TOPIC, (Message(b"x"),))),
    c.EndTransaction: end_transaction,
    c.RecallMessage: recall,
    c.SendBack: send_back,
    c.ForwardToDeadLetterQueue: lambda scene: scene.do(
        c.ForwardToDeadLetterQueue(GROUP, TOPIC, scene.pop().receipt_handle)
    ),
    c.SendReply: send_reply,
    c.ReceiveMessages: plain(c.ReceiveMessages(GROUP, TOPIC)),
    c.AckMessages: ack,
    c.ChangeInvisibleDuration: lambda scene: scene.do(
        c.ChangeInvisibleDuration(GROUP, TOPIC, scene.pop().receipt_handle, 5000)
    ),
    c.PeekMessages: plain(c.PeekMessages(GROUP, TOPIC)),
    c.PullMessages: plain(c.PullMessages(GROUP, TOPIC, 0, 0)),
    c.QueryOffset: plain(c.QueryOffset(TOPIC, 0, c.OffsetOf.MAX)),
    c.GetConsumerOffset: offset_of_group,
    c.UpdateConsumerOffset: plain(c.UpdateConsumerOffset(GROUP, TOPIC, 0, 1)),
    c.LockQueues: plain(c.LockQueues(GROUP, "client", QUEUE)),
    c.UnlockQueues: plain(c.UnlockQueues(GROUP, "client", QUEUE)),
    c.Heartbeat: plain(c.Heartbeat("client", producers=("producers",))),
    c.Unregister: plain(c.Unregister("client")),
    c.CheckSubscription: plain(c.CheckSubscription(GROUP, TOPIC, Filter("A"))),
    c.ListConsumers: with_member(c.ListConsumers(GROUP)),
    c.QueryRoute: plain(c.QueryRoute(TOPIC)),
    c.QueryAssignment: with_member(c.QueryAssignment(GROUP, TOPIC, "member")),
    c.AnswerRelay: answer_nobody,
    c.CreateTopics: plain(c.CreateTopics((c.TopicConfig("made", 2, 2),))),
    c.DeleteTopic: plain(c.DeleteTopic(TOPIC)),
    c.GetTopic: plain(c.GetTopic(TOPIC)),
    c.ListTopics: plain(c.ListTopics()),
    c.CreateGroups: plain(c.CreateGroups((c.GroupConfig("made"),))),
    c.DeleteGroup: group_exists(c.DeleteGroup(GROUP)),
    c.GetGroup: group_exists(c.GetGroup(GROUP)),
    c.ListGroups: plain(c.ListGroups()),
    c.UpdateGroupForbidden: group_exists(c.UpdateGroupForbidden(GROUP, TOPIC, False)),
    c.ListConsumerConnections: with_member(c.ListConsumerConnections(GROUP)),
    c.ListProducerConnections: with_member(c.ListProducerConnections("producers")),
    c.GetTopicStatistics: plain(c.GetTopicStatistics(TOPIC)),
    c.GetConsumeProgress: group_exists(c.GetConsumeProgress(GROUP)),
    c.ListGroupsOfTopic: plain(c.ListGroupsOfTopic(TOPIC)),
    c.ListTopicsOfGroup: group_exists(c.ListTopicsOfGroup(GROUP)),
    c.GetConsumeTimeSpans: group_exists(c.GetConsumeTimeSpans(TOPIC, GROUP)),
    c.ResetOffset: group_exists(c.ResetOffset(TOPIC, GROUP, 0)),
    c.CloneOffset: clone,
    c.DeleteSubscription: delete_subscription,
    c.ViewMessage: lambda scene: scene.do(c.ViewMessage(scene.sent[1].physical_offset)),
    c.QueryMessages: lambda scene: scene.do(c.QueryMessages(TOPIC, scene.sent[0].unique_key, unique_key=True)),
    c.GetRunningInformation: running_information,
    c.ConsumeDirectly: consume_directly,
    c.GetConsumerStatus: consumer_status,
    c.GetCluster: plain(c.GetCluster()),
    c.GetRuntimeInformation: plain(c.GetRuntimeInformation()),
    c.GetBrokerConfiguration: plain(c.GetBrokerConfiguration()),
    c.GetStatistics: plain(c.GetStatistics("TOPIC_PUT_NUMS", TOPIC)),
    c.ChangeKeyValues: plain(c.ChangeKeyValues("namespace", "key", "value")),
    c.GetKeyValues: plain(c.GetKeyValues("namespace")),
    c.SetBrokerWritable: plain(c.SetBrokerWritable("rmqgateway", False)),
    c.SetConsumeMode: plain(c.SetConsumeMode(TOPIC, GROUP, True)),
    c.QueryConsumeQueue: plain(c.QueryConsumeQueue(TOPIC, 0, 0, 10)),
    c.CreateUser: plain(c.CreateUser("root", "secret", c.UserType.SUPER)),
    c.UpdateUser: with_users(c.UpdateUser("alice", status=c.UserStatus.DISABLE)),
    c.DeleteUser: with_users(c.DeleteUser("alice")),
    c.GetUser: with_users(c.GetUser("alice")),
    c.ListUsers: with_users(c.ListUsers()),
    c.CreateAcl: with_users(
        c.CreateAcl("User:alice", (c.Policy(entries=(c.PolicyEntry("Group:*", ("Sub",)),)),))
    ),
    c.UpdateAcl: with_users(
        c.UpdateAcl("User:alice", (c.Policy(entries=(c.PolicyEntry("Topic:a*", ("All",)),)),))
    ),
    c.DeleteAcl: with_users(c.DeleteAcl("User:alice", resource="Topic:a*")),
    c.GetAcl: with_users(c.GetAcl("User:alice")),
    c.ListAcls: with_users(c.ListAcls()),
    c.SyncLiteSubscription: plain(c.SyncLiteSubscription(GROUP, TOPIC, "client", "PARTIAL_ADD", ("lite",))),
    c.GetBrokerLiteInformation: with_lite(c.GetBrokerLiteInformation()),
    c.GetParentTopicInformation: with_lite(c.GetParentTopicInformation(TOPIC)),
    c.GetLiteTopicInformation: with_lite(c.GetLiteTopicInformation(TOPIC, "lite")),
    c.GetLiteClientInformation: with_lite(c.GetLiteClientInformation(TOPIC, GROUP, "client")),
    c.GetLiteGroupInformation: with_lite(c.GetLiteGroupInformation(GROUP)),
    c.TriggerLiteDispatch: with_lite(c.TriggerLiteDispatch(GROUP)),
    c.AwaitMessages: plain(c.AwaitMessages(GROUP, TOPIC)),
    c.GetPollingInformation: plain(c.GetPollingInformation(GROUP, TOPIC)),
    c.ListConsumeProgress: group_exists(c.ListConsumeProgress()),
    c.DeleteExpired: plain(c.DeleteExpired()),
    c.ResumeTransaction: resume_transaction,
}
#: What each backend does not serve, on purpose.
UNSERVED: dict[str, set[type[Command[Any]]]] = {"local": set()}


class NeverServed(Command[None], frozen=True):
    """A command of somebody's own that no backend knows."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_command_is_served_or_refused_on_purpose(backend: str) -> None:
    served = set(World().backend.handlers())
    own = {command for command in all_commands() if command.__module__.startswith("rmqgateway.")}
    assert served | UNSERVED[backend] == own
    assert not served & UNSERVED[backend]
    assert served == set(SCENARIOS), "each served command has a scenario, and no other"


@pytest.mark.parametrize("command", list(SCENARIOS), ids=lambda command: command.__name__)
def test_the_scenario_of_each_command(command: type[Any]) -> None:
    scene = Scene()
    executed: list[type[Any]] = []
    execute = scene.world.gateway.execute

    def watch(context: Any, value: Command[Any]) -> Any:
        executed.append(type(value))
        return execute(context, value)

    scene.world.gateway.execute = watch  # type: ignore[assignment, method-assign]
    reply = SCENARIOS[command](scene)
    assert command in executed
    wanted = command.__orig_bases__[0].__args__[0]
    if wanted is type(None):
        assert reply is None
    else:
        assert isinstance(reply, Reply | wanted)
        assert isinstance(reply, wanted)
    assert scene.world.gateway.budget.used == 0
    assert scene.world.gateway.commands_under_way == 0


def test_what_is_not_served_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedCommand) as caught:
        Scene().do(NeverServed())
    assert "NeverServed" in caught.value.message


# Cancelling, as the docstrings say.


def cancelled(scene: Scene, command: Command[Any]) -> None:
    waiting = scene.world.start(scene.session, command)
    waiting.cancel()
    with pytest.raises(GatewayError) as caught:
        result_of(waiting)
    assert caught.value.code is Code.CANCELLED
    assert scene.world.gateway.commands_under_way == 0


def test_a_cancelled_receive_gives_back_what_it_took() -> None:
    scene = Scene()
    cancelled(scene, c.ReceiveMessages(GROUP, TOPIC, max_messages=2))
    found = scene.do(c.ReceiveMessages(GROUP, TOPIC)).messages
    assert [one.delivery_attempt for one in found] == [1, 1, 1]


def test_a_cancelled_wait_takes_nothing_later() -> None:
    scene = Scene()
    for one in scene.do(c.ReceiveMessages(GROUP, TOPIC)).messages:
        scene.do(c.AckMessages(GROUP, TOPIC, (one.receipt_handle,)))
    cancelled(scene, c.ReceiveMessages(GROUP, TOPIC, wait_ms=10_000))
    cancelled(scene, c.PullMessages("puller", TOPIC, 0, 3, wait_ms=10_000))
    scene.send(b"d")
    assert len(scene.do(c.ReceiveMessages(GROUP, TOPIC)).messages) == 1


def test_a_cancelled_send_may_be_stored_all_the_same() -> None:
    scene = Scene()
    cancelled(scene, c.SendMessages(TOPIC, (Message(b"d", queue_id=0),)))
    scene.world.settle()
    assert scene.do(c.QueryOffset(TOPIC, 0, c.OffsetOf.MAX)).offset in (3, 4)
    assert scene.world.gateway.budget.used == 0


def test_a_cancelled_question_is_forgotten() -> None:
    scene = Scene()
    member = scene.member()
    cancelled(scene, c.GetRunningInformation(GROUP, "member"))
    (asked,) = [event for event in member.events if isinstance(event, RunningInformationAsked)]
    scene.do(c.AnswerRelay(asked.relay_id), member)  # disturbs nobody


def test_the_end_of_a_session_ends_what_it_waits_for() -> None:
    scene = Scene()
    for one in scene.do(c.ReceiveMessages(GROUP, TOPIC)).messages:
        scene.do(c.AckMessages(GROUP, TOPIC, (one.receipt_handle,)))
    leaving = scene.world.session()
    waiting = scene.world.start(leaving, c.ReceiveMessages(GROUP, TOPIC, wait_ms=10_000))
    scene.world.settle()
    with pytest.raises(NoReplyYet):
        result_of(waiting)
    leaving.session.end()
    with pytest.raises(GatewayError):
        result_of(waiting)
    assert not [event for event in leaving.events if isinstance(event, CheckTransaction)]
