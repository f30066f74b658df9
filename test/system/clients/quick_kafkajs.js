// The quick start with kafkajs; see quick_starts.py.
const path = require('path');
const { Kafka, logLevel } = require(path.join(__dirname, '../node/node_modules/kafkajs'));

async function produce(kafka, topic) {
  const producer = kafka.producer({ retry: { retries: 0 } });
  await producer.connect();
  const messages = [];
  for (let i = 0; i < 100; i++) messages.push({ key: String(i), value: String(i) });
  await producer.send({ topic, acks: -1, messages });
  await producer.disconnect();
}

async function consume(kafka, topic, count) {
  const consumer = kafka.consumer({
    groupId: 'srk', sessionTimeout: 3000, heartbeatInterval: 500,
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let uncommitted = 0;
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      console.log(`offset = ${message.offset}, key = ${message.key}, value = ${message.value}`);
      if (++uncommitted === 20) {
        const offset = String(BigInt(message.offset) + 1n);
        await consumer.commitOffsets([{ topic, partition, offset }]);
        uncommitted = 0;
      }
      if (--count === 0) await new Promise((resolve) => setTimeout(resolve, 600000));
    },
  });
}

async function main() {
  const [what, bootstrap, topic, count] = process.argv.slice(2);
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
  if (what === 'produce') await produce(kafka, topic);
  else await consume(kafka, topic, Number(count));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
