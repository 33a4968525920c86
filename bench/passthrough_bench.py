"""``python bench/passthrough_bench.py``: the passthrough alone, without sockets: CPU µs for a send of 1 KB and its answer.

Both halves of a connection are fed whole reads of so many frames, without users, and signed by one whom a policy allows it. What
the kernel and the reactor cost comes on top: four of five parts of it at one message at a time, next to nothing at 64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root), str(root / "protocols")]

from rmqgateway.commands import Policy, PolicyEntry
from rmqgateway.governance.users import UserRecord
from rmqgateway.wire.message_id import encode_offset_message_id, host_bytes
from rmqgateway.wire.remoting import encode_request, encode_response
from tests.unit.backend.cluster.pair import Pair

HEADER = {
    "a": "PID",
    "b": "bench_00001",
    "c": "TBW102",
    "d": "4",
    "e": "3",
    "f": "0",
    "g": "1700000000000",
    "h": "0",
    "i": "UNIQ_KEY\x017F0000010001000000000000000000\x02WAIT\x01true",
    "j": "0",
    "k": "false",
    "l": "0",
    "m": "false",
    "n": "broker-a",
}
MESSAGES = 1920
BODY = b"x" * 1024
USER, SECRET = "producer", "secret"


def signed(number: int) -> dict[str, str]:
    """The header of one send, as AclClientRPCHook signs it; no two are the same."""
    unique = f"UNIQ_KEY\x017F000001000100000000{number:012X}\x02WAIT\x01true"
    header = {**HEADER, "g": str(1700000000000 + number), "i": unique, "AccessKey": USER}
    content = "".join(header[name] for name in sorted(header)).encode() + BODY
    signature = hmac.new(SECRET.encode(), content, hashlib.sha1).digest()
    return {**header, "Signature": base64.b64encode(signature).decode()}


def measure(frames: int, users: bool, rounds: int = 15) -> float:
    """The best of some rounds, µs per message, with so many frames in each read."""
    pair = Pair()
    if users:
        policy = Policy(entries=(PolicyEntry("Topic:bench*", ("Pub",), ("192.0.2.0/24",)),))
        pair.gateway.guard.users.take(UserRecord(USER, SECRET, policies=(policy,)))
    pair.client.write = pair.broker.write = lambda data: None  # type: ignore[method-assign]
    pair.connect()
    reactor: Any = pair.reactor
    reactor.seconds = time.monotonic
    message_id = encode_offset_message_id(host_bytes("10.0.0.1", 10911), 123456)
    answer = {
        "msgId": message_id,
        "queueId": "1",
        "queueOffset": "12",
        "MSG_REGION": "DefaultRegion",
        "TRACE_ON": "true",
    }
    reads = [
        (
            b"".join(encode_request(310, each, signed(each) if users else HEADER, BODY) for each in range(first, first + frames)),
            b"".join(encode_response(first + each, 0, answer) for each in range(frames)),
        )
        for first in range(0, MESSAGES, frames)
    ]
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for request, response in reads:
            pair.protocol.dataReceived(request)
            pair.upstream.dataReceived(response)
        best = min(best, time.process_time() - began)
    return best / MESSAGES * 1e6


def main() -> None:
    """Print one line for each size of a read."""
    for frames in (1, 16, 64):
        print(
            f"{frames:3} frames a read: {measure(frames, False):5.2f} µs for a send and its answer,"
            f" {measure(frames, True):5.2f} with users"
        )


if __name__ == "__main__":
    main()
