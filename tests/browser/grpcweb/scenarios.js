// Scenarios for each library, run by the tests in a real browser: `grpcweb.run(name, client, base, topic)` is a promise of facts.
import { CLIENTS } from "./clients.js";

const OK = 20000;
const MESSAGE_NOT_FOUND = 40401;
const headers = (topic) => ({
  "x-mq-client-id": `browser-${topic}`, "x-mq-language": "HTTP", "x-mq-client-version": "5.0.0", "x-mq-protocol": "v2",
});

/** One member of a group at a topic. */
class Member {
  constructor(client, topic) {
    this.client = client;
    this.topic = { name: topic };
    this.group = { name: `${topic}_group` };
    this.headers = headers(topic);
    this.sent = 0;
  }

  async unary(name, init) {
    const answer = await this.client.unary(name, init, this.headers);
    if (answer.status.code !== OK) throw new Error(`${name}: ${answer.status.code} ${answer.status.message}`);
    return answer;
  }

  send(body, properties = {}) {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const messageId = `01${this.topic.name}${this.sent++}`.toUpperCase();
    const systemProperties = { messageId, messageType: 1, bornHost: "browser" };
    return this.unary("SendMessage", {
      messages: [{ topic: this.topic, body: bytes, userProperties: properties, systemProperties }],
    });
  }

  receiving(waitSeconds, batchSize = 32) {
    return this.client.stream("ReceiveMessage", {
      group: this.group,
      messageQueue: { topic: this.topic },
      filterExpression: { type: 1, expression: "*" },
      batchSize,
      invisibleDuration: { seconds: 60n },
      longPollingTimeout: { seconds: BigInt(waitSeconds) },
    }, this.headers);
  }

  async receive(waitSeconds = 5, batchSize = 32) {
    const [status, ...rest] = (await this.receiving(waitSeconds, batchSize).all()).map((one) => one.content);
    if (status.case !== "status" || rest.at(-1)?.case !== "deliveryTimestamp") throw new Error("another order of a stream");
    if (![OK, MESSAGE_NOT_FOUND].includes(status.value.code)) throw new Error(status.value.message);
    return rest.slice(0, -1).map((one) => one.value);
  }

  ack(messages) {
    const entries = messages.map(({ systemProperties: { messageId, receiptHandle } }) => ({ messageId, receiptHandle }));
    return this.unary("AckMessage", { group: this.group, topic: this.topic, entries });
  }
}

const text = (message) => new TextDecoder().decode(message.body);

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.code, error.text];
  }
  return null;
}

const SCENARIOS = {
  async roundtrip(client, topic) {
    const member = new Member(client, topic);
    const route = await member.unary("QueryRoute", { topic: member.topic });
    await member.receive(0);
    const sent = [];
    for (const body of ["one", "grüße 你好", "x".repeat(200_000)]) {
      sent.push((await member.send(body, { "color": "blue", "名": "值" })).entries[0].messageId);
    }
    const got = [];
    while (got.length < 3) {
      const messages = await member.receive();
      if (!messages.length) break;
      got.push(...messages);
    }
    const acknowledged = await member.ack(got);
    return {
      queues: route.messageQueues.length,
      bodies: got.map(text).sort().map((body) => body.slice(0, 20)),
      ids: JSON.stringify(got.map((one) => one.systemProperties.messageId).sort()) === JSON.stringify(sent.sort()),
      properties: got.every((one) => one.userProperties["名"] === "值"),
      acknowledged: acknowledged.entries.map((one) => one.status.code),
      left: (await member.receive(0)).length,
    };
  },

  /** Errors: of the transport, in trailers without any message, and of the API, in a message. */
  async errors(client, topic) {
    const member = new Member(client, topic);
    const settings = { command: { case: "settings", value: {} } };
    const telemetry = () => {
      const stream = client.both ? client.both("Telemetry", member.headers) : client.stream("Telemetry", settings, member.headers);
      stream.send?.(settings);
      return stream.all();
    };
    return {
      refused: await failure(client.unary("ChangeLogLevel", { level: 1 }, member.headers)),
      stream: client.telemetry ? await failure(telemetry()) : null,
      inside: (await client.unary("Heartbeat", {}, {})).status.code,
    };
  },

  /** The Admin service: what it reads, a test message, and how far a group is. */
  async administered(client, topic) {
    const member = new Member(client, topic);
    const { topic: where, group } = member;
    await member.unary("QueryRoute", { topic: where });
    await member.receive(0);
    const sent = await member.unary("AdminSendMessage", {
      topic: where, key: "k1", tag: "blue", body: new TextEncoder().encode("from a page"), userProperties: { "名": "值" },
    });
    const accumulation = async () =>
      (await member.unary("DescribeGroupAccumulation", { group, topics: [where] })).accumulation.accumulation;
    const before = await accumulation();
    const [got] = await member.receive();
    await member.ack([got]);
    const found = await member.unary("QueryMessage", {
      topic: where, maxMessageNums: 8, searchKey: { case: "messageKey", value: "k1" },
    });
    const route = await member.unary("GetTopicRoute", { topic: where });
    return {
      same: sent.messageId === got.systemProperties.messageId,
      got: [text(got), got.systemProperties.tag, got.userProperties["名"]],
      found: found.messages.map(text),
      queues: JSON.parse(route.topicRouteData).queueDatas[0].readQueueNums,
      behind: [Number(before), Number(await accumulation())],
      missing: (await client.unary("DescribeTopicStatus", { topic: { name: `${topic}_none` } }, member.headers)).status.code,
    };
  },

  async unknown(client, topic) {
    return failure(client.unary("Nope", {}, headers(topic)));
  },

  /** A receive that waits and is given up takes nothing; messages of a stream that is left half-way come again at once. */
  async cancelled(client, topic) {
    const member = new Member(client, topic);
    await member.unary("QueryRoute", { topic: member.topic });
    await member.receive(0);
    const waiting = member.receiving(15);
    await new Promise((resolve) => setTimeout(resolve, 300));
    waiting.cancel();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await member.send("for another");
    const messages = await member.receive(3);
    return { bodies: messages.map(text), attempts: messages.map((one) => one.systemProperties.deliveryAttempt) };
  },

  async left_half_way(client, topic) {
    const member = new Member(client, topic);
    await member.unary("QueryRoute", { topic: member.topic });
    await member.receive(0);
    const body = new Uint8Array(2 << 20);
    for (let number = 0; number < 16; number++) await member.send(body);
    const stream = member.receiving(5);
    let first;
    do first = (await stream.next()).content; while (first.case !== "message");
    stream.cancel();
    const attempts = [];
    for (let tries = 0; attempts.length < 16 && tries < 20; tries++) {
      for (const message of await member.receive(1, 4)) {
        attempts.push(message.systemProperties.deliveryAttempt);
        await member.ack([message]);
      }
    }
    return attempts;
  },

  /** Telemetry: settings there and back, a command of the gateway, the end. */
  async telemetry(client, topic) {
    const first = new Member(client, topic);
    const second = new Member(client, topic);
    second.headers = headers(`${topic}_second`);
    const streams = [];
    const settings = [];
    await first.unary("QueryRoute", { topic: first.topic });
    for (const member of [first, second]) {
      const stream = client.both("Telemetry", member.headers);
      streams.push(stream);
      const subscription = { group: member.group, subscriptions: [{ topic: member.topic }] };
      const value = { clientType: 5, pubSub: { case: "subscription", value: subscription } };
      stream.send({ command: { case: "settings", value } });
      settings.push((await stream.next()).command.value);
      await member.unary("SyncLiteSubscription", { action: 0, topic: member.topic, group: member.group, liteTopicSet: ["a"] });
    }
    const told = (await streams[0].next()).command;
    for (const stream of streams) stream.finish();
    return {
      longPolling: settings.map((one) => Number(one.pubSub.value.longPollingTimeout.seconds)),
      attempts: settings.map((one) => one.backoffPolicy.maxAttempts),
      told: [told.case, told.value.liteTopic],
      left: (await Promise.all(streams.map((stream) => stream.all()))).map((rest) => rest.length),
    };
  },
};

/** The protocols over which this page's calls went. */
function protocols(base) {
  const found = performance.getEntriesByType("resource").filter((one) => one.name.startsWith(base) && one.nextHopProtocol);
  return [...new Set(found.map((one) => one.nextHopProtocol))];
}

globalThis.grpcweb = {
  protocols,
  run: (scenario, client, base, topic) => SCENARIOS[scenario](CLIENTS[client](base), topic),
};
