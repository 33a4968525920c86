"""The front-end object: settings, routes, one `GrpcCall` for each request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from rmqgateway.apis.limits import ApiSettings
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd

if TYPE_CHECKING:
    from rmqgateway.apis.rpc import Method
    from rmqgateway.apis.service import Api
    from rmqgateway.interfaces import IGateway

__all__ = ["GrpcFrontEnd", "GrpcSettings", "front_end"]

_TYPES = ("application/grpc", "application/grpc+*")
_PREFIXES = (
    "/apache.rocketmq.v2.MessagingService/*",
    "/apache.rocketmq.v2.Admin/*",
    "/grpc.health.v1.Health/*",
    "/grpc.reflection.v1.ServerReflection/*",
    "/grpc.reflection.v1alpha.ServerReflection/*",
    # The rest is answered as gRPC answers it: UNIMPLEMENTED.
    "/*",
)


class GrpcSettings(ApiSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    __doc__ = (ApiSettings.__doc__ or "").replace(
        "Settings of the apache.rocketmq.v2 API", "Settings of the gRPC front-end"
    ) + (
        """:ivar reflection: answer reflection requests, so that tools need no .proto files.
    """
    )

    reflection: bool = True


@implementer(IRequestFrontEnd)
class GrpcFrontEnd:
    """See `IRequestFrontEnd`. :param now_ms: the wall clock, ms since 1970."""

    name = "grpc"
    settings = GrpcSettings

    def __init__(self, now_ms: Callable[[], int] | None = None) -> None:
        self._now_ms = now_ms
        self._settings = GrpcSettings()
        self._apis: dict[int, tuple[IGateway, Api]] = {}
        self._methods: dict[str, Method] = {}
        self._call: Any = None

    def configure(self, settings: GrpcSettings) -> None:
        settings.check()
        self._settings = settings
        self._apis = {}
        self._methods = {}

    def routes(self) -> Iterable[RouteDeclaration]:
        return [RouteDeclaration(("POST",), path, _TYPES) for path in _PREFIXES]

    def respond(self, gateway: IGateway, request: Any, route: RouteDeclaration) -> None:
        known = self._apis.get(id(gateway))
        if known is None or known[0] is not gateway:
            known = self._begin(gateway)
        self._call(known[1], request, self._methods)

    def _begin(self, gateway: IGateway) -> tuple[IGateway, Api]:
        # Imported on first use: protobuf costs 40 ms.
        from rmqgateway.apis.service import METHODS, api_of
        from rmqgateway_grpc.call import GrpcCall
        from rmqgateway_grpc.health import health_methods
        from rmqgateway_grpc.reflection import reflection_methods

        self._call = GrpcCall
        self._methods = {**METHODS, **health_methods()}
        if self._settings.reflection:
            self._methods.update(reflection_methods())
        return gateway, api_of(gateway, self._settings, self._apis, self._now_ms)


#: What the drop-in names.
front_end = GrpcFrontEnd()
