"""gRPC-web's libraries in a real Chromium: ``grpc-web``, ``@connectrpc/connect-web`` and ``@improbable-eng/grpc-web``."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Page, running_chromium
from tests.browser.grpcweb_bundle import bundle
from tests.interop.groups import create_group
from tests.smoke.process import free_port, running

CLIENTS = (
    "connect",
    "grpc-web-text",
    "grpc-web-binary",
    "improbable-fetch",
    "improbable-xhr",
    "improbable-websocket",
)
#: The gateway's ALPN: over TLS a browser takes HTTP/2, but for a WebSocket.
PROTOCOLS = {"http": ["http/1.1"], "https": ["h2"]}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    # The certificate that a gateway makes for itself is not one that a browser knows.
    with running_chromium(tmp_path_factory.mktemp("browser"), "--ignore-certificate-errors") as found:
        yield found


@pytest.fixture(scope="module")
def script(chromium: Chromium) -> str:
    return bundle()


@pytest.fixture(scope="module")
def port(script: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    found = free_port()
    with running(tmp_path_factory.mktemp("gateway"), found):
        yield found


@contextmanager
def foreign_site() -> Iterator[str]:
    """The origin of pages that are not the gateway's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>foreign</title>")

        def log_message(self, format: str, *args: Any) -> None:
            """Not to the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def page_at(chromium: Chromium, url: str, script: str) -> Iterator[Page]:
    page = chromium.page(url)
    try:
        # Evaluated as a user's extension would: a page's own policy does not count.
        page.run(f"{script}\n;0")
        yield page
    finally:
        page.close()


def run(page: Page, scenario: str, client: str, base: str, topic: str) -> Any:
    return page.run(f"grpcweb.run({scenario!r}, {client!r}, {base!r}, {topic!r})")


def judge_roundtrip(found: dict[str, Any]) -> None:
    assert found == {
        "queues": 8,
        "bodies": ["grüße 你好", "one", "x" * 20],
        "ids": True,
        "properties": True,
        "acknowledged": [20000] * 3,
        "left": 0,
    }


@pytest.mark.parametrize("scheme", PROTOCOLS)
@pytest.mark.parametrize("client", CLIENTS)
def test_route_send_receive_and_acknowledge(
    chromium: Chromium, script: str, port: int, client: str, scheme: str
) -> None:
    base = f"{scheme}://127.0.0.1:{port}"
    with page_at(chromium, f"{base}/asyncapi.json", script) as page:
        judge_roundtrip(run(page, "roundtrip", client, base, f"round-{client}-{scheme}"))
        if client != "improbable-websocket":
            assert page.run(f"grpcweb.protocols('{base}/apache')") == PROTOCOLS[scheme]


@pytest.mark.parametrize("client", CLIENTS)
def test_errors_are_read_from_trailers(chromium: Chromium, script: str, port: int, client: str) -> None:
    base = f"http://127.0.0.1:{port}"
    with page_at(chromium, f"{base}/asyncapi.json", script) as page:
        found = run(page, "errors", client, base, f"errors-{client}")
        assert found["refused"] == [
            7, "ChangeLogLevel: the process's settings are not changed over the network",
        ]  # fmt: skip
        # The others have no such call over HTTP.
        streams = client in ("grpc-web-text", "grpc-web-binary", "improbable-websocket")
        wanted = [3, "there is no publishing or subscription data in settings"] if streams else None
        assert found["stream"] == wanted
        assert found["inside"] == 40017  # CLIENT_ID_REQUIRED
        if client != "connect":  # which has no way to call what its stubs do not have
            code, text = run(page, "unknown", client, base, "unknown")
            assert code == 12 and "unknown method" in text


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_administration_from_a_page(chromium: Chromium, script: str, port: int, scheme: str) -> None:
    base = f"{scheme}://127.0.0.1:{port}"
    with page_at(chromium, f"{base}/asyncapi.json", script) as page:
        assert run(page, "administered", "connect", base, f"administered-{scheme}") == {
            "same": True,
            "got": ["from a page", "blue", "值"],
            "found": ["from a page"],
            "queues": 8,
            "behind": [1, 0],
            "missing": 40402,  # TOPIC_NOT_FOUND
        }


@pytest.mark.parametrize("scheme", PROTOCOLS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_receive_that_is_cancelled_takes_nothing(
    chromium: Chromium, script: str, port: int, client: str, scheme: str
) -> None:
    base = f"{scheme}://127.0.0.1:{port}"
    with page_at(chromium, f"{base}/asyncapi.json", script) as page:
        found = run(page, "cancelled", client, base, f"cancelled-{client}-{scheme}")
        assert found == {"bodies": ["for another"], "attempts": [1]}


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_stream_that_is_left_half_way_gives_its_messages_back(
    chromium: Chromium, script: str, tmp_path: Path, scheme: str
) -> None:
    """With fetch, which reads no faster than the page does, and more than fits between the two."""
    port = free_port()
    base = f"{scheme}://127.0.0.1:{port}"
    with running(tmp_path, port, "--set", "local.pull_max_bytes=100000000"), page_at(
        chromium, f"{base}/asyncapi.json", script
    ) as page:
        attempts = run(page, "left_half_way", "connect", base, f"left-{scheme}")
        # They are invisible for a minute otherwise, and the scenario does not wait that long.
        assert attempts == [2] * 16


def test_telemetry_in_both_directions_over_a_web_socket(chromium: Chromium, script: str, port: int) -> None:
    base = f"http://127.0.0.1:{port}"
    topic = "telemetry"
    create_group(f"127.0.0.1:{port}", f"{topic}_group", retries=4, attributes={"+lite.sub.model": "Exclusive"})
    with page_at(chromium, f"{base}/asyncapi.json", script) as page:
        found = run(page, "telemetry", "improbable-websocket", base, topic)
        assert found == {
            "longPolling": [20, 20],
            "attempts": [5, 5],
            "told": ["notifyUnsubscribeLiteCommand", "a"],
            "left": [0, 0],
        }


@pytest.mark.parametrize("client", CLIENTS)
def test_a_foreign_page_is_refused(chromium: Chromium, script: str, port: int, client: str) -> None:
    with foreign_site() as site, page_at(chromium, site, script) as page, pytest.raises(RuntimeError):
        run(page, "roundtrip", client, f"http://127.0.0.1:{port}", f"foreign-{client}")


@pytest.fixture(scope="module")
def shared(script: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A foreign site, and a gateway that allows its pages."""
    found = free_port()
    with (
        foreign_site() as site,
        running(tmp_path_factory.mktemp("shared"), found, "--set", f"http.origins={site}"),
    ):
        yield site, found


@pytest.mark.parametrize("scheme", PROTOCOLS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_foreign_page_that_is_allowed(
    chromium: Chromium, script: str, shared: tuple[str, int], client: str, scheme: str
) -> None:
    site, port = shared
    with page_at(chromium, site, script) as page:
        base = f"{scheme}://127.0.0.1:{port}"
        judge_roundtrip(run(page, "roundtrip", client, base, f"allowed-{client}-{scheme}"))
        assert run(page, "errors", client, base, f"allowed-errors-{client}")["refused"][0] == 7
