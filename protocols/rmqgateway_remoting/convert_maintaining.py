"""Looking after a broker: what waits, how far every group is, replication, what is out of date; waiting for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    AwaitMessages,
    ConsumeProgresses,
    DeleteExpired,
    GetPollingInformation,
    GetRuntimeInformation,
    ListConsumeProgress,
    MessagesAwaited,
    PollingInformation,
    ResumeTransaction,
    Table,
)
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.groups import ConsumeStats, ConsumeStatsList
from rmqgateway.wire.bodies.topics import HAClientRuntimeInfo, HARuntimeInfo
from rmqgateway.wire.message_id import decode_offset_message_id
from rmqgateway.wire.request_codes import RequestCode
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    int32,
    int64,
    reply_nothing,
    respond,
    text,
)
from rmqgateway_remoting.convert_progress import offset_table

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]


def parse_notification(request: RemotingCommand, peer: Peer) -> AwaitMessages:
    """NOTIFICATION."""
    ext = request.ext_fields
    return AwaitMessages(
        group=text(ext, "consumerGroup"),
        topic=text(ext, "topic"),
        queue_id=int32(ext, "queueId"),
        wait_ms=max(0, int64(ext, "pollTime")),
        fifo=boolean(ext, "order"),
    )


def reply_notification(reply: MessagesAwaited, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``NotificationResponseHeader``."""
    ext = {"hasMsg": _word(reply.has_messages), "pollingFull": _word(reply.polling_full)}
    respond(request, out, ext)


def _word(value: bool) -> str:
    return "true" if value else "false"


def parse_polling(request: RemotingCommand, peer: Peer) -> GetPollingInformation:
    """POLLING_INFO."""
    ext = request.ext_fields
    return GetPollingInformation(text(ext, "consumerGroup"), text(ext, "topic"), int32(ext, "queueId"))


def reply_polling(reply: PollingInformation, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``PollingInfoResponseHeader``."""
    respond(request, out, {"pollingNum": str(reply.waiting)})


def parse_all_progress(request: RemotingCommand, peer: Peer) -> ListConsumeProgress:
    """GET_BROKER_CONSUME_STATS."""
    return ListConsumeProgress(boolean(request.ext_fields, "isOrder"))


def reply_all_progress(reply: ConsumeProgresses, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ConsumeStatsList``: one map for each group, from its name to the statistics of its topics."""
    by_group: dict[str, list[ConsumeStats]] = {}
    lag = in_flight = 0
    for item in reply.progresses:
        table = offset_table(item.progress.queues)
        stats = ConsumeStats(consume_tps=item.progress.consume_tps, offset_table=table)
        by_group.setdefault(item.group, []).append(stats)
        lag += sum(each.broker_offset - each.consumer_offset for each in table.values())
        in_flight += sum(each.pull_offset - each.consumer_offset for each in table.values())
    body = ConsumeStatsList(
        broker_addr=peer.host,
        consume_stats_list=[{group: stats} for group, stats in by_group.items()],
        total_diff=lag,
        total_inflight_diff=in_flight,
    )
    respond(request, out, body=encode_body(body))


def parse_ha_status(request: RemotingCommand, peer: Peer) -> GetRuntimeInformation:
    """GET_BROKER_HA_STATUS."""
    return GetRuntimeInformation()


def reply_ha_status(reply: Table, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``HARuntimeInfo`` of a master without slaves."""
    end = int(dict(reply.table).get("commitLogMaxOffset", "0"))
    body = HARuntimeInfo(
        ha_client_runtime_info=HAClientRuntimeInfo(), master=True, master_commit_log_max_offset=end
    )
    respond(request, out, body=encode_body(body))


def parse_delete_expired(request: RemotingCommand, peer: Peer) -> DeleteExpired:
    """DELETE_EXPIRED_COMMITLOG, CLEAN_EXPIRED_CONSUMEQUEUE, CLEAN_UNUSED_TOPIC.

    A log and the queues in it go together here, and nothing is left of a topic that was deleted: one thing does it all.
    """
    return DeleteExpired()


def parse_resume(request: RemotingCommand, peer: Peer) -> ResumeTransaction:
    """RESUME_CHECK_HALF_MESSAGE; ``msgId`` is the offset message id in the topic of those that were given up."""
    ext = request.ext_fields
    return ResumeTransaction(decode_offset_message_id(text(ext, "msgId"))[1], ext.get("topic", ""))


OPERATIONS = (
    Operation(RequestCode.NOTIFICATION, AwaitMessages, parse_notification, reply_notification, waits=True, bulky=False),
    Operation(RequestCode.POLLING_INFO, GetPollingInformation, parse_polling, reply_polling, bulky=False),
    Operation(RequestCode.GET_BROKER_CONSUME_STATS, ListConsumeProgress, parse_all_progress, reply_all_progress),
    Operation(RequestCode.GET_BROKER_HA_STATUS, GetRuntimeInformation, parse_ha_status, reply_ha_status),
    Operation(RequestCode.DELETE_EXPIRED_COMMITLOG, DeleteExpired, parse_delete_expired, reply_nothing),
    Operation(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, DeleteExpired, parse_delete_expired, reply_nothing),
    Operation(RequestCode.CLEAN_UNUSED_TOPIC, DeleteExpired, parse_delete_expired, reply_nothing),
    Operation(RequestCode.RESUME_CHECK_HALF_MESSAGE, ResumeTransaction, parse_resume, reply_nothing),
)
