"""Settings: structs with defaults, overridden by a file, by the environment, by flags, in this order.

Every error names the place (file and key, variable, flag), the reason and the nearest right name. A front-end's section is
checked when the front-end is enabled: only then is it imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import msgspec

from rmqgateway.config_help import choices, describe, is_secret, spell
from rmqgateway.config_sections import (
    DEFAULT_LISTENERS,
    ListenerSettings,
    ListeningSettings,
    LoggingSettings,
    ProcessSettings,
    TLSSettings,
)
from rmqgateway.config_sources import ConfigurationError, Given
from rmqgateway.loader import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Configuration", "ConfigurationError", "section_types"]

Settings = TypeVar("Settings")

#: Of the store's settings these are set in the section local, whose words are RocketMQ's.
SET_IN_LOCAL = frozenset({"flush", "cache_bytes", "retention_seconds", "retention_bytes"})


def section_types() -> dict[str, type[Any]]:
    """The struct of each section that has a fixed name."""
    from rmqgateway.backend.cluster.passthrough_settings import PassthroughSettings
    from rmqgateway.backend.cluster.registry_settings import RegistrySettings
    from rmqgateway.backend.cluster.settings import ClusterSettings
    from rmqgateway.backend.local.settings import LocalSettings
    from rmqgateway.backend.store.settings import StoreSettings
    from rmqgateway.governance.budgets import Limits
    from rmqgateway.governance.user_file import UsersSettings
    from rmqgateway.http.settings import HttpSettings

    return {
        "": ProcessSettings,
        "listening": ListeningSettings,
        "http": HttpSettings,
        "limits": Limits,
        "local": LocalSettings,
        "store": StoreSettings,
        "logging": LoggingSettings,
        "cluster": ClusterSettings,
        "passthrough": PassthroughSettings,
        "registry": RegistrySettings,
        "tls": TLSSettings,
        "users": UsersSettings,
    }


class Configuration:
    """Everything that is set, checked.

    :param given: lowest first: file, environment, flags.
    :param front_ends: the names of those installed, and whether each is enabled by default.
    :raise ConfigurationError: a section, key or value is wrong.
    """

    def __init__(self, given: Iterable[Given], front_ends: Mapping[str, bool]) -> None:
        self._types = section_types()
        self._given: dict[tuple[str, ...], Given] = {}
        for one in given:
            self._check_path(one, front_ends)
            self._given[one.path] = one
        self._built: dict[str, tuple[type[Any], Any]] = {}
        for name, struct in self._types.items():
            self._build((name,) if name else (), struct)
        self.enabled = [name for name in front_ends if self._is_enabled(name, front_ends[name])]
        self.listeners = self._listeners()

    # What is there.

    def section(self, name: str, struct: type[Settings]) -> Settings:
        """The settings of a section, of its type."""
        found = self._built[name][1]
        if not isinstance(found, struct):
            raise TypeError(f"the section {name} holds {type(found).__name__}, not {struct.__name__}")
        return found

    def front_end(self, name: str, struct: type[Settings]) -> Settings:
        """The settings of an enabled front-end."""
        settings: Settings = self._build(("front_ends", name), struct, ("enabled",))
        return settings

    def place(self, *path: str) -> str:
        """Where a value comes from, for an error: "--set limits.sessions", or "limits.sessions (the default)"."""
        given = self._given.get(path)
        return given.place if given is not None else f"{'.'.join(path)} (the default)"

    def effective(self) -> Iterator[tuple[str, str, str, str]]:
        """Each setting: (section, key, value as TOML writes it or ******, where it comes from)."""
        for section in sorted(self._built, key=lambda name: (name != "", name)):
            struct, settings = self._built[section]
            path = tuple(section.split(".")) if section else ()
            if section.startswith("front_ends."):
                origin = self._given.get((*path, "enabled"))
                yield section, "enabled", "true", origin.place if origin else "default"
            for field in _fields(struct, section):
                given = self._given.get((*path, field.name))
                value = getattr(settings, field.name)
                text = "******" if value and is_secret(field.name, field.type) else spell(value)
                yield section, field.name, text, given.place if given is not None else "default"

    # How it is made.

    def _check_path(self, given: Given, front_ends: Mapping[str, bool]) -> None:
        path = given.path
        if path[0] == "front_ends" and len(path) > 1:
            if path[1] not in front_ends:
                raise ConfigurationError(
                    f"{given.place}: no front-end named {path[1]!r} is installed{nearest(path[1], front_ends)}"
                )
            if len(path) == 3:
                return
        elif path[0] == "listeners" and len(path) > 1:
            if len(path) == 3:
                self._check_key(given, path[2], [field.name for field in _fields(ListenerSettings, "")])
                return
        elif path[0] in self._types:
            if len(path) == 2:
                self._check_key(
                    given, path[1], [field.name for field in _fields(self._types[path[0]], path[0])]
                )
                return
        else:
            names = [*(name for name in self._types if name), "listeners", "front_ends"]
            top = [field.name for field in msgspec.structs.fields(ProcessSettings)]
            if len(path) == 1:
                self._check_key(given, path[0], top if path[0] not in names else names)
                return
            raise ConfigurationError(
                f"{given.place}: there is no section {path[0]!r}{nearest(path[0], names)}"
            )
        shape = f"{path[0]}.NAME.key" if path[0] in ("front_ends", "listeners") else f"{path[0]}.key"
        raise ConfigurationError(f"{given.place}: expected {shape}, got {'.'.join(path)}")

    def _check_key(self, given: Given, key: str, names: list[str]) -> None:
        if key not in names:
            if key in SET_IN_LOCAL and given.path[0] == "store":
                raise ConfigurationError(
                    f"{given.place}: this is set in the section local (flush, cache_bytes, retention_…)"
                )
            raise ConfigurationError(f"{given.place}: there is no setting {key!r}{nearest(key, names)}")

    def _is_enabled(self, name: str, default: bool) -> bool:
        given = self._given.get(("front_ends", name, "enabled"))
        return default if given is None else bool(_convert(given, bool))

    def _build(self, path: tuple[str, ...], struct: type[Any], others: tuple[str, ...] = ()) -> Any:
        section = ".".join(path)
        fields = {field.name: field for field in _fields(struct, section)}
        values: dict[str, Any] = {}
        places: dict[str, str] = {}
        for given_path, given in self._given.items():
            if given_path[:-1] != path or given_path[-1] in others:
                continue
            key = given_path[-1]
            self._check_key(given, key, [*fields, *others])
            values[key] = _convert(given, fields[key].type)
            places[key] = given.place
        try:
            settings = struct(**values)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(self.blame(section, error)) from error
        self._built[section] = (struct, settings)
        return settings

    def blame(self, section: str, error: Exception) -> str:
        """The text for a section whose values do not fit together; `error` names the field first, or none."""
        text = str(error)
        path = tuple(section.split(".")) if section else ()
        places = {key[-1]: given.place for key, given in self._given.items() if key[:-1] == path}
        named = text.split(":")[0].split(" ")[0]
        place = places.get(named) or ", ".join(places.values()) or f"the section {section}"
        return f"{place}: {text}"

    def _listeners(self) -> dict[str, ListenerSettings]:
        named: dict[str, list[Given]] = {}
        for path, given in self._given.items():
            if path[0] == "listeners":
                named.setdefault(path[1], []).append(given)
        has_endpoint = any(path[0] == "listeners" and path[2] == "endpoint" for path in self._given)
        found: dict[str, ListenerSettings] = {}
        if not has_endpoint:
            found = {
                name: ListenerSettings(endpoint=endpoint) for name, endpoint in DEFAULT_LISTENERS.items()
            }
        for name, all_given in named.items():
            settings = self._build(("listeners", name), ListenerSettings)
            if not settings.endpoint and name in found:
                settings = msgspec.structs.replace(settings, endpoint=found[name].endpoint)
            if not settings.endpoint:
                known = DEFAULT_LISTENERS if not has_endpoint else [other for other in named if other != name]
                raise ConfigurationError(
                    f"{all_given[0].place}: the listener {name!r} has no endpoint, such as "
                    f"tcp:9876:interface=127.0.0.1{nearest(name, known)}"
                )
            for front_end in settings.front_ends:
                if front_end not in self.enabled:
                    raise ConfigurationError(
                        f"{self.place('listeners', name, 'front_ends')}: no front-end named {front_end!r} is enabled"
                        f"{nearest(front_end, self.enabled)}"
                    )
            found[name] = settings
        for name, settings in found.items():
            self._built[f"listeners.{name}"] = (ListenerSettings, settings)
        return found


def _fields(struct: type[Any], section: str) -> list[msgspec.structs.FieldInfo]:
    fields = msgspec.structs.fields(struct)
    return [field for field in fields if section != "store" or field.name not in SET_IN_LOCAL]


def _convert(given: Given, kind: Any) -> Any:
    value = given.value
    if given.is_text and get_origin(kind) in (tuple, list, set, frozenset):
        value = [part.strip() for part in value.strip("[] ").split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=not given.is_text)
    except msgspec.ValidationError as error:
        shown = "******" if is_secret(given.path[-1], kind) else repr(value)
        more = f" ({error})" if "metadata" in dir(kind) or "annotated" in str(type(kind)).lower() else ""
        hint = nearest(str(value), choices(kind)) if choices(kind) else ""
        raise ConfigurationError(
            f"{given.place}: expected {describe(kind)}, got {shown}{more}{hint}"
        ) from error
