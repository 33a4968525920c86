"""The registry of consumer groups and their configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core
from rmqgateway.commands.administering import GroupConfig
from rmqgateway.errors import Code, GatewayError

__all__ = ["Groups"]

_TABLE = "groups"
_COUNTERS = "counters"
_VERSION = "groups_version"
_log = Logger()


class _Record(msgspec.Struct, array_like=True):
    """What the metadata table holds for a group. :ivar format: 1."""

    format: int
    config: GroupConfig


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode

#: Groups that a real broker knows from its start (``SubscriptionGroupManager.init``), and whether they broadcast.
_PREDEFINED = (
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
)


class Groups(Component):
    """All consumer groups.

    :ivar by_name: every group's configuration; read only for others.
    :ivar version: grows with each change.
    :ivar on_delete: called with the name of each group that was deleted.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.by_name: dict[str, GroupConfig] = {}
        self.version = 0
        self.on_delete: list[Callable[[str], None]] = []

    def start(self) -> None:
        metadata = self.core.store.metadata
        self.version = int(metadata.get(_COUNTERS, _VERSION) or b"0")
        for name in _PREDEFINED:
            self.by_name[name] = GroupConfig(name)
        for name, value in metadata.items(_TABLE):
            try:
                self.by_name[name] = _decode(value).config
            except msgspec.MsgspecError as error:
                _log.error(
                    "the record of consumer group {name} is passed over: {error}", name=name, error=error
                )

    def find(self, name: str) -> GroupConfig:
        """The group's configuration; the group is created if that is allowed.

        It counts at once; that it is recorded in the background loses nothing: without it, it is created again.

        :raise GatewayError: BAD_GROUP_NAME, GROUP_NOT_FOUND, STORE_FULL (too many groups).
        """
        found = self.by_name.get(name)
        if found is not None:
            return found
        names.check_group(name)
        if not self.core.settings.auto_create_groups and not names.is_system_group(name):
            raise GatewayError(
                Code.GROUP_NOT_FOUND,
                f"consumer group {name!r} does not exist, and groups are not created on first use",
            )
        config = GroupConfig(name)
        self.create([config]).addErrback(
            lambda failure: _log.failure("a consumer group was not recorded", failure)
        )
        return config

    def existing(self, name: str) -> GroupConfig:
        """The group's configuration, never created.

        :raise GatewayError: GROUP_NOT_FOUND.
        """
        found = self.by_name.get(name)
        if found is None:
            raise GatewayError(Code.GROUP_NOT_FOUND, f"consumer group {name[:300]!r} does not exist")
        return found

    def configs(self) -> Iterator[GroupConfig]:
        """Every group's configuration, in order of their names."""
        for name in sorted(self.by_name):
            yield self.by_name[name]

    def create(self, configs: Sequence[GroupConfig]) -> Deferred[None]:
        """Create groups, or change those that exist; fires when durable. The caller checked names and values.

        :raise GatewayError: STORE_FULL: too many groups.
        """
        new = sum(config.name not in self.by_name for config in configs)
        if new and len(self.by_name) + new > self.core.settings.max_groups:
            raise GatewayError(
                Code.STORE_FULL, f"there are {len(self.by_name)} consumer groups already (max_groups)"
            )
        changes: list[tuple[str, str, bytes | None]] = [self.changed()]
        for config in configs:
            self.by_name[config.name] = config
            changes.append((_TABLE, config.name, _encode(_Record(1, config))))
        return self.core.store.metadata.change(changes)

    def delete(self, name: str) -> Deferred[None]:
        """Forget a group; fires when durable. One that is not there is left so."""
        if self.by_name.pop(name, None) is None:
            return succeed(None)
        for callback in self.on_delete:
            callback(name)
        return self.core.store.metadata.change([(_TABLE, name, None), self.changed()])

    def changed(self) -> tuple[str, str, bytes | None]:
        """Count a change of what is told of groups; return the part of a metadata change that records it."""
        self.version += 1
        return _COUNTERS, _VERSION, b"%d" % self.version
