"""The browser's module in a real browser, against a gateway that is a process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Page, running_chromium
from tests.browser.cutting import running_proxy
from tests.smoke.process import free_port, running

CUTS = int(os.environ.get("RMQGATEWAY_TEST_CUTS", "200"))

#: Sends `window.going` and counts what comes; both over the address that the page was loaded from.
LOAD = """
(async () => {
  const { Client } = await import("/client/rmqgateway.js");
  window.sender = new Client();
  window.receiver = new Client();
  window.sent = new Map();      // by text: the results
  window.failed = [];
  window.got = [];
  window.going = true;
  receiver.subscribe({ topic: "T", group: "G", credit: 16 }, (message) => { got.push([message.text, message.messageId]); });
  let number = 0;
  window.done = (async () => {
    while (going) {
      const text = `m${number++}`;
      sender.send("T", text).then(
        (result) => { sent.set(text, [...(sent.get(text) ?? []), result]); },
        (error) => { failed.push(`${text}: ${error}`); });
      do await new Promise((resolve) => setTimeout(resolve, 4)); while (going && sender.unconfirmed > 500);
    }
    await sender.flush();
    return number;
  })();
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with running_chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    found = free_port()
    with running(tmp_path, found):
        yield found


def judge(page: Page) -> int:
    """Nothing was lost, nothing doubled: at the page, and in the store. Returns the number of messages."""
    page.run("window.going = false")
    count: int = page.run("done")
    assert page.run("failed") == []
    page.wait(f"new Set(got.map(([text]) => text)).size >= {count}", 60)
    got: list[list[str]] = page.run("got")
    expected = sorted(f"m{number}" for number in range(count))
    assert sorted(page.run("[...sent.keys()]")) == expected
    assert sorted(text for text, _ in got) == expected
    # Another group reads what is stored, from the beginning.
    stored: list[str] = page.run(
        """
        (async () => {
          const { Client } = await import("/client/rmqgateway.js");
          const client = new Client();
          const texts = [];
          client.subscribe({ topic: "T", group: "H", credit: 256, autoAck: true }, ({ text }) => { texts.push(text); });
          for (let last = -1, tries = 0; texts.length !== last && tries < 50; tries++) {
            last = texts.length;
            await new Promise((resolve) => setTimeout(resolve, 700));
          }
          client.close();
          return texts;
        })()
        """
    )
    assert sorted(stored) == expected
    return count


def test_the_example_page_sends_and_receives(chromium: Chromium, port: int) -> None:
    address = f"http://127.0.0.1:{port}/examples/chat"
    anna, bert = chromium.page(address), chromium.page(address)
    for page in (anna, bert):
        page.wait("document.getElementById('state').textContent === 'open'")

    def say(page: Page, name: str, text: str) -> None:
        page.run(
            f"document.getElementById('name').value = {name!r}; document.getElementById('text').value = {text!r};"
            "document.getElementById('form').requestSubmit()"
        )

    say(anna, "Anna", "<b>hello</b> Bert")
    say(bert, "Bert", "grüezi Anna 你好")
    for page in (anna, bert):
        shown = "[...document.querySelectorAll('#messages li')].map((line) => line.textContent.replace(/^.* (?=\\w+:)/, ''))"
        page.wait(f"({shown}).length >= 2")
        assert sorted(page.run(shown)) == ["Anna: <b>hello</b> Bert", "Bert: grüezi Anna 你好"]
        assert page.errors == []
        page.close()


def test_everything_that_the_module_offers(chromium: Chromium, port: int) -> None:
    page = chromium.page(f"http://127.0.0.1:{port}/asyncapi.json")
    found: dict[str, Any] = page.run(
        """
        (async () => {
          const { Client, GatewayError } = await import("/client/rmqgateway.js");
          const client = new Client();
          const found = {};
          const raw = new Uint8Array([255, 0, 254]);
          const first = await client.send("T", raw);
          found.offset = first.offset;
          const [again] = await client.sendAll("T", [{ text: "x", messageId: first.messageId }]);
          found.repeated = again.repeated;
          await client.send("T", { text: "two", tag: "B", keys: ["k"], properties: { a: "b" } });
          found.iterated = [];
          for await (const message of client.subscribe({ topic: "T", group: "G" })) {
            found.iterated.push(message.text ?? [...message.body]);
            await message.ack();
            if (found.iterated.length === 2) break;
          }
          let attempts = 0;
          const handled = new Promise((resolve) => client.subscribe({ topic: "R", group: "R", retryMs: 10 }, (message) => {
            if (!attempts++) throw new Error("not now");
            resolve(message.attempt);
          }));
          await client.send("R", "again");
          found.attempt = await handled;
          const responder = client.subscribe({ topic: "Q", group: "Q" }, (message) => message.reply(`${message.text}!`));
          found.reply = (await client.request("Q", "what", 9000)).text;
          await responder.close();
          const half = await client.begin("H", "half", "P");
          found.before = (await client.receive({ topic: "H", group: "H" })).length;
          await half.commit();
          const [committed] = await client.receive({ topic: "H", group: "H", waitMs: 5000 });
          found.committed = committed.text;
          await committed.ack();
          try { await client.call("pull", { topic: "Nowhere", group: "G", queueId: 0, offset: 0 }); }
          catch (error) { found.error = [error instanceof GatewayError, error.code, error.status]; }
          found.url = (await fetch("/client/rmqgateway.js")).headers.get("content-type");
          client.close();
          await client.send("T", "late").catch((error) => { found.closed = error.code; });
          return found;
        })()
        """
    )
    assert found == {
        "offset": 0,
        "repeated": True,
        "iterated": [[255, 0, 254], "two"],
        "attempt": 2,
        "reply": "what!",
        "before": 0,
        "committed": "half",
        "error": [True, "TOPIC_NOT_FOUND", 40402],
        "url": "text/javascript; charset=utf-8",
        "closed": "CLOSED",
    }
    assert page.errors == []
    page.close()


def test_forced_disconnects_lose_and_double_nothing(chromium: Chromium, port: int) -> None:
    with running_proxy(port) as proxy:
        page = chromium.page(f"http://127.0.0.1:{proxy.port}/asyncapi.json")
        page.run(LOAD)
        page.wait("got.length > 3")
        proxy.cutting = True
        until = time.monotonic() + max(60, CUTS)
        while proxy.cuts < CUTS:
            assert time.monotonic() < until, f"only {proxy.cuts} connections were cut"
            time.sleep(0.1)
        proxy.cutting = False
        count = judge(page)
        again = page.run("[...sent.values()].flat().filter(({ repeated }) => repeated).length")
        print(f"{proxy.cuts} connections cut, {count} messages, {again} of them confirmed by a repetition")
        assert again  # else the ids were never needed
        assert page.errors == []
        page.close()


def test_listeners_of_a_broadcast_miss_and_double_nothing_over_cut_connections(chromium: Chromium, port: int) -> None:
    """A browser's own EventSource, and the module's subscription as an iterator and as a callback: all of one group."""
    with running_proxy(port) as proxy:
        page = chromium.page(f"http://127.0.0.1:{proxy.port}/asyncapi.json")
        page.run(
            """
            (async () => {
              const { Client } = await import("/client/rmqgateway.js");
              window.got = { events: [], called: [], iterated: [] };
              const options = { topic: "B", group: "everybody", broadcast: true, credit: 16 };
              window.listeners = [new Client(), new Client()];
              listeners[0].subscribe(options, ({ text }) => { got.called.push(text); });
              (async () => { for await (const { text } of listeners[1].subscribe(options)) got.iterated.push(text); })();
              window.source = new EventSource("/v1/topics/B/groups/everybody/stream?broadcast=true");
              source.onmessage = ({ data }) => { got.events.push(JSON.parse(data).body); };
              window.sender = new Client();
              await sender.send("B", "begin");  // the topic is there, and so are, by and by, the listeners
            })()
            """
        )
        everybody = "Object.values(got)"
        until = time.monotonic() + 30
        while not page.run(f"{everybody}.every((one) => one.length)"):
            assert time.monotonic() < until
            page.run('sender.send("B", "hello")')
            time.sleep(0.1)
        page.run(f"{everybody}.forEach((one) => one.splice(0))")
        page.run(
            """
            window.going = true;
            window.done = (async () => {
              let number = 0;
              for (; going; number++) {
                sender.send("B", `m${number}`);
                await new Promise((resolve) => setTimeout(resolve, 5));
              }
              await sender.flush();
              return number;
            })(); 0
            """
        )
        proxy.cutting = True
        until = time.monotonic() + 90
        while proxy.cuts < 80:
            assert time.monotonic() < until, f"only {proxy.cuts} connections were cut"
            time.sleep(0.1)
        proxy.cutting = False
        page.run("window.going = false")
        count: int = page.run("done")
        page.wait(f"{everybody}.every((one) => one.includes('m{count - 1}') && one.length >= {count})", 60)
        expected = sorted(f"m{number}" for number in range(count))
        for name in ("events", "called", "iterated"):
            got = [text for text in page.run(f"got.{name}") if text != "hello"]
            assert sorted(got) == expected, name
        print(f"{proxy.cuts} connections cut, {count} messages to three listeners")
        assert page.errors == []
        page.close()


def test_a_gateway_that_is_killed_loses_and_doubles_nothing(chromium: Chromium, tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    with running_proxy(first) as proxy:
        with running(tmp_path, first) as process:
            page = chromium.page(f"http://127.0.0.1:{proxy.port}/asyncapi.json")
            page.run(LOAD)
            page.wait("sent.size > 50")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        proxy.to = second
        with running(tmp_path, second):
            page.wait("sender.state === 'open' && sent.size > 300", 60)
            count = judge(page)
            assert count > 300
            assert page.errors == []
            page.close()


def test_tickets_let_the_module_in_again_and_again(chromium: Chromium, tmp_path: Path) -> None:
    """The page's own code knows the secret; each connection, also after a cut, begins with a ticket of its own."""
    users = tmp_path / "users.toml"
    users.write_text('[users.root]\nsecret = "r00t-secret"\ntype = "Super"\n')
    first = free_port()
    with running_proxy(first) as proxy, running(tmp_path, first, "--set", f"users.file={users}"):
        page = chromium.page(f"http://127.0.0.1:{proxy.port}/asyncapi.json")
        page.run(
            """
            (async () => {
              const { Client } = await import("/client/rmqgateway.js");
              window.tickets = 0;
              const credential = async () => {
                tickets++;
                const headers = { authorization: "Basic " + btoa("root:r00t-secret") };
                const answer = await fetch("/v1/tickets", { method: "POST", headers });
                if (answer.status !== 201) throw new Error(await answer.text());
                return { ticket: (await answer.json()).ticket };
              };
              window.client = new Client(undefined, { credential });
              window.refused = "";
              window.stranger = new Client(undefined, { credential: { ticket: "none" },
                onState: (state, error) => { refused = error ? error.code : refused; } });
              stranger.send("T", "x").catch(() => {});
              await client.send("T", "one");
            })()
            """
        )
        page.wait("refused === 'UNAUTHORIZED'")
        cuts = proxy.cuts
        proxy.cutting = True
        until = time.monotonic() + 30
        while proxy.cuts < cuts + 3 and time.monotonic() < until:
            page.run('client.send("T", "more")')
        proxy.cutting = False
        page.run('client.send("T", "two")')
        assert page.run("tickets") >= 2
        page.close()
