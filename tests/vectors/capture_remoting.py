"""Re-capture the golden Remoting frames: Apache's name server, broker, Java client and mqadmin, with a
recorder between.

    python tests/vectors/capture_remoting.py --jars DIRECTORY_OF_JARS [--out tests/vectors/remoting]

The directory holds rocketmq-{namesrv,broker,client,tools} and all that they need, of one version (or is
named by the environment variable ROCKETMQ_JARS); a JDK must be on the PATH. Everything runs on loopback
with ports chosen free, in a temporary directory, and is ended by its process id. Volatile from run to run:
ids, times, ports, opaques, the order of map entries.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from rmqgateway.wire.remoting import RemotingCommand, decode_frame  # noqa: E402
from rmqgateway.wire.request_codes import request_name  # noqa: E402

#: Frames above this are left out, and of each kind of exchange only so many are kept.
MAX_KEPT_FRAME = 24 * 1024
KEPT_PER_KIND = 2
OPENS = ["java.nio", "sun.nio.ch", "java.lang", "java.util"]


class Recorder:
    """A TCP proxy that records whole frames and makes clients come back through itself.

    What the servers say of each other's addresses is rewritten on the way to the client, in equal length;
    what is kept is what they wrote.
    """

    def __init__(self, name: str, upstream: int) -> None:
        self.name = name
        self.upstream = upstream
        self.records: list[tuple[str, int, str, float, bytes]] = []
        self.rewrites: list[tuple[bytes, bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def add_rewrite(self, old: int, new: int) -> None:
        for make in (
            lambda port: b":%d" % port,
            lambda port: b"7F000001%08X" % port,
            lambda port: b"\x7f\0\0\1" + struct.pack(">I", port),
        ):
            self.rewrites.append((make(old), make(new)))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            self.connections += 1
            number = self.connections
            for source, target, way in ((client, server, "request"), (server, client, "response")):
                threading.Thread(target=self._pump, args=(source, target, way, number), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, way: str, number: int) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                pending += data
                while len(pending) >= 4:
                    size = struct.unpack_from(">I", pending)[0] + 4
                    if len(pending) < size:
                        break
                    frame, pending = pending[:size], pending[size:]
                    self.records.append((self.name, number, way, time.time(), frame))
                    if way == "response":
                        for old, new in self.rewrites:
                            frame = frame.replace(old, new)
                    target.sendall(frame)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


def free_base() -> int:
    """A five-digit port P such that P, P-2 (the broker's VIP port) and P+1 (replication) are free."""
    for _ in range(200):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        if port < 10010 or port > 65000:
            continue
        try:
            for other in (port, port - 2, port + 1):
                socket.create_server(("127.0.0.1", other)).close()
        except OSError:
            continue
        return port
    raise SystemExit("no free ports found")


@contextlib.contextmanager
def java(
    name: str,
    main: str,
    arguments: list[str],
    class_path: str,
    home: pathlib.Path,
    ready: str | None,
    properties: tuple[str, ...] = (),
    heap: str = "512m",
) -> Iterator[subprocess.Popen[str]]:
    """A Java program, ended by its id; with `ready` wait until it prints that."""
    log = home / f"{name}.log"
    logback = home / "logback.xml"
    logback.write_text("<configuration><root level='OFF'/></configuration>")
    command = [
        "java",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        f"-Drmq.logback.configurationFile={logback}",
        f"-Duser.home={home}",
    ]
    command += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENS]
    command += [*properties, "-cp", class_path, main, *arguments]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            env={**os.environ, "ROCKETMQ_HOME": str(home)},
        )
    try:
        deadline = time.time() + 60
        while ready is not None and ready not in log.read_text():
            if process.poll() is not None or time.time() > deadline:
                raise SystemExit(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def exchanges(
    records: list[tuple[str, int, str, float, bytes]], label: str, home: pathlib.Path
) -> list[dict[str, object]]:
    """Match answers to requests and keep a few of each kind."""
    waiting: dict[tuple[str, int, str, int], tuple[bytes, RemotingCommand]] = {}
    kept: dict[tuple[object, ...], int] = {}
    found: list[dict[str, object]] = []

    def keep(
        server: str, way: str, request: RemotingCommand, raw: bytes, answer: bytes | None, code: int | None
    ) -> None:
        kind = (server, way, request.code, code, answer is None)
        if kept.get(kind, 0) >= KEPT_PER_KIND or len(raw) + len(answer or b"") > MAX_KEPT_FRAME:
            return
        kept[kind] = kept.get(kind, 0) + 1
        found.append(
            {
                "name": request_name(request.code),
                "server": server,
                "asked_by": "client" if way == "request" else "server",
                "serialization": label,
                "request": base64.b64encode(raw).decode(),
                "response": None if answer is None else base64.b64encode(answer).decode(),
            }
        )

    # Answers name paths of the scratch directory; these become others of the same length.
    real = str(home).encode()
    stand_in = b"/capture".ljust(len(real), b"_")[: len(real)]
    for server, number, way, _, frame in sorted(records, key=lambda record: record[3]):
        raw = frame.replace(real, stand_in)
        command = decode_frame(raw)
        if not command.is_response:
            if command.is_oneway:
                keep(server, way, command, raw, None, None)
            else:
                waiting[server, number, way, command.opaque] = raw, command
        else:
            asked = waiting.pop(
                (server, number, "response" if way == "request" else "request", command.opaque), None
            )
            if asked is not None:
                keep(
                    server,
                    "response" if way == "request" else "request",
                    asked[1],
                    asked[0],
                    raw,
                    command.code,
                )
    return sorted(found, key=lambda one: (str(one["name"]), str(one["server"])))


def capture(jars: pathlib.Path, out: pathlib.Path) -> None:
    class_path = str(jars / "*")
    versions = {
        found.group(1)
        for jar in jars.iterdir()
        if (found := re.match(r"rocketmq-(?:broker|client)-(.*)\.jar", jar.name))
    }
    with tempfile.TemporaryDirectory() as scratch:
        home = pathlib.Path(scratch)
        name_port, broker_port = free_base(), free_base()
        names = Recorder("namesrv", name_port)
        broker = Recorder("broker", broker_port)
        for recorder in (names, broker):
            recorder.add_rewrite(broker_port, broker.port)
        (home / "namesrv.conf").write_text(
            f"listenPort={name_port}\nkvConfigPath={home}/kv.json\nconfigStorePath={home}/namesrv.properties\n"
        )
        (home / "broker.conf").write_text(
            "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\nbrokerId=0\nautoCreateTopicEnable=true\n"
            "enablePropertyFilter=true\nflushDiskType=ASYNC_FLUSH\nmappedFileSizeCommitLog=16777216\n"
            "mappedFileSizeConsumeQueue=600000\nmaxIndexNum=20000\nmaxHashSlotNum=5000\n"
            "transactionTimeOut=1000\ntransactionCheckInterval=2000\ndiskMaxUsedSpaceRatio=95\n"
            f"listenPort={broker_port}\nhaListenPort={broker_port + 1}\nstorePathRootDir={home}/store\n"
            f"storePathCommitLog={home}/store/commitlog\nnamesrvAddr=127.0.0.1:{name_port}\n"
            "authenticationMetadataProvider="
            "org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider\n"
            "authorizationMetadataProvider="
            "org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider\n"
        )
        subprocess.run(
            ["javac", "-nowarn", "-cp", class_path, "-d", str(home), str(HERE / "remoting" / "Capture.java")],
            check=True,
        )
        start = "org.apache.rocketmq."
        with contextlib.ExitStack() as running:
            running.enter_context(
                java(
                    "namesrv",
                    start + "namesrv.NamesrvStartup",
                    ["-c", str(home / "namesrv.conf")],
                    class_path,
                    home,
                    "boot success",
                    heap="256m",
                )
            )
            running.enter_context(
                java(
                    "broker",
                    start + "broker.BrokerStartup",
                    ["-c", str(home / "broker.conf")],
                    class_path,
                    home,
                    "boot success",
                )
            )
            for label, what in (("JSON", "all"), ("ROCKETMQ", "some")):
                names.records.clear()
                broker.records.clear()
                arguments = [f"127.0.0.1:{names.port}", f"127.0.0.1:{broker.port}", what, str(home)]
                client = running.enter_context(
                    java(
                        f"client-{label}",
                        "Capture",
                        arguments,
                        f"{home}{os.pathsep}{class_path}",
                        home,
                        None,
                        (
                            f"-Drocketmq.serialize.type={label}",
                            "-Drocketmq.client.logUseSlf4j=true",
                            "-Djava.security.manager=allow",
                        ),
                    )
                )
                client.wait(400)
                said = (home / f"client-{label}.log").read_text()
                print("\n".join(line for line in said.splitlines() if line.startswith("FAILED")))
                if "STEP done" not in said:
                    raise SystemExit(f"the client did not finish:\n{said[-4000:]}")
                result = {
                    "source": f"rocketmq-client, -tools, -broker, -namesrv {'/'.join(sorted(versions))},"
                    f" recorded by capture_remoting.py, headers as {label}",
                    "exchanges": exchanges(names.records + broker.records, label, home),
                }
                out.mkdir(parents=True, exist_ok=True)
                (out / f"{label.lower()}.json").write_text(json.dumps(result, indent=1) + "\n")
                print(label, len(result["exchanges"]), "exchanges")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--jars", default=os.environ.get("ROCKETMQ_JARS"), help="directory of Apache RocketMQ's jars"
    )
    parser.add_argument("--out", default=str(HERE / "remoting"), help="where the JSON files go")
    arguments = parser.parse_args()
    if not arguments.jars:
        parser.error("--jars (or ROCKETMQ_JARS) is needed")
    capture(pathlib.Path(arguments.jars).resolve(), pathlib.Path(arguments.out))


if __name__ == "__main__":
    main()
