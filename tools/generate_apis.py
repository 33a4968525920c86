"""Make ``rmqgateway/apis/apache_rocketmq_v2``: two .proto files as published, and the stubs that protoc makes of all three.

    python -m venv .build/protoc && .build/protoc/bin/pip install grpcio-tools==1.85.1
    .build/protoc/bin/python tools/generate_apis.py

``definition.proto`` and ``service.proto`` come from the npm package ``rocketmq-client-nodejs`` by name (Apache-2.0, their header
is kept). ``admin.proto`` is this project's own: the calls of the Admin service are in no published package yet. Only message
stubs are made: grpcio's service stubs would cost 60 ms and 17 MB at start.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "rocketmq-client-nodejs@1.0.8"
FETCHED = ("definition", "service")
OWN = ("admin",)
FILES = FETCHED + OWN
TARGET = Path(__file__).resolve().parent.parent / "rmqgateway" / "apis" / "apache_rocketmq_v2"
#: What the stubs import each other as; the name within the descriptors stays ``apache/rocketmq/v2/…``.
IMPORT = re.compile(r"^from apache\.rocketmq\.v2 import", re.MULTILINE)


def main() -> None:
    """Fetch, copy, generate."""
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "apache" / "rocketmq" / "v2"
        sources.mkdir(parents=True)
        found = subprocess.run(
            ["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True, text=True, timeout=120
        )
        with tarfile.open(Path(folder) / found.stdout.split()[-1]) as archive:
            for name in FETCHED:
                member = archive.extractfile(f"package/proto/apache/rocketmq/v2/{name}.proto")
                if member is None:
                    raise SystemExit(f"{PACKAGE} has no {name}.proto")
                source = sources / f"{name}.proto"
                source.write_bytes(member.read())
                (TARGET / f"{name}.proto").write_bytes(source.read_bytes())
        for name in OWN:
            (sources / f"{name}.proto").write_bytes((TARGET / f"{name}.proto").read_bytes())
        (Path(folder) / "out").mkdir()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{folder}",
                f"--python_out={folder}/out",
                f"--pyi_out={folder}/out",
                *(f"apache/rocketmq/v2/{name}.proto" for name in FILES),
            ],
            cwd=folder,
            check=True,
            timeout=120,
        )
        for name in FILES:
            for ending in ("_pb2.py", "_pb2.pyi"):
                text = (Path(folder) / "out" / "apache" / "rocketmq" / "v2" / f"{name}{ending}").read_text()
                text = IMPORT.sub("from rmqgateway.apis.apache_rocketmq_v2 import", text)
                (TARGET / f"{name}{ending}").write_text(text)


if __name__ == "__main__":
    main()
