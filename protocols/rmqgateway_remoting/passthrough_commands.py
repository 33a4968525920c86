"""Which command a forwarded request is, for those who judge and count it: the table of all, and what only real brokers know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rmqgateway.commands import ChangeKeyValues, GetBrokerConfiguration, PeekMessages, SendMessages
from rmqgateway.message import Message
from rmqgateway.wire.request_codes import RequestCode, request_name
from rmqgateway_remoting.convert_base import boolean, text
from rmqgateway_remoting.table import OPERATIONS

if TYPE_CHECKING:
    from rmqgateway.commands import Command
    from rmqgateway.interfaces import IGateway
    from rmqgateway.telemetry.metrics import CommandMeter
    from rmqgateway.wire.remoting import RemotingCommand
    from rmqgateway_remoting.convert_base import Peer

__all__ = ["command_of", "meters_of"]

_SEND = int(RequestCode.SEND_MESSAGE_V2)
#: Requests about messages of a topic for a group, that the local backend does not answer.
_AS_PEEK = frozenset({int(RequestCode.NOTIFICATION), int(RequestCode.POLLING_INFO)})
#: Begin so: requests that change nothing. Whatever else is not in the table may.
_READING = ("GET_", "QUERY_", "VIEW_", "CHECK_")

_meters: WeakKeyDictionary[Any, dict[int, CommandMeter]] = WeakKeyDictionary()


def command_of(request: RemotingCommand, peer: Peer) -> Command[Any]:
    """The command that a request is judged as.

    What only brokers know is judged as reading (Get) or changing (Update) the cluster.

    :raise WireError: not fatal: a header field is not what it should be.
    """
    ext = request.ext_fields
    if request.code == _SEND and "b" in ext and not boolean(ext, "m"):
        # Nothing else of a message counts here; the broker reads the rest.
        return SendMessages(ext["b"], (Message(b"", ext.get("i", "").encode()),), ext.get("a", ""))
    operation = OPERATIONS.get(request.code)
    if operation is not None:
        return operation.parse(request, peer)
    if request.code in _AS_PEEK:
        return PeekMessages(text(ext, "consumerGroup"), text(ext, "topic"))
    name = request_name(request.code)
    if name.startswith(_READING):
        return GetBrokerConfiguration()
    return ChangeKeyValues("", name, None)


def meters_of(gateway: IGateway) -> dict[int, CommandMeter]:
    """By request code: where answered requests are counted."""
    found = _meters.get(gateway)
    if found is None:
        by_name = {meter.name: meter for meter in gateway.meters}
        found = {code: by_name[operation.command.__name__] for code, operation in OPERATIONS.items()}
        peek = by_name[PeekMessages.__name__]
        found.update(dict.fromkeys(_AS_PEEK, peek))
        _meters[gateway] = found
    return found
