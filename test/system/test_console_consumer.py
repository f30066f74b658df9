"""The console consumer by itself: where it begins and ends, groups, formatters.

Method: topics are filled by the console producer; the tool runs through its launcher.
"""

import json
import os
import re
import signal
import struct
import subprocess

import pytest

from console import call, consume, create, pairs, produce
from harness import BIN, Program, die_with_parent, environment, free_port, tool, wait_until

CONSUMER = os.path.join(BIN, "kafka-console-consumer.sh")
SERIALIZATION = "org.apache.kafka.common.serialization"


def consumer(broker, *arguments, **options):
    return call("console-consumer", "--bootstrap-server", broker.bootstrap, *arguments, **options)


def numbers(first, last):
    return "".join(f"{i}\n" for i in range(first, last + 1))


def test_where_it_begins(broker):
    """Goal: --offset, --from-beginning and neither."""
    produce(broker, "ten", numbers(0, 9))
    part = ("--topic", "ten", "--partition", 0, "--max-messages", 3)
    assert consumer(broker, *part, "--offset", 4)[0] == b"4\n5\n6\n"
    assert consumer(broker, *part, "--offset", "EARLIEST")[0] == b"0\n1\n2\n"
    assert consumer(broker, *part, "--from-beginning")[0] == b"0\n1\n2\n"
    with Program(CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic", "ten",
                 "--partition", "0", "--property", "print.offset=true") as latest:
        # Until it has found the end, what is produced comes before its beginning.
        wait_until(lambda: produce(broker, "ten", "more\n") and latest.drain(), "a new record")
        assert all(re.fullmatch(r"Offset:[1-9]\d+\tmore", line) for line in latest.lines)


@pytest.mark.parametrize("words, message", [
    ([], "Exactly one of --topic, --include and --blacklist is required."),
    (["--topic", "t", "--include", "t"], "Exactly one of --topic"),
    (["--topic", "t", "--offset", "1"], "The partition is required when offset is specified."),
    (["--include", "t", "--partition", "0"],
     "The topic is required when partition is specified."),
    (["--topic", "t", "--partition", "0", "--offset", "1", "--from-beginning"],
     "Options from-beginning and offset cannot be specified together."),
    (["--topic", "t", "--partition", "0", "--offset", "-1"],
     "The provided offset value '-1' is incorrect. Valid values are 'earliest', 'latest', or a "
     "non-negative long."),
    (["--topic", "t", "--partition", "0", "--group", "g"],
     "Options group and partition cannot be specified together."),
    (["--topic", "t", "--group", "g", "--consumer-property", "group.id=h"],
     "do not match. Detected group ids: 'g', 'h'"),
    (["--topic", "t", "--from-beginning", "--consumer-property", "auto.offset.reset=latest"],
     "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove "
     "one option"),
    (["--topic", "t", "--formatter", "a.b.C"], "a.b.C is no formatter"),
    (["--topic", "t", "--isolation-level", "half"],
     "command line: Invalid value half for configuration isolation.level"),
])
def test_contradicting_options(words, message):
    """Goal: each is refused before anything is connected to, in Kafka's words where it has some."""
    output, error = call("console-consumer", "--bootstrap-server", "127.0.0.1:1", *words, status=1)
    assert output == b"" and message in error


def test_it_ends_when_nothing_comes(broker):
    """Goal: --timeout-ms prints what there is, then ends with status 0, as Kafka's does."""
    produce(broker, "few", numbers(1, 3))
    output, error = consumer(broker, "--topic", "few", "--from-beginning", "--timeout-ms", 3000)
    assert output == b"1\n2\n3\n"
    assert "org.apache.kafka.common.errors.TimeoutException\n" in error
    assert error.endswith("Processed a total of 3 messages\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(broker, number):
    """Goal: it ends cleanly, tells how much it printed, and its status tells of the signal."""
    produce(broker, "signals", numbers(1, 3))
    with Program(CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic", "signals",
                 "--from-beginning", "--enable-systest-events") as running:
        assert running.read_lines(3) == ["1", "2", "3"]
        running.signal(number)
        running.wait(status=128 + number)
        assert running.lines[-1] == "shutdown_complete"
        assert "Processed a total of 3 messages\n" in running.errors


def test_a_reader_that_goes_away(broker):
    """Goal: it ends when nobody reads its output, even with nothing more to print."""
    produce(broker, "piped", numbers(1, 3))
    ours, theirs = os.pipe()
    running = subprocess.Popen([CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic", "piped",
                                "--from-beginning"], stdout=theirs, stderr=subprocess.PIPE,
                               env=environment(), preexec_fn=die_with_parent)
    os.close(theirs)
    assert os.read(ours, 100) == b"1\n2\n3\n"
    os.close(ours)
    _, error = running.communicate(timeout=20)
    assert error == (b"Unable to write to standard out, closing consumer.\n"
                     b"Processed a total of 3 messages\n")
    assert running.returncode == 0


def test_output_that_cannot_be_written(broker):
    """Goal: a full disk is a failure, and records that nobody got are not committed."""
    produce(broker, "unwritten", numbers(1, 3))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic",
                               "unwritten", "--from-beginning", "--group", "unwritten"],
                              stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
    assert b"standard output cannot be written: No space left on device" in done.stderr
    assert done.returncode == 1
    output, _ = call("console-consumer", "--bootstrap-server", broker.bootstrap, "--topic",
                     "unwritten", "--from-beginning", "--group", "unwritten", "--max-messages", 3)
    assert output == b"1\n2\n3\n"


def test_a_group_goes_on_where_it_was(broker):
    """Goal: with --group what was printed is committed, and nothing more. Method: --max-messages ends
    it in the middle of what was fetched."""
    produce(broker, "grouped", numbers(1, 1000))
    words = ("--topic", "grouped", "--from-beginning", "--group", "g", "--max-messages")
    assert consumer(broker, *words, 10)[0].decode() == numbers(1, 10)
    assert consumer(broker, *words, 300)[0].decode() == numbers(11, 310)
    with Program(CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic", "grouped", "--group",
                 "g") as running:
        assert running.read_lines(690) == numbers(311, 1000).split()
        running.signal(signal.SIGINT)
        running.wait(status=128 + signal.SIGINT)
    produce(broker, "grouped", "last\n")
    assert consumer(broker, *words, 1)[0] == b"last\n"


def committed_offset(broker, group, topic):
    with broker.connect() as connection:
        answer = connection.call("OffsetFetch", 5, GroupId=group, Topics=[
            {"Name": topic, "PartitionIndexes": [0]}])
        return answer.Topics[0].Partitions[0].CommittedOffset


def test_a_made_up_group_commits_nothing(broker):
    """Goal: without --group nothing is committed under console-consumer-N; with auto commit asked for,
    it is."""
    produce(broker, "unnamed", numbers(1, 3))
    words = ("--topic", "unnamed", "--from-beginning", "--max-messages", 3)
    with Program(CONSUMER, "--bootstrap-server", broker.bootstrap, "--topic", "unnamed",
                 "--from-beginning") as running:
        running.read_lines(3)
        with broker.connect() as connection:
            groups = [group.GroupId for group in connection.call("ListGroups", 2).Groups]
        running.signal(signal.SIGINT)
        running.wait(status=128 + signal.SIGINT)
    assert len(groups) == 1 and re.fullmatch(r"console-consumer-\d{1,5}", groups[0])
    assert committed_offset(broker, groups[0], "unnamed") == -1
    consumer(broker, *words, "--consumer-property", "group.id=named")
    assert committed_offset(broker, "named", "unnamed") == 3


def test_a_topic_is_made_by_its_first_consumer(broker):
    """Goal: as with Kafka's, a topic that is not there begins with whoever asks for it, unless
    allow.auto.create.topics says otherwise."""
    for name, words in ("made-by-asking", []), ("not-made", ["--consumer-property",
                                                             "allow.auto.create.topics=false"]):
        call("console-consumer", "--bootstrap-server", broker.bootstrap, "--topic", name,
             "--timeout-ms", 10, *words)
    names = tool("topics", "--bootstrap-server", broker.bootstrap, "--list").splitlines()
    assert "made-by-asking" in names and "not-made" not in names


def test_topics_by_expression(broker):
    """Goal: --include and --whitelist match whole names, commas mean or, internal topics need asking,
    and a topic that comes later is found. Method: names that differ in one sign."""
    for topic in "in-1", "in-2", "in-22", "out":
        produce(broker, topic, f"{topic}\n")
    words = ("--from-beginning", "--timeout-ms", 3000)
    for option in "--include", "--whitelist":
        output, _ = consumer(broker, option, r"in-\d", *words)
        assert sorted(output.split()) == [b"in-1", b"in-2"]
    output, _ = consumer(broker, "--include", "out,in-2+", *words)
    assert sorted(output.split()) == [b"in-2", b"in-22", b"out"]
    output, _ = consumer(broker, "--blacklist", "in.*", *words)
    assert output == b"out\n"
    with Program(CONSUMER, "--bootstrap-server", broker.bootstrap, "--include", "late-.*",
                 "--from-beginning") as running:
        produce(broker, "late-1", "late\n")
        assert running.read_line() == "late"


def test_zookeeper_means_the_control_listener(make_broker):
    """Goal: the old consumer's flags work through the address that zookeeper.connect gives."""
    control = f"localhost:{free_port()}"
    broker = make_broker({"zookeeper.connect": control})
    produce(broker, "old", "1\n2\n")
    output, _ = call("console-consumer", "--zookeeper", f"{control}/chroot", "--topic", "old",
                     "--from-beginning", "--delete-consumer-offsets", "--max-messages", 2)
    assert output == b"1\n2\n"


def test_deserializers(broker):
    """Goal: keys and values of numbers print as numbers, by option and by property; what is none ends
    the work, or is left out when that is asked for."""
    create(broker, "typed")
    produce(broker, "typed", b"\0\0\0\7\t" + struct.pack(">q", -5) + b"\nbad!\tbad\n\0\0\0\x0b\t" +
            struct.pack(">q", 1 << 40) + b"\n", "--property", "parse.key=true")
    words = ("--topic", "typed", "--partition", 0, "--from-beginning", "--max-messages", 3,
             "--property", "print.key=true",
             "--key-deserializer", f"{SERIALIZATION}.IntegerDeserializer",
             "--property", f"value.deserializer={SERIALIZATION}.LongDeserializer")
    output, error = consumer(broker, *words, status=1)
    assert output.startswith(b"7\t-5\n") and b"1099511627776" not in output
    assert "Size of data received by LongDeserializer is not 8" in error
    output, error = consumer(broker, *words, "--skip-message-on-error")
    assert output.startswith(b"7\t-5\n") and output.endswith(b"11\t1099511627776\n")
    assert "skipping this message" in error and "Processed a total of 3 messages" in error


def test_formatters_by_old_and_new_names(broker):
    """Goal: each name that a formatter ever had works."""
    produce(broker, "formats", "x\n")
    for package in "org.apache.kafka.tools.consumer.", "kafka.tools.", "":
        for name, printed in (("Default", b"x\n"), ("NoOp", b""), ("Logging", b"x\n")):
            assert consume(broker, "formats", 1, "--formatter",
                           f"{package}{name}MessageFormatter") == printed
    assert re.fullmatch(rb"checksum:\d+\n", consume(
        broker, "formats", 1, "--formatter", "kafka.tools.ChecksumMessageFormatter"))


def test_the_offsets_topic(broker):
    """Goal: the committed offsets of a group can be read from __consumer_offsets, as JSON under today's
    class and as text under that of its time."""
    produce(broker, "counted", numbers(1, 3))
    consumer(broker, "--topic", "counted", "--from-beginning", "--max-messages", 3, "--group", "g")
    words = ("--topic", "__consumer_offsets", "--from-beginning", "--timeout-ms", 3000)
    output, _ = consumer(broker, *words, "--formatter",
                         "org.apache.kafka.tools.consumer.OffsetsMessageFormatter")
    records = [json.loads(line) for line in output.splitlines()]
    ours = [record for record in records
            if record["key"]["data"] == {"group": "g", "topic": "counted", "partition": 0}]
    assert ours and ours[-1]["key"]["type"] == 1 and ours[-1]["value"]["data"]["offset"] == 3
    output, _ = consumer(broker, *words, "--formatter",
                         "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter")
    assert b"[g,counted,0]::OffsetAndMetadata(offset=3, " in output
    output, _ = consumer(broker, *words, "--formatter",
                         "org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter")
    assert {json.loads(line)["key"]["data"]["group"] for line in output.splitlines()} >= {"g"}


def test_a_partition_that_is_not_there(broker):
    """Goal: an end with a message, rather than waiting for ever."""
    create(broker, "single")
    _, error = consumer(broker, "--topic", "single", "--partition", 5, status=1)
    assert error == "The topic single has 1 partitions, from 0 on: there is no 5\n"


def test_isolation_level(broker):
    """Goal: both levels are taken, others are not."""
    produce(broker, "isolated", "x\n")
    for level in "read_committed", "read_uncommitted":
        assert consume(broker, "isolated", 1, "--isolation-level", level) == b"x\n"
    _, error = consumer(broker, "--topic", "isolated", "--isolation-level", "none", status=1)
    assert "isolation.level" in error
