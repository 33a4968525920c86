"""``document_settings.py FILE``: write the page of all settings from the structs that declare them.

``--check`` only tells, by its status, whether the file is as it would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
for _folder in (".", "protocols", "tap"):
    sys.path.insert(0, str(ROOT / _folder))

from rmqgateway.config import SET_IN_LOCAL, section_types  # noqa: E402
from rmqgateway.config_help import describe, help_of, spell, summary_of  # noqa: E402
from rmqgateway.config_sections import ListenerSettings  # noqa: E402
from rmqgateway.loader import find_makers, load_front_end  # noqa: E402

HEAD = """# Settings

<!-- Written by tools/document_settings.py (make docs) from the structs that declare the settings. Do not edit. -->

Each setting can be given in four places; the later ones in this list win:

1. a TOML file: `--config FILE` or the variable `RMQGATEWAY_CONFIG`;
2. an environment variable: `RMQGATEWAY_SECTION__KEY`, such as `RMQGATEWAY_LOCAL__FLUSH=async`;
3. a flag: `--set section.key=value`, such as `--set local.flush=async`.

`twistd rmqgateway --print-config` shows every setting with its value and where it comes from; secrets are masked. A
wrong section, key or value ends the process with the place, the reason and the nearest right name. Relative paths are
meant from where the command was typed.

## Listeners

    twistd rmqgateway --listen remoting=tcp:9876:interface=127.0.0.1 --listen "mqtt=tcp:1883:interface=127.0.0.1;mqtt"

or `RMQGATEWAY_LISTEN="remoting=tcp:9876:interface=127.0.0.1 …"`, or in the file

    [listeners]
    remoting = "tcp:9876:interface=127.0.0.1"

    [listeners.mqtt]
    endpoint = "tcp:1883:interface=127.0.0.1"
    front_ends = ["mqtt"]
    advertise = "mq.example.org"

Without any endpoint there are three: `remoting` on 9876, `grpc` on 8081, `web` on 8080, each on 127.0.0.1, each
serving every enabled front-end. Naming an endpoint replaces the three; setting anything else, such as `--set
listeners.web.advertise=…`, does not. The first bytes of a connection decide which front-end gets it. A listener that
names one front-end alone serves no HTTP, and lets a server speak first. An endpoint is a [Twisted endpoint
string](https://docs.twisted.org/en/stable/core/howto/endpoints.html#servers); a colon within a value is written
`\\:`.

Listening on anything but loopback is refused while no user exists ([security](security.md)), unless
`listening.remote_without_users` says so.

Every port takes TLS as well: with the certificate that `tls.certificate` names, or, for clients on loopback, with one
generated in the data directory at the first start (`tls/certificate.pem`, which clients may trust).

Connections are limited to `listening.connections` in all (then nothing more is accepted until some close) and to
`listening.connections_per_address` of one address (more are closed at once). Loopback is exempt from the second.

## Data directory

`--data-dir DIRECTORY` (`RMQGATEWAY_DATA_DIR`, or `data_dir` in the file); else `$XDG_DATA_HOME/rmqgateway`, else
`~/.local/share/rmqgateway`; `make run` uses `.data` in the tree. With `twistd --uid`, ports are bound and a missing
directory is created before the user is changed, and given to him; the store is opened afterwards, so that every file
in it is his; the default is then in his home. One process uses a directory at a time; one with other files in it is
refused.

## Start and stop

SIGTERM and SIGINT: /readyz says so for `listening.notice_s`, nothing more is accepted, clients are asked to finish within
`listening.drain_s`, the rest are closed, the store is made durable and closed, and the process ends with status 0. A second
signal ends it at once; nothing acknowledged is lost by that.

Clients are told in their protocol's words: Remoting clients newer than 5.3.1 by GO_AWAY, others are left between two requests;
gRPC clients by `ReconnectEndpoints` and GOAWAY; WebSockets by 1012; HTTP by `Connection: close`. Before a cluster, restart
gateways one after the other behind a balancer of TCP connections ([cluster.md](cluster.md)). With the local backend clients that
come meanwhile are refused, and most libraries give up their retries within milliseconds, unless somebody else keeps the socket:
a `.socket` unit of systemd and `--listen systemd:domain=INET:index=0`. They then wait for as long as the drain (1 to 2 s where
clients are idle or quick) and the next start take; official clients give a send 3 s by default.
"""


def table(section: str, struct: type[Any], hidden: frozenset[str] = frozenset()) -> str:
    """One section as a table."""
    helps = help_of(struct)
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(struct):
        if field.name in hidden:
            continue
        default = field.default if field.default is not msgspec.NODEFAULT else ""
        meaning = (helps.get(field.name, "") + f" ({describe(field.type)})").strip().replace("|", "\\|")
        rows.append(f"| `{section + '.' if section else ''}{field.name}` | `{spell(default)}` | {meaning} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, struct in section_types().items():
        parts.append(f"\n## {name or 'Outside every section'}\n\n{summary_of(struct)}\n\n")
        parts.append(table(name, struct, SET_IN_LOCAL if name == "store" else frozenset()))
    parts.append(
        f"\n## listeners.NAME\n\n{summary_of(ListenerSettings)}\n\n{table('listeners.NAME', ListenerSettings)}"
    )
    makers = find_makers(entry_points=[])
    for name, maker in makers.items():
        struct = load_front_end(makers, name).settings
        parts.append(f"\n## front_ends.{name}\n\n{maker.description} {summary_of(struct)}\n\n")
        enabled = "true" if maker.enabled_by_default else "false"
        parts.append(table(f"front_ends.{name}", struct))
        parts.append(
            f"| `front_ends.{name}.enabled` | `{enabled}` | Whether it is served. (true or false) |\n"
        )
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    check = "--check" in arguments
    (file,) = [Path(argument) for argument in arguments if not argument.startswith("--")]
    if not check:
        file.write_text(page())
        return 0
    if file.exists() and file.read_text() == page():
        return 0
    print(f"{file} is not what the settings say; run: make docs")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
