"""The ``apache.rocketmq.v2`` API, shared by gRPC and gRPC-web: what its messages mean as commands, and its seventeen calls.

``apache_rocketmq_v2`` holds the generated stubs; ``convert_*`` turn their messages into commands and replies into their
messages, without I/O; ``refusals`` has the status code for each error. ``service`` is the table of calls, ``rpc`` one call
whatever carries it, ``clients`` who is connected under which client id, ``telemetry`` the stream on which clients are told
things, ``renewals`` keeps messages invisible for clients that ask for it. Source of the meaning: Apache's proxy 5.5.0
(``org.apache.rocketmq.proxy.grpc.v2``).
"""

from __future__ import annotations
