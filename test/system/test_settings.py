"""What topics' and the broker's settings do, as clients see it. Changes are made while the broker runs
where Kafka allows that.

Method: raw requests; time is never waited for but as a condition that comes true (old timestamps and
short check intervals make records old at once).
"""

import os
import re
import subprocess
import time

import pytest

import harness
import wire
from harness import wait_until
from test_topics import RESOURCE_TOPIC, SET, alter
from wire import error_name

NOW = int(time.time() * 1000)
DAY = 86400 * 1000


def make(connection, partitions=1, **configs):
    row = wire.create_topic(connection, "t", partitions,
                            {key.replace("_", "."): value for key, value in configs.items()})
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage


def send(connection, records, partition=0, **options):
    return wire.produce(connection, "t", partition, records, **options)


def error_of(row):
    return error_name(row.ErrorCode)


# ---- sizes, formats, times --------------------------------------------------------------------------

def test_max_message_bytes_is_exact(connection):
    """Goal: the limit counts the whole batch; it can be changed live; the answer says what the rule is."""
    size = len(wire.batch([b"x" * 1000]))
    make(connection, max_message_bytes=size)
    assert error_of(send(connection, wire.batch([b"x" * 1000]))) == "NONE"
    row = send(connection, wire.batch([b"x" * 1001]))
    assert error_of(row) == "MESSAGE_TOO_LARGE" and str(size) in row.ErrorMessage
    assert alter(connection, RESOURCE_TOPIC, "t", (SET, "max.message.bytes", str(size + 1))) == "NONE"
    assert error_of(send(connection, wire.batch([b"x" * 1001]))) == "NONE"
    make_default = wire.create_topic(connection, "default")
    assert make_default.ErrorCode == 0
    row = wire.produce(connection, "default", 0, wire.batch([bytes(1048588)]))
    assert error_of(row) == "MESSAGE_TOO_LARGE"


def test_log_append_time(connection):
    """Goal: the broker's clock in the batch and in the answer; records keep their deltas' base."""
    make(connection, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    row = send(connection, wire.batch([b"a", b"b"], timestamp=1000))
    after = int(time.time() * 1000)
    assert before <= row.LogAppendTimeMs <= after
    found = wire.parse_batches(wire.fetch(connection, "t", 0, 0).Records)[0]
    assert found.attributes & 8 and found.max_timestamp == row.LogAppendTimeMs
    answer = connection.call("ListOffsets", 7, Topics=[{"Name": "t", "Partitions": [
        {"PartitionIndex": 0, "Timestamp": before}]}]).Topics[0].Partitions[0]
    assert (answer.Offset, answer.Timestamp) == (0, row.LogAppendTimeMs)


def test_create_time_is_the_default(connection):
    make(connection)
    row = send(connection, wire.batch([b"a"], timestamp=1000))
    assert row.LogAppendTimeMs == -1
    found = wire.parse_batches(wire.fetch(connection, "t", 0, 0).Records)[0]
    assert (found.attributes & 8, found.first_timestamp, found.max_timestamp) == (0, 1000, 1000)


@pytest.mark.parametrize("codec", [wire.NONE, wire.GZIP])
def test_timestamps_out_of_bounds(connection, codec):
    """Goal: message.timestamp.before.max.ms and .after.max.ms; the records that break them are named."""
    make(connection, message_timestamp_before_max_ms=3600_000, message_timestamp_after_max_ms=3600_000)
    now = int(time.time() * 1000)
    assert error_of(send(connection, wire.batch([b"a"], codec, timestamp=now))) == "NONE"
    payload = b"".join(wire.record(b"x", None, (), i, delta) for i, delta in enumerate(
        (0, -7200_000, 0, 7200_000)))
    row = send(connection, wire.batch([], codec, payload=wire.compress(payload, codec), count=4,
                                      timestamp=now, max_timestamp=now + 7200_000))
    assert error_of(row) == "INVALID_TIMESTAMP"
    assert [bad.BatchIndex for bad in row.RecordErrors] == [1, 3]
    assert wire.fetch(connection, "t", 0, 0).HighWatermark == 1


@pytest.mark.parametrize("codec", [wire.NONE, wire.GZIP, wire.ZSTD])
def test_compacted_topics_want_keys(connection, codec):
    """Goal: records without a key are refused and named (KIP-467)."""
    make(connection, cleanup_policy="compact")
    assert error_of(send(connection, wire.batch([(b"k", b"v")], codec))) == "NONE"
    row = send(connection, wire.batch([(b"k", b"v"), b"keyless"], codec))
    assert error_of(row) == "INVALID_RECORD"
    assert [bad.BatchIndex for bad in row.RecordErrors] == [1]
    assert row.RecordErrors[0].BatchIndexErrorMessage


@pytest.mark.parametrize("wanted, code", [("gzip", wire.GZIP), ("snappy", wire.SNAPPY),
                                          ("lz4", wire.LZ4), ("zstd", wire.ZSTD),
                                          ("uncompressed", wire.NONE)])
def test_compression_type_recompresses(connection, wanted, code):
    """Goal: whatever comes is stored in the topic's codec, with all records as they were.
    Method: librdkafka reads every codec, so a consumer says whether the records are whole."""
    make(connection, compression_type=wanted)
    values = [(b"k%d" % i, b"some value, again and again %d" % (i % 7)) for i in range(100)]
    for codec in (wire.NONE, wire.GZIP, wire.SNAPPY, wire.LZ4, wire.ZSTD):
        assert error_of(send(connection, wire.batch(values, codec, timestamp=NOW))) == "NONE"
    found = wire.parse_batches(wire.fetch(connection, "t", 0, 0).Records)
    assert [(batch.codec, batch.count, batch.base_offset) for batch in found] == [
        (code, 100, base) for base in range(0, 500, 100)]
    assert {batch.max_timestamp for batch in found} == {NOW}
    host, port = connection.socket.getpeername()
    output = harness.run("kcat", "-C", "-q", "-e", "-b", f"{host}:{port}", "-t", "t",
                         "-f", "%o %k %s\\n")
    assert output.splitlines() == [b"%d %s %s" % (100 * n + i, key, value) for n in range(5)
                                   for i, (key, value) in enumerate(values)]


def test_too_few_replicas(connection):
    """Goal: min.insync.replicas holds for acks=all alone."""
    make(connection, min_insync_replicas=2)
    assert error_of(send(connection, wire.batch([b"x"]))) == "NOT_ENOUGH_REPLICAS"
    assert error_of(send(connection, wire.batch([b"x"]), acks=1)) == "NONE"
    assert alter(connection, RESOURCE_TOPIC, "t", (SET, "min.insync.replicas", "1")) == "NONE"
    assert error_of(send(connection, wire.batch([b"x"]))) == "NONE"


# ---- segments, retention, deletion --------------------------------------------------------------------

RETENTION = {"log.retention.check.interval.ms": "50", "log.segment.delete.delay.ms": "0"}


def start_offset(connection, partition=0):
    answer = connection.call("ListOffsets", 5, Topics=[{"Name": "t", "Partitions": [
        {"PartitionIndex": partition, "Timestamp": -2}]}])
    return answer.Topics[0].Partitions[0].Offset


def fill(connection, batches, size=10000, timestamp=None):
    for _ in range(batches):
        assert error_of(send(connection, wire.batch([bytes(size)], timestamp=timestamp))) == "NONE"


def test_segments_roll_by_size(make_broker):
    """Goal: segments end before segment.bytes, are named by their first offset, and have their indexes
    and the producers' snapshot beside them (the latter with the next checkpoint)."""
    broker = make_broker({"log.flush.offset.checkpoint.interval.ms": "100"})
    with broker.connect() as connection:
        make(connection, segment_bytes=1 << 20)
        fill(connection, 250)
        check_segments(broker, connection)


def check_segments(broker, connection):
    segments = broker.segments("t", 0)
    assert len(segments) == 3 and segments[0] == "00000000000000000000.log"
    folder = broker.partition_folder("t", 0)
    assert all(os.path.getsize(os.path.join(folder, name)) <= 1 << 20 for name in segments[:-1])
    for name in segments:
        base = int(name[:20])
        found = wire.parse_batches(wire.fetch(connection, "t", 0, base).Records)[0]
        assert found.base_offset == base
    expected = {segments[1][:20] + suffix for suffix in (".index", ".timeindex", ".snapshot")}
    wait_until(lambda: expected <= set(os.listdir(folder)), "the files beside the segment")


def test_segments_roll_by_time(broker, connection):
    """Goal: segment.ms counts from the segment's first record to the new record's time."""
    make(connection, segment_ms=1000)
    base = NOW - DAY
    for i in range(5):
        send(connection, wire.batch([b"x"], timestamp=base + 600 * i))
    assert len(broker.segments("t", 0)) == 3


def test_retention_by_time_live(make_broker):
    """Goal: old segments go while clients read, the active one with them when all of it is old, offsets
    stay, and a fetch below the start says so."""
    broker = make_broker(RETENTION)
    with broker.connect() as connection:
        make(connection, segment_bytes=1 << 20, retention_ms=DAY)
        fill(connection, 210, timestamp=NOW - 2 * DAY)
        wait_until(lambda: start_offset(connection) == 210, "retention")
        assert error_of(wire.fetch(connection, "t", 0, 0)) == "OFFSET_OUT_OF_RANGE"
        assert error_of(wire.fetch(connection, "t", 0, 209)) == "OFFSET_OUT_OF_RANGE"
        assert send(connection, wire.batch([b"new"])).BaseOffset == 210
        assert wire.fetch(connection, "t", 0, 210).LogStartOffset == 210
        wait_until(lambda: len(broker.segments("t", 0)) == 1, "the files to go")
    broker.restart(kill=True)
    with broker.connect() as connection:
        assert start_offset(connection) == 210
        assert [row.value for row in wire.fetch_all(connection, "t", 0, 210)] == [b"new"]


def test_retention_by_size_live(make_broker):
    """Goal: whole segments go while more than retention.bytes would stay; set while it runs."""
    broker = make_broker(RETENTION)
    with broker.connect() as connection:
        make(connection, segment_bytes=1 << 20)
        fill(connection, 500)
        before = broker.segments("t", 0)
        assert len(before) == 5
        assert alter(connection, RESOURCE_TOPIC, "t", (SET, "retention.bytes", "2500000")) == "NONE"
        wait_until(lambda: start_offset(connection) > 0, "retention")
        wait_until(lambda: len(broker.segments("t", 0)) == 3, "the files to go")
        assert start_offset(connection) == int(before[2][:20])
        assert broker.segments("t", 0) == before[2:]


def delete_records(connection, offset, partition=0, topic="t"):
    answer = connection.call("DeleteRecords", 1, TimeoutMs=5000, Topics=[
        {"Name": topic, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}])
    row = answer.Topics[0].Partitions[0]
    return error_of(row), row.LowWatermark


def test_delete_records(make_broker):
    """Goal: the start moves to any offset at once, whole segments go, it holds over a stop. (A kill may
    bring back what went within log.flush.start.offset.checkpoint.interval.ms, as in Kafka.)"""
    broker = make_broker(RETENTION)
    with broker.connect() as connection:
        make(connection, segment_bytes=1 << 20)
        fill(connection, 250)
        segments = broker.segments("t", 0)
        assert delete_records(connection, 5) == ("NONE", 5)
        assert start_offset(connection) == 5
        assert error_of(wire.fetch(connection, "t", 0, 4)) == "OFFSET_OUT_OF_RANGE"
        assert wire.fetch(connection, "t", 0, 5).LogStartOffset == 5
        assert delete_records(connection, 3) == ("NONE", 5)
        assert delete_records(connection, 150) == ("NONE", 150)
        wait_until(lambda: broker.segments("t", 0) == segments[1:], "the first segment to go")
        assert delete_records(connection, 251)[0] == "OFFSET_OUT_OF_RANGE"
        assert delete_records(connection, 0, partition=9)[0] == "UNKNOWN_TOPIC_OR_PARTITION"
        assert delete_records(connection, -1) == ("NONE", 250)
        assert send(connection, wire.batch([b"x"])).BaseOffset == 250
        assert delete_records(connection, 0, topic="__consumer_offsets")[0] != "NONE"
    broker.stop()
    broker.start()
    with broker.connect() as connection:
        assert start_offset(connection) == 250


def test_delete_records_is_refused_on_compacted_topics(connection):
    make(connection, cleanup_policy="compact")
    send(connection, wire.batch([(b"k", b"v")]))
    assert delete_records(connection, 1)[0] == "POLICY_VIOLATION"


def test_describe_log_dirs(broker, connection):
    """Goal: sizes as on the disk, the folder's total and what is free on it."""
    make(connection, partitions=2)
    fill(connection, 3)
    answer = connection.call("DescribeLogDirs", 4, Topics=None)
    row = answer.Results[0]
    assert (error_of(row), row.LogDir) == ("NONE", broker.data)
    assert row.TotalBytes > row.UsableBytes > 0
    sizes = {partition.PartitionIndex: partition.PartitionSize
             for topic in row.Topics if topic.Name == "t" for partition in topic.Partitions}
    assert sizes == {0: 3 * len(wire.batch([bytes(10000)])), 1: 0}


def test_several_log_dirs(make_broker, tmp_path):
    """Goal: partitions are spread over log.dirs, and found again after a restart."""
    folders = [str(tmp_path / name) for name in ("one", "two", "three")]
    broker = make_broker({"log.dirs": ",".join(folders)})
    with broker.connect() as connection:
        make(connection, partitions=12)
        for partition in range(12):
            send(connection, wire.batch([b"p%d" % partition]), partition)
        for folder in folders:
            assert len([name for name in os.listdir(folder) if name.startswith("t-")]) == 4
    broker.restart(kill=True)
    with broker.connect() as connection:
        for partition in range(12):
            assert [row.value for row in wire.fetch_all(connection, "t", partition)] == [
                b"p%d" % partition]


# ---- the property file -------------------------------------------------------------------------------

def refused(broker):
    """Starts a broker that must not start; returns its report."""
    broker.start(wait=False)
    process, broker.process = broker.process, None
    assert process.wait(30) != 0
    return broker.report()


@pytest.mark.parametrize("key, value, hint", [
    ("num.partitions", "many", "num.partitions"), ("num.partitions", "0", "num.partitions"),
    ("log.segment.bytes", "1", "log.segment.bytes"),
    ("compression.type", "brotli", "compression.type"),
    ("listeners", "PLAINTEXT//:9092", "listeners"), ("broker.id", "-5", "broker.id")])
def test_a_bad_value_is_no_start(make_broker, key, value, hint):
    """Goal: file, line, key, value and rule are named."""
    broker = make_broker({key: value}, start=False)
    report = refused(broker)
    line = 1 + list(broker.properties).index(key)
    assert f"server.properties:{line}" in report and hint in report and value in report


def test_an_unknown_key_is_a_warning_with_a_proposal(make_broker):
    broker = make_broker({"log.retention.hour": "1"})
    assert "log.retention.hours" in broker.report()


def test_overrides_win(make_broker):
    broker = make_broker({"num.partitions": "3"}, overrides=["num.partitions=5"])
    with broker.connect() as connection:
        row = wire.create_topic(connection, "t", -1)
        assert row.NumPartitions == 5


def cluster_id(broker):
    with open(os.path.join(broker.data, "meta.properties"), encoding="ascii") as file:
        return re.search("^cluster.id=(.*)$", file.read(), re.MULTILINE)[1]


def test_a_folder_of_another_broker_or_cluster_is_refused(make_broker):
    """Goal: nobody's data are taken for one's own: both ids are printed."""
    broker, stranger = make_broker({"broker.id": "41"}), make_broker({"broker.id": "41"})
    ids = cluster_id(broker), cluster_id(stranger)
    broker.stop()
    stranger.stop()
    report = refused(make_broker({"log.dirs": broker.data, "broker.id": "73"}, start=False))
    assert "41" in report and "73" in report
    both = {"log.dirs": f"{broker.data},{stranger.data}", "broker.id": "41"}
    report = refused(make_broker(both, start=False))
    assert ids[0] in report and ids[1] in report


def test_log_directories_that_cannot_be_used_are_named(make_broker, tmp_path):
    """Goal: whoever reads why the broker did not start knows which directory it is about."""
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("x")
    (folder / "meta.properties").parent.mkdir()
    (folder / "meta.properties").write_text("nonsense")
    for log_dirs, words in ((file, f"{file} cannot be used"),
                            (file / "below", f"{file}/below cannot be used"),
                            (folder, f"{folder}: Line 1 of meta.properties"),
                            (f"{folder}/a,{folder}/a/", f"{folder}/a twice")):
        assert words in refused(make_broker({"log.dirs": str(log_dirs)}, start=False))


def test_a_folder_in_use_is_refused(make_broker):
    broker = make_broker()
    other = make_broker({"log.dirs": broker.data}, start=False)
    assert broker.data in refused(other)
    with broker.connect() as connection:
        connection.call("ApiVersions", 0)


def test_a_port_in_use_is_refused(make_broker):
    broker = make_broker()
    other = make_broker({"listeners": f"PLAINTEXT://127.0.0.1:{broker.port}"}, start=False)
    report = refused(other)
    assert str(broker.port) in report and "in use" in report


def test_property_files_of_kafka_start(make_broker):
    """Goal: the keys of 0.11's and of 4.x's own server.properties are taken as they are."""
    old = {"num.network.threads": "3", "num.io.threads": "8", "socket.send.buffer.bytes": "102400",
           "socket.receive.buffer.bytes": "102400", "num.recovery.threads.per.data.dir": "1",
           "zookeeper.connect": f"localhost:{harness.free_port()}",
           "zookeeper.connection.timeout.ms": "6000", "delete.topic.enable": "true",
           "log.cleaner.enable": "true", "log.message.format.version": "0.11.0",
           "inter.broker.protocol.version": "0.11.0"}
    control = harness.free_port()
    new = {"process.roles": "broker,controller", "node.id": "0",
           "controller.quorum.bootstrap.servers": f"localhost:{control}",
           "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
           "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
           "share.coordinator.state.topic.replication.factor": "1"}
    for properties in (old, new):
        broker = make_broker(properties, start=False)
        if properties is new:
            del broker.properties["broker.id"]
            broker.properties["listeners"] += f",CONTROLLER://localhost:{control}"
        broker.start()
        assert "unknown" not in broker.report().lower(), broker.report()


# ---- start and stop ----------------------------------------------------------------------------------

def test_idle_memory_is_small(broker):
    """Goal: a broker that has nothing to do takes under 16 MiB. (How fast it starts is measured by
    `make bench`.)"""
    with broker.connect() as connection:
        connection.call("ApiVersions", 0)
    assert broker.status_bytes("VmRSS") < 16 << 20


def test_sigterm_leaves_a_clean_mark_and_the_next_start_scans_nothing(make_broker):
    broker = make_broker()
    with broker.connect() as connection:
        make(connection)
        fill(connection, 10)
    broker.stop()
    assert os.path.exists(os.path.join(broker.data, ".kafka_cleanshutdown"))
    broker.start()
    assert not os.path.exists(os.path.join(broker.data, ".kafka_cleanshutdown"))
    assert "recover" not in broker.report().lower()


def test_recovery_points_move(make_broker):
    """Goal: what has been synced is not scanned again after a crash: recovery points move by themselves
    every log.flush.offset.checkpoint.interval.ms, for idle partitions too."""
    broker = make_broker({"log.flush.offset.checkpoint.interval.ms": "100"})
    path = os.path.join(broker.data, "recovery-point-offset-checkpoint")

    def rows():
        if not os.path.exists(path):
            return []
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()

    with broker.connect() as connection:
        make(connection, partitions=2)
        fill(connection, 10)
        wait_until(lambda: "t 0 10" in rows() and "t 1 0" in rows(), "the recovery point")
        fill(connection, 1)
        wait_until(lambda: "t 0 11" in rows(), "the recovery point")


def test_sigint_stops_too(make_broker):
    broker = make_broker()
    broker.process.send_signal(2)
    assert broker.process.wait(30) == 0
    broker.process = None


def test_the_server_without_a_property_file(tmp_path):
    """Goal: `ottla server` needs no file; what it lacks comes from overrides and defaults."""
    port = harness.free_port()
    process = subprocess.Popen(
        [harness.OTTLA, "server", "--override", f"listeners=PLAINTEXT://127.0.0.1:{port}",
         "--override", f"log.dirs={tmp_path / 'data'}"], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=harness.die_with_parent)
    try:
        def answers():
            try:
                with wire.Connection(("127.0.0.1", port)) as connection:
                    return connection.call("ApiVersions", 0)
            except ConnectionRefusedError:
                return None

        wait_until(answers, "the first answer")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
