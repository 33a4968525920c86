"""gRPC's own interop cases, by the client of its Go module, against our HTTP/2 and call layer serving TestService.

Left out are the cases that need something of Google's (credentials, ORCA load reports, xDS) and cacheable_unary, which is an
experiment with GET. TestService is served by the same `GrpcCall` as the API of RocketMQ.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.conformance.serving import program
from tests.interop.toolchain import go_program

_SOURCE = pathlib.Path(__file__).with_name("grpc_interop")
_CASES = (
    "empty_unary",
    "large_unary",
    "client_compressed_unary",
    "server_compressed_unary",
    "client_streaming",
    "client_compressed_streaming",
    "server_streaming",
    "server_compressed_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "rpc_soak",
    "channel_soak",
)


@pytest.fixture(scope="module")
def client() -> pathlib.Path:
    """The client."""
    if shutil.which("go") is None:
        pytest.skip("gRPC's interop client needs go to be built")
    return go_program(source=_SOURCE)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with program("interop_server.py") as port:
        yield port


@pytest.mark.parametrize("case", _CASES)
def test_interop_case(case: str, client: pathlib.Path, port: int) -> None:
    done = subprocess.run(
        [str(client), "-address", f"127.0.0.1:{port}", "-case", case],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
