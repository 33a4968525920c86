"""The command line."""

from __future__ import annotations

import os
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from twisted.python import usage

from rmqgateway import __version__
from rmqgateway.config import Configuration
from rmqgateway.config_sources import (
    PREFIX,
    Given,
    from_environment,
    from_file,
    from_listen_flag,
    from_set_flag,
)
from rmqgateway.loader import find_makers, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Options"]


class Options(usage.Options):
    """``twistd rmqgateway``'s options; `configuration` holds everything that is set once they are parsed."""

    synopsis = "[options]"
    longdesc = (
        "A gateway for Apache RocketMQ clients with an embedded, durable broker. Settings come from flags, before "
        "environment variables (RMQGATEWAY_SECTION__KEY), before the configuration file, before the defaults."
    )
    optParameters = [
        ["config", "c", None, "Read settings from this TOML file (or RMQGATEWAY_CONFIG)."],
        ["data-dir", "d", None, "Keep everything durable here. [default: ~/.local/share/rmqgateway]"],
        ["advertise", None, None, "Tell clients this host, or host:port. [default: what each connected to]"],
        ["backend", None, None, "What executes commands: local, or cluster, which needs --namesrv. [default: local]"],
        ["namesrv", None, None, "The cluster's name servers: host:port;host:port (backend cluster)."],
    ]
    optFlags = [
        ["help-front-ends", None, "Show the installed front-ends with their settings, and exit."],
        ["print-config", None, "Show every setting, its value and where it comes from, and exit."],
    ]

    environment: Mapping[str, str] = os.environ

    def __init__(self) -> None:
        super().__init__()
        self._given: list[Given] = []
        self.makers: Mapping[str, Any] = {}
        self.configuration: Configuration

    def opt_listen(self, text: str) -> None:
        """Listen here: [NAME=]ENDPOINT[;FRONT_END,...], such as remoting=tcp:9876:interface=127.0.0.1. Repeat it for
        more; naming any replaces the defaults."""
        self._given += from_listen_flag(text)

    opt_l = opt_listen

    def opt_set(self, text: str) -> None:
        """Set one setting: SECTION.KEY=VALUE, such as local.flush=async. Repeat it for more."""
        self._given.append(from_set_flag(text))

    opt_s = opt_set

    def opt_version(self) -> NoReturn:
        """Show the version, and exit."""
        sys.stdout.write(f"rmqgateway {__version__}\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See usage.Options; what is wrong is said in one line, and the process ends with status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            text = str(error)
            if text.startswith("option "):
                flag = text.split()[1].lstrip("-")
                text += nearest(flag, [name.rstrip("=") for name in self.longOpt])
            sys.stderr.write(f"rmqgateway: {text}\n")
            raise SystemExit(1) from error

    def parseArgs(self, *arguments: str) -> None:
        """See usage.Options: there are only options."""
        if arguments:
            raise usage.UsageError(f"expected only options, such as --set local.flush=async, got {arguments[0]!r}")

    def postOptions(self) -> None:
        """See usage.Options."""
        self.makers = find_makers()
        if self["help-front-ends"]:
            from rmqgateway_tap.showing import show_front_ends

            _print(lambda file: show_front_ends(self.makers, file))
        self.configuration = Configuration(
            self._all_given(), {name: maker.enabled_by_default for name, maker in self.makers.items()}
        )
        if self["print-config"]:
            from rmqgateway_tap.showing import show_configuration
            from rmqgateway_tap.wiring import load_front_ends

            load_front_ends(self)
            _print(lambda file: show_configuration(self.configuration, file))

    def _all_given(self) -> list[Given]:
        file = self["config"] or self.environment.get(PREFIX + "CONFIG")
        found = from_file(file) if file else []
        found += from_environment(self.environment)
        found += self._given
        for flag, name in (("data-dir", "data_dir"), ("advertise", "advertise"), ("backend", "backend")):
            if self[flag] is not None:
                found.append(Given((name,), self[flag], f"--{flag}", True))
        if self["namesrv"] is not None:
            found.append(Given(("cluster", "namesrv"), self["namesrv"], "--namesrv", True))
        return found


def _print(show: Callable[[TextIO], None]) -> NoReturn:
    """Write to standard output and end; who has read enough may close it (``| head``)."""
    text = StringIO()
    show(text)
    try:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
    raise SystemExit(0)
