"""kill -9 of the real server under load, over and over: what was acknowledged is there, once, in order.

Method: the test is the producer, so it knows what was acknowledged. A record's value is its number, and
each partition has one idempotent producer, so record n must lie at offset n, whatever happened.
flush.messages=1, acks=all, batches in flight when the broker dies are sent again as they were.
OTTLA_KILLS says how often the broker is killed (40); a failure names the seed, OTTLA_SEED repeats it.
"""

import os
import random
import select
import signal
import threading
import time

import confluent_kafka
import pytest

import wire
from harness import wait_until
from wire import error_name

KILLS = int(os.environ.get("OTTLA_KILLS", "40"))
SEED = int(os.environ.get("OTTLA_SEED", str(time.time_ns() % 1_000_000)))
PARTITIONS = 3
IN_FLIGHT_MAX = 5  # batches per producer that a broker remembers
DURABLE = {"log.flush.interval.messages": "1", "log.segment.bytes": str(1 << 20),
           "log.flush.offset.checkpoint.interval.ms": "300"}


class Writer:
    """One idempotent producer of one partition, on a connection of its own."""

    def __init__(self, partition, random_):
        self.partition, self.random = partition, random_
        self.producer_id = None
        self.acknowledged = 0   # records below it were
        self.next = 0           # the next number
        self.in_flight = []     # (first number, batch), oldest first: sent and not acknowledged
        self.checked = 0        # records below it were read back
        self.connection = None

    def connect(self, broker):
        self.connection = broker.connect()
        if self.producer_id is None:
            answer = self.connection.call("InitProducerId", 4, TransactionalId=None,
                                          TransactionTimeoutMs=1000)
            assert answer.ErrorCode == 0
            self.producer_id = answer.ProducerId
        for first, batch in self.in_flight:
            self.post(batch)

    def post(self, batch):
        self.connection.send("Produce", 9, Acks=-1, TimeoutMs=10000, TopicData=[
            {"Name": "t", "PartitionData": [{"Index": self.partition, "Records": batch}]}])

    def fill(self):
        """Keeps as many batches on their way as a producer may have."""
        while len(self.in_flight) < IN_FLIGHT_MAX:
            count = self.random.choice((1, 2, 10, 50))
            padding = b"x" * self.random.choice((0, 10, 500, 3000))
            values = [b"%d %s" % (self.next + i, padding) for i in range(count)]
            batch = wire.batch(values, self.random.choice((wire.NONE, wire.NONE, wire.GZIP)),
                               producer_id=self.producer_id, producer_epoch=0, sequence=self.next)
            self.in_flight.append((self.next, batch))
            self.next += count
            self.post(batch)

    def take_answer(self):
        row = self.connection.receive().Responses[0].PartitionResponses[0]
        first, batch = self.in_flight[0]
        assert (error_name(row.ErrorCode), row.BaseOffset) == ("NONE", first), \
            f"partition {self.partition}: {row}"
        self.in_flight.pop(0)
        self.acknowledged = self.in_flight[0][0] if self.in_flight else self.next

    def check(self):
        """Everything from the last check on: number n at offset n, none missing that was told."""
        found = wire.fetch_all(self.connection, "t", self.partition, self.checked)
        numbers = [int(item.value.split()[0]) for item in found]
        offsets = [item.offset for item in found]
        end = self.checked + len(found)
        assert numbers == offsets == list(range(self.checked, end))
        assert end >= self.acknowledged, \
            f"partition {self.partition} ends at {end}, {self.acknowledged} were acknowledged"
        self.checked = self.acknowledged


class Load:
    def __init__(self, broker, random_):
        self.broker, self.random = broker, random_
        self.writers = [Writer(partition, random_) for partition in range(PARTITIONS)]
        self.topics, self.committed = set(), 0

    def connect(self):
        for writer in self.writers:
            writer.connect(self.broker)

    def run_until_killed(self, after):
        """Writes, and kills the broker in the middle of it after so many seconds."""
        end = time.monotonic() + after
        while time.monotonic() < end:
            for writer in self.writers:
                writer.fill()
            sockets = {writer.connection.socket: writer for writer in self.writers}
            for ready in select.select(list(sockets), [], [], 0.001)[0]:
                sockets[ready].take_answer()
            if self.random.random() < 0.02:
                self.change_metadata()
        self.broker.kill()
        self.take_last_answers()

    def take_last_answers(self):
        """What the broker had sent before it died counts as told."""
        for writer in self.writers:
            try:
                while True:
                    writer.take_answer()
            except wire.Closed:
                writer.connection.close()

    def change_metadata(self):
        """A topic and a committed offset, each of which must stay once it was acknowledged."""
        with self.broker.connect() as connection:
            name = f"topic-{len(self.topics)}"
            assert wire.create_topic(connection, name, 2).ErrorCode == 0
            self.topics.add(name)
            answer = connection.call("OffsetCommit", 5, GroupId="g", GenerationIdOrMemberEpoch=-1,
                                     Topics=[{"Name": "t", "Partitions": [
                                         {"PartitionIndex": 0,
                                          "CommittedOffset": self.committed + 1}]}])
            if answer.Topics[0].Partitions[0].ErrorCode == 0:
                self.committed += 1

    def check(self):
        for writer in self.writers:
            writer.check()
        with self.broker.connect() as connection:
            names = {topic.Name for topic in connection.call("Metadata", 9, Topics=None).Topics}
            assert self.topics <= names, f"lost: {self.topics - names}"
            if self.committed:
                assert self.committed_offset(connection) == self.committed

    def committed_offset(self, connection):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            answer = connection.call("OffsetFetch", 5, GroupId="g", Topics=[
                {"Name": "t", "PartitionIndexes": [0]}])
            if error_name(answer.ErrorCode) not in ("COORDINATOR_LOAD_IN_PROGRESS",
                                                    "NOT_COORDINATOR"):
                return answer.Topics[0].Partitions[0].CommittedOffset
        raise AssertionError("the coordinator did not load")


def test_every_acknowledged_record_survives(make_broker):
    random_ = random.Random(SEED)
    broker = make_broker(DURABLE)
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", PARTITIONS).ErrorCode == 0
        connection.call("FindCoordinator", 1, Key="g", KeyType=0)
    load = Load(broker, random_)
    try:
        for _ in range(KILLS):
            load.connect()
            load.run_until_killed(random_.uniform(0, 0.25))
            while random_.random() < 0.3:  # and in the middle of a start
                broker.start(wait=False)
                time.sleep(random_.uniform(0, 0.01))
                broker.kill()
            broker.start()
            broker.wait_leader("t", *range(PARTITIONS))
            for writer in load.writers:
                writer.connection = broker.connect()
            load.check()
            for writer in load.writers:
                writer.connection.close()
        load.connect()
        for writer in load.writers:
            while writer.in_flight:
                writer.take_answer()
            writer.checked = 0
        load.check()
        assert sum(writer.acknowledged for writer in load.writers) > 10 * KILLS
    except Exception:
        print(f"repeat with OTTLA_SEED={SEED}")
        raise


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_librdkafkas_idempotent_producer_survives(make_broker, codec):
    """Goal: the same through a real client: it retries by itself while the broker is killed under it,
    and each message is there once, in order."""
    random_ = random.Random(SEED)
    broker = make_broker(DURABLE)
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t").ErrorCode == 0
    delivered = []

    def on_delivery(error, message):
        assert error is None, error
        delivered.append(int(message.value()))

    producer = confluent_kafka.Producer({
        "bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "linger.ms": 1,
        "compression.type": codec, "retry.backoff.ms": 10, "reconnect.backoff.ms": 10,
        "reconnect.backoff.max.ms": 50, "log_level": 0})
    sent = 0
    for _ in range(max(5, KILLS // 8)):
        end = time.monotonic() + random_.uniform(0.05, 0.3)
        while time.monotonic() < end:
            for _ in range(20):
                producer.produce("t", b"%d" % sent, on_delivery=on_delivery)
                sent += 1
            producer.poll(0.001)
        broker.kill()
        producer.poll(0)
        broker.start()
    assert producer.flush(60) == 0
    assert delivered == list(range(sent))
    broker.wait_leader("t")
    with broker.connect() as connection:
        end = wire.fetch(connection, "t", 0, 0, max_bytes=1).HighWatermark
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g",
                                         "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition("t", 0, 0)])
    found = []
    while True:
        message = consumer.poll(30)
        assert message is not None
        if message.error():
            break
        found.append(int(message.value()))
    consumer.close()
    assert end == sent and found == list(range(sent))


class Topics:
    """Topics that come and go, are written, trimmed and retained; what was acknowledged of each."""

    def __init__(self, broker, random_):
        self.broker, self.random = broker, random_
        self.live = {}      # name -> [[start, end] by partition]
        self.doing = None   # the change without an answer: ("create" or "delete", name)
        self.connection = None

    def connect(self):
        self.connection = self.broker.connect()

    def create(self, name):
        if name in self.live:
            return
        self.doing = ("create", name)
        assert wire.create_topic(self.connection, name, 2).ErrorCode == 0
        self.live[name] = [[0, 0], [0, 0]]

    def delete(self, name):
        if name not in self.live:
            return
        self.doing = ("delete", name)
        answer = self.connection.call("DeleteTopics", 5, TopicNames=[name], TimeoutMs=5000)
        assert answer.Responses[0].ErrorCode == 0
        del self.live[name]

    def produce(self, name):
        if name not in self.live:
            return
        partition = self.random.randrange(2)
        offsets = self.live[name][partition]
        padding = bytes(self.random.choice((10, 5000, 40000)))
        values = [b"%d " % (offsets[1] + i) + padding
                  for i in range(self.random.choice((1, 5, 20)))]
        row = wire.produce(self.connection, name, partition, wire.batch(values))
        if error_name(row.ErrorCode) != "NOT_LEADER_OR_FOLLOWER":  # it opens
            assert (error_name(row.ErrorCode), row.BaseOffset) == ("NONE", offsets[1])
            offsets[1] += len(values)

    def trim(self, name):
        if name not in self.live:
            return
        partition = self.random.randrange(2)
        offsets = self.live[name][partition]
        to = self.random.randint(*offsets)
        row = self.connection.call("DeleteRecords", 1, TimeoutMs=5000, Topics=[
            {"Name": name, "Partitions": [{"PartitionIndex": partition, "Offset": to}]}]
        ).Topics[0].Partitions[0]
        if error_name(row.ErrorCode) != "NOT_LEADER_OR_FOLLOWER":
            assert error_name(row.ErrorCode) == "NONE"
            offsets[0] = max(offsets[0], to)

    def retain(self, name):
        if name in self.live:
            self.connection.call("IncrementalAlterConfigs", 1, Resources=[
                {"ResourceType": 2, "ResourceName": name, "Configs": [
                    {"Name": "retention.bytes", "ConfigOperation": 0,
                     "Value": str(self.random.choice((-1, 3 << 20)))}]}])

    def run_until_killed(self, after):
        changes = (self.create, self.delete, self.trim, self.retain) + 4 * (self.produce,)
        process = self.broker.process
        killer = threading.Timer(after, process.kill)
        killer.start()
        try:
            while True:
                self.random.choice(changes)(f"topic-{self.random.randrange(4)}")
                self.doing = None
        except wire.Closed:
            killer.join()
            assert process.wait() == -signal.SIGKILL, self.broker.tail()
            self.broker.end()
            self.broker.check_report()

    def check(self):
        names = {topic.Name for topic in self.connection.call("Metadata", 9, Topics=None).Topics}
        kind, name = self.doing or (None, None)
        if kind == "create" and name in names:
            self.live[name] = [[0, 0], [0, 0]]
        elif kind == "delete" and name not in names:
            self.live.pop(name)
        self.doing = None
        assert names == set(self.live)
        for name, partitions in self.live.items():
            for partition, offsets in enumerate(partitions):
                self.check_partition(name, partition, offsets)
        wait_until(lambda: self.folders() == {f"{name}-{i}" for name in self.live for i in (0, 1)},
                   "the folders to be those of the topics")

    def check_partition(self, name, partition, offsets):
        """Of what was written no record is missing, beyond what trimming and retention took."""
        self.broker.wait_leader(name, partition)
        start = wire.fetch(self.connection, name, partition, 0).LogStartOffset
        found = wire.fetch_all(self.connection, name, partition, start)
        end = start + len(found)
        assert end >= offsets[1], f"{name}-{partition} ends at {end}, not at {offsets[1]}"
        assert [item.offset for item in found] == list(range(start, end))
        assert [int(item.value.split()[0]) for item in found] == list(range(start, end))
        offsets[:] = start, end

    def folders(self):
        """What a kill kept from being removed may be kept aside as a stray."""
        return {name for name in os.listdir(self.broker.data)
                if name.startswith("topic-") and not name.endswith(("-stray", "-checkpoint"))}


def test_topics_that_come_and_go(make_broker):
    """Goal: kills in the middle of creating, deleting, trimming and retaining leave the topics that
    were acknowledged, with all their records, and no folder that is in anyone's way."""
    random_ = random.Random(SEED)
    broker = make_broker({**DURABLE, "log.segment.delete.delay.ms": "50",
                          "log.retention.check.interval.ms": "50",
                          "log.flush.start.offset.checkpoint.interval.ms": "200"})
    topics = Topics(broker, random_)
    try:
        for _ in range(max(5, KILLS // 2)):
            topics.connect()
            topics.run_until_killed(random_.uniform(0.02, 0.4))
            topics.connection.close()
            while random_.random() < 0.3:
                broker.start(wait=False)
                time.sleep(random_.uniform(0, 0.01))
                broker.kill()
            broker.start()
            topics.connect()
            topics.check()
            topics.connection.close()
    except Exception:
        print(f"repeat with OTTLA_SEED={SEED}")
        raise
