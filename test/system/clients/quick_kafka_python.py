"""The quick start with python3-kafka; see quick_starts.py."""

import sys
import time

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata


def produce(bootstrap, topic):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", retries=0, batch_size=16384,
                             linger_ms=1, key_serializer=str.encode, value_serializer=str.encode)
    sent = [producer.send(topic, key=str(i), value=str(i)) for i in range(100)]
    for result in sent:
        result.get(timeout=30)
    producer.close()


def consume(bootstrap, topic, count):
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="srk",
                             auto_offset_reset="earliest", enable_auto_commit=False,
                             session_timeout_ms=3000, heartbeat_interval_ms=500,
                             key_deserializer=bytes.decode, value_deserializer=bytes.decode)
    uncommitted = 0
    for record in consumer:
        print(f"offset = {record.offset}, key = {record.key}, value = {record.value}", flush=True)
        uncommitted += 1
        if uncommitted == 20:
            partition = next(iter(consumer.assignment()))
            consumer.commit({partition: OffsetAndMetadata(record.offset + 1, "")})
            uncommitted = 0
        count -= 1
        if count == 0:
            break
    time.sleep(600)


if sys.argv[1] == "produce":
    produce(sys.argv[2], sys.argv[3])
else:
    consume(sys.argv[2], sys.argv[3], int(sys.argv[4]))
