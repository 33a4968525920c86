// Sends and consumes all the time with the browser's module under node: a line in JSON for each message sent, each send that the
// module gave up, each message got. Arguments: the module, the gateway's address, topic, milliseconds between sends. A line on
// standard input ends the sending, its end the program.
import { pathToFileURL } from 'node:url';

const { Client } = await import(pathToFileURL(process.argv[2]).href);
const [address, topic, pause] = process.argv.slice(3);
const client = new Client(`ws://${address}/`);
let stopping = false;
process.stdin.on('data', () => { stopping = true; });
process.stdin.on('end', () => process.exit(0));

function tell(event, what, began = Date.now()) {
  process.stdout.write(`${JSON.stringify({ client: 'browser', event, what, took: Date.now() - began })}\n`);
}

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

client.subscribe({ topic, group: `${topic}_group`, credit: 16 }, async (message) => { tell('got', message.text); });
for (let number = 0; !stopping; number += 1) {
  const began = Date.now();
  for (;;) {
    try {
      await client.send(topic, { text: `browser-${number}` });
      break;
    } catch (error) {
      tell('failed', String(error), began);
      await wait(200);
    }
  }
  tell('sent', `browser-${number}`, began);
  await wait(Number(pause));
}
tell('stopped', '');
