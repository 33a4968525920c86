"""What clients say of themselves, and what they are told: settings, heartbeats, telemetry commands.

Source: ``ClientActivity``, ``GrpcClientSettingsManager`` and ``GrpcClientChannel`` of the proxy 5.5.0. The producer group of
a gRPC producer is its topic.
"""

from __future__ import annotations

from collections.abc import Callable

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import check_lite_topic, group_name, topic_name
from rmqgateway.apis.convert_base import duration_of
from rmqgateway.apis.convert_messages import message_of
from rmqgateway.apis.convert_receiving import filter_of
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.refusals import Refusal
from rmqgateway.commands import (
    AnswerRelay,
    ConsumeMode,
    Consumer,
    GroupConfig,
    Heartbeat,
    LiteOffset,
    Subscribed,
    SyncLiteSubscription,
)
from rmqgateway.errors import WireError
from rmqgateway.events import (
    CheckTransaction,
    ConsumeMessageDirectly,
    Event,
    GoAway,
    LiteTopicUnsubscribed,
    RunningInformationAsked,
)
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.consuming import ConsumeMessageDirectlyResult, ConsumerRunningInfo
from rmqgateway.wire.bodies.groups import GroupRetryPolicy
from rmqgateway.wire.request_codes import ResponseCode

__all__ = [
    "answer_of",
    "check_settings",
    "heartbeat_of",
    "merge_settings",
    "read_lite",
    "settings_group",
    "telemetry_of",
]

_CONSUMER_MODES = {
    v2.PUSH_CONSUMER: ConsumeMode.POP,
    v2.SIMPLE_CONSUMER: ConsumeMode.POP,
    v2.LITE_PUSH_CONSUMER: ConsumeMode.POP,
    v2.LITE_SIMPLE_CONSUMER: ConsumeMode.POP,
    v2.PULL_CONSUMER: ConsumeMode.PULL,
}
#: The ladder of a group without a policy of its own (``CustomizedRetryPolicy``), in seconds.
_LADDER = (1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200)
_EXPONENTIAL = (5000, 7_200_000, 2)
#: How many lite topics a client may have where its group says nothing, and the group's attribute for that.
_LITE_QUOTA = 2000
_LITE_QUOTA_ATTRIBUTE = "lite.sub.client.quota"
_LITE_POLICIES = {
    v2.OffsetOption.LAST: LiteOffset.UNCHANGED,
    v2.OffsetOption.MIN: LiteOffset.MIN,
    v2.OffsetOption.MAX: LiteOffset.MAX,
}
_LITE_OFFSETS = {"offset": LiteOffset.AT, "tail_n": LiteOffset.BEFORE, "timestamp": LiteOffset.TIME}


def check_settings(settings: v2.Settings, namespace: str) -> None:
    """Check what a client reports. :raise Refusal: ILLEGAL_TOPIC, ILLEGAL_CONSUMER_GROUP, UNRECOGNIZED_CLIENT_TYPE."""
    kind = settings.WhichOneof("pub_sub")
    if kind == "publishing":
        for topic in settings.publishing.topics:
            topic_name(topic, namespace)
    elif kind == "subscription":
        if settings.client_type not in _CONSUMER_MODES:
            raise Refusal(v2.UNRECOGNIZED_CLIENT_TYPE, v2.ClientType.Name(settings.client_type))
        group_name(settings.subscription.group, namespace)
        for entry in settings.subscription.subscriptions:
            topic_name(entry.topic, namespace)


def settings_group(settings: v2.Settings, namespace: str) -> str:
    """The inner name of a consumer's group, or ""."""
    if settings.WhichOneof("pub_sub") != "subscription":
        return ""
    return group_name(settings.subscription.group, namespace)


def heartbeat_of(
    settings: v2.Settings, namespace: str, client_id: str, language: str, version: str, now_ms: int
) -> Heartbeat:
    """The heartbeat of a client with these (checked) settings. :param now_ms: the version of its subscription."""
    producers: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    if settings.WhichOneof("pub_sub") == "publishing":
        names = [topic_name(topic, namespace) for topic in settings.publishing.topics]
        producers = tuple(dict.fromkeys(names))
    else:
        subscriptions = tuple(
            [
                Subscribed(topic_name(entry.topic, namespace), filter_of(entry.expression), now_ms)
                for entry in settings.subscription.subscriptions
            ]
        )
        consumers = (
            Consumer(
                group_name(settings.subscription.group, namespace),
                _CONSUMER_MODES[settings.client_type],
                subscriptions=subscriptions,
                actively_pulling=settings.client_type != v2.PUSH_CONSUMER,
            ),
        )
    return Heartbeat(client_id, language, version, producers, consumers)


def merge_settings(raw: v2.Settings, limits: ApiSettings, group: GroupConfig | None) -> v2.Settings:
    """What the client is to work with: its own settings and the server's. :param group: a consumer's, where known."""
    merged = v2.Settings()
    merged.CopyFrom(raw)
    merged.metric.on = False
    back_off = merged.backoff_policy
    if raw.WhichOneof("pub_sub") == "publishing":
        back_off.max_attempts = limits.producer_attempts
        growing = back_off.exponential_backoff
        growing.initial.CopyFrom(duration_of(limits.producer_first_backoff_ms))
        growing.max.CopyFrom(duration_of(limits.producer_max_backoff_ms))
        growing.multiplier = limits.producer_backoff_multiplier
        merged.publishing.validate_message_type = limits.check_message_types
        merged.publishing.max_body_size = limits.max_body
        return merged
    group = group or GroupConfig("")
    subscription = merged.subscription
    subscription.receive_batch_size = limits.receive_batch
    subscription.long_polling_timeout.CopyFrom(duration_of(limits.max_poll_ms))
    subscription.fifo = group.consume_message_orderly
    if raw.client_type in (v2.LITE_PUSH_CONSUMER, v2.LITE_SIMPLE_CONSUMER):
        subscription.max_lite_topic_size = limits.max_lite_topic
        # Without a number a client takes it for none at all.
        quota = group.attributes.get(_LITE_QUOTA_ATTRIBUTE, "")
        subscription.lite_subscription_quota = (
            min(int(quota), 2**31 - 1) if quota.isascii() and quota.isdigit() else _LITE_QUOTA
        )
    back_off.max_attempts = group.retry_max_times + 1
    _set_policy(back_off, group.retry_policy)
    return merged


def _set_policy(back_off: v2.RetryPolicy, text: str) -> None:
    policy = GroupRetryPolicy()
    if text:
        try:
            policy = decode_body(text.encode(), GroupRetryPolicy)
        except WireError:
            policy = GroupRetryPolicy()
    if policy.type == "EXPONENTIAL":
        initial, most, multiplier = _EXPONENTIAL
        exponential = policy.exponential_retry_policy
        if exponential is not None:
            initial, most, multiplier = exponential.initial, exponential.max, exponential.multiplier
        growing = back_off.exponential_backoff
        growing.initial.CopyFrom(duration_of(initial))
        growing.max.CopyFrom(duration_of(most))
        growing.multiplier = multiplier
        return
    steps = [second * 1000 for second in _LADDER]
    if policy.customized_retry_policy is not None and policy.customized_retry_policy.next:
        steps = list(policy.customized_retry_policy.next)
    back_off.ClearField("strategy")
    back_off.customized_backoff.next.extend([duration_of(step) for step in steps])


# What the server says.


def telemetry_of(event: Event, host: str, now_ms: Callable[[], int]) -> service.TelemetryCommand | None:
    """The telemetry command for an event, or None if the API has no words for it."""
    if isinstance(event, CheckTransaction):
        return service.TelemetryCommand(
            recover_orphaned_transaction_command=service.RecoverOrphanedTransactionCommand(
                message=message_of(event.message, host, now_ms), transaction_id=event.transaction_id
            )
        )
    if isinstance(event, RunningInformationAsked) and event.with_stack:
        return service.TelemetryCommand(
            print_thread_stack_trace_command=service.PrintThreadStackTraceCommand(nonce=str(event.relay_id))
        )
    if isinstance(event, ConsumeMessageDirectly):
        return service.TelemetryCommand(
            verify_message_command=service.VerifyMessageCommand(
                nonce=str(event.relay_id), message=message_of(event.message, host, now_ms)
            )
        )
    if isinstance(event, LiteTopicUnsubscribed):
        return service.TelemetryCommand(
            notify_unsubscribe_lite_command=service.NotifyUnsubscribeLiteCommand(lite_topic=event.lite_topic)
        )
    if isinstance(event, GoAway):
        return service.TelemetryCommand(
            reconnect_endpoints_command=service.ReconnectEndpointsCommand(nonce="0")
        )
    return None


# What the client answers.

_VERIFIED = {v2.OK: "CR_SUCCESS", v2.FAILED_TO_CONSUME_MESSAGE: "CR_LATER", v2.MESSAGE_CORRUPTED: "CR_RETURN_NULL"}


def answer_of(command: service.TelemetryCommand) -> AnswerRelay | None:
    """The answer to a question of `telemetry_of`, in the bodies of Remoting; None if it answers nothing."""
    kind = command.WhichOneof("command")
    if kind == "thread_stack_trace":
        nonce = command.thread_stack_trace.nonce
    elif kind == "verify_message_result":
        nonce = command.verify_message_result.nonce
    else:
        return None
    if not nonce.isascii() or not nonce.isdigit() or len(nonce) > 18:
        return None
    relay_id = int(nonce)
    code = command.status.code
    if kind == "verify_message_result":
        result = ConsumeMessageDirectlyResult(consume_result=_VERIFIED.get(code), remark="from gRPC client")
        return AnswerRelay(relay_id, body=encode_body(result))
    if code == v2.OK:
        information = ConsumerRunningInfo(jstack=command.thread_stack_trace.thread_stack_trace)
        return AnswerRelay(relay_id, body=encode_body(information))
    return AnswerRelay(relay_id, int(ResponseCode.SYSTEM_ERROR), command.status.message or "the client refused")


def read_lite(data: bytes, namespace: str, limits: ApiSettings, client_id: str) -> SyncLiteSubscription:
    """The command of a SyncLiteSubscription request. :raise Refusal: ILLEGAL_LITE_TOPIC, ILLEGAL_OFFSET."""
    request = service.SyncLiteSubscriptionRequest.FromString(data)
    group = group_name(request.group, namespace)
    topic = topic_name(request.topic, namespace)
    if request.action == v2.PARTIAL_ADD:
        for name in request.lite_topic_set:
            check_lite_topic(name, limits.max_lite_topic)
    if request.action not in v2.LiteSubscriptionAction.values():
        raise Refusal(v2.BAD_REQUEST, f"unknown lite subscription action {request.action}")
    offset, value = _lite_offset(request.offset_option)
    return SyncLiteSubscription(
        group,
        topic,
        client_id,
        v2.LiteSubscriptionAction.Name(request.action),
        tuple(request.lite_topic_set),
        request.version,
        offset,
        value,
    )


def _lite_offset(option: v2.OffsetOption) -> tuple[LiteOffset, int]:
    """Where to go on in lite topics, and the number that belongs to it."""
    kind = option.WhichOneof("offset_type")
    if kind is None:
        return LiteOffset.UNCHANGED, 0
    if kind == "policy":
        policy = _LITE_POLICIES.get(option.policy)
        if policy is None:
            raise Refusal(v2.ILLEGAL_OFFSET, f"unknown offset policy {option.policy}")
        return policy, 0
    value: int = getattr(option, kind)
    if value < 0:
        raise Refusal(v2.ILLEGAL_OFFSET, f"offset option {kind}: expected at least 0, got {value}")
    return _LITE_OFFSETS[kind], value


