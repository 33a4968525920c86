"""``bare_forward.py PORT TO_PORT``: the least that forwarding costs with Twisted on this machine.

Twisted's own port forwarder: it looks at no byte, so what the passthrough costs more than this is the passthrough's.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory


def main() -> None:
    """Serves until it is ended."""
    port, to_port = int(sys.argv[1]), int(sys.argv[2])
    reactor.listenTCP(port, ProxyFactory("127.0.0.1", to_port), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
