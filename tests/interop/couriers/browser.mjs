// Sends and receives on request with the browser's module under node: a question in JSON per line, an answer per line.
// Arguments: the module, the gateway's address.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { Client } = await import(pathToFileURL(process.argv[2]).href);
const SECONDS = 40;

async function send(client, asked) {
  const ids = [];
  for (const given of asked.messages) {
    const message = { text: given.body, tag: given.tag, keys: given.keys, properties: given.properties };
    for (const [name, field] of [['message_group', 'messageGroup'], ['deliver_at', 'deliverAt'], ['priority', 'priority'],
      ['lite_topic', 'liteTopic']]) {
      if (name in given) message[field] = given[name];
    }
    if ('commit' in given) {
      const transaction = await client.begin(asked.topic, message, `${asked.group}_producer`);
      ids.push(transaction.messageId);
      await (given.commit ? transaction.commit() : transaction.rollback());
    } else {
      ids.push((await client.send(asked.topic, message)).messageId);
    }
  }
  return { ids };
}

async function receive(client, asked) {
  const messages = [];
  const before = new Set();
  const options = { topic: asked.topic, group: asked.group, credit: 16 };
  if (asked.kind === 'fifo') options.fifo = true;
  if (asked.lite_topics) options.liteTopics = asked.lite_topics;
  let done;
  const all = new Promise((resolve) => { done = resolve; });
  const timer = setTimeout(() => done(), SECONDS * 1000);
  const subscription = client.subscribe(options, async (message) => {
    if (!before.has(message.messageId)) {
      before.add(message.messageId);
      throw new Error('again');
    }
    messages.push({
      body: message.text, tag: message.tag, keys: message.keys, properties: message.properties, message_id: message.messageId,
      message_group: message.messageGroup, priority: message.priority, lite_topic: message.liteTopic,
      attempt: message.deliveryAttempt ?? message.attempt, born_timestamp: message.bornTimestamp, born_host: message.bornHost,
      at: Date.now(),
    });
    if (messages.length >= asked.count) done();
  });
  await all;
  clearTimeout(timer);
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  await subscription.close?.();
  return { messages };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const client = new Client(`ws://${process.argv[3]}/`);
  let answer;
  try {
    answer = await (asked.op === 'send' ? send : receive)(client, asked);
  } catch (error) {
    console.error(error);
    answer = { error: String(error) };
  }
  await client.close();
  process.stdout.write(`${JSON.stringify({ ...answer, id: asked.id })}\n`);
}
