"""The broker's figures and settings by RocketMQ's own names, for mqadmin and dashboards."""

from __future__ import annotations

import time
from collections.abc import Mapping

import rmqgateway
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.statistics import Counter, Statistics
from rmqgateway.backend.local.timers import Timers
from rmqgateway.commands.administering import (
    GetBrokerConfiguration,
    GetRuntimeInformation,
    GetStatistics,
    Table,
)
from rmqgateway.commands.maintaining import DeleteExpired
from rmqgateway.context import Context

__all__ = ["AdminRuntime"]

#: The spans of RocketMQ's put-latency distribution; the store's ``commit_times`` are counted by the same.
_SPANS = (
    "<=0ms",
    "0~10ms",
    "10~50ms",
    "50~100ms",
    "100~200ms",
    "200~500ms",
    "500ms~1s",
    "1~2s",
    "2~3s",
    "3~4s",
    "4~5s",
    "5~10s",
    "10s~",
)

#: The version of RocketMQ whose behaviour this broker has; tools print it and choose features by it.
BROKER_VERSION = "V5_5_0"


class AdminRuntime(Component):
    """Answers brokerStatus, getBrokerConfig and statsAll."""

    def __init__(self, core: Core, statistics: Statistics, timers: Timers) -> None:
        super().__init__(core)
        self._statistics = statistics
        self._timers = timers

    def handlers(self) -> Handlers:
        return {
            DeleteExpired: self.delete_expired,
            GetBrokerConfiguration: self.get_broker_configuration,
            GetRuntimeInformation: self.get_runtime_information,
            GetStatistics: self.get_statistics,
        }

    def get_runtime_information(self, context: Context, command: GetRuntimeInformation) -> Table:
        statistics = self._statistics
        store = self.core.store.statistics()
        puts, put_bytes = statistics.total_puts()
        gets, _ = statistics.total_gets()
        put_rate, get_rate = statistics.rates()
        up_ms = self.core.now_ms() - statistics.started_ms
        earliest = store.get("min_timestamp", -1)
        used = float(store.get("disk_used_ratio", 0.0))
        table = {
            "brokerActive": "true",
            "brokerVersionDesc": BROKER_VERSION,
            "brokerVersion": rmqgateway.__version__,
            "bootTimestamp": str(statistics.started_ms),
            "runtime": _duration(up_ms),
            "msgPutTotalYesterdayMorning": str(statistics.puts_at_yesterday),
            "msgPutTotalTodayMorning": str(statistics.puts_at_midnight),
            "msgPutTotalTodayNow": str(puts),
            "msgGetTotalYesterdayMorning": str(statistics.gets_at_yesterday),
            "msgGetTotalTodayMorning": str(statistics.gets_at_midnight),
            "msgGetTotalTodayNow": str(gets),
            "putTps": f"{put_rate:.2f} {put_rate:.2f} {put_rate:.2f}",
            "getTransferredTps": f"{get_rate:.2f} {get_rate:.2f} {get_rate:.2f}",
            "getTotalTps": f"{get_rate:.2f} {get_rate:.2f} {get_rate:.2f}",
            "getFoundTps": f"{get_rate:.2f} {get_rate:.2f} {get_rate:.2f}",
            "putMessageTimesTotal": str(puts),
            "putMessageDistributeTime": _distribution(store),
            "putMessageEntireTimeMax": f"{float(store.get('commit_seconds_max', 0.0)) * 1000:.0f}",
            "putMessageSizeTotal": str(put_bytes),
            "putMessageAverageSize": f"{put_bytes / puts if puts else 0.0:.1f}",
            "putLatency99": f"{float(store.get('commit_seconds_p99', 0.0)) * 1000:.2f}",
            "putLatency999": f"{float(store.get('commit_seconds_p999', 0.0)) * 1000:.2f}",
            "earliestMessageTimeStamp": str(earliest),
            "startAcceptSendRequestTimeStamp": "0",
            "dispatchBehindBytes": "0",
            "pageCacheLockTimeMills": "0",
            "remainHowManyDataToFlush": f"{store.get('unwritten_bytes', 0)} B",
            "commitLogMinOffset": str(store.get("min_position", 0)),
            "commitLogMaxOffset": str(store.get("max_position", 0)),
            "commitLogDiskRatio": f"{used:.4f}",
            "commitLogDirCapacity": f"Used : {used * 100:.1f} %.",
            "timerReadBehind": "0",
            "timerOffsetBehind": "0",
            "timerCongestNum": str(self._timers.wheel.count),
            "timerEnqueueTps": "0.0",
            "timerDequeueTps": "0.0",
        }
        # This broker has no thread pools: nothing waits in their queues.
        for pool in ("send", "pull", "litePull", "query", "ack"):
            table[f"{pool}ThreadPoolQueueSize"] = "0"
            table[f"{pool}ThreadPoolQueueCapacity"] = "0"
            table[f"{pool}ThreadPoolQueueHeadWaitTimeMills"] = "0"
        return Table(tuple(sorted(table.items())))

    def get_broker_configuration(self, context: Context, command: GetBrokerConfiguration) -> Table:
        settings = self.core.settings
        host, _, port = context.session.host.rpartition(":")
        table = {
            "brokerClusterName": settings.cluster_name,
            "brokerName": settings.broker_name,
            "brokerId": "0",
            "brokerRole": "ASYNC_MASTER",
            "brokerIP1": host,
            "listenPort": port,
            "namesrvAddr": context.session.host,
            "autoCreateTopicEnable": _boolean(settings.auto_create_topics),
            "autoCreateSubscriptionGroup": _boolean(settings.auto_create_groups),
            "defaultTopicQueueNums": str(settings.default_queues),
            "enablePropertyFilter": "true",
            "maxMessageSize": str(settings.max_message_size),
            "messageDelayLevel": settings.delay_levels,
            "flushDiskType": f"{settings.flush.value.upper()}_FLUSH",
            "fileReservedTime": f"{settings.retention_hours:g}",
            "longPollingEnable": "true",
            "timerWheelEnable": "true",
            "timerMaxDelaySec": str(settings.timer_max_delay_s),
            "transactionTimeOut": str(int(settings.transaction_check_s * 1000)),
            "transactionCheckInterval": str(int(settings.transaction_interval_s * 1000)),
            "transactionCheckMax": str(settings.transaction_check_max),
        }
        return Table(tuple(sorted(table.items())))

    def delete_expired(self, context: Context, command: DeleteExpired) -> None:
        self.core.store.drop_expired()

    def get_statistics(self, context: Context, command: GetStatistics) -> Table:
        """Sum, rate and average of the last minute, hour and day; empty for what is not counted here."""
        counter, of_bytes = self._counter(command.name, command.key)
        if counter is None:
            return Table(())
        now = self.core.reactor.seconds()
        rows: list[tuple[str, str]] = []
        for span, seconds in (("minute", 60.0), ("hour", 3600.0), ("day", 86_400.0)):
            messages, size, over = counter.within(now, seconds)
            total = size if of_bytes else messages
            rows += [
                (f"{span}.sum", str(total)),
                (f"{span}.tps", f"{total / over if over > 0 else 0.0:.2f}"),
                (f"{span}.avgpt", f"{total / messages if messages else 0.0:.2f}"),
            ]
        return Table(tuple(rows))

    def _counter(self, name: str, key: str) -> tuple[Counter | None, bool]:
        """The counter behind one of RocketMQ's statistics; keys are ``topic`` or ``topic@group``."""
        statistics = self._statistics
        topic, _, group = key.partition("@")
        if name in ("BROKER_PUT_NUMS", "BROKER_GET_NUMS"):
            return (statistics.all_puts if "PUT" in name else statistics.all_gets)(), False
        if name in ("TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE"):
            return statistics.put_counter(topic), name.endswith("SIZE")
        if name in ("GROUP_GET_NUMS", "GROUP_GET_SIZE"):
            return statistics.gets.get((group, topic)), name.endswith("SIZE")
        if name == "SNDBCK_PUT_NUMS":
            return statistics.send_backs.get((group, topic)), False
        return None, False


def _distribution(store: Mapping[str, int | float | str]) -> str:
    """How long messages took to be stored, as RocketMQ's brokers print it: since the start, by time."""
    counts = str(store.get("commit_times", "")).split()
    pairs = zip(_SPANS, counts or ["0"] * len(_SPANS), strict=True)
    return " ".join(f"[{span}]:{count}" for span, count in pairs)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _duration(milliseconds: int) -> str:
    days, rest = divmod(milliseconds // 1000, 86_400)
    clock = time.gmtime(rest)
    return f"[ {days} days, {clock.tm_hour} hours, {clock.tm_min} minutes, {clock.tm_sec} seconds ]"
