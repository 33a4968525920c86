"""Makes consumer groups by Remoting's administration request, as mqadmin does, without a JVM for it."""

from __future__ import annotations

import socket

from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.groups import ExponentialRetryPolicy, GroupRetryPolicy, SubscriptionGroupConfig
from rmqgateway.wire.remoting import encode_request
from rmqgateway.wire.request_codes import RequestCode

__all__ = ["create_group"]


def create_group(
    address: str,
    name: str,
    retries: int = 16,
    orderly: bool = False,
    attributes: dict[str, str] | None = None,
    exponential: bool = False,
) -> None:
    """Make a group, or change it. Raises OSError or RuntimeError with the server's answer.

    :param exponential: retries after 1, 2, 4 s and so on, not by the ladder that is the default.
    """
    growing = ExponentialRetryPolicy(initial=1000, max=60_000, multiplier=2)
    config = SubscriptionGroupConfig(
        group_name=name, retry_max_times=retries, consume_message_orderly=orderly, attributes=attributes or {}
    )
    if exponential:
        config.group_retry_policy = GroupRetryPolicy(type="EXPONENTIAL", exponential_retry_policy=growing)
    request = encode_request(int(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP), 1, {}, encode_body(config))
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = connection.recv(65536)
    if b'"code":0' not in answer.replace(b" ", b""):
        raise RuntimeError(f"group {name} was not made: {answer!r}")
