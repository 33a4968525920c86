"""Makes one script of the gRPC-web libraries from npm, the stubs of the published .proto and our scenarios.

Packages by name and version: ``grpcweb/package.json``. The .proto files and google-protobuf's messages are those that
``rocketmq-client-nodejs`` publishes; protoc-gen-es makes Connect's of the same files, and of our definition of the Admin
service, most of whose calls no package has.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["bundle"]

_HERE = Path(__file__).resolve().parent / "grpcweb"
_ROOT = _HERE.parents[2]
_BUILD = _ROOT / ".build" / "browser"
_ADMIN = _ROOT / "rmqgateway" / "apis" / "apache_rocketmq_v2" / "admin.proto"
_TEMPLATE = {"version": "v2", "plugins": [{"local": "protoc-gen-es", "out": "gen", "opt": "target=js"}]}


def _run(target: Path, *command: str) -> None:
    path = f"{target}/node_modules/.bin:/usr/local/bin:/usr/bin:/bin"
    npm = shutil.which("npm")
    if npm is not None:
        path = f"{path}:{Path(npm).parent}"
    done = subprocess.run(
        command, cwd=target, env={"PATH": path, "HOME": str(Path.home())}, capture_output=True, text=True, timeout=240
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}: {(done.stdout + done.stderr)[-3000:]}", pytrace=False)


def bundle() -> str:
    """The script, made once for its content. Skips the test by name where there is no npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node, or npm, is not installed")
    packages = (_HERE / "package.json").read_bytes()
    target = _BUILD / f"grpcweb-{hashlib.sha256(packages + _ADMIN.read_bytes()).hexdigest()[:16]}"
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        stamp = target / "installed"
        if not stamp.exists():
            (target / "package.json").write_bytes(packages)
            _run(target, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
            protos = target / "protos"
            shutil.copytree(target / "node_modules/rocketmq-client-nodejs/proto", protos, dirs_exist_ok=True)
            shutil.copy(_ADMIN, protos / "apache/rocketmq/v2")
            _run(target, "buf", "generate", "protos", "--template", json.dumps(_TEMPLATE))
            stamp.touch()
        for source in _HERE.glob("*.js"):
            shutil.copy(source, target)
        _run(target, "esbuild", "scenarios.js", "--bundle", "--format=iife", "--outfile=bundle.js")
        return (target / "bundle.js").read_text()
