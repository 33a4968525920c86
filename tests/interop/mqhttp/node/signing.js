'use strict';
// The Node SDK with a credential: lines "ACTION USER SECRET TOPIC GROUP BODY" in, "OK ..." or "CODE word" out.

const readline = require('readline');
const { MQClient, MessageProperties } = require('@aliyunmq/mq-http-sdk');

const actions = {
  async send(client, topic, group, body) {
    return (await client.getProducer('', topic).publishMessage(body, '', new MessageProperties())).body.MessageId;
  },

  // Equal requests, many in a second: each is signed as the one before.
  async many(client, topic, group, body) {
    for (let number = 0; number < 30; number += 1) {
      await actions.send(client, topic, group, body);
    }
    return '30';
  },

  async consume(client, topic, group) {
    const consumer = client.getConsumer('', topic, group, '');
    const [message] = (await consumer.consumeMessage(1, 5)).body;
    await consumer.ackMessage([message.ReceiptHandle]);
    return message.MessageBody;
  },
};

async function main(endpoint) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [action, user, secret, topic, group, body] = line.split('\t');
    try {
      const client = new MQClient(`http://${endpoint}`, user, secret);
      console.log(`OK ${await actions[action](client, topic, group, body)}`);
    } catch (error) {
      console.log(`CODE ${error.Code || error.stack}`);
    }
  }
}

main(process.argv[2]);
