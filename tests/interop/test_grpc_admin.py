"""The Admin service, called with grpcio and what reflection tells, beside the official Python client in the same interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.drivers import Driver
from tests.interop.test_grpc_python import VERSION
from tests.interop.toolchain import python_with

pytestmark = pytest.mark.gateway_only

HERE = Path(__file__).resolve().parent


def test_an_administrator_with_grpcio(server: Server, prefix: str, tmp_path: Path) -> None:
    python = python_with(f"rocketmq-python-client=={VERSION}")
    command = [str(python), str(HERE / "python" / "administering.py"), server.address, prefix]
    driver = Driver("python-admin", command, tmp_path, 90)
    try:
        driver.judge("administering", server.output())
    finally:
        driver.stop()
