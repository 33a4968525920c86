"""Real brokers that close every connection without TLS: to clients that do not speak it their ports are as good as shut."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.interop.apache import Apache
from tests.interop.brokers import BrokerCluster

__all__ = ["ClosedCluster", "Enforcing", "certificate"]


def certificate(directory: Path, name: str) -> Path:
    """A PEM file of a certificate of 127.0.0.1 that signs itself; its key is beside it."""
    made = directory / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(made.with_suffix(".key")), "-out", str(made)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return made


class Enforcing(Apache):
    """Brokers demand TLS (tls.server.mode=enforcing) and speak it among themselves; the name server takes both.

    :ivar certificate: of all of them.
    """

    certificate: Path

    def _launch(self, name: str, jars: str, main: str, settings: dict[str, str], heap: str) -> None:
        options = {
            "tls.test.mode.enable": "false",
            "tls.server.certPath": str(self.certificate),
            "tls.server.keyPath": str(self.certificate.with_suffix(".key")),
            "tls.server.mode": "permissive" if name == "namesrv" else "enforcing",
            "tls.enable": "true",
        }
        before = os.environ.get("JAVA_TOOL_OPTIONS")
        os.environ["JAVA_TOOL_OPTIONS"] = " ".join(f"-D{key}={value}" for key, value in options.items())
        try:
            super()._launch(name, jars, main, settings, "128m" if name == "namesrv" else "300m")
        finally:
            if before is None:
                del os.environ["JAVA_TOOL_OPTIONS"]
            else:
                os.environ["JAVA_TOOL_OPTIONS"] = before


class ClosedCluster(Enforcing, BrokerCluster):
    """Two masters and a slave."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate = certificate(directory, "brokers")
