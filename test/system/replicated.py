"""Load on a replicated topic, and what must hold of it after any fault.

    load = Load(cluster, "topic", partitions=3)
    ... faults ...
    load.finish()
    load.check()

A producer of librdkafka's, idempotent with acks=all, writes numbers to each partition, in order. After
the faults: each number that was acknowledged is at the offset that was told, each partition has its
numbers in order and once, every consumer sees the same, and the replicas' files are the same bytes.
"""

import os
import subprocess
import threading

import confluent_kafka

import harness
import wire


# Of the brokers: faults are noticed soon.
PROPERTIES = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "250",
    "replica.lag.time.max.ms": "2000",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "group.min.session.timeout.ms": "1000",
    "log.segment.bytes": "200000",
    # Clocks jump, and records are neither from the future nor too old for that.
    "log.message.timestamp.after.max.ms": str(2**63 - 1),
    "log.retention.ms": "-1",
}


class Load:
    def __init__(self, cluster, topic, partitions=3, replicas=3, configs=None):
        self.cluster, self.topic, self.partitions = cluster, topic, partitions
        row = harness.wait_until(lambda: self._create(replicas, configs), f"the topic {topic}")
        assert wire.error_name(row.ErrorCode) in ("NONE", "TOPIC_ALREADY_EXISTS"), row
        self.acknowledged = [{} for _ in range(partitions)]  # number -> offset
        self.failures = []
        self.next = [0] * partitions
        self.stopping = threading.Event()
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": ",".join(node.bootstrap for node in cluster.nodes),
            "enable.idempotence": True, "acks": "all", "linger.ms": 2,
            "message.timeout.ms": 120000, "retry.backoff.ms": 20, "socket.timeout.ms": 5000,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 5000})
        self.thread = threading.Thread(target=self._produce, daemon=True)
        self.thread.start()

    def _create(self, replicas, configs):
        row = self.cluster.create_topic(self.topic, self.partitions, replicas, configs=configs)
        return row if wire.error_name(row.ErrorCode) not in (
            "NOT_CONTROLLER", "REQUEST_TIMED_OUT", "INVALID_REPLICATION_FACTOR") else None

    def _produce(self):
        while not self.stopping.is_set():
            for partition in range(self.partitions):
                try:
                    self.producer.produce(self.topic, str(self.next[partition]), partition=partition,
                                          on_delivery=self._delivered)
                    self.next[partition] += 1
                except BufferError:
                    pass
            self.producer.poll(0.002)

    def _delivered(self, error, message):
        if error is not None:
            self.failures.append((message.partition(), int(message.value()), str(error)))
        else:
            self.acknowledged[message.partition()][int(message.value())] = message.offset()

    def counts(self):
        return [len(acknowledged) for acknowledged in self.acknowledged]

    def wait_progress(self, count=50):
        """Until each partition has acknowledged so many more."""
        wanted = [done + count for done in self.counts()]
        harness.wait_until(lambda: all(done >= enough for done, enough in zip(self.counts(), wanted)),
                           f"{count} more acknowledged in each partition of {self.topic}")

    def finish(self):
        """Ends the load; all that was sent must be acknowledged."""
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(harness.WAIT_S) == 0, "records that nobody acknowledged"
        assert not self.failures, self.failures[:5]

    def check(self):
        """No fault is left: all nodes run and are in sync."""
        self.wait_in_sync()
        by_librdkafka = read_numbers(self.cluster, self.topic, self.partitions)
        by_kcat = read_by_kcat(self.cluster, self.topic, self.partitions)
        for partition in range(self.partitions):
            seen = by_librdkafka[partition]
            by_offset = dict(seen)
            assert [number for _, number in seen] == list(range(self.next[partition]))
            assert [offset for offset, _ in seen] == sorted(by_offset)
            for number, offset in self.acknowledged[partition].items():
                assert by_offset.get(offset) == number, (partition, number, offset)
            assert seen == by_kcat[partition]
        self.check_files()

    def wait_in_sync(self):
        nodes = {node.id for node in self.cluster.running()}
        harness.wait_until(lambda: self._are_in_sync(nodes), f"{self.topic} in sync on {nodes}")

    def _are_in_sync(self, nodes):
        for node in self.cluster.running():
            rows = describe(node, self.topic)
            if not rows or any(row.ErrorCode != 0 or not nodes & set(row.ReplicaNodes) <=
                               set(row.IsrNodes) for row in rows):
                return False
        return True

    def check_files(self):
        """All replicas have the same bytes. Segments may begin at different places."""
        for partition in range(self.partitions):
            harness.wait_until(lambda: len({self._bytes(node, partition)
                                            for node in self.cluster.running()
                                            if self._has(node, partition)}) == 1,
                               f"the replicas of {self.topic}-{partition} to be the same")

    def _has(self, node, partition):
        return os.path.isdir(node.partition_folder(self.topic, partition))

    def _bytes(self, node, partition):
        pieces = []
        for name in node.segments(self.topic, partition):
            with open(os.path.join(node.partition_folder(self.topic, partition), name), "rb") as file:
                pieces.append(file.read())
        return b"".join(pieces)


class KcatLoad:
    """The same numbers by kcat, on a topic of one partition. It says nothing of what is acknowledged until
    it ends, which it does well when all was. It gives up when it sees no broker at all; what it had
    written then is in order all the same."""

    def __init__(self, cluster, topic):
        self.cluster, self.topic, self.count = cluster, topic, 0
        harness.wait_until(lambda: wire.error_name(cluster.create_topic(topic, 1, 3).ErrorCode) in (
            "NONE", "TOPIC_ALREADY_EXISTS"), f"the topic {topic}")
        self.program = harness.Program(
            "kcat", "-P", "-q", "-b", ",".join(node.bootstrap for node in cluster.nodes), "-t", topic,
            "-p", "0", "-X", "enable.idempotence=true", "-X", "acks=all", "-X", "linger.ms=2",
            "-X", "message.timeout.ms=120000", "-X", "socket.timeout.ms=5000",
            "-X", "reconnect.backoff.max.ms=200", stdin=subprocess.PIPE)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self):
        pipe = self.program.process.stdin
        try:
            while not self.stopping.wait(0.005):
                pipe.write(b"%d\n" % self.count)
                pipe.flush()
                self.count += 1
            pipe.close()
        except BrokenPipeError:
            pass

    def finish(self):
        self.stopping.set()
        self.thread.join()
        self.program.process.wait(harness.WAIT_S)
        for reader in self.program.readers:
            reader.join(harness.WAIT_S)
        self.has_given_up = any("All broker connections are down" in line
                                for line in self.program.errors)
        self.program.wait(status=1 if self.has_given_up else 0)
        assert not any("Delivery failed" in line for line in self.program.errors), self.program.errors

    def check(self):
        numbers = [number for _, number in read_by_kcat(self.cluster, self.topic, 1)[0]]
        assert numbers == list(range(len(numbers)))
        assert self.has_given_up or len(numbers) == self.count


def describe(node, topic):
    """The topic's partitions as a node tells its clients, in order; [] while it does not know it."""
    found = node.call("Metadata", 9, Topics=[{"Name": topic}],
                      AllowAutoTopicCreation=False).Topics[0]
    if found.ErrorCode != 0:
        return []
    return sorted(found.Partitions, key=lambda row: row.PartitionIndex)


def leader_of(cluster, topic, partition, known_by=None):
    """The node that leads, by one that knows; None while nobody does."""
    rows = describe(known_by or cluster.running()[0], topic)
    leader = rows[partition].LeaderId if rows else -1
    return next((node for node in cluster.running() if node.id == leader), None)


def wait_led(cluster, topic, partition=0):
    return harness.wait_until(lambda: leader_of(cluster, topic, partition),
                              f"a leader of {topic}-{partition}")


def read_numbers(cluster, topic, partitions):
    """All that a consumer sees: for each partition (offset, number)."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": ",".join(node.bootstrap for node in cluster.running()),
        "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True,
        "auto.offset.reset": "error"})
    seen, ends = [[] for _ in range(partitions)], set()
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, partition,
                                                        confluent_kafka.OFFSET_BEGINNING)
                         for partition in range(partitions)])
        while len(ends) < partitions:
            message = consumer.poll(harness.WAIT_S)
            assert message is not None, f"no end of {topic} after {[len(each) for each in seen]}"
            if message.error() is None:
                seen[message.partition()].append((message.offset(), int(message.value())))
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                ends.add(message.partition())
            else:
                assert message.error().retriable(), message.error()
    finally:
        consumer.close()
    return seen


def read_by_kcat(cluster, topic, partitions):
    shown = harness.run("kcat", "-C", "-q", "-e", "-b",
                        ",".join(node.bootstrap for node in cluster.running()), "-t", topic,
                        "-o", "beginning", "-f", "%p %o %s\n").decode()
    seen = [[] for _ in range(partitions)]
    for line in shown.splitlines():
        partition, offset, number = map(int, line.split())
        seen[partition].append((offset, number))
    return seen


class Member:
    """A consumer of a group that commits after each record."""

    def __init__(self, cluster, topic, group):
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": ",".join(node.bootstrap for node in cluster.nodes),
            "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
            "reconnect.backoff.max.ms": 200})
        self.records, self.assignments = [], 0
        self.timestamps = {}  # by partition, of the newest record, in ms
        self.consumer.subscribe([topic], on_assign=self._assigned)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _assigned(self, *_):
        self.assignments += 1

    def _run(self):
        while not self.stopping.is_set():
            message = self.consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            self.records.append((message.partition(), int(message.value())))
            self.timestamps[message.partition()] = message.timestamp()[1]
            try:
                self.consumer.commit(message, asynchronous=True)
            except confluent_kafka.KafkaException:
                pass
        self.consumer.close()

    def stop(self):
        self.stopping.set()
        self.thread.join()
