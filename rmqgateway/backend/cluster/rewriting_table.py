"""For each request code of RocketMQ: who is asked, and whether it is forwarded raw, rewritten, or refused. The whole list.

A code that is not here is unknown, and refused. Tests compare the list with `RequestCode`.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from rmqgateway.backend.cluster.rewriting import (
    Rewriter,
    rewrite_addresses,
    rewrite_broker_address,
    rewrite_check,
    rewrite_clients,
    rewrite_messages,
    rewrite_pushed_message,
    rewrite_pushed_reply,
    rewrite_send_reply,
)
from rmqgateway.wire.request_codes import RequestCode as C

__all__ = ["REFUSED_FOR", "REPLIES", "REQUESTS_OF_BROKERS", "TABLE", "Rule", "Way"]


class Way(enum.Enum):
    """Which way a request goes.

    * BROKER: from clients to a broker;
    * NAMES: to a name server; CHANGES_NAMES: to every name server;
    * CLIENT: from a broker to a client; BOTH: from clients to a broker, which asks a client in turn;
    * REFUSED: by everybody, with the reason.
    """

    BROKER = "broker"
    NAMES = "name server"
    CHANGES_NAMES = "every name server"
    CLIENT = "client"
    BOTH = "broker and client"
    REFUSED = "refused"


class Rule(NamedTuple):
    """What is done with one request code.

    :ivar reply: changes the answer; None: it goes as it is. :ivar pushed: changes the request of a broker to a client.
    :ivar why: of a refusal.
    """

    way: Way
    reply: Rewriter | None = None
    pushed: Rewriter | None = None
    why: str = ""


_CONFIGURATION = "the configuration of a process is not changed over the network, by anybody"
_BROKERS = "brokers say this to name servers and to each other, not through a gateway's port for clients"
_CONTROLLER = "brokers and controllers talk directly to each other"
_FILTER = "RocketMQ has no filter servers since 4.3"
_NEVER = "no release of RocketMQ answers it"

_raw = Rule(Way.BROKER)
_names = Rule(Way.NAMES)
_routes = Rule(Way.NAMES, rewrite_addresses)
_changes = Rule(Way.CHANGES_NAMES)
_sends = Rule(Way.BROKER, rewrite_send_reply)
_messages = Rule(Way.BROKER, rewrite_messages)
_says_where = Rule(Way.BROKER, rewrite_broker_address)
_clients = Rule(Way.BROKER, rewrite_clients)
_to_client = Rule(Way.CLIENT)
_both = Rule(Way.BOTH)


def _refused(why: str) -> Rule:
    return Rule(Way.REFUSED, why=why)


TABLE: dict[int, Rule] = {
    C.SEND_MESSAGE: _sends,
    C.SEND_MESSAGE_V2: _sends,
    C.SEND_BATCH_MESSAGE: _sends,
    C.SEND_REPLY_MESSAGE: _sends,
    C.SEND_REPLY_MESSAGE_V2: _sends,
    C.CONSUMER_SEND_MSG_BACK: _raw,
    C.END_TRANSACTION: _raw,
    C.RECALL_MESSAGE: _raw,
    C.PULL_MESSAGE: _messages,
    C.LITE_PULL_MESSAGE: _messages,
    C.QUERY_MESSAGE: _messages,
    C.VIEW_MESSAGE_BY_ID: _messages,
    C.POP_MESSAGE: _messages,
    C.POP_LITE_MESSAGE: _messages,
    C.PEEK_MESSAGE: _messages,
    C.ACK_MESSAGE: _raw,
    C.BATCH_ACK_MESSAGE: _raw,
    C.ACK_LITE_MESSAGE: _raw,
    C.CHANGE_MESSAGE_INVISIBLETIME: _raw,
    C.NOTIFICATION: _raw,
    C.POLLING_INFO: _raw,
    C.POP_ROLLBACK: _raw,
    C.LITE_SUBSCRIPTION_CTL: _raw,
    C.GET_BROKER_LITE_INFO: _raw,
    C.GET_PARENT_TOPIC_INFO: _raw,
    C.GET_LITE_TOPIC_INFO: _raw,
    C.GET_LITE_CLIENT_INFO: _raw,
    C.GET_LITE_GROUP_INFO: _raw,
    C.TRIGGER_LITE_DISPATCH: _raw,
    # Offsets and queues.
    C.QUERY_BROKER_OFFSET: _refused(_NEVER),
    C.QUERY_CONSUMER_OFFSET: _raw,
    C.UPDATE_CONSUMER_OFFSET: _raw,
    C.SEARCH_OFFSET_BY_TIMESTAMP: _raw,
    C.GET_MAX_OFFSET: _raw,
    C.GET_MIN_OFFSET: _raw,
    C.GET_EARLIEST_MSG_STORETIME: _raw,
    C.QUERY_CORRECTION_OFFSET: _raw,
    C.CLONE_GROUP_OFFSET: _raw,
    C.QUERY_CONSUME_QUEUE: _raw,
    C.LOCK_BATCH_MQ: _raw,
    C.UNLOCK_BATCH_MQ: _raw,
    C.QUERY_ASSIGNMENT: _raw,
    C.SET_MESSAGE_REQUEST_MODE: _raw,
    C.GET_ALL_MESSAGE_REQUEST_MODE: _raw,
    C.RESUME_CHECK_HALF_MESSAGE: _raw,
    # Clients.
    C.HEART_BEAT: _raw,
    C.UNREGISTER_CLIENT: _raw,
    C.CHECK_CLIENT_CONFIG: _raw,
    C.GET_CLIENT_CONFIG: _refused(_NEVER),
    C.GET_CONSUMER_LIST_BY_GROUP: _raw,
    C.GET_CONSUMER_CONNECTION_LIST: _clients,
    C.GET_PRODUCER_CONNECTION_LIST: _clients,
    C.GET_ALL_PRODUCER_INFO: _clients,
    # A broker passes these on to a client, and its answer back.
    C.GET_CONSUMER_RUNNING_INFO: _both,
    C.CONSUME_MESSAGE_DIRECTLY: Rule(Way.BOTH, pushed=rewrite_pushed_message),
    C.INVOKE_BROKER_TO_RESET_OFFSET: _raw,
    C.INVOKE_BROKER_TO_GET_CONSUMER_STATUS: _raw,
    C.CHECK_TRANSACTION_STATE: Rule(Way.CLIENT, pushed=rewrite_check),
    C.NOTIFY_CONSUMER_IDS_CHANGED: _to_client,
    C.RESET_CONSUMER_CLIENT_OFFSET: _to_client,
    C.GET_CONSUMER_STATUS_FROM_CLIENT: _to_client,
    C.PUSH_REPLY_MESSAGE_TO_CLIENT: Rule(Way.CLIENT, pushed=rewrite_pushed_reply),
    C.NOTIFY_UNSUBSCRIBE_LITE: _to_client,
    C.SUSPEND_CONSUMER: _refused(_NEVER),
    C.RESUME_CONSUMER: _refused(_NEVER),
    C.RESET_CONSUMER_OFFSET_IN_CONSUMER: _refused(_NEVER),
    C.RESET_CONSUMER_OFFSET_IN_BROKER: _refused(_NEVER),
    C.ADJUST_CONSUMER_THREAD_POOL: _refused(_NEVER),
    C.WHO_CONSUME_THE_MESSAGE: _refused(_NEVER),
    # Topics and groups.
    C.UPDATE_AND_CREATE_TOPIC: _raw,
    C.UPDATE_AND_CREATE_TOPIC_LIST: _raw,
    C.UPDATE_AND_CREATE_STATIC_TOPIC: _raw,
    C.DELETE_TOPIC_IN_BROKER: _raw,
    C.GET_ALL_TOPIC_CONFIG: _raw,
    C.GET_TOPIC_CONFIG: _raw,
    C.GET_TOPIC_CONFIG_LIST: _refused(_NEVER),
    C.GET_TOPIC_NAME_LIST: _refused(_NEVER),
    C.GET_TOPIC_STATS_INFO: _raw,
    C.GET_SYSTEM_TOPIC_LIST_FROM_BROKER: _raw,
    C.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: _raw,
    C.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: _raw,
    C.UPDATE_AND_GET_GROUP_FORBIDDEN: _raw,
    C.DELETE_SUBSCRIPTIONGROUP: _raw,
    C.GET_ALL_SUBSCRIPTIONGROUP_CONFIG: _raw,
    C.GET_SUBSCRIPTIONGROUP_CONFIG: _raw,
    C.GET_CONSUME_STATS: _raw,
    C.QUERY_TOPIC_CONSUME_BY_WHO: _raw,
    C.QUERY_TOPICS_BY_CONSUMER: _says_where,
    C.QUERY_SUBSCRIPTION_BY_CONSUMER: _raw,
    C.QUERY_CONSUME_TIME_SPAN: _raw,
    C.GET_ALL_CONSUMER_OFFSET: _raw,
    C.GET_ALL_DELAY_OFFSET: _raw,
    C.GET_TIMER_CHECK_POINT: _raw,
    C.GET_TIMER_METRICS: _raw,
    # A broker itself. Its addresses in GET_BROKER_CONFIG and those of replication in GET_BROKER_HA_STATUS are facts about
    # the broker that no client dials: they stay.
    C.GET_BROKER_CONFIG: _raw,
    C.GET_BROKER_RUNTIME_INFO: _raw,
    C.GET_BROKER_HA_STATUS: _raw,
    C.GET_BROKER_EPOCH_CACHE: _raw,
    C.GET_BROKER_CONSUME_STATS: _says_where,
    C.VIEW_BROKER_STATS_DATA: _raw,
    C.TRIGGER_DELETE_FILES: _refused(_NEVER),
    C.CLEAN_EXPIRED_CONSUMEQUEUE: _raw,
    C.CLEAN_UNUSED_TOPIC: _raw,
    C.DELETE_EXPIRED_COMMITLOG: _raw,
    C.CHECK_ROCKSDB_CQ_WRITE_PROGRESS: _raw,
    C.EXPORT_ROCKSDB_CONFIG_TO_JSON: _raw,
    C.UPDATE_COLD_DATA_FLOW_CTR_CONFIG: _raw,
    C.REMOVE_COLD_DATA_FLOW_CTR_CONFIG: _raw,
    C.GET_COLD_DATA_FLOW_CTR_INFO: _raw,
    C.SET_COMMITLOG_READ_MODE: _raw,
    C.SWITCH_TIMER_ENGINE: _raw,
    C.RESET_MASTER_FLUSH_OFFSET: _refused(_BROKERS),
    C.AUTH_CREATE_USER: _raw,
    C.AUTH_UPDATE_USER: _raw,
    C.AUTH_DELETE_USER: _raw,
    C.AUTH_GET_USER: _raw,
    C.AUTH_LIST_USER: _raw,
    C.AUTH_CREATE_ACL: _raw,
    C.AUTH_UPDATE_ACL: _raw,
    C.AUTH_DELETE_ACL: _raw,
    C.AUTH_GET_ACL: _raw,
    C.AUTH_LIST_ACL: _raw,
    # Name servers.
    C.GET_ROUTEINFO_BY_TOPIC: _routes,
    C.GET_BROKER_CLUSTER_INFO: _routes,
    C.GET_BROKER_MEMBER_GROUP: _routes,
    C.GET_SYSTEM_TOPIC_LIST_FROM_NS: _routes,
    C.GET_ALL_TOPIC_LIST_FROM_NAMESERVER: _routes,
    C.GET_TOPICS_BY_CLUSTER: _routes,
    C.GET_UNIT_TOPIC_LIST: _routes,
    C.GET_HAS_UNIT_SUB_TOPIC_LIST: _routes,
    C.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: _routes,
    C.GET_KV_CONFIG: _names,
    C.GET_KVLIST_BY_NAMESPACE: _names,
    C.GET_NAMESRV_CONFIG: _names,
    C.PUT_KV_CONFIG: _changes,
    C.DELETE_KV_CONFIG: _changes,
    C.WIPE_WRITE_PERM_OF_BROKER: _changes,
    C.ADD_WRITE_PERM_OF_BROKER: _changes,
    C.DELETE_TOPIC_IN_NAMESRV: _changes,
    C.REGISTER_TOPIC_IN_NAMESRV: _changes,
    # Nobody's business here.
    C.UPDATE_BROKER_CONFIG: _refused(_CONFIGURATION),
    C.UPDATE_NAMESRV_CONFIG: _refused(_CONFIGURATION),
    C.UPDATE_CONTROLLER_CONFIG: _refused(_CONFIGURATION),
    C.REGISTER_BROKER: _refused(_BROKERS),
    C.UNREGISTER_BROKER: _refused(_BROKERS),
    C.BROKER_HEARTBEAT: _refused(_BROKERS),
    C.QUERY_DATA_VERSION: _refused(_BROKERS),
    C.ADD_BROKER: _refused(_BROKERS),
    C.REMOVE_BROKER: _refused(_BROKERS),
    C.NOTIFY_MIN_BROKER_ID_CHANGE: _refused(_BROKERS),
    C.EXCHANGE_BROKER_HA_INFO: _refused(_BROKERS),
    C.NOTIFY_BROKER_ROLE_CHANGED: _refused(_BROKERS),
    C.CONTROLLER_ALTER_SYNC_STATE_SET: _refused(_CONTROLLER),
    C.CONTROLLER_ELECT_MASTER: _refused(_CONTROLLER),
    C.CONTROLLER_REGISTER_BROKER: _refused(_CONTROLLER),
    C.CONTROLLER_GET_REPLICA_INFO: _refused(_CONTROLLER),
    C.CONTROLLER_GET_METADATA_INFO: _refused(_CONTROLLER),
    C.CONTROLLER_GET_SYNC_STATE_DATA: _refused(_CONTROLLER),
    C.GET_CONTROLLER_CONFIG: _refused(_CONTROLLER),
    C.CLEAN_BROKER_DATA: _refused(_CONTROLLER),
    C.CONTROLLER_GET_NEXT_BROKER_ID: _refused(_CONTROLLER),
    C.CONTROLLER_APPLY_BROKER_ID: _refused(_CONTROLLER),
    C.REGISTER_FILTER_SERVER: _refused(_FILTER),
    C.REGISTER_MESSAGE_FILTER_CLASS: _refused(_FILTER),
}

#: Answers that are changed, by the request code; the rest go as they are.
REPLIES: dict[int, Rewriter] = {code: rule.reply for code, rule in TABLE.items() if rule.reply is not None}

#: What brokers may ask clients: how it is changed, or None.
REQUESTS_OF_BROKERS: dict[int, Rewriter | None] = {
    code: rule.pushed for code, rule in TABLE.items() if rule.way in (Way.CLIENT, Way.BOTH)
}

#: Why a request is refused.
REFUSED_FOR: dict[int, str] = {code: rule.why for code, rule in TABLE.items() if rule.way is Way.REFUSED}
