"""The bodies of Remoting requests and answers, as clients, mqadmin and brokers of 5.5.0 write and read them.

Each is a msgspec Struct whose fields are named in snake_case and travel under Apache's names, in the
alphabetical order in which fastjson writes. Read with :func:`decode_body`, which takes standard JSON and
fastjson's dialect and passes over fields it does not know; write with :func:`encode_body`, which leaves out
what is None, as fastjson does. Source: the classes of ``org.apache.rocketmq.remoting.protocol`` and the
bytes in ``tests/vectors/remoting``.
"""

from __future__ import annotations

from rmqgateway.wire.bodies.codec import Body, decode_body, encode_body

__all__ = ["Body", "decode_body", "encode_body"]
