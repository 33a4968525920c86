"""The header of SEND_MESSAGE_V2 as JSON, decoded straight into its fields: the frame that a broker sees most.

``SendMessageRequestHeaderV2`` of 5.5.0 calls its fields by letters. Decoded in one go they cost a third less than as a
dictionary of strings that is looked through afterwards. Whatever is not exactly such a header, or has something about it
(a credential, a namespace, a batch), is left to the general decoder.
"""

from __future__ import annotations

import msgspec

from rmqgateway.wire.remoting_command import JSON, RemotingCommand
from rmqgateway.wire.remoting_json import decode_json_header

__all__ = ["SEND_PREFIX", "SendHeader", "SendRequest", "decode_send_header"]

#: How official clients begin this header.
SEND_PREFIX = b'{"code":310,'


class SendHeader(msgspec.Struct, gc=False):
    """``SendMessageRequestHeaderV2``: a producerGroup, b topic, d defaultTopicQueueNums, e queueId, f sysFlag, g
    bornTimestamp, h flag, i properties, j reconsumeTimes, l maxReconsumeTimes, m batch; and what makes it special.
    Numbers are text, as everything in ``extFields``."""

    a: str
    b: str
    d: str
    e: str
    f: str
    g: str
    h: str
    i: str = ""
    j: str = ""
    l: str = ""  # noqa: E741
    m: str = "false"
    ns: str | None = None
    AccessKey: str | None = None

    def ext_fields(self) -> dict[str, str]:
        """The same by name, as the general decoder gives them, without those that are not there."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value or (name in "abdefgh" and value is not None)}


class SendRequest(RemotingCommand, gc=False, kw_only=True):
    """A SEND_MESSAGE_V2 request with its header in fields; its `ext_fields` are empty."""

    ext_fields: dict[str, str] = msgspec.field(default_factory=dict, name="-ext_fields")
    header: SendHeader = msgspec.field(name="extFields")


_decode = msgspec.json.Decoder(SendRequest).decode


def decode_send_header(header: bytes, body: bytes) -> RemotingCommand:
    """Decode one header that begins with `SEND_PREFIX`: a SendRequest if nothing is special, else as
    `decode_json_header` does.

    :raise WireError: as `decode_json_header`.
    """
    try:
        request = _decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return decode_json_header(header, body)
    fields = request.header
    if request.code != 310 or fields.m == "true" or fields.ns is not None or fields.AccessKey is not None:
        return decode_json_header(header, body)
    request.body = body
    request.serialization = JSON
    return request
