"""The value that every Remoting frame carries, in both of its header serializations."""

from __future__ import annotations

from typing import Annotated

import msgspec

from rmqgateway.errors import WireError

__all__ = [
    "DEFAULT_LANGUAGE",
    "DEFAULT_VERSION",
    "FLAG_ONEWAY",
    "FLAG_RESPONSE",
    "JSON",
    "LANGUAGE_CODES",
    "LANGUAGE_NAMES",
    "ROCKETMQ",
    "RemotingCommand",
    "language_code",
    "language_name",
]

#: Header serializations: the top byte of the second length word.
JSON = 0
ROCKETMQ = 1

#: Bits of ``flag``.
FLAG_RESPONSE = 1
FLAG_ONEWAY = 2

#: ``LanguageCode`` of 5.5.0: the number is in binary headers, the name in JSON headers.
LANGUAGE_NAMES: dict[int, str] = {
    0: "JAVA",
    1: "CPP",
    2: "DOTNET",
    3: "PYTHON",
    4: "DELPHI",
    5: "ERLANG",
    6: "RUBY",
    7: "OTHER",
    8: "HTTP",
    9: "GO",
    10: "PHP",
    11: "OMS",
    12: "RUST",
    13: "NODE_JS",
}
LANGUAGE_CODES: dict[str, int] = {name: code for code, name in LANGUAGE_NAMES.items()}

#: What a broker writes of itself. Clients read the version of heartbeat answers to decide what they may ask
#: for, so ours is that of the release whose behaviour we follow: the ordinal of
#: ``MQVersion.Version.V5_5_0``.
DEFAULT_LANGUAGE = "JAVA"
DEFAULT_VERSION = 513

_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class RemotingCommand(
    msgspec.Struct,
    gc=False,
    rename={"ext_fields": "extFields", "body": "-body", "serialization": "-serialization"},
):
    """One request or response.

    :ivar code: a request code, or in a response a response code.
    :ivar opaque: int32 chosen by whoever asks; the answer repeats it.
    :ivar flag: bit 0 response, bit 1 one-way.
    :ivar version: the peer's ``MQVersion`` ordinal.
    :ivar language: the peer's language by name, e.g. ``"JAVA"``.
    :ivar remark: text for people, usually the reason of an error, or None.
    :ivar ext_fields: the custom header: every value a string. What the peer sent as null is left out.
    :ivar body: raw bytes, empty if there is none.
    :ivar serialization: JSON or ROCKETMQ; answers go out the way the request came in.
    """

    # The JSON header is decoded straight into this struct, hence the renaming: the last two are ours alone
    # and are always set after decoding, whatever a peer may put under such a name.
    code: _Int32
    opaque: _Int32
    flag: _Int32 = 0
    version: _Int32 = 0
    language: str = DEFAULT_LANGUAGE
    remark: str | None = None
    ext_fields: dict[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    serialization: int = JSON

    @property
    def is_response(self) -> bool:
        """Whether this answers a request."""
        return self.flag & 1 == 1

    @property
    def is_oneway(self) -> bool:
        """Whether no answer is wanted."""
        return self.flag & 2 == 2


def language_name(code: int) -> str:
    """The name of a language number; ``"OTHER"`` for one that RocketMQ does not define."""
    return LANGUAGE_NAMES.get(code, "OTHER")


def language_code(name: str) -> int:
    """The number of a language name; that of OTHER for one that RocketMQ does not define."""
    return LANGUAGE_CODES.get(name, 7)


def require_int32(value: int, field: str) -> int:
    """Return `value`, or raise a WireError that names the field, if it does not fit an int32."""
    if not -(2**31) <= value <= 2**31 - 1:
        raise WireError(f"Remoting header field {field}: expected an int32, got {value}", fatal=False)
    return value
