"""schemathesis against ``/openapi.json`` of a running gateway: what the document says is what is served.

Its checks: no 5xx, only documented statuses and media types, bodies and headers as their schemas say, what the schema forbids
refused, other methods answered with 405 and the Allow that the document implies. Left out is the stream, which does not end;
schemathesis is not asked whether everything that a schema allows is accepted, because receipt handles that nobody gave are not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rmqgateway_http.operations import OPERATIONS
from tests.smoke.process import environment, free_port, running

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
#: A head that is too large is refused before anybody looks at its parameters; expired handles are gone.
#: 504 is documented: a request that nobody replied to.
_SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 410, 413, 415, 421, 431]
"""
#: Nobody comes to answer a request or to send what a poll waits for: as much patience as the test has.
_HOOKS = """
import schemathesis

@schemathesis.hook
def map_query(context, query):
    if context.operation is not None and context.operation.path.endswith("/requests"):
        query = query or {}
        query.setdefault("timeout", "10ms")
    if isinstance(query, dict):
        for name in ("wait", "timeout"):
            if query.get(name) not in (None, ""):
                query[name] = "10ms" if str(query[name])[:1].isdigit() else query[name]
    return query
"""
#: All operations but the stream and the document itself, and the least number of cases of all of them together.
_OPERATIONS, _CASES = len(OPERATIONS) - 2, 1500


def test_schemathesis_has_nothing_to_object_to(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(_SETTINGS)
    (tmp_path / "hooks.py").write_text(_HOOKS)
    port = free_port()
    with running(tmp_path, port):
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "--config-file", "schemathesis.toml",
                "run", f"http://127.0.0.1:{port}/openapi.json",
                "--exclude-operation-id", "stream",
                "--checks", ",".join(_CHECKS),
                "--phases", "examples,coverage,fuzzing",
                "--max-examples", os.environ.get("RMQGATEWAY_TEST_SCHEMATHESIS_EXAMPLES", "15"),
                "--seed", "1",
                "--continue-on-failure",
                "--request-timeout", "10",
                "--suppress-health-check", "all",
            ],
            cwd=tmp_path,
            env={**environment(), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert f"Tested: {_OPERATIONS}" in done.stdout, done.stdout[-2000:]
    made = re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert made is not None and int(made.group(1)) >= _CASES, done.stdout[-2000:]
