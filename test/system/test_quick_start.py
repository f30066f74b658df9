"""The quick start of Kafka's documentation, in every language that has a client here.

Goal: a program of any of these clients runs unchanged: it produces with acks=all, consumes in a
group from the earliest record, commits by hand, and when it is killed and started again it goes on
after its last commit.
Method: clients/ has one short program per client (see quick_starts.py). The first consumer is killed
(kill -9) 10 records after a commit, the second 20 exactly after one; offsets say what each has seen.
"""

import pytest

import quick_starts
from harness import Program, run, wait_until

GROUP = "srk"


def lines(first, last):
    return [f"offset = {i}, key = {i}, value = {i}" for i in range(first, last + 1)]


def committed_offset(broker, topic):
    with broker.connect() as connection:
        answer = connection.call("OffsetFetch", 5, GroupId=GROUP, Topics=[
            {"Name": topic, "PartitionIndexes": [0]}])
        return answer.Topics[0].Partitions[0].CommittedOffset


@pytest.mark.parametrize("client", sorted(quick_starts.COMMANDS))
def test_quick_start(make_broker, quick_start, client):
    broker = make_broker({"group.min.session.timeout.ms": "1000"})
    program = quick_start(client)
    with broker.connect() as connection:
        connection.call("CreateTopics", 5, timeoutMs=10000, Topics=[
            {"Name": "quick", "NumPartitions": 1, "ReplicationFactor": 1}])
    run(*program, "produce", broker.bootstrap, "quick", timeout=60)

    with Program(*program, "consume", broker.bootstrap, "quick", 50) as first:
        assert first.read_lines(50) == lines(0, 49)
        wait_until(lambda: committed_offset(broker, "quick") == 40, "the second commit")
    with Program(*program, "consume", broker.bootstrap, "quick", 60) as second:
        assert second.read_lines(60) == lines(40, 99)
        wait_until(lambda: committed_offset(broker, "quick") == 100, "the last commit")
