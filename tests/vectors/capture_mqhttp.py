"""Re-capture requests of the MQ HTTP wire: the four SDKs against a gateway, with a recorder between.

    python tests/vectors/capture_mqhttp.py [--out tests/vectors/mqhttp]

Of each SDK one request of each shape (method and names of the query's parameters, in their order) is kept, head and body as
they were sent. Access key and secret are ``key`` and ``secret``. Volatile from run to run: Date, Host, handles, times, and
with them the signatures.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.interop.gateway import Gateway  # noqa: E402
from tests.interop.mqhttp.build import command, lacking  # noqa: E402

SDKS = ("python", "node", "java", "go")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search


class Recorder:
    """A TCP proxy that keeps what clients send, in whole requests."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            threading.Thread(target=self._copy, args=(server, client, None), daemon=True).start()
            threading.Thread(target=self._copy, args=(client, server, bytearray()), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                    self._split(kept)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def _split(self, kept: bytearray) -> None:
        while (end := kept.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH(bytes(kept[:end]))
            total = end + 4 + (int(found.group(1)) if found else 0)
            if len(kept) < total:
                return
            self.requests.append(bytes(kept[:total]))
            del kept[:total]


def shape(request: bytes) -> str:
    """Method, and the names of the query's parameters in their order, the value of trans with them."""
    method, target, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
    query = target.partition("?")[2]
    names = [item if item.startswith("trans=") else item.split("=")[0] for item in query.split("&")]
    return f"{method} {'&'.join(names)}"


def capture(sdk: str, directory: pathlib.Path) -> dict[str, str]:
    """One request of each shape."""
    gateway = Gateway(directory / sdk)
    gateway.start()
    try:
        recorder = Recorder(int(gateway.address.rpartition(":")[2]))
        arguments = [*command(sdk), f"127.0.0.1:{recorder.port}", "all", f"vector_{sdk}"]
        subprocess.run(arguments, cwd=directory, timeout=400, check=True, stdout=subprocess.DEVNULL)
        recorder.listener.close()
    finally:
        gateway.stop()
    kept: dict[str, str] = {}
    for request in recorder.requests:
        kept.setdefault(shape(request), request.decode())
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "mqhttp")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # One scenario waits until a message comes again.
    os.environ["RMQGATEWAY_FRONT_ENDS__MQHTTP__INVISIBLE_SECONDS"] = "5"
    with tempfile.TemporaryDirectory() as name:
        for sdk in SDKS:
            reason = lacking(sdk)
            if reason is not None:
                print(f"{sdk}: {reason}", file=sys.stderr)
                continue
            kept = capture(sdk, pathlib.Path(name))
            text = json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True)
            (options.out / f"{sdk}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{sdk}: {len(kept)} requests")


if __name__ == "__main__":
    main()
