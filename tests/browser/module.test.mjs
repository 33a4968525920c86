// The module's logic without a network: a WebSocket that the test answers for.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Client, GatewayError } from "../../protocols/rmqgateway_websocket/client/rmqgateway.js";

const sockets = [];

class FakeSocket {
  constructor(url, protocol) {
    Object.assign(this, { url, protocol, readyState: 0, frames: [] });
    sockets.push(this);
  }
  send(text) { this.frames.push(JSON.parse(text)); }
  close() { if (this.readyState !== 3) { this.readyState = 3; this.onclose?.({}); } }
  say(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
  take(op) {
    const found = this.frames.filter((frame) => frame.op === op);
    this.frames = this.frames.filter((frame) => frame.op !== op);
    return found;
  }
  async open() {
    this.readyState = 1;
    await this.onopen();
    const [connect] = this.take("connect");
    this.say({ op: "connected", id: connect.id, clientId: connect.clientId });
    await turn();
    return connect;
  }
}

const turn = async () => { for (let i = 0; i < 20; i++) await Promise.resolve(); };

async function scene(body, options = {}) {
  sockets.length = 0;
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const client = new Client("http://gateway.test/", { WebSocket: FakeSocket, ...options });
  try { await body(client, () => sockets.at(-1)); } finally { client.close(); mock.timers.reset(); mock.restoreAll(); }
}

test("the first frame says who it is, also after a reconnect", () => scene(async (client, socket) => {
  assert.equal(socket().url, "ws://gateway.test/");
  assert.equal(socket().protocol, "rmqgateway.v1.json");
  assert.equal((await socket().open()).token, "t1");
  assert.equal(client.state, "open");
  socket().close();
  mock.timers.tick(100);
  assert.equal((await socket().open()).token, "t2");
}, { credential: (() => { let n = 0; return async () => ({ token: `t${++n}` }); })() }));

test("reconnects wait with full jitter, 0.1 s doubling up to 20 s", () => scene(async (client, socket) => {
  mock.method(Math, "random", () => 0.999999);
  for (const most of [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000]) {
    const count = sockets.length;
    socket().close();
    assert.equal(client.state, "waiting");
    mock.timers.tick(most - 2);
    assert.equal(sockets.length, count, `sooner than ${most}`);
    mock.timers.tick(2);
    assert.equal(sockets.length, count + 1, `later than ${most}`);
  }
  await socket().open();
  socket().close();
  const count = sockets.length;
  mock.timers.tick(100);
  assert.equal(sockets.length, count + 1, "a connection that stood begins again at 0.1 s");
}));

test("sends that are not confirmed are repeated, in order, under their ids", () => scene(async (client, socket) => {
  const sent = ["a", "b", "c"].map((text) => client.send("T", text));
  await socket().open();
  const first = socket().take("send");
  assert.deepEqual(first.map((frame) => frame.messages[0].text), ["a", "b", "c"]);
  socket().say({ op: "sent", id: first[0].id, results: [{ messageId: "x", queueId: 0, offset: 0 }] });
  assert.equal((await sent[0]).offset, 0);
  socket().close();
  mock.timers.tick(100);
  await socket().open();
  const again = socket().take("send");
  assert.deepEqual(again, first.slice(1));
  for (const frame of again) socket().say({ op: "sent", id: frame.id, results: [{ repeated: true }] });
  assert.equal((await sent[2]).repeated, true);
  await client.flush();
  assert.equal(client.unconfirmed, 0);
}));

test("the queue is bounded", () => scene(async (client) => {
  client.send("T", "a").catch(() => {});
  client.send("T", "b").catch(() => {});
  await assert.rejects(client.send("T", "c"), { code: "QUEUE_FULL", retryAfterMs: 1000 });
}, { maxUnconfirmed: 2 }));

test("what was tried too long ago is not repeated: it could be stored twice", () => scene(async (client, socket) => {
  await socket().open();
  const tried = client.send("T", "a");
  socket().close();
  const fresh = client.send("T", "never tried");
  mock.timers.tick(100_001);
  await socket().open();
  await assert.rejects(tried, { code: "UNKNOWN_OUTCOME" });
  assert.equal(socket().take("send").length, 1);
  fresh.catch(() => {});
}));

test("a busy gateway is asked again when it says, a refusal is told", () => scene(async (client, socket) => {
  await socket().open();
  const busy = client.send("T", "a");
  const bad = client.send("T", "b");
  const [first, second] = socket().take("send");
  socket().say({ op: "error", id: first.id, code: "TOO_MANY_REQUESTS", reason: "BUSY", message: "", retryAfterMs: 500 });
  socket().say({ op: "error", id: second.id, code: "ILLEGAL_TOPIC", status: 40002, reason: "BAD_TOPIC_NAME", message: "no" });
  await assert.rejects(bad, (error) => error instanceof GatewayError && error.status === 40002);
  assert.equal(socket().take("send").length, 0);
  mock.timers.tick(500);
  const [again] = socket().take("send");
  assert.deepEqual(again, first);
  socket().say({ op: "sent", id: again.id, results: [{ offset: 7 }] });
  assert.equal((await busy).offset, 7);
}));

test("what a page has in the works is not handed out again after a reconnect", () => scene(async (client, socket) => {
  await socket().open();
  const got = [];
  let finish;
  client.subscribe({ topic: "T", group: "G", credit: 4 }, (message) => { got.push(message.messageId); return new Promise((done) => { finish = done; }); });
  const [subscribe] = socket().take("subscribe");
  assert.equal(subscribe.credit, 4);
  const deliver = (number, attempt) => socket().say({ op: "deliver", subscription: subscribe.subscription, number, attempt, message: { topic: "T", messageId: "m", text: "x" } });
  deliver(1, 1);
  socket().close();
  mock.timers.tick(100);
  await socket().open();
  assert.equal(socket().take("subscribe").length, 1);
  deliver(5, 2);
  assert.deepEqual(got, ["m"]);
  finish();
  await turn();
  assert.deepEqual(socket().take("ack").map((frame) => frame.numbers), [[5]]);
  deliver(6, 3); // its acknowledgement was lost
  await turn();
  assert.deepEqual(got, ["m"]);
  assert.deepEqual(socket().take("ack").map((frame) => frame.numbers), [[6]]);
}));

test("a silent gateway is left", () => scene(async (client, socket) => {
  await socket().open();
  mock.timers.tick(25_000);
  const [ping] = socket().take("ping");
  socket().say({ op: "done", id: ping.id });
  mock.timers.tick(25_000);
  assert.equal(socket().take("ping").length, 1);
  mock.timers.tick(10_000);
  assert.equal(client.state, "waiting");
}));

test("a refused credential ends the client", () => scene(async (client, socket) => {
  socket().readyState = 1;
  await socket().onopen();
  const waiting = client.send("T", "a");
  const [connect] = socket().take("connect");
  socket().say({ op: "error", id: connect.id, code: "UNAUTHORIZED", reason: "UNAUTHENTICATED", message: "no" });
  await assert.rejects(waiting, { code: "UNAUTHORIZED" });
  assert.equal(client.state, "closed");
}));

test("a gateway that goes takes acknowledgements, and sends wait for the next", () => scene(async (client, socket) => {
  await socket().open();
  socket().say({ op: "goAway", reason: "restart", deadlineMs: 5000 });
  const sent = client.send("T", "a");
  assert.equal(socket().take("send").length, 0);
  socket().close();
  mock.timers.tick(100);
  await socket().open();
  const [frame] = socket().take("send");
  socket().say({ op: "sent", id: frame.id, results: [{ offset: 1 }] });
  assert.equal((await sent).offset, 1);
}));

test("a broadcast goes on after what the page was given, and settles nothing", () => scene(async (client, socket) => {
  await socket().open();
  const listening = client.subscribe({ topic: "T", group: "G", credit: 8, broadcast: true });
  const [first] = socket().take("subscribe");
  assert.deepEqual([first.broadcast, first.place], [true, undefined]);
  const { subscription } = first;
  const again = async () => {
    socket().close();
    mock.timers.tick(20_000);
    await socket().open();
    return socket().take("subscribe")[0].place;
  };
  socket().say({ op: "place", subscription, place: "b:0" });
  assert.equal(await again(), "b:0"); // nothing had come, and nothing is missed
  const deliver = (number) => socket().say({ op: "deliver", subscription, number, attempt: 1, place: `b:${number}`, message: { topic: "T", messageId: `m${number}` } });
  deliver(1);
  deliver(2);
  deliver(3);
  const messages = listening[Symbol.asyncIterator]();
  const { value } = await messages.next();
  assert.deepEqual([value.messageId, value.place], ["m1", "b:1"]);
  await value.ack();
  assert.equal((await messages.next()).value.messageId, "m2");
  assert.deepEqual(socket().take("ack"), []);
  assert.deepEqual(socket().take("credit").map((frame) => frame.messages), [2]);
  assert.equal(await again(), "b:2"); // the third was kept, not given
  deliver(3);
  assert.equal((await messages.next()).value.messageId, "m3");
}));

test("a page goes on where it was before it was closed", () => scene(async (client, socket) => {
  await socket().open();
  client.subscribe({ topic: "T", group: "G", broadcast: true, place: "b:7" }, () => {});
  assert.equal(socket().take("subscribe")[0].place, "b:7");
}));

test("a connection that is never answered is given up", () => scene(async (client, socket) => {
  const [first] = sockets;
  mock.timers.tick(9_999);
  assert.deepEqual([sockets.length, client.state], [1, "connecting"]);
  mock.timers.tick(1);
  assert.deepEqual([first.readyState, client.state], [3, "waiting"]);
  mock.timers.tick(100);
  // Nor is one that is opened, and whose first frame nobody answers.
  const second = socket();
  assert.notEqual(second, first);
  second.readyState = 1;
  mock.timers.tick(9_000);
  await second.onopen();
  mock.timers.tick(9_999);
  assert.equal(client.state, "connecting");
  mock.timers.tick(1);
  assert.equal(client.state, "waiting");
  mock.timers.tick(200);
  await socket().open();
  mock.timers.tick(20_000);
  assert.equal(client.state, "open");
}));

test("a handshake that fails without a word of closing is tried again", () => scene(async (client, socket) => {
  socket().onerror({});
  assert.equal(client.state, "waiting");
  mock.timers.tick(100);
  await socket().open();
  assert.equal(client.state, "open");
}));
