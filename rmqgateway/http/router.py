"""Which front-end answers a request: the declared routes of all of them in one table; sans-IO.

Of the routes that match path and method the greater priority comes first, then the more precise path (a whole one before a
prefix, a longer prefix before a shorter). The first that takes the body's media type answers. So a gRPC front-end's
``POST /*`` for ``application/grpc`` and a console's ``GET /*`` live side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rmqgateway.errors import WireError
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.targets import normal_path

__all__ = ["Resolved", "Route", "RouteConflict", "Router"]

_CACHED_TARGETS = 1024
_CACHED_TYPES = 32
_LONGEST_CACHED = 256


class RouteConflict(ValueError):
    """Two declarations of equal priority want the same requests, or one is none."""


class Route:
    """One declaration, ready to be matched. :ivar front_end: the provider of IRequestFrontEnd."""

    __slots__ = ("any_type", "declaration", "exact", "front_end", "methods", "path", "prefix", "types", "wide")

    def __init__(self, front_end: Any, declaration: RouteDeclaration) -> None:
        self.front_end = front_end
        self.declaration = declaration
        path = declaration.path
        self.prefix = path.endswith("/*")
        self.path = path[:-1] if self.prefix else path
        if not path.startswith("/") or "*" in self.path or any(c in path for c in "?#% "):
            raise RouteConflict(
                f"the front-end {front_end.name} declares {path!r}: expected a path, or with a final /* a prefix"
            )
        if not declaration.methods or any(not m.isascii() or m != m.upper() for m in declaration.methods):
            raise RouteConflict(f"the front-end {front_end.name} declares {path!r} with methods {declaration.methods!r}")
        self.methods = frozenset(declaration.methods)
        types = [media_type.lower().encode() for media_type in declaration.media_types]
        self.exact = frozenset(one for one in types if not one.endswith(b"*"))
        self.wide = tuple(one[:-1] for one in types if one.endswith(b"*") and one != b"*/*")
        self.any_type = not types or b"*/*" in types
        self.types = declaration.media_types

    def takes_path(self, path: str) -> bool:
        """Whether it serves this path."""
        return path.startswith(self.path) if self.prefix else path == self.path

    def takes_type(self, media_type: bytes) -> bool:
        """Whether it takes a body of this type (lower case, without parameters)."""
        return self.any_type or media_type in self.exact or media_type.startswith(self.wide)

    def describe(self) -> str:
        """For people."""
        methods = ",".join(self.declaration.methods)
        types = f" for {', '.join(self.types)}" if self.types else ""
        return f"{self.front_end.name}: {methods} {self.declaration.path}{types}"

    def clashes(self, other: Route) -> bool:
        """Whether nothing says which of the two answers some request."""
        if (self.path, self.prefix) != (other.path, other.prefix) or not self.methods & other.methods:
            return False
        if self.declaration.priority != other.declaration.priority:
            return False
        if self.any_type or other.any_type:
            return True
        return (
            bool(self.exact & other.exact)
            or any(other.takes_type(one) for one in self.exact)
            or any(self.takes_type(one) for one in other.exact)
            or any(a.startswith(b) or b.startswith(a) for a in self.wide for b in other.wide)
        )


class Resolved:
    """What is known of a method and a path. :ivar path: normalised. :ivar routes: that serve both, best first.
    :ivar allow: the methods of this path, for OPTIONS; () if nothing serves it. :ivar named: those for 405, without what takes
    every path but only its own media types (gRPC): to all others such a path does not exist. :ivar error: what is wrong with
    the path. :ivar only: the first route, if it takes any media type."""

    __slots__ = ("_by_type", "allow", "error", "method", "named", "only", "path", "routes")

    def __init__(
        self,
        method: str,
        path: str,
        routes: tuple[Route, ...],
        allow: tuple[str, ...],
        named: tuple[str, ...],
        error: str = "",
    ) -> None:
        self.named = named
        self.method = method
        self.path = path
        self.routes = routes
        self.allow = allow
        self.error = error
        self.only = routes[0] if routes and routes[0].any_type else None
        self._by_type: dict[bytes | None, Route | None] = {}

    def route_for(self, content_type: bytes | None) -> Route | None:
        """The route that takes a body of this Content-Type (as sent; None: there is no body), or None: 404, 405 or 415."""
        try:
            return self._by_type[content_type]
        except KeyError:
            pass
        found: Route | None = None
        if content_type is None:
            # What takes every path does so for its own media types only (gRPC): a request without any is not meant for it.
            found = next((route for route in self.routes if route.any_type or route.path != "/"), None)
        else:
            media_type = content_type.split(b";", 1)[0].strip().lower()
            for route in self.routes:
                if route.takes_type(media_type):
                    found = route
                    break
        if len(self._by_type) >= _CACHED_TYPES:
            self._by_type.clear()
        self._by_type[content_type] = found
        return found

    def accepts(self) -> bytes:
        """The media types that would be taken, for Accept-Post."""
        return ", ".join(dict.fromkeys(one for route in self.routes for one in route.types)).encode()


class Router:
    """All routes of some front-ends.

    :param front_ends: providers of IRequestFrontEnd. :raise RouteConflict: two want the same; the text names both.
    """

    def __init__(self, front_ends: Iterable[Any]) -> None:
        routes = [Route(front_end, declaration) for front_end in front_ends for declaration in front_end.routes()]
        for number, route in enumerate(routes):
            for other in routes[:number]:
                if route.clashes(other):
                    raise RouteConflict(
                        f"two routes want the same requests with the same priority: {other.describe()}, and "
                        f"{route.describe()}"
                    )
        self.routes = sorted(routes, key=lambda route: (-route.declaration.priority, route.prefix, -len(route.path)))
        self._cache: dict[tuple[bytes, bytes], Resolved] = {}

    def resolve(self, method: bytes, path: bytes) -> Resolved:
        """What serves a method and a path (as sent, without its query)."""
        key = (method, path)
        found = self._cache.get(key)
        if found is None:
            found = self._resolve(method.decode("ascii", "replace"), path)
            if len(path) <= _LONGEST_CACHED:
                if len(self._cache) >= _CACHED_TARGETS:
                    self._cache.clear()
                self._cache[key] = found
        return found

    def _resolve(self, method: str, raw: bytes) -> Resolved:
        try:
            path = "*" if raw == b"*" else normal_path(raw)
        except WireError as error:
            return Resolved(method, "", (), (), (), error.message)
        if path == "*":
            allow = self._methods(self.routes)
            return Resolved(method, path, (), allow, allow)
        serving = [route for route in self.routes if route.takes_path(path)]
        routes = tuple(
            route
            for route in serving
            if method in route.methods or (method == "HEAD" and "GET" in route.methods)
        )
        named = [route for route in serving if route.any_type or route.path != "/" or not route.prefix]
        return Resolved(method, path, routes, self._methods(serving), self._methods(named))

    @staticmethod
    def _methods(routes: list[Route]) -> tuple[str, ...]:
        if not routes:
            return ()
        methods = dict.fromkeys(method for route in routes for method in route.declaration.methods)
        if "GET" in methods:
            methods["HEAD"] = None
        methods["OPTIONS"] = None
        return tuple(methods)
