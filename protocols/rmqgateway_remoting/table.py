"""The one table of what is served: request code -> how to read it, which command it is, how to answer."""

from __future__ import annotations

from rmqgateway.wire.request_codes import RequestCode
from rmqgateway_remoting import (
    convert_broker,
    convert_clients,
    convert_groups,
    convert_lite,
    convert_maintaining,
    convert_popping,
    convert_progress,
    convert_pulling,
    convert_sending,
    convert_topics,
    convert_users,
)
from rmqgateway_remoting.convert_base import Operation

__all__ = ["OPERATIONS", "REFUSED"]

#: By request code.
OPERATIONS: dict[int, Operation] = {
    int(operation.code): operation
    for module in (
        convert_sending,
        convert_pulling,
        convert_popping,
        convert_clients,
        convert_topics,
        convert_groups,
        convert_users,
        convert_progress,
        convert_broker,
        convert_maintaining,
        convert_lite,
    )
    for operation in module.OPERATIONS
}

#: Codes that are refused whoever asks, and why: writing a process's configuration over the data port has been a way to run
#: code on brokers (CVE-2023-33246) and name servers (CVE-2023-37582).
REFUSED: dict[int, str] = {
    int(RequestCode.UPDATE_BROKER_CONFIG): (
        "the gateway's configuration cannot be changed over the network, by anybody; change its settings and restart it"
    ),
    int(RequestCode.UPDATE_NAMESRV_CONFIG): (
        "the gateway's configuration cannot be changed over the network, by anybody; change its settings and restart it"
    ),
    int(RequestCode.UPDATE_CONTROLLER_CONFIG): (
        "the gateway's configuration cannot be changed over the network, by anybody; change its settings and restart it"
    ),
}
