// Runs named scenarios with the official Node client and prints one line of JSON for each.
// Arguments: endpoint, comma separated names, a prefix unique to this run.
const {
  ConsumeResult, FilterExpression, LitePushConsumerBuilder, OffsetOption, Producer, PushConsumer, SimpleConsumer,
} = require('rocketmq-client-nodejs');

const [endpoints, names, prefix] = process.argv.slice(2);
const COMMIT = 1;
const SQL = 2;

function check(kept, promise) {
  if (!kept) throw new Error(promise);
}

class Stage {
  constructor(name) {
    this.topic = `${prefix}_${name}`;
    this.group = `${this.topic}_group`;
    this.made = [];
    this.common = { endpoints, namespace: '', sslEnabled: false, requestTimeout: 10000 };
  }

  async started(client) {
    await client.startup();
    this.made.push(client);
    return client;
  }

  producer(checker) {
    return this.started(new Producer({ ...this.common, topics: [this.topic], checker }));
  }

  simple(filter = FilterExpression.SUB_ALL, awaitDuration = 4000) {
    const subscriptions = new Map().set(this.topic, filter);
    return this.started(new SimpleConsumer({ ...this.common, consumerGroup: this.group, subscriptions, awaitDuration }));
  }

  push(consume) {
    const subscriptions = new Map().set(this.topic, FilterExpression.SUB_ALL);
    const options = { ...this.common, consumerGroup: this.group, subscriptions, messageListener: { consume } };
    return this.started(new PushConsumer(options));
  }

  message(body, more = {}) {
    return { topic: this.topic, body: Buffer.from(body), ...more };
  }
}

async function drain(consumer, count, seconds, ack = true) {
  const found = [];
  const end = Date.now() + seconds * 1000;
  while (found.length < count && Date.now() < end) {
    for (const view of await consumer.receive(16, 20000)) {
      found.push(view);
      if (ack) await consumer.ack(view);
    }
  }
  return found;
}

const bodies = views => views.map(view => view.body.toString()).sort().join();

const SCENARIOS = {
  async normal(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    const sent = [];
    for (let number = 0; number < 20; number++) {
      const more = { tag: 'A', keys: ['k'], properties: new Map().set('color', 'blue') };
      sent.push((await producer.send(stage.message(`grüße ${number}`, more))).messageId);
    }
    const views = await drain(consumer, 20, 20);
    check(views.map(view => view.messageId).sort().join() === sent.sort().join(), bodies(views));
    check(views.every(view => view.tag === 'A' && view.properties.get('color') === 'blue'), 'tag or property');
  },

  async fifo(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    for (let number = 0; number < 8; number++) {
      await producer.send(stage.message(String(number), { messageGroup: 'g' }));
    }
    const views = await drain(consumer, 8, 20);
    check(views.map(view => view.body.toString()).join('') === '01234567', bodies(views));
  },

  async delay(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    const due = Date.now() + 3000;
    await producer.send(stage.message('later', { deliveryTimestamp: new Date(due) }));
    const views = await drain(consumer, 1, 15);
    check(bodies(views) === 'later' && Date.now() >= due - 1000, `${bodies(views)} ${due - Date.now()} ms early`);
  },

  async transaction(stage) {
    const producer = await stage.producer({ check: async () => 0 });
    const consumer = await stage.simple(undefined, 3000);
    const committed = producer.beginTransaction();
    await producer.send(stage.message('committed'), committed);
    const rolledBack = producer.beginTransaction();
    await producer.send(stage.message('rolled back'), rolledBack);
    await rolledBack.rollback();
    check((await drain(consumer, 1, 2)).length === 0, 'a half message is visible');
    await committed.commit();
    const views = await drain(consumer, 2, 6);
    check(bodies(views) === 'committed', bodies(views));
  },

  async transaction_orphan(stage) {
    let asked = 0;
    const producer = await stage.producer({
      check: async () => {
        asked++;
        return COMMIT;
      },
    });
    const consumer = await stage.simple();
    await producer.send(stage.message('orphan'), producer.beginTransaction());
    const views = await drain(consumer, 1, 40);
    check(bodies(views) === 'orphan' && asked > 0, `${bodies(views)}, asked ${asked} times`);
  },

  async change_invisible(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    await producer.send(stage.message('again'));
    const [view] = await drain(consumer, 1, 10, false);
    await consumer.changeInvisibleDuration(view, 2000);
    const views = await drain(consumer, 1, 10);
    check(bodies(views) === 'again', bodies(views));
  },

  async push(stage) {
    const producer = await stage.producer();
    const received = new Set();
    let failed = 0;
    await stage.push(view => {
      const body = view.body.toString();
      if (body === 'm7' && failed++ === 0) return ConsumeResult.FAILURE;
      received.add(body);
      return ConsumeResult.SUCCESS;
    });
    for (let number = 0; number < 30; number++) await producer.send(stage.message(`m${number}`));
    const end = Date.now() + 40000;
    while (received.size < 30 && Date.now() < end) await new Promise(resolve => setTimeout(resolve, 50));
    check(received.size === 30 && failed >= 1, `received ${received.size}, failed ${failed}`);
  },

  async filter_tag(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple(new FilterExpression('A || C'), 3000);
    for (const tag of ['A', 'B', 'C']) await producer.send(stage.message(tag, { tag }));
    const views = await drain(consumer, 3, 6);
    check(bodies(views) === 'A,C', bodies(views));
  },

  async filter_sql92(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple(new FilterExpression('price > 10', SQL), 3000);
    for (const price of ['9', '11']) {
      await producer.send(stage.message(price, { properties: new Map().set('price', price) }));
    }
    const views = await drain(consumer, 2, 6);
    check(bodies(views) === '11', bodies(views));
  },
};

Object.assign(SCENARIOS, {
  async recall(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    const deliveryTimestamp = new Date(Date.now() + 4000);
    const { recallHandle } = await producer.send(stage.message('never', { deliveryTimestamp }));
    check(recallHandle, 'no recall handle');
    await producer.recallMessage(stage.topic, recallHandle);
    const views = await drain(consumer, 1, 7);
    check(views.length === 0, 'a recalled message came');
  },

  async priority(stage) {
    const producer = await stage.producer();
    const consumer = await stage.simple();
    for (const priority of [0, 1, 2]) await producer.send(stage.message(`p${priority}`, { priority }));
    const views = await drain(consumer, 3, 20);
    check(bodies(views) === 'p0,p1,p2', bodies(views));
    check(views.every(view => view.body.toString() === `p${view.priority}`), JSON.stringify(views.map(view => view.priority)));
  },

  async lite_push(stage) {
    const producer = await stage.producer();
    const received = [];
    let failed = 0;
    const consumer = await new LitePushConsumerBuilder().setClientConfiguration(stage.common).bindTopic(stage.topic)
      .setConsumerGroup(stage.group).setMessageListener({
        consume(view) {
          const text = `${view.liteTopic} ${view.body}`;
          if (text === 'b again' && failed++ === 0) return ConsumeResult.FAILURE;
          received.push(text);
          return ConsumeResult.SUCCESS;
        },
      }).build();
    await consumer.subscribeLite('a');
    await consumer.subscribeLite('b');
    const send = (liteTopic, body) => producer.send(stage.message(body, { liteTopic }));
    const came = async (what, happened) => {
      const end = Date.now() + 20000;
      while (!happened() && Date.now() < end) await new Promise(resolve => setTimeout(resolve, 20));
      check(happened(), `${what} did not come: ${received}`);
    };
    await send('a', '1');
    await send('b', 'again');
    await send('c', 'never');
    await came('the first two', () => received.includes('a 1') && received.includes('b again'));
    check(failed === 2, `refused ${failed - 1} times`);
    await consumer.unsubscribeLite('a');
    await send('a', '2');
    await send('b', '3');
    await came('the third', () => received.includes('b 3'));
    await new Promise(resolve => setTimeout(resolve, 500));
    check(!received.includes('a 2'), `a lite topic that is unsubscribed: ${received}`);
    await consumer.subscribeLite('a', OffsetOption.MIN_OFFSET);
    await came('all of a again', () => received.includes('a 2') && received.filter(text => text === 'a 1').length === 2);
    check(received.length === 5, `received ${received}`);
    await consumer.close();
  },
});

async function perform(name) {
  const began = Date.now();
  let outcome = 'ok';
  let message = '';
  try {
    await SCENARIOS[name](new Stage(name));
  } catch (error) {
    outcome = 'failed';
    message = String(error && error.stack);
  }
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(JSON.stringify({ name, outcome, seconds, message }) + '\n');
}

Promise.all((names === 'all' ? Object.keys(SCENARIOS) : names.split(',')).map(perform)).then(() => process.exit(0));
