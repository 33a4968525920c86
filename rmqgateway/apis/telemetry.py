"""The Telemetry stream: a client reports its settings and answers questions; it is told its settings and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import duration_ms
from rmqgateway.apis.convert_clients import (
    answer_of,
    check_settings,
    heartbeat_of,
    merge_settings,
    settings_group,
)
from rmqgateway.apis.refusals import OK, Refusal, status_of
from rmqgateway.commands import GetGroup, GroupConfig
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.grpc_framing import GrpcStatus

if TYPE_CHECKING:
    from rmqgateway.apis.clients import Client
    from rmqgateway.apis.rpc import Rpc

__all__ = ["telemetry"]

log = Logger(namespace="rmqgateway.apis")


class _Stream:
    """A telemetry stream, as `clients.Client` sees it."""

    def __init__(self, rpc: Rpc, client: Client) -> None:
        self.rpc = rpc
        self._client = client
        rpc.on_gone(self._gone)

    def tell(self, command: service.TelemetryCommand) -> bool:
        rpc = self.rpc
        if rpc.done or rpc.buffered() > rpc.api.settings.max_telemetry_bytes:
            return False
        rpc.write(command.SerializeToString())
        return True

    def end(self, reason: str) -> None:
        if not self.rpc.done:
            self.rpc.close(GrpcStatus.UNAVAILABLE, reason)

    def _gone(self, reason: str) -> None:
        self._client.lost(self)


def telemetry(rpc: Rpc, data: bytes) -> None:
    """See `rpc.Method.handle`: one message of the client."""
    command = service.TelemetryCommand.FromString(data)
    if command.WhichOneof("command") == "settings":
        try:
            _settings(rpc, command.settings)
        except (Refusal, GatewayError) as error:
            _refuse(rpc, error)
        return
    answer = answer_of(command)
    if answer is not None and rpc.client is not None:
        maybeDeferred(rpc.execute, answer).addErrback(_unanswered)


def _settings(rpc: Rpc, settings: v2.Settings) -> None:
    kind = settings.WhichOneof("pub_sub")
    if kind is None:
        rpc.close(GrpcStatus.INVALID_ARGUMENT, "there is no publishing or subscription data in settings")
        return
    check_settings(settings, rpc.namespace)
    api = rpc.api
    client = api.clients.open(
        rpc.client_key, rpc.client_id, rpc.information, rpc.front_end, rpc.context.credential
    )
    if client.settings is not None and client.settings.WhichOneof("pub_sub") != kind:
        raise Refusal(v2.BAD_REQUEST, f"client {rpc.client_id} is connected as another kind of client")
    client.settings = settings
    client.namespace = rpc.namespace
    client.group = settings_group(settings, rpc.namespace)
    client.language = rpc.text(b"x-mq-language")
    client.version = rpc.text(b"x-mq-client-version")
    client.request_timeout_ms = duration_ms(settings.request_timeout)
    client.last_seen = api.seconds()
    rpc.client = client
    rpc.context.session = client.session
    heartbeat = heartbeat_of(
        settings, rpc.namespace, client.client_id, client.language, client.version, api.now_ms()
    )
    done = maybeDeferred(rpc.execute, heartbeat)
    if client.group:
        done.addCallback(lambda _: _group_of(rpc, client.group))
    done.addCallback(lambda group: _answer(rpc, client, settings, group))
    done.addErrback(lambda failure: _failed(rpc, failure))


def _group_of(rpc: Rpc, group: str) -> Any:
    """The group's configuration; the defaults where the caller may not see it."""
    return maybeDeferred(rpc.execute, GetGroup(group)).addErrback(
        lambda failure: failure.trap(GatewayError) and None
    )


def _answer(rpc: Rpc, client: Client, settings: v2.Settings, group: GroupConfig | None) -> None:
    if rpc.done:
        return
    if not isinstance(client.stream, _Stream) or client.stream.rpc is not rpc:
        client.stream = _Stream(rpc, client)
    merged = merge_settings(settings, rpc.api.settings, group)
    rpc.write(service.TelemetryCommand(status=OK, settings=merged).SerializeToString())


def _failed(rpc: Rpc, failure: Failure) -> None:
    error = failure.value
    if not isinstance(error, Refusal | GatewayError | WireError):
        log.failure("Telemetry failed", failure=failure)
        error = GatewayError(Code.INTERNAL, "the gateway's log has the cause")
    _refuse(rpc, error)


def _refuse(rpc: Rpc, error: Refusal | GatewayError | WireError) -> None:
    """Settings that are refused end the stream: by the transport's status, as in the proxy."""
    if rpc.done:
        return
    status = status_of(error)
    theirs = v2.BAD_REQUEST <= status.code < v2.INTERNAL_ERROR
    rpc.close(
        GrpcStatus.INVALID_ARGUMENT if theirs else GrpcStatus.INTERNAL,
        f"process client telemetryCommand failed. {status.message}",
    )


def _unanswered(failure: Failure) -> None:
    log.debug("an answer is dropped: {reason}", reason=failure.getErrorMessage())
