"""A real corpus through real programs: see corpus.py.

Goal: over a hundred million bytes, line by line, with each compression, come out byte for byte and in
order, over segment rolls and over restarts while they are written and while they are read.
Method: kcat and our console producer write, each line with its number as the key, to three partitions
in small segments; what one of them wrote the other's counterpart reads. Producers are idempotent, so
nothing may be there twice. The input stops at places where the broker goes down, and goes on when it
is down: in a pipe, so that no program can be done before its broker is stopped.
"""

import subprocess
import threading

import pytest

import corpus
from console import create
from harness import BIN, Program, die_with_parent, environment, wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 3
SEGMENT_BYTES = 4 << 20
PIECE_BYTES = 1 << 20
# A reader's buffer, smaller than a partition. (When it is full, the library looks away for a second.)
LITTLE_BUFFER = "queued.max.messages.kbytes=16384"


@pytest.fixture(scope="module")
def numbered():
    """The corpus's lines, each behind its number and a tab, with its end."""
    rows = [b"%08d\t%s\n" % row for row in enumerate(corpus.lines())]
    size = sum(map(len, rows)) - len(rows) * len("00000000\t")
    print(f"corpus: {len(rows)} lines, {size} bytes")
    assert size >= corpus.SIZE_MIN
    return rows


def kcat_producer(broker, codec):
    return ["kcat", "-P", "-E", "-b", broker.bootstrap, "-t", "t", "-K", "\t", "-z", codec,
            "-X", "enable.idempotence=true"]


def console_producer(broker, codec):
    return [f"{BIN}/kafka-console-producer.sh", "--broker-list", broker.bootstrap, "--topic", "t",
            "--property", "parse.key=true", "--compression-codec", codec,
            "--message-send-max-retries", "1000", "--producer-property", "enable.idempotence=true"]


def kcat_consumer(broker, partition, count):
    return ["kcat", "-C", "-E", "-q", "-b", broker.bootstrap, "-t", "t", "-p", partition,
            "-o", "beginning", "-c", count, "-f", "%k\t%s\n",
            "-X", LITTLE_BUFFER]


def console_consumer(broker, partition, count):
    return [f"{BIN}/kafka-console-consumer.sh", "--bootstrap-server", broker.bootstrap, "--topic", "t",
            "--partition", partition, "--from-beginning", "--max-messages", count, "--property",
            "print.key=true", "--consumer-property", LITTLE_BUFFER]


def end_offsets(broker):
    with broker.connect() as connection:
        answer = connection.call("ListOffsets", 5, ReplicaId=-1, Topics=[
            {"Name": "t", "Partitions": [{"PartitionIndex": partition, "Timestamp": -1}
                                         for partition in range(PARTITIONS)]}])
        return [row.Offset for row in answer.Topics[0].Partitions]


def write(broker, command, rows):
    """Writes a third, stops the broker amid it, writes the next while it restarts, kills it, and so on."""
    with Program(*command, stdin=subprocess.PIPE) as producer:
        third = len(rows) // 3
        for begin in 0, third:
            writer = threading.Thread(target=feed, args=(producer, rows[begin:begin + third]))
            writer.start()
            wait_until(lambda: sum(end_offsets(broker)) > begin + third // 3, "records")
            broker.restart(kill=begin > 0)
            broker.wait_leader("t", *range(PARTITIONS))
            writer.join()
        feed(producer, rows[2 * third:])
        producer.process.stdin.close()
        producer.wait()


def feed(producer, rows):
    producer.process.stdin.write(b"".join(rows))
    producer.process.stdin.flush()


def read(command, meanwhile):
    """All that the program prints; meanwhile() is called when it has printed a little, and cannot go
    on before it is read."""
    reader = subprocess.Popen([str(word) for word in command], env=environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              preexec_fn=die_with_parent)
    printed = reader.stdout.read(PIECE_BYTES)
    meanwhile()
    printed += reader.stdout.read()
    assert reader.wait() == 0
    return [line + b"\n" for line in printed.removesuffix(b"\n").split(b"\n")]


def stored_codecs(broker, partition):
    """The codecs of the batches in the partition's segments, by their numbers."""
    found = set()
    for name in broker.segments("t", partition):
        with open(f"{broker.partition_folder('t', partition)}/{name}", "rb") as file:
            data = file.read()
        at = 0
        while at < len(data):
            found.add(data[at + 22] & 7)
            at += 12 + int.from_bytes(data[at + 8:at + 12])
    return found


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("producer, consumer", [(kcat_producer, console_consumer),
                                                (console_producer, kcat_consumer)],
                         ids=["kcat", "console"])
def test_a_real_corpus(broker, numbered, producer, consumer, codec):
    create(broker, "t", PARTITIONS, segment_bytes=SEGMENT_BYTES)
    write(broker, producer(broker, codec), numbered)
    ends = end_offsets(broker)
    assert sum(ends) == len(numbered)
    found = []
    for partition, count in enumerate(ends):
        rows = read(consumer(broker, partition, count), broker.restart)
        assert rows == sorted(rows), f"partition {partition} is out of order"
        found += rows
        assert len(broker.segments("t", partition)) >= 4
        # A client leaves uncompressed what compression would only make larger.
        stored = stored_codecs(broker, partition)
        assert CODECS.index(codec) in stored and stored <= {0, CODECS.index(codec)}
    found.sort()
    differing = [pair for pair in zip(numbered, found) if pair[0] != pair[1]]
    assert not differing and len(found) == len(numbered), \
        f"{len(found)} lines of {len(numbered)} came back; first to differ: {differing[:1]}"
