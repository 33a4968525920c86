"""Where everything durable lies: ``store/`` and ``tls/`` in one directory, nobody else's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rmqgateway.config_sources import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DataDirectory", "default_data_directory"]

_OURS = {"store", "tls"}
_HARMLESS = {"lost+found"}


def default_data_directory(environment: Mapping[str, str], uid: int | None = None) -> str:
    """``$XDG_DATA_HOME/rmqgateway``, or ``~/.local/share/rmqgateway``.

    :param uid: the user that the process is going to be (twistd's --uid), if not the one that it is now: his home.
    """
    if uid is None or uid == os.getuid():
        base = environment.get("XDG_DATA_HOME", "")
        if not os.path.isabs(base):
            base = os.path.join(os.path.expanduser("~"), ".local", "share")
    else:
        import pwd

        base = os.path.join(pwd.getpwuid(uid).pw_dir, ".local", "share")
    return os.path.join(base, "rmqgateway")


class DataDirectory:
    """The directory; `prepare` creates it while the process still has its first rights.

    The store in it is locked by the store for as long as it is open.

    :param place: the setting that names it, for errors. :param uid: who is going to use it, if not who prepares it.
    """

    def __init__(self, path: str, place: str, uid: int | None = None, gid: int | None = None) -> None:
        self.path = os.path.abspath(path)
        self._place = place
        self._owner = (-1 if uid is None else uid, -1 if gid is None else gid)

    @property
    def store(self) -> str:
        """The store's part."""
        return os.path.join(self.path, "store")

    @property
    def tls(self) -> str:
        """The generated certificate's part."""
        return os.path.join(self.path, "tls")

    def prepare(self) -> None:
        """Create what is missing. :raise ConfigurationError: not a directory, somebody else's, or not writable."""
        try:
            self._create(self.path)
            names = set(os.listdir(self.path)) - _HARMLESS
        except OSError as error:
            raise ConfigurationError(
                f"{self._place}: the data directory {self.path} cannot be used: {error.strerror or error}"
            ) from error
        if names and not names & _OURS:
            some = ", ".join(sorted(names)[:3])
            raise ConfigurationError(
                f"{self._place}: {self.path} holds other files ({some}) and no data of rmqgateway; name an empty directory"
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"{self._place}: the data directory {self.path} is not writable for user {os.getuid()}; "
                "name another: --data-dir DIRECTORY"
            )

    def _create(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        if parent != path:
            self._create(parent)
        os.mkdir(path, 0o700)
        if self._owner != (-1, -1):
            os.chown(path, *self._owner)
