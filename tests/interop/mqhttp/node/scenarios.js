'use strict';
// The Node SDK of the MQ HTTP wire, unchanged: each scenario prints one JSON object a line.
//     node scenarios.js ENDPOINT all PREFIX | node scenarios.js none list none

const assert = require('assert');
const { MQClient, MessageProperties } = require('@aliyunmq/mq-http-sdk');

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function withProperties(named) {
  const properties = new MessageProperties();
  for (const [name, value] of Object.entries(named)) {
    if (typeof properties[name] === 'function') {
      properties[name](value);
    } else {
      properties.putProperty(name, value);
    }
  }
  return properties;
}

async function publish(client, topic, body, tag = '', named = {}, instance = '') {
  return (await client.getProducer(instance, topic).publishMessage(body, tag, withProperties(named))).body;
}

async function codeOf(action) {
  try {
    await action();
  } catch (error) {
    if (!error.Code) {
      throw error;
    }
    return error.Code;
  }
  return '';
}

// Consumes and acknowledges until that many came.
async function consume(consumer, wanted, orderly = false) {
  const found = [];
  const end = Date.now() + 15000;
  while (found.length < wanted && Date.now() < end) {
    let batch;
    try {
      batch = (await (orderly ? consumer.consumeMessageOrderly(16, 3) : consumer.consumeMessage(16, 3))).body;
    } catch (error) {
      if (error.Code !== 'MessageNotExist') {
        throw error;
      }
      continue;
    }
    const done = await consumer.ackMessage(batch.map((one) => one.ReceiptHandle));
    assert.strictEqual(done.code, 204);
    found.push(...batch);
  }
  assert.strictEqual(found.length, wanted);
  return found;
}

const scenarios = {
  async publish_consume_ack(client, name) {
    const sent = await publish(client, name, 'hello <&>\tworld');
    const [message] = await consume(client.getConsumer('', name, `${name}_g`), 1);
    assert.strictEqual(message.MessageBody, 'hello <&>\tworld');
    assert.strictEqual(message.MessageId, sent.MessageId);
    assert.strictEqual(message.MessageBodyMD5, sent.MessageBodyMD5);
    assert.strictEqual(message.ConsumedTimes, '1');
    assert(Number(message.FirstConsumeTime) < Number(message.NextConsumeTime));
  },

  async many(client, name) {
    for (let number = 0; number < 40; number += 1) {
      await publish(client, name, `message ${number % 2}`);
    }
    await consume(client.getConsumer('', name, `${name}_g`), 40);
  },

  async chinese_text(client, name) {
    await publish(client, name, '消息队列 🚀', '标签', { messageKey: '订单', shardingKey: '键' });
    const [message] = await consume(client.getConsumer('', name, `${name}_g`, '标签'), 1);
    assert.strictEqual(message.MessageBody, '消息队列 🚀');
    assert.deepStrictEqual([message.MessageTag, message.MessageKey, message.ShardingKey], ['标签', '订单', '键']);
  },

  async properties(client, name) {
    await publish(client, name, 'x', 'tag', { messageKey: 'key', colour: 'red' });
    const [message] = await consume(client.getConsumer('', name, `${name}_g`), 1);
    assert.deepStrictEqual([message.MessageTag, message.MessageKey], ['tag', 'key']);
    assert.deepStrictEqual(message.Properties, { colour: 'red' });
  },

  async tag_filter(client, name) {
    for (const tag of 'ABC') {
      await publish(client, name, tag, tag);
    }
    const consumer = client.getConsumer('', name, `${name}_g`, 'A||B');
    const found = await consume(consumer, 2);
    assert.deepStrictEqual(found.map((one) => one.MessageBody).sort(), ['A', 'B']);
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1)), 'MessageNotExist');
  },

  async delay(client, name) {
    const at = Date.now() + 2500;
    await publish(client, name, 'later', '', { startDeliverTime: at });
    const consumer = client.getConsumer('', name, `${name}_g`);
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1)), 'MessageNotExist');
    const [message] = await consume(consumer, 1);
    assert(Date.now() >= at);
    assert.strictEqual(message.StartDeliverTime, at);
  },

  async ordered(client, name) {
    for (let number = 0; number < 12; number += 1) {
      await publish(client, name, String(number), '', { shardingKey: String(number % 2) });
    }
    const found = await consume(client.getConsumer('', name, `${name}_g`), 12, true);
    for (const key of '01') {
      const got = found.filter((one) => one.ShardingKey === key).map((one) => Number(one.MessageBody));
      assert.deepStrictEqual(got, [...got].sort((a, b) => a - b));
      assert.strictEqual(got.length, 6);
    }
  },

  async ordered_waits_for_ack(client, name) {
    for (let number = 0; number < 3; number += 1) {
      await publish(client, name, String(number), '', { shardingKey: 'k' });
    }
    const consumer = client.getConsumer('', name, `${name}_g`);
    const [first] = (await consumer.consumeMessageOrderly(1, 3)).body;
    assert.strictEqual(await codeOf(() => consumer.consumeMessageOrderly(1)), 'MessageNotExist');
    await consumer.ackMessage([first.ReceiptHandle]);
    assert.deepStrictEqual((await consume(consumer, 2, true)).map((one) => one.MessageBody), ['1', '2']);
  },

  async instance(client, name) {
    await publish(client, name, 'inside', '', {}, 'INST');
    const outside = client.getConsumer('', name, `${name}_g`);
    assert.strictEqual(await codeOf(() => outside.consumeMessage(1)), 'TopicNotExist');
    await consume(client.getConsumer('INST', name, `${name}_g`), 1);
  },

  async no_message(client, name) {
    await publish(client, name, 'x');
    const consumer = client.getConsumer('', name, `${name}_g`);
    await consume(consumer, 1);
    const began = Date.now();
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1, 2)), 'MessageNotExist');
    const took = Date.now() - began;
    assert(took > 1500 && took < 10000, `it took ${took} ms`);
  },

  async unknown_topic(client, name) {
    const consumer = client.getConsumer('', name, `${name}_g`);
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1)), 'TopicNotExist');
  },

  async expired_handle(client, name) {
    await publish(client, name, 'again');
    const consumer = client.getConsumer('', name, `${name}_g`);
    const [first] = (await consumer.consumeMessage(1, 3)).body;
    await sleep(Math.max(0, Number(first.NextConsumeTime) - Date.now()) + 300);
    const { body: entries } = await consumer.ackMessage([first.ReceiptHandle, 'nonsense']);
    const codes = Object.fromEntries(entries.map((one) => [one.ReceiptHandle, one.ErrorCode]));
    assert.deepStrictEqual(codes, { [first.ReceiptHandle]: 'MessageNotExist', nonsense: 'ReceiptHandleError' });
    const [second] = await consume(consumer, 1);
    assert.strictEqual(second.ConsumedTimes, '2');
    assert.strictEqual(second.FirstConsumeTime, first.FirstConsumeTime);
  },

  async transaction_commit(client, name) {
    const producer = client.getTransProducer('', name, `${name}_p`);
    const properties = withProperties({ transCheckImmunityTime: 10 });
    const { ReceiptHandle: handle } = (await producer.publishMessage('half', '', properties)).body;
    const consumer = client.getConsumer('', name, `${name}_g`);
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1)), 'MessageNotExist');
    assert.strictEqual((await producer.commit(handle)).code, 204);
    const [got] = await consume(consumer, 1);
    assert.strictEqual(got.MessageBody, 'half');
    const again = await producer.rollback(handle);
    assert.strictEqual(again.body[0].ErrorCode, 'MessageNotExist');
  },

  async transaction_rollback(client, name) {
    const producer = client.getTransProducer('', name, `${name}_p`);
    const properties = withProperties({ transCheckImmunityTime: 10 });
    const { ReceiptHandle: handle } = (await producer.publishMessage('half', '', properties)).body;
    assert.strictEqual((await producer.rollback(handle)).code, 204);
    const consumer = client.getConsumer('', name, `${name}_g`);
    assert.strictEqual(await codeOf(() => consumer.consumeMessage(1, 1)), 'MessageNotExist');
  },

  async transaction_half(client, name) {
    const producer = client.getTransProducer('', name, `${name}_p`);
    const handles = [];
    for (const body of ['commit', 'rollback']) {
      const properties = withProperties({ transCheckImmunityTime: 10 });
      handles.push((await producer.publishMessage(body, '', properties)).body.ReceiptHandle);
    }
    const found = {};
    const end = Date.now() + 25000;
    while (Object.keys(found).length < 2 && Date.now() < end) {
      try {
        for (const one of (await producer.consumeHalfMessage(16, 5)).body) {
          found[one.MessageBody] = one.ReceiptHandle;
        }
      } catch (error) {
        assert.strictEqual(error.Code, 'MessageNotExist');
      }
    }
    assert.deepStrictEqual(Object.keys(found).sort(), ['commit', 'rollback']);
    assert.strictEqual((await producer.commit(handles[0])).body[0].ErrorCode, 'MessageNotExist');
    assert.strictEqual((await producer.commit(found.commit)).code, 204);
    assert.strictEqual((await producer.rollback(found.rollback)).code, 204);
    const [got] = await consume(client.getConsumer('', name, `${name}_g`), 1);
    assert.strictEqual(got.MessageBody, 'commit');
  },
};

async function main(endpoint, which, prefix) {
  if (which === 'list') {
    console.log(Object.keys(scenarios).join('\n'));
    return;
  }
  const client = new MQClient(`http://${endpoint}`, 'key', 'secret');
  for (const [name, run] of Object.entries(scenarios)) {
    const began = Date.now();
    let outcome = 'ok';
    let message = '';
    try {
      await run(client, `${prefix}_${name}`);
    } catch (error) {
      outcome = 'failed';
      message = String(error.stack || error);
    }
    console.log(JSON.stringify({ name, outcome, seconds: (Date.now() - began) / 1000, message }));
  }
}

main(...process.argv.slice(2)).then(() => process.exit(0));
