// @ts-check
/**
 * RocketMQ for browsers, through rmqgateway's WebSocket (sub-protocol rmqgateway.v1.json).
 *
 *     const client = new Client("ws://127.0.0.1:8080/");
 *     await client.send("orders", "hello");
 *     for await (const message of client.subscribe({ topic: "orders", group: "page" })) {
 *       show(message.text);
 *       await message.ack();
 *     }
 *
 * A lost connection is made again: subscriptions go on, sends that were not confirmed are repeated under their message ids,
 * so that none is lost and none is stored twice.
 */

/**
 * @typedef {object} Outgoing A message to send; its body is `text` or `body`.
 * @property {string} [text]
 * @property {Uint8Array} [body]
 * @property {string} [messageId] One is made if it is absent.
 * @property {string} [tag]
 * @property {string[]} [keys]
 * @property {Record<string, string>} [properties]
 * @property {string} [messageGroup] Messages of one group are consumed in order.
 * @property {number} [queueId]
 * @property {number} [delayMs]
 * @property {number} [deliverAt] Milliseconds since 1970.
 * @property {number} [priority]
 * @property {string} [liteTopic]
 */

/**
 * @typedef {object} Sent
 * @property {string} messageId
 * @property {number} queueId
 * @property {number} offset
 * @property {string} [transactionId]
 * @property {string} [recallHandle]
 * @property {boolean} [repeated] It was stored by an earlier attempt.
 */

/**
 * @typedef {object} Credential One of: a token; a key with its secret; a ticket.
 * @property {string} [token]
 * @property {string} [accessKey]
 * @property {string} [secretKey]
 * @property {string} [ticket]
 */

/**
 * @typedef {object} Options
 * @property {string} [clientId]
 * @property {Credential | (() => Credential | Promise<Credential>)} [credential] A function is asked at each connection.
 * @property {number} [maxUnconfirmed] Sends that may wait for their confirmation, connected or not: 1000.
 * @property {number} [keepAliveMs] After so long a silence the gateway is asked whether it is there: 25,000.
 * @property {(state: State, error?: Error) => void} [onState]
 * @property {any} [WebSocket] Another implementation.
 */

/** @typedef {"connecting" | "open" | "waiting" | "closed"} State */

/**
 * @typedef {object} SubscribeOptions
 * @property {string} topic
 * @property {string} group
 * @property {string} [filter] `*`, `A || B`, or SQL92.
 * @property {"TAG" | "SQL92"} [filterType]
 * @property {number} [credit] Messages that may be delivered and unsettled: 32.
 * @property {number} [invisibleMs]
 * @property {boolean} [autoRenew]
 * @property {boolean} [autoAck] Delivered is done with: a lost connection may lose messages.
 * @property {boolean} [fifo]
 * @property {"min" | "max"} [start] Where a new group begins ("min"), or who listens to a broadcast ("max").
 * @property {boolean} [broadcast] Every member of the group gets every message; nothing is acknowledged.
 * @property {string} [place] Of a broadcast: go on after the message whose `place` this is.
 * @property {string[]} [liteTopics] Of a topic of type LITE.
 * @property {number} [retryMs] When a message whose handler failed comes again: 1000.
 */

/** @typedef {{correlationId: string, client: string, cluster?: string, timeoutMs?: number}} ReplyTo */
/** @typedef {{frame: any, resolve: (value: any) => void, reject: (error: Error) => void, at: number, under: boolean}} Unconfirmed */

const PROTOCOL = "rmqgateway.v1.json";
/** How long a connection may take to stand. */
const CONNECT_MS = 10_000;
/** The gateway remembers message ids for 120 s; what was tried earlier is not repeated. */
const REPEATABLE_MS = 100_000;
/** After these errors nobody knows whether the messages were stored. */
const UNSURE = /^(STORE_FAILED|TIMEOUT|CANCELLED|UPSTREAM|INTERNAL)/;

/** A refusal. */
export class GatewayError extends Error {
  /**
   * @param {string} code RocketMQ's word, or CLOSED, DISCONNECTED, QUEUE_FULL, UNKNOWN_OUTCOME of this module.
   * @param {string} message
   * @param {{status?: number, reason?: string, retryAfterMs?: number}} [more]
   */
  constructor(code, message, more = {}) {
    super(`${code}: ${message}`);
    this.name = "GatewayError";
    this.code = code;
    /** RocketMQ's number. */
    this.status = more.status ?? 0;
    /** The gateway's finer word. */
    this.reason = more.reason ?? code;
    /** The same may succeed after so long; absent: it will not. */
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** A message that came. */
export class Message {
  /** @type {Subscription | undefined} */ #subscription;
  /** @type {Client} */ #client;
  /** @type {any} */ #by;

  /** @param {Client} client @param {any} fields @param {Subscription} [subscription] @param {any} [by] what settles it */
  constructor(client, fields, subscription, by) {
    this.#client = client;
    this.#subscription = subscription;
    this.#by = by;
    /** @type {string} */ this.topic = fields.topic;
    /** @type {string} */ this.messageId = fields.messageId ?? "";
    /** @type {string | undefined} The body, where it is UTF-8. */ this.text = fields.text;
    /** @type {Uint8Array | undefined} The body, where it is not. */
    this.body = fields.body === undefined ? undefined : fromBase64(fields.body);
    /** @type {string} */ this.tag = fields.tag ?? "";
    /** @type {string[]} */ this.keys = fields.keys ?? [];
    /** @type {Record<string, string>} */ this.properties = fields.properties ?? {};
    /** @type {string} */ this.messageGroup = fields.messageGroup ?? "";
    /** @type {number} */ this.queueId = fields.queueId ?? 0;
    /** @type {number} */ this.offset = fields.offset ?? -1;
    /** @type {number} */ this.bornTimestamp = fields.bornTimestamp ?? 0;
    /** @type {string} */ this.bornHost = fields.bornHost ?? "";
    /** @type {number} */ this.deliverAt = fields.deliverAt ?? 0;
    /** @type {number | undefined} */ this.priority = fields.priority;
    /** @type {string} */ this.liteTopic = fields.liteTopic ?? "";
    /** @type {number} */ this.storeTimestamp = fields.storeTimestamp ?? 0;
    /** @type {number} */ this.attempt = fields.deliveryAttempt ?? 0;
    /** @type {ReplyTo | undefined} */ this.replyTo = fields.replyTo;
    /** @type {string} Of a broadcast: where the subscription is after it. */ this.place = fields.place ?? "";
    /** Whether its settlement was said. */ this.settled = false;
  }

  /** Done with for good. */ ack() { return this.#settle("ack"); }
  /** Others may have it at once. */ nack() { return this.#settle("nack"); }
  /** It comes again after a time. @param {number} delayMs */ retry(delayMs) { return this.#settle("retry", { delayMs }); }
  /** To the dead-letter queue. */ reject() { return this.#settle("reject"); }

  /** Answer a request. @param {string | Uint8Array | Outgoing} message @returns {Promise<void>} */
  async reply(message) {
    await this.#client.call("reply", { to: this.replyTo, message: outgoing(message) });
  }

  /** @param {string} op @param {object} [more] @returns {Promise<void>} */
  async #settle(op, more) {
    if (this.settled) return;
    this.settled = true;
    if (this.#subscription) await this.#subscription._settle(this, op, this.#by, more);
    else if (this.#by) await this.#client.call(op, { ...this.#by, ...more });
  }

  /** @internal It was delivered again, over another connection. @param {any} by */
  _again(by) { this.#by = by; }
}

/** A subscription: iterate over it, or give `Client.subscribe` a handler. */
export class Subscription {
  /** @type {Message[]} */ #ready = [];
  /** @type {{resolve: (result: IteratorResult<Message>) => void, reject: (error: Error) => void}[]} */ #asked = [];
  /** @type {Map<string, Message>} Handed out and not settled, by id: over a new connection they come again. */ #open = new Map();
  /** @type {Set<string>} Acknowledged lately: what comes again of them is not handed out. */ #done = new Set();
  #owed = 0;
  /** Whether nothing is settled. */ #loose;
  #closed = false;
  /** @type {Error | undefined} */ #error;
  /** @type {Client} */ #client;
  /** @type {((message: Message) => unknown) | undefined} */ #handler;

  /** @param {Client} client @param {string} name @param {SubscribeOptions} options @param {(message: Message) => unknown} [handler] */
  constructor(client, name, options, handler) {
    this.#client = client;
    this.#handler = handler;
    this.name = name;
    this.options = options;
    this.credit = options.credit ?? 32;
    this._place = options.place;
    this.#loose = options.autoAck || options.broadcast;
  }

  /** @returns {AsyncIterator<Message>} */
  [Symbol.asyncIterator]() {
    return {
      next: () => this.#next(),
      return: async () => { await this.close(); return { done: true, value: undefined }; },
    };
  }

  /** No more; what is not settled goes to others. @returns {Promise<void>} */
  async close() {
    if (this.#closed) return;
    this._end();
    this.#client._forget(this);
    if (this.#client.state === "open") await this.#client.call("unsubscribe", { subscription: this.name }).catch(() => {});
  }

  /** @internal @param {Error} [error] */
  _end(error) {
    this.#closed = true;
    this.#error = error;
    this.#ready = [];
    for (const asked of this.#asked.splice(0)) error ? asked.reject(error) : asked.resolve({ done: true, value: undefined });
  }

  /** @internal What the gateway is told, also when a new connection stands. */
  _frame() {
    const { retryMs, credit, ...wanted } = this.options;
    // Those that are handed out will come again, and take no new credit of the page's.
    this.#owed = 0;
    this.#ready = [];
    for (const [id, message] of this.#open) if (!this._handedOut.has(message)) this.#open.delete(id);
    return { ...wanted, subscription: this.name, credit: this.credit, place: this._place };
  }

  /** @internal @type {WeakSet<Message>} */ _handedOut = new WeakSet();
  /** @internal @type {string | undefined} Of a broadcast: the place of what was handed out last. */ _place;

  /** @internal @param {any} frame @param {number} connection */
  _deliver(frame, connection) {
    if (this.#closed) return;
    const by = { subscription: this.name, numbers: [frame.number], connection };
    const fields = { ...frame.message, deliveryAttempt: frame.attempt, place: frame.place };
    const id = fields.messageId ?? "";
    const known = this.#open.get(id);
    if (this.#loose) return this.#hand(new Message(this.#client, fields, this, undefined));
    if (known && !known.settled) return known._again(by);
    const message = new Message(this.#client, fields, this, by);
    if (frame.attempt > 1 && this.#done.has(id)) {
      message.ack().catch(() => {});
      return;
    }
    if (id) this.#open.set(id, message);
    this.#hand(message);
  }

  /** @param {Message} message */
  #hand(message) {
    if (this.#handler) {
      this.#mark(message);
      this.#handle(message, this.#handler);
      return;
    }
    const asked = this.#asked.shift();
    if (!asked) { this.#ready.push(message); return; }
    this.#out(message);
    asked.resolve({ done: false, value: message });
  }

  /** @param {Message} message @param {(message: Message) => unknown} handler */
  async #handle(message, handler) {
    try {
      await handler(message);
      if (this.#loose) this.#grant(); else await message.ack();
    } catch (error) {
      if (this.#loose) this.#grant(); else await message.retry(this.options.retryMs ?? 1000).catch(() => {});
      this.#client._tell(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @returns {Promise<IteratorResult<Message>>} */
  #next() {
    const message = this.#ready.shift();
    if (message) { this.#out(message); return Promise.resolve({ done: false, value: message }); }
    if (this.#closed) return this.#error ? Promise.reject(this.#error) : Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  /** @param {Message} message */
  #out(message) {
    this.#mark(message);
    if (this.#loose) this.#grant();
  }

  /** @param {Message} message */
  #mark(message) {
    this._handedOut.add(message);
    this._place = message.place || this._place;
  }

  #grant() {
    this.#owed++;
    if (this.#owed * 4 < this.credit) return;
    if (this.#client._write({ op: "credit", subscription: this.name, messages: this.#owed })) this.#owed = 0;
  }

  /** @internal @param {Message} message @param {string} op @param {any} by @param {object} [more] */
  async _settle(message, op, by, more) {
    const { connection, ...place } = by ?? {};
    if (!by || this.#closed) return;
    if (op === "ack") {
      this.#done.add(message.messageId);
      if (this.#done.size > 2048) for (const old of this.#done) { this.#done.delete(old); break; }
    }
    // Said over a connection that is gone it says nothing: the message comes again, and is then settled here, not by the page.
    if (this.#client._connection !== connection) { this.#open.delete(message.messageId); return; }
    const settled = this.#client.call(op, { ...place, ...more });
    this.#open.delete(message.messageId);
    this.#grant();
    await settled.catch((error) => { if (error.code !== "DISCONNECTED") throw error; });
  }
}

/** A client: one connection, made again when it is lost. */
export class Client {
  /** @type {any} */ #socket;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */ #waiting = new Map();
  /** @type {Map<number, Unconfirmed>} In the order of sending. */ #unconfirmed = new Map();
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /** @type {Map<string, (message: Message) => unknown>} */ #checks = new Map();
  /** @type {(() => void)[]} */ #idle = [];
  /** @type {any} */ #timer;
  /** @type {any} */ #beat;
  /** @type {any} */ #flush;
  /** @type {string} */ #url;
  /** @type {Options} */ #options;
  #id = 0;
  #attempt = 0;
  #going = false;
  /** @type {State} */ state = "connecting";
  /** @internal Counts connections. */ _connection = 0;

  /** @param {string | URL} [url] The gateway, ws: or wss:; absent: where this module came from. @param {Options} [options] */
  constructor(url, options = {}) {
    const place = new URL(url ?? "/", import.meta.url);
    place.protocol = place.protocol.replace(/^http/, "ws");
    this.#url = place.href;
    this.#options = options;
    this.clientId = options.clientId ?? `browser-${newId()}`;
    globalThis.addEventListener?.("online", this.#online);
    this.#connect();
  }

  /** How many sends are not confirmed. */
  get unconfirmed() { return this.#unconfirmed.size; }

  /**
   * Send one message; resolves when it is durable. Repeated over reconnects until it is, or until nobody could know any more
   * whether it was stored (UNKNOWN_OUTCOME).
   * @param {string} topic @param {string | Uint8Array | Outgoing} message @returns {Promise<Sent>}
   */
  async send(topic, message) { return (await this.sendAll(topic, [message]))[0]; }

  /** Send many, all or none. @param {string} topic @param {(string | Uint8Array | Outgoing)[]} messages @returns {Promise<Sent[]>} */
  sendAll(topic, messages) { return this.#sendFrame({ topic, messages: messages.map(outgoing) }); }

  /**
   * Prepare a message; consumers get it when it is committed.
   * @param {string} topic @param {string | Uint8Array | Outgoing} message @param {string} producerGroup
   * @returns {Promise<Sent & {commit: () => Promise<void>, rollback: () => Promise<void>}>}
   */
  async begin(topic, message, producerGroup) {
    const [sent] = await this.#sendFrame({ topic, messages: [outgoing(message)], transaction: true, producerGroup });
    const end = { topic, producerGroup, transactionId: sent.transactionId };
    return { ...sent, commit: () => this.call("commit", end), rollback: () => this.call("rollback", end) };
  }

  /**
   * Answer what became of a producer group's transactions: "commit", "rollback", or nothing.
   * @param {string} producerGroup @param {(message: Message) => unknown} handler
   */
  onCheck(producerGroup, handler) {
    this.#checks.set(producerGroup, handler);
    this._write({ op: "heartbeat", producerGroups: [producerGroup] });
  }

  /** @param {SubscribeOptions} options @param {(message: Message) => unknown} [handler] Acknowledged when it is done, tried again when
   *  it throws. Without one: iterate. @returns {Subscription} */
  subscribe(options, handler) {
    const made = new Subscription(this, `s${++this.#id}`, options, handler);
    this.#subscriptions.set(made.name, made);
    if (this.state === "open" && !this.#going) this.#begin(made);
    return made;
  }

  /**
   * Receive once. @param {{topic: string, group: string, maxMessages?: number, waitMs?: number, invisibleMs?: number, filter?: string,
   * filterType?: "TAG" | "SQL92", fifo?: boolean, liteTopics?: string[]}} options @returns {Promise<Message[]>}
   */
  async receive(options) {
    const { messages = [] } = await this.call("receive", options);
    return messages.map((/** @type {any} */ one) =>
      new Message(this, one, undefined, { group: options.group, topic: options.topic, receiptHandles: [one.receiptHandle] }));
  }

  /** Send a request, wait for its reply. @param {string} topic @param {string | Uint8Array | Outgoing} message @param {number} [timeoutMs]
   *  @returns {Promise<Message>} */
  async request(topic, message, timeoutMs = 3000) {
    return new Message(this, (await this.call("request", { topic, message: outgoing(message), timeoutMs })).message);
  }

  /**
   * Any frame of the protocol (AsyncAPI: /asyncapi.json), once: rejects with DISCONNECTED when the connection is lost.
   * @param {string} op @param {object} [fields] @returns {Promise<any>}
   */
  call(op, fields = {}) {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      if (this._write({ op, id, ...fields })) this.#waiting.set(id, { resolve, reject });
      else reject(new GatewayError("DISCONNECTED", `${op}: there is no connection`, { retryAfterMs: 1000 }));
    });
  }

  /** Resolves when every send is confirmed or has failed. @returns {Promise<void>} */
  flush() {
    return this.#unconfirmed.size ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  /** The end. Sends that are not confirmed fail: `await flush()` before. */
  close() { this.#close(new GatewayError("CLOSED", "the client was closed")); }

  // Sending.

  /** @param {any} fields @returns {Promise<Sent[]>} */
  #sendFrame(fields) {
    const limit = this.#options.maxUnconfirmed ?? 1000;
    return new Promise((resolve, reject) => {
      if (this.state === "closed") return reject(new GatewayError("CLOSED", "the client was closed"));
      if (this.#unconfirmed.size >= limit)
        return reject(new GatewayError("QUEUE_FULL", `${limit} sends are not confirmed`, { retryAfterMs: 1000 }));
      const id = ++this.#id;
      const one = { frame: { op: "send", id, ...fields }, resolve, reject, at: 0, under: false };
      this.#unconfirmed.set(id, one);
      this.#write(one);
    });
  }

  /** @param {Unconfirmed} one */
  #write(one) {
    const now = Date.now();
    if (one.at && now - one.at > REPEATABLE_MS) {
      this.#settled(one.frame.id);
      one.reject(new GatewayError("UNKNOWN_OUTCOME", "the connection was lost for too long to know whether it was stored"));
    } else if (!one.under && !this.#flush && !this.#going && this._write(one.frame)) {
      one.under = true;
      one.at ||= now;
    }
  }

  #writeAll() {
    this.#flush = undefined;
    for (const one of [...this.#unconfirmed.values()]) this.#write(one);
  }

  /** @param {number} id */
  #settled(id) {
    this.#unconfirmed.delete(id);
    if (!this.#unconfirmed.size) for (const idle of this.#idle.splice(0)) idle();
  }

  // The connection.

  #connect() {
    this.#set("connecting");
    const socket = new (this.#options.WebSocket ?? WebSocket)(this.#url, PROTOCOL);
    this.#socket = socket;
    const lost = () => { if (socket === this.#socket) this.#lost(); };
    // What is accepted may never be answered: by a balancer, by a gateway that hangs.
    const patience = () => {
      clearTimeout(this.#beat);
      this.#beat = setTimeout(() => { lost(); socket.close(); }, CONNECT_MS);
    };
    patience();
    socket.onopen = async () => {
      try {
        clearTimeout(this.#beat);
        const { credential } = this.#options;
        const who = typeof credential === "function" ? await credential() : credential;
        if (socket !== this.#socket) return;
        patience();
        const id = ++this.#id;
        this.#waiting.set(id, { resolve: () => this.#open(), reject: (error) => this.#refused(error) });
        socket.send(JSON.stringify({ op: "connect", id, clientId: this.clientId, ...who }));
      } catch (error) {
        this._tell(/** @type {Error} */ (error));
        socket.close();
      }
    };
    socket.onmessage = (/** @type {{data: string}} */ event) => { if (socket === this.#socket) this.#received(JSON.parse(event.data)); };
    socket.onclose = socket.onerror = lost; // not all say both of a handshake that fails
  }

  #open() {
    this.#attempt = 0;
    this.#going = false;
    this._connection++;
    this.#set("open");
    this.#alive();
    if (this.#checks.size) this._write({ op: "heartbeat", producerGroups: [...this.#checks.keys()] });
    for (const one of this.#subscriptions.values()) this.#begin(one);
    this.#writeAll();
  }

  /** @param {any} error */
  #refused(error) {
    if (error.code === "DISCONNECTED") return;
    if (error.retryAfterMs === undefined) this.#close(error);
    else this.#socket.close();
  }

  /** @param {Subscription} one */
  #begin(one) {
    this.call("subscribe", one._frame()).catch((error) => {
      if (error.code === "DISCONNECTED" || this.#subscriptions.get(one.name) !== one) return;
      if (error.retryAfterMs !== undefined) setTimeout(() => { if (this.#subscriptions.has(one.name)) this.#begin(one); }, error.retryAfterMs);
      else this.#failed(one, error);
    });
  }

  /** @param {Subscription} one @param {Error} error */
  #failed(one, error) {
    this._forget(one);
    one._end(error);
    this._tell(error);
  }

  #lost() {
    clearTimeout(this.#beat);
    clearTimeout(this.#flush);
    this.#socket = this.#flush = undefined;
    this.#going = false;
    for (const one of this.#unconfirmed.values()) one.under = false;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.reject(new GatewayError("DISCONNECTED", "the connection was lost", { retryAfterMs: 1000 }));
    if (this.state === "closed") return;
    this.#set("waiting");
    // Full jitter: many clients that lost one gateway do not come back together.
    const most = Math.min(20_000, 100 * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.#connect(), Math.max(most * Math.random(), 5));
  }

  #online = () => {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  #alive() {
    clearTimeout(this.#beat);
    const every = this.#options.keepAliveMs ?? 25_000;
    this.#beat = setTimeout(() => {
      this._write({ op: "ping", id: ++this.#id });
      this.#beat = setTimeout(() => { const socket = this.#socket; this.#lost(); socket?.close(); }, Math.min(every, 10_000));
    }, every);
  }

  /** @param {any} frame */
  #received(frame) {
    this.#alive();
    const { op, id } = frame;
    if (op === "deliver") this.#subscriptions.get(frame.subscription)?._deliver(frame, this._connection);
    else if (op === "place") this.#began(frame);
    else if (op === "check") this.#check(frame);
    else if (op === "goAway") this.#going = true;
    else if (this.#unconfirmed.has(id)) this.#confirmed(frame);
    else if (op === "error") {
      const error = new GatewayError(frame.code, frame.message, frame);
      const subscription = this.#subscriptions.get(frame.subscription);
      if (id !== undefined) this.#waiting.get(id)?.reject(error);
      else if (subscription) this.#failed(subscription, error);
      else this._tell(error);
    } else this.#waiting.get(id)?.resolve(frame);
    this.#waiting.delete(id);
  }

  /** @param {any} frame */
  #began({ subscription, place }) {
    const one = this.#subscriptions.get(subscription);
    if (one) one._place = place;
  }

  /** @param {any} frame */
  #confirmed(frame) {
    const one = /** @type {Unconfirmed} */ (this.#unconfirmed.get(frame.id));
    if (frame.op === "sent") {
      this.#settled(frame.id);
      one.resolve(frame.results);
      return;
    }
    if (frame.retryAfterMs === undefined) {
      this.#settled(frame.id);
      one.reject(new GatewayError(frame.code, frame.message, frame));
      return;
    }
    one.under = false;
    if (!UNSURE.test(frame.reason)) one.at = 0;
    this.#flush ??= setTimeout(() => this.#writeAll(), frame.retryAfterMs);
  }

  /** @param {any} frame */
  async #check(frame) {
    const { producerGroup, transactionId, message } = frame;
    try {
      const said = await this.#checks.get(producerGroup)?.(new Message(this, message));
      if (said === "commit" || said === "rollback")
        await this.call(said, { topic: message.topic, producerGroup, transactionId, fromCheck: true });
    } catch (error) {
      this._tell(/** @type {Error} */ (error));
    }
  }

  /** @param {State} state @param {Error} [error] */
  #set(state, error) {
    this.state = state;
    this.#options.onState?.(state, error);
  }

  /** @param {GatewayError} error */
  #close(error) {
    if (this.state === "closed") return;
    this.#set("closed", error);
    globalThis.removeEventListener?.("online", this.#online);
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#lost();
    socket?.close();
    for (const [id, one] of [...this.#unconfirmed]) { this.#settled(id); one.reject(error); }
    for (const one of this.#subscriptions.values()) one._end(error.code === "CLOSED" ? undefined : error);
    this.#subscriptions.clear();
  }

  /** @internal @param {object} frame @returns {boolean} */
  _write(frame) {
    if (this.state !== "open" || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** @internal @param {Subscription} one */
  _forget(one) { this.#subscriptions.delete(one.name); }

  /** @internal Something went wrong that nobody waits for. @param {Error} error */
  _tell(error) { this.#options.onState?.(this.state, error); }
}

/** @param {string | Uint8Array | Outgoing} message */
function outgoing(message) {
  const made = typeof message === "string" ? { text: message } : message instanceof Uint8Array ? { body: message } : message;
  const { body, ...rest } = made;
  return { messageId: newId(), ...rest, ...(body && { body: toBase64(body) }) };
}

/** 128 random bits; crypto.randomUUID is for secure contexts only. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** @param {string} text */
function fromBase64(text) { return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)); }
