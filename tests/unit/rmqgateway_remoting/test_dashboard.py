"""What Apache's dashboard (2.1, over the administration library 5.3.3) asks by its pages: every request is served.

The calls are those of its services; the requests are what ``DefaultMQAdminExtImpl`` and ``MQClientAPIImpl`` make of them.
"""

from __future__ import annotations

import pytest

from rmqgateway.wire.request_codes import RequestCode
from rmqgateway_remoting.table import OPERATIONS, REFUSED

ASKED = {
    # Clusters and charts.
    "examineBrokerClusterInfo": "GET_BROKER_CLUSTER_INFO",
    "fetchBrokerRuntimeStats": "GET_BROKER_RUNTIME_INFO",
    "getBrokerConfig": "GET_BROKER_CONFIG",
    "viewBrokerStatsData": "VIEW_BROKER_STATS_DATA",
    # Topics.
    "fetchAllTopicList": "GET_ALL_TOPIC_LIST_FROM_NAMESERVER",
    "getSystemTopicList": "GET_SYSTEM_TOPIC_LIST_FROM_NS GET_SYSTEM_TOPIC_LIST_FROM_BROKER",
    "getAllTopicConfig": "GET_ALL_TOPIC_CONFIG",
    "examineTopicRouteInfo": "GET_ROUTEINFO_BY_TOPIC",
    "examineTopicStats": "GET_ROUTEINFO_BY_TOPIC GET_TOPIC_STATS_INFO",
    "examineTopicConfig": "GET_TOPIC_CONFIG",
    "queryTopicConsumeByWho": "GET_ROUTEINFO_BY_TOPIC QUERY_TOPIC_CONSUME_BY_WHO",
    "createAndUpdateTopicConfig": "UPDATE_AND_CREATE_TOPIC",
    "deleteTopicInBroker": "DELETE_TOPIC_IN_BROKER",
    "deleteTopicInNameServer": "DELETE_TOPIC_IN_NAMESRV",
    "send": "HEART_BEAT SEND_MESSAGE_V2 END_TRANSACTION UNREGISTER_CLIENT",
    # Consumer groups and producers.
    "getAllSubscriptionGroup": "GET_ALL_SUBSCRIPTIONGROUP_CONFIG",
    "examineConsumeStats": "GET_CONSUMER_CONNECTION_LIST GET_CONSUME_STATS GET_ROUTEINFO_BY_TOPIC",
    "examineConsumerConnectionInfo": "GET_CONSUMER_CONNECTION_LIST GET_ROUTEINFO_BY_TOPIC",
    "getConsumerRunningInfo": "GET_CONSUMER_RUNNING_INFO GET_ROUTEINFO_BY_TOPIC",
    "createAndUpdateSubscriptionGroupConfig": "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP",
    "deleteSubscriptionGroup": "DELETE_SUBSCRIPTIONGROUP",
    "resetOffsetByTimestamp": "GET_ROUTEINFO_BY_TOPIC INVOKE_BROKER_TO_RESET_OFFSET",
    "resetOffsetByTimestampOld": (
        "GET_CONSUME_STATS GET_MAX_OFFSET GET_TOPIC_STATS_INFO SEARCH_OFFSET_BY_TIMESTAMP UPDATE_CONSUMER_OFFSET"
    ),
    "examineProducerConnectionInfo": "GET_PRODUCER_CONNECTION_LIST GET_ROUTEINFO_BY_TOPIC",
    # Messages, dead letters, traces.
    "viewMessage": "QUERY_MESSAGE VIEW_MESSAGE_BY_ID",
    "queryMessage": "QUERY_MESSAGE",
    "pull": "PULL_MESSAGE GET_MAX_OFFSET GET_MIN_OFFSET SEARCH_OFFSET_BY_TIMESTAMP",
    "messageTrackDetail": "QUERY_TOPIC_CONSUME_BY_WHO GET_CONSUMER_CONNECTION_LIST GET_CONSUME_STATS GET_BROKER_CLUSTER_INFO",
    "consumeMessageDirectly": "CONSUME_MESSAGE_DIRECTLY",
    # Users and policies.
    "createUser": "AUTH_CREATE_USER",
    "updateUser": "AUTH_UPDATE_USER",
    "deleteUser": "AUTH_DELETE_USER",
    "getUser": "AUTH_GET_USER",
    "listUser": "AUTH_LIST_USER",
    "createAcl": "AUTH_CREATE_ACL",
    "updateAcl": "AUTH_UPDATE_ACL",
    "deleteAcl": "AUTH_DELETE_ACL",
    "listAcl": "AUTH_LIST_ACL",
}


@pytest.mark.parametrize("call", ASKED)
def test_what_the_pages_of_apaches_dashboard_ask_is_served(call: str) -> None:
    for name in ASKED[call].split():
        code = int(RequestCode[name])
        assert code in OPERATIONS, name
        assert code not in REFUSED, name
