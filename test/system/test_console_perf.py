"""The performance tools: their output, line by line, in Kafka's form.

Method: short runs against one broker; numbers that follow from the options are checked, the others
only for their form.
"""

import re

import pytest

from console import call, consume, create
from harness import free_port

TOTAL = (r"(\d+)( steady state)? records sent, [\d.]{8,} records/sec \([\d.]+ MB/sec\), "
         r"\d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, "
         r"\d+ ms 99th, \d+ ms 99\.9th\.")
WINDOW = (r"(\d+) records sent, [\d.]+ records/sec \([\d.]+ MB/sec\), \d+\.\d ms avg latency, "
          r"\d+\.\d ms max latency\.")
DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}"


def send(broker, *arguments, **options):
    output, error = call("producer-perf-test", "--topic", "perf", *arguments,
                         "--producer-props", f"bootstrap.servers={broker.bootstrap}", "acks=1",
                         **options)
    return output.decode().splitlines(), error


def test_producer(broker):
    """Goal: the summary, and records of the size that was asked for."""
    lines, _ = send(broker, "--num-records", 1000, "--record-size", 50, "--throughput", -1)
    assert len(lines) == 1 and re.fullmatch(TOTAL, lines[0])[1] == "1000"
    records = consume(broker, "perf", 1000).splitlines()
    assert all(re.fullmatch(rb"[A-Z]{50}", record) for record in records)
    assert len(set(records)) == 1000


def test_producer_at_a_rate(broker):
    """Goal: a rate is kept, progress is told, and the warm-up is left out of the second summary."""
    lines, _ = send(broker, "--num-records", 1000, "--record-size", 10, "--throughput", 500,
                    "--reporting-interval", 400, "--warmup-records", 500)
    assert lines[0] == ("Warmup first 500 records. Steady state results will print after the complete "
                        "test summary.")
    assert re.fullmatch(WINDOW, lines[1])
    assert "In steady state." in lines
    assert re.fullmatch(TOTAL, lines[-2])[1] == "1000"
    assert re.fullmatch(TOTAL, lines[-1])[1] == "500" and " steady state " in lines[-1]
    rate = float(lines[-2].split(", ")[1].split()[0])
    assert 450 < rate <= 510


def test_producer_payloads(broker, tmp_path):
    """Goal: pieces of a file and numbers that count up."""
    file = tmp_path / "payloads"
    file.write_text("one;two;three")
    lines, _ = send(broker, "--num-records", 50, "--payload-file", file, "--payload-delimiter", ";",
                    "--throughput", -1)
    assert lines[:2] == [f"Reading payloads from: {file}", "Number of messages read: 3"]
    assert set(consume(broker, "perf", 50).split()) == {b"one", b"two", b"three"}
    send(broker, "--num-records", 3, "--payload-monotonic", "--throughput", -1)
    assert consume(broker, "perf", 53).split()[50:] == [b"0", b"1", b"2"]


def test_producer_metrics(broker):
    """Goal: the table behind the summary, names and values in columns."""
    lines, _ = send(broker, "--num-records", 100, "--record-size", 10, "--throughput", -1,
                    "--print-metrics")
    assert lines[1] == "" and re.fullmatch(r"Metric Name +Value", lines[2])
    table = dict(re.fullmatch(r"(\S+) +: ([\d.]+)", line).groups() for line in lines[3:])
    assert table["producer-metrics:record-send-total:{client-id=perf-producer-client}"] == "100.000"


@pytest.mark.parametrize("words, message", [
    (["--num-records", "0", "--record-size", "1", "--throughput", "1"],
     "--num-records should be greater than zero"),
    (["--num-records", "1", "--throughput", "1"], "exactly one of --record-size or --payload-file"),
    (["--num-records", "1", "--record-size", "1", "--throughput", "1", "--warmup-records", "1"],
     "must be strictly fewer"),
    (["--num-records", "1", "--record-size", "1", "--throughput", "1", "--transactional-id", "t"],
     "Transactions are not in this release"),
])
def test_producer_refuses(words, message):
    _, error = call("producer-perf-test", "--topic", "t", *words, "--producer-props",
                    "bootstrap.servers=127.0.0.1:1", status=1)
    assert message in error


def test_producer_without_broker():
    """Goal: what was not sent is told, and is a failure."""
    output, error = call("producer-perf-test", "--topic", "t", "--num-records", 3, "--record-size",
                         1, "--throughput", -1, "--producer-props",
                         f"bootstrap.servers=127.0.0.1:{free_port()}", "delivery.timeout.ms=1000",
                         status=1)
    assert output.startswith(b"0 records sent, 0.000000 records/sec")
    assert "3 records could not be sent" in error


def test_producer_gives_up_when_nobody_ever_answers():
    """Goal: max.block.ms bounds the wait for a first broker."""
    port = free_port()
    _, error = call("producer-perf-test", "--topic", "t", "--num-records", 3, "--record-size", 1,
                    "--throughput", -1, "--producer-props", f"bootstrap.servers=127.0.0.1:{port}",
                    "max.block.ms=300", status=1)
    assert f"no broker can be reached at 127.0.0.1:{port}, and none has answered" in error
    assert "3 records could not be sent" in error


@pytest.mark.parametrize("old", [True, False])
def test_consumer(broker, old):
    """Goal: heading and line of today's tool, by old and new flags."""
    send(broker, "--num-records", 1000, "--record-size", 1024, "--throughput", -1)
    words = ["--broker-list", broker.bootstrap, "--messages"] if old else \
        ["--bootstrap-server", broker.bootstrap, "--num-records"]
    output, _ = call("consumer-perf-test", *words, 1000, "--topic", "perf")
    lines = output.decode().splitlines()
    assert lines[0] == ("start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, "
                        "nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
    columns = lines[1].split(", ")
    assert len(lines) == 2 and len(columns) == 10
    assert re.fullmatch(DATE, columns[0]) and re.fullmatch(DATE, columns[1])
    assert columns[2] == "0.9766" and columns[4] == "1000"
    assert all(re.fullmatch(r"\d+\.\d{4}", columns[i]) for i in (2, 3, 5, 8, 9))
    assert all(re.fullmatch(r"\d+", columns[i]) for i in (6, 7))


def test_consumer_that_runs_dry(broker):
    """Goal: it ends after the timeout with Kafka's warning; details tell of intervals; dates follow
    the pattern."""
    send(broker, "--num-records", 10, "--record-size", 10, "--throughput", -1)
    output, _ = call("consumer-perf-test", "--bootstrap-server", broker.bootstrap, "--messages", 20,
                     "--topic", "perf", "--timeout", 1000, "--show-detailed-stats",
                     "--reporting-interval", 1, "--date-format", "HH:mm")
    lines = output.decode().splitlines()
    assert lines[0].startswith("time, threadId, data.consumed.in.MB")
    assert re.fullmatch(r"\d\d:\d\d, 0, 0\.0001, .*", lines[1])
    assert lines[-1] == ("WARNING: Exiting before consuming the expected number of messages: timeout "
                         "(1000 ms) exceeded. You can use the --timeout option to increase the "
                         "timeout.")


@pytest.mark.parametrize("old", [True, False])
def test_latency(broker, old):
    """Goal: the topic is made, progress and percentiles are told, by words and by options."""
    words = [broker.bootstrap, "latency", 1001, "all", 100] if old else \
        ["--bootstrap-server", broker.bootstrap, "--topic", "latency", "--num-records", 1001,
         "--producer-acks", 1, "--record-size", 100, "--record-key-size", 8, "--num-headers", 2,
         "--record-header-key-size", 3, "--record-header-size", -1]
    output, _ = call("e2e-latency", *words)
    lines = output.decode().splitlines()
    assert lines[0] == ('Topic "latency" does not exist. Will create topic with 1 partition(s) and '
                        "replication factor = 1")
    assert re.fullmatch(r"0\t\d+\.\d+", lines[1]) and re.fullmatch(r"1000\t\d+\.\d+", lines[2])
    assert re.fullmatch(r"Avg latency: \d+\.\d{4} ms", lines[3])
    assert re.fullmatch(r"Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+", lines[4])


def test_latency_on_a_topic_that_is_in_use(broker):
    """Goal: records from before do not count. Method: a topic of several partitions with records."""
    create(broker, "used", 3)
    call("console-producer", "--bootstrap-server", broker.bootstrap, "--topic", "used",
         input="1\n2\n3\n")
    output, _ = call("e2e-latency", broker.bootstrap, "used", 20, "1", 10)
    assert b"does not exist" not in output and b"Percentiles" in output


def test_latency_refuses(broker):
    for words, message in (
            ([broker.bootstrap, "t", 1, "0", 1], "Please use 1 or all"),
            ([broker.bootstrap, "t", 1], "Expected 5 or 6 positional arguments, but got 3"),
            (["--topic", "t"], 'Missing required argument "[bootstrap-server')):
        _, error = call("e2e-latency", *words, status=1)
        assert message in error
