"""What a front-end is made with; light, since drop-ins in ``twisted/plugins`` import it on every twistd run."""

from __future__ import annotations

import enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from rmqgateway.interfaces import IConnectionFrontEnd, IFrontEndMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.interfaces import IProtocol

    from rmqgateway.interfaces import IGateway

__all__ = ["ConnectionFrontEnd", "ConnectionInformation", "FrontEndMaker", "Recognition", "RouteDeclaration", "begins_with"]


class Recognition(enum.Enum):
    """Whether a connection is a front-end's, judged by its first bytes."""

    YES = "yes"
    NO = "no"
    MORE = "more"


def begins_with(first_bytes: bytes, beginnings: Iterable[bytes]) -> Recognition:
    """Whether a connection that began with `first_bytes` begins, or may still begin, with one of these."""
    found = Recognition.NO
    for beginning in beginnings:
        if first_bytes.startswith(beginning):
            return Recognition.YES
        if beginning.startswith(first_bytes):
            found = Recognition.MORE
    return found


class ConnectionInformation:
    """What a front-end is told about a new connection.

    :ivar peer: the client's address (IAddress). :ivar advertised: "host:port" under which this client reaches us.
    :ivar secure: whether it came over TLS. :ivar listener: the listener's name, for logs and metrics.
    """

    __slots__ = ("advertised", "listener", "peer", "secure")

    def __init__(self, peer: Any, advertised: str, secure: bool, listener: str) -> None:
        self.peer = peer
        self.advertised = advertised
        self.secure = secure
        self.listener = listener


@implementer(IConnectionFrontEnd)
class ConnectionFrontEnd:
    """What front-ends that own connections have in common: derive, set `name`, `settings`, `protocol` and `beginnings`, and
    override what is more than that. A class's `name` and `settings` are its maker's and its help; see `IConnectionFrontEnd`.

    :ivar protocol: called with gateway, connection and settings for each connection.
    :ivar beginnings: with one of these each connection of this protocol begins, and of no other; at most 64 bytes.
    """

    name = ""
    settings: type[Any]
    protocol: Callable[[IGateway, ConnectionInformation, Any], IProtocol]
    beginnings: tuple[bytes, ...] = ()
    recognition_order = 60
    web_socket_protocols: Sequence[str] = ()

    def __init__(self) -> None:
        self._settings = self.settings()

    def configure(self, settings: Any) -> None:
        """See `IFrontEnd`."""
        self._settings = settings

    def recognise(self, first_bytes: bytes) -> Recognition:
        """See `IConnectionFrontEnd`."""
        return begins_with(first_bytes, self.beginnings)

    def make_protocol(self, gateway: IGateway, connection: ConnectionInformation) -> IProtocol:
        """See `IConnectionFrontEnd`."""
        return type(self).protocol(gateway, connection, self._settings)


class RouteDeclaration:
    """One HTTP route: method, path prefix, media types of the request body, priority.

    :ivar methods: such as ``("POST",)``; HEAD goes with GET by itself. :ivar path: a whole path, or with a final ``/*``
        a prefix. :ivar media_types: accepted request media types without parameters, () for any; a final ``*`` matches
        the rest. :ivar priority: among routes that match, the greater wins, then the more precise path (a whole one, a
        longer prefix); two of which neither is more precise are refused at start.
    :ivar data: the front-end's own. :ivar allow_headers: request headers, and :ivar expose_headers: response headers, that
        pages of other (allowed) origins may use besides the usual ones.
    """

    __slots__ = ("allow_headers", "data", "expose_headers", "media_types", "methods", "path", "priority")

    def __init__(
        self,
        methods: tuple[str, ...],
        path: str,
        media_types: tuple[str, ...] = (),
        priority: int = 0,
        data: Any = None,
        allow_headers: tuple[str, ...] = (),
        expose_headers: tuple[str, ...] = (),
    ) -> None:
        self.allow_headers = allow_headers
        self.expose_headers = expose_headers
        self.methods = methods
        self.path = path
        self.media_types = media_types
        self.priority = priority
        self.data = data


@implementer(IPlugin, IFrontEndMaker)
class FrontEndMaker:
    """Announces a front-end by strings; imports it on first use.

    :param module: the module to import. :param attribute: the name in it that is the front-end, or a callable without
        arguments that makes it.
    """

    def __init__(
        self,
        name: str,
        description: str,
        module: str,
        attribute: str = "front_end",
        *,
        extra: str = "",
        enabled_by_default: bool = False,
    ) -> None:
        self.name = name
        self.description = description
        self.module = module
        self.attribute = attribute
        self.extra = extra
        self.enabled_by_default = enabled_by_default
        self._loaded: Any = None

    def load(self) -> Any:
        """See `IFrontEndMaker.load`."""
        if self._loaded is None:
            found = getattr(import_module(self.module), self.attribute)
            make: Callable[[], Any] | None = found if isinstance(found, type) else None
            self._loaded = make() if make is not None else found
        return self._loaded

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrontEndMaker):
            return NotImplemented
        return (self.name, self.module, self.attribute) == (other.name, other.module, other.attribute)

    def __hash__(self) -> int:
        return hash((self.name, self.module, self.attribute))

    def __repr__(self) -> str:
        return f"FrontEndMaker({self.name!r}, module={self.module!r})"
