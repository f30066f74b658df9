"""The console producer and consumer together: what goes in comes out.

Method: both tools through their launchers against one broker; records are looked at by the wire
protocol's own reader only where the tools themselves would hide a mistake that both make.
"""

import array
import fcntl
import os
import pty
import re
import subprocess
import termios

import pytest

import wire
from console import call, consume, create, pairs, produce
from harness import BIN, ROOT, Program, die_with_parent, environment, wait_until

COLUMNS = pairs("--property", "print.key=true", "print.headers=true")


def test_lines_come_out_as_they_went_in(broker):
    """Goal: no byte of a line changes: blanks, carriage returns, NULs, bytes that are no text, empty
    lines, a last line without an end."""
    lines = b"plain\n  blanks  \n\nreturn\r\nnul\0nul\n\xff\xfe\x80\n\xc3\xa4\n>last"
    produce(broker, "lines", lines)
    assert consume(broker, "lines", 8) == lines + b"\n"


def test_no_input_makes_no_record(broker):
    create(broker, "nothing")
    produce(broker, "nothing", b"")
    produce(broker, "nothing", b"one\n")
    assert consume(broker, "nothing", 1) == b"one\n"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd", None])
def test_a_corpus_survives_every_compression(broker, codec):
    """Goal: real text of many lines comes out byte for byte, in order, with each codec; the option
    without a name means gzip. Method: this repository's own sources, 3 times."""
    corpus = b"".join(open(os.path.join(ROOT, "src", "config", name), "rb").read()
                      for name in sorted(os.listdir(os.path.join(ROOT, "src", "config")))
                      if name.endswith(".c")) * 3
    produce(broker, "corpus", corpus, "--compression-codec", *([codec] if codec else []))
    assert consume(broker, "corpus", corpus.count(b"\n")) == corpus
    folder = broker.partition_folder("corpus", 0)
    stored = sum(os.path.getsize(os.path.join(folder, name)) for name in broker.segments("corpus", 0))
    assert (stored < len(corpus) / 1.5) == (codec != "none")


def test_long_lines(make_broker):
    """Goal: a line of megabytes is one record; one that is larger than the topic takes is an error
    that names it, and those around it arrive."""
    broker = make_broker({"message.max.bytes": "9000000"})
    long = b"x" * 8_000_000
    produce(broker, "long", b"a\n" + long + b"\nb\n", "--producer-property",
            "max.request.size=10000000")
    output = consume(broker, "long", 3, "--consumer-property", "max.partition.fetch.bytes=10000000")
    assert output == b"a\n" + long + b"\nb\n"
    _, error = produce(broker, "long", b"c\n" + b"y" * 2_000_000 + b"\nd\n", status=1)
    assert "Error when sending message to topic long with key: null, value: 2000000 bytes" in error
    assert consume(broker, "long", 5, "--consumer-property",
                   "max.partition.fetch.bytes=10000000").endswith(b"\nb\nc\nd\n")


@pytest.mark.parametrize("old", [True, False])
def test_keys_headers_and_nulls_in_both_spellings(broker, old):
    """Goal: keys, headers and nulls round trip, by the flags of 0.11 and by those of 4.x."""
    reader = pairs("--property" if old else "--reader-property", "parse.key=true",
                   "parse.headers=true", "null.marker=NULL", "key.separator=:", "headers.delimiter=#")
    lines = "h1:a,h2:NULL#k1:v1\nNULL#k2:v2\nh:1#NULL:v3\nh:1#k4:NULL\nh:1#:\n"
    server = "--broker-list" if old else "--bootstrap-server"
    call("console-producer", server, broker.bootstrap, "--topic", "fields", *reader, input=lines)
    printer = pairs("--property" if old else "--formatter-property", "print.key=true",
                    "print.headers=true", "null.literal=<null>", "print.offset=true")
    assert consume(broker, "fields", 5, *printer).decode() == (
        "Offset:0\th1:a,h2:<null>\tk1\tv1\n"
        "Offset:1\tNO_HEADERS\tk2\tv2\n"
        "Offset:2\th:1\t<null>\tv3\n"
        "Offset:3\th:1\tk4\t<null>\n"
        "Offset:4\th:1\t\t\n")


def test_a_line_without_separator_ends_the_producer(broker):
    """Goal: the lines before it are sent, those behind it are not, and the message is Kafka's."""
    _, error = produce(broker, "broken", "k:v\nbroken\nk:w\n", *pairs(
        "--property", "parse.key=true", "key.separator=:"), status=1)
    assert error == ("org.apache.kafka.common.KafkaException: No key separator found on line number "
                     "2: 'broken'\n")
    produce(broker, "broken", "last\n")
    assert consume(broker, "broken", 2) == b"v\nlast\n"


def test_keys_go_to_the_partitions_of_javas_clients(broker):
    """Goal: a key goes where a Java producer sends it. Method: murmur2 of these keys over 3
    partitions, as Kafka's own partitioner works it out."""
    create(broker, "keyed", 3)
    keys = ["a", "foobar", "21", "a-little-bit-long-string", "abc"]
    produce(broker, "keyed", "".join(f"{key}\t{key}\n" for key in keys), "--property",
            "parse.key=true")
    output, _ = call("console-consumer", "--bootstrap-server", broker.bootstrap, "--topic", "keyed",
                     "--from-beginning", "--max-messages", len(keys),
                     *pairs("--property", "print.partition=true", "key.separator= "))
    found = {line.split()[1]: int(line.split()[0].split(":")[1])
             for line in output.decode().splitlines()}
    assert found == {key: murmur2(key.encode()) % 3 for key in keys}


def test_lines_without_a_key_stay_together(broker):
    """Goal: a few lines go to one partition, so that they are read in order; many are spread, a batch
    here and a batch there (KIP-480). Method: from the first line of a program on, when it has no
    connection yet, and with fewer bytes than a batch or with forty times as many."""
    create(broker, "together", 8)
    produce(broker, "together", "".join(f"{i}\n" for i in range(1000)))
    create(broker, "spread", 8)
    produce(broker, "spread", ("x" * 1000 + "\n") * 5000)
    with broker.connect() as connection:
        found = [wire.fetch_all(connection, "together", i, 0) for i in range(8)]
        ends = [wire.fetch(connection, "spread", i, 0, max_bytes=1).HighWatermark for i in range(8)]
    assert [[int(item.value) for item in items] for items in found if items] == [list(range(1000))]
    assert sum(ends) == 5000 and sum(end > 0 for end in ends) >= 4


def murmur2(data):
    """Kafka's hash of keys, its sign bit cleared."""
    m, mask = 0x5bd1e995, 0xffffffff
    h = 0x9747b28c ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7fffffff


def test_timestamps(broker):
    """Goal: CreateTime is when the line was read, LogAppendTime the broker's."""
    create(broker, "created")
    create(broker, "appended", message_timestamp_type="LogAppendTime")
    for topic, label in ("created", "CreateTime:"), ("appended", "LogAppendTime:"):
        produce(broker, topic, "x\n")
        output = consume(broker, topic, 1, "--property", "print.timestamp=true").decode()
        assert output.startswith(label) and output.endswith("\tx\n")
        assert abs(int(output[len(label):].split()[0]) / 1000 - os.stat(
            broker.partition_folder(topic, 0)).st_mtime) < 600


def test_property_files(broker, tmp_path):
    """Goal: settings come from files under old and new names of the option, pairs beat them, and the
    tool's own options beat both. Method: acks that no client knows tell which value counts."""
    good, bad = tmp_path / "good.properties", tmp_path / "bad.properties"
    good.write_text("acks=all\nclient.id=mine\ncompression.type=gzip\n")
    bad.write_text("acks=some\n")
    reader = tmp_path / "reader.properties"
    reader.write_text("parse.key=true\nkey.separator=|\n")
    for option in "--producer.config", "--command-config":
        produce(broker, "files", "k|v\n", option, good, "--reader-config", reader)
        _, error = produce(broker, "files", "k|v\n", option, bad, status=1)
        assert f"{bad}:1: Invalid value some for configuration acks" in error
        produce(broker, "files", "k|v\n", option, bad, "--producer-property", "acks=1",
                "--reader-config", reader)
        produce(broker, "files", "k|v\n", option, bad, "--request-required-acks", "1",
                "--reader-config", reader)
    output = consume(broker, "files", 6, "--consumer.config", good, "--property", "print.key=true")
    assert output == b"k\tv\n" * 6


def test_settings_that_librdkafka_does_not_know(broker):
    """Goal: one line of warning each, and the work goes on."""
    _, error = produce(broker, "settings", "x\n", *pairs(
        "--producer-property", "no.such.setting=1", "interceptor.classes=a.b"))
    assert error.count("\n") == 1, error
    assert "WARN The configuration 'no.such.setting' was supplied but isn't a known config." in error


def test_sync(broker):
    """Goal: --sync sends one by one, without waiting for more lines."""
    produce(broker, "synced", "1\n2\n3\n", "--sync", timeout=20)
    assert consume(broker, "synced", 3) == b"1\n2\n3\n"


def test_nobody_there():
    """Goal: without a broker the lines are errors that name topic and reason, and the status is 1."""
    _, error = call("console-producer", "--bootstrap-server", "127.0.0.1:1", "--topic", "t",
                    "--producer-property", "delivery.timeout.ms=1500", "--timeout", "0",
                    input="x\n", status=1)
    assert "Error when sending message to topic t with key: null, value: 1 bytes" in error
    assert "[Producer clientId=console-producer]" in error


def test_it_gives_up_when_nobody_ever_answers():
    """Goal: max.block.ms bounds the wait for a first broker, and the message names address and
    remedy."""
    for words in ["--max-block-ms", 300], ["--producer-property", "max.block.ms=300", "--sync"]:
        _, error = call("console-producer", "--bootstrap-server", "127.0.0.1:1", "--topic", "t",
                        *words, input="x\ny\n", status=1)
        assert ("no broker can be reached at 127.0.0.1:1, and none has answered within max.block.ms."
                " Does a broker run there?") in error
        assert re.search(r"\b[12] records were not sent\n", error)
        assert "Error when sending" not in error


def test_a_signal_ends_the_wait_for_a_first_broker():
    """Goal: one SIGINT ends a producer whose lines nobody can take, and it says so."""
    with Program(os.path.join(BIN, "kafka-console-producer.sh"), "--bootstrap-server", "127.0.0.1:1",
                 "--topic", "t", stdin=subprocess.PIPE) as producer:
        producer.process.stdin.write(b"1\n2\n")
        producer.process.stdin.flush()
        wait_until(lambda: unread_bytes(producer.process.stdin) == 0, "the lines are read")
        producer.signal(2)
        producer.wait(status=128 + 2)
        assert "no broker can be reached at 127.0.0.1:1" in "".join(producer.errors)


def test_a_typed_line_arrives_at_once(broker):
    """Goal: on a terminal there is a prompt before each line, and a line is sent when it is typed.
    Method: a pseudo terminal; the first line must be consumed before the second is typed."""
    create(broker, "typed")
    ours, theirs = pty.openpty()
    producer = subprocess.Popen(
        [os.path.join(BIN, "kafka-console-producer.sh"), "--broker-list", broker.bootstrap,
         "--topic", "typed"], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
        env=environment(), preexec_fn=die_with_parent)
    os.close(theirs)
    with Program(os.path.join(BIN, "kafka-console-consumer.sh"), "--bootstrap-server",
                 broker.bootstrap, "--topic", "typed", "--from-beginning") as consumer:
        seen = os.read(ours, 10)
        assert seen == b">"
        for line in "first", "second":
            os.write(ours, line.encode() + b"\n")
            assert consumer.read_line() == line
        os.write(ours, b"\x04")  # end of input
        assert producer.wait(20) == 0, producer.stderr.read()
        typed = os.read(ours, 100)
        assert typed == b"first\r\n>second\r\n>", typed
    os.close(ours)


def test_a_signal_sends_what_was_read(broker):
    """Goal: SIGTERM loses no line that was read, and the status tells of the signal."""
    create(broker, "stopped")
    with Program(os.path.join(BIN, "kafka-console-producer.sh"), "--bootstrap-server",
                 broker.bootstrap, "--topic", "stopped", "--timeout", "60000",
                 stdin=subprocess.PIPE) as producer:
        producer.process.stdin.write(b"1\n2\n3\nhalf")
        producer.process.stdin.flush()
        wait_until(lambda: unread_bytes(producer.process.stdin) == 0, "the lines are read")
        producer.signal(15)
        producer.wait(status=128 + 15)
    assert consume(broker, "stopped", 3) == b"1\n2\n3\n"


def unread_bytes(pipe):
    count = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, count)
    return count[0]
