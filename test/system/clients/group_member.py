"""A member of a group, for test_groups.py: group_member.py BOOTSTRAP TOPIC GROUP STRATEGY

Commits by hand after each tenth record and when partitions are taken from it, and prints what it does:
    assigned P...    revoked P...    lost P...    record P OFFSET VALUE    committed P OFFSET

A commit that is sent while a JoinGroup waits is answered behind it, and then its generation is over. The
library gives all partitions up when it sees that; it and the member rejoin, and read again from the
last commit.
"""

import signal
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

bootstrap, topic, group, strategy = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "partition.assignment.strategy": strategy,
                     "session.timeout.ms": 3000, "heartbeat.interval.ms": 300,
                     "fetch.wait.max.ms": 50})
behind = {}  # partition -> the offset to commit
is_wanted = True


def say(*words):
    print(*words, flush=True)


def commit(partitions):
    wanted = {partition: behind.pop(partition) for partition in partitions if partition in behind}
    if wanted:
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)
                                 for partition, offset in wanted.items()], asynchronous=False)
        for partition, offset in wanted.items():
            say("committed", partition, offset)


def commit_if_possible(partitions):
    """In the middle of a rebalance commits are refused; what is kept is committed with the next one."""
    before = dict(behind)
    try:
        commit(partitions)
    except KafkaException as error:
        if error.args[0].code() not in (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID,
                                        KafkaError.REBALANCE_IN_PROGRESS):
            raise
        behind.update(before)


def on_revoke(_, partitions):
    numbers = [row.partition for row in partitions]
    commit_if_possible(numbers)
    for partition in numbers:
        behind.pop(partition, None)
    say("revoked", *numbers)


def on_lost(_, partitions):
    for row in partitions:
        behind.pop(row.partition, None)
    say("lost", *[row.partition for row in partitions])


def stop(*_):
    global is_wanted
    is_wanted = False


signal.signal(signal.SIGTERM, stop)
consumer.subscribe([topic], on_assign=lambda _, rows: say("assigned", *[row.partition for row in rows]),
                   on_revoke=on_revoke, on_lost=on_lost)
count = 0
while is_wanted:
    record = consumer.poll(0.1)
    if record is None:
        continue
    if record.error():
        raise KafkaException(record.error())
    say("record", record.partition(), record.offset(), record.value().decode())
    behind[record.partition()] = record.offset() + 1
    count += 1
    if count % 10 == 0:
        commit_if_possible(list(behind))
consumer.close()
