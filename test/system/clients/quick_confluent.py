"""The quick start with python3-confluent-kafka; see quick_starts.py."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer


def check_delivery(error, _):
    if error is not None:
        raise KafkaException(error)


def produce(bootstrap, topic):
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "retries": 0,
                         "batch.size": 16384, "linger.ms": 1})
    for i in range(100):
        producer.produce(topic, key=str(i), value=str(i), on_delivery=check_delivery)
    if producer.flush(30) > 0:
        sys.exit("records are left")


def consume(bootstrap, topic, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "srk",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "session.timeout.ms": 3000, "heartbeat.interval.ms": 500})
    consumer.subscribe([topic])
    uncommitted = 0
    while count > 0:
        record = consumer.poll(1)
        if record is None:
            continue
        if record.error():
            raise KafkaException(record.error())
        print(f"offset = {record.offset()}, key = {record.key().decode()}, "
              f"value = {record.value().decode()}", flush=True)
        uncommitted += 1
        if uncommitted == 20:
            consumer.commit(message=record, asynchronous=False)
            uncommitted = 0
        count -= 1
    time.sleep(600)


if sys.argv[1] == "produce":
    produce(sys.argv[2], sys.argv[3])
else:
    consume(sys.argv[2], sys.argv[3], int(sys.argv[4]))
