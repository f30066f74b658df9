"""What lies on the disk, and what becomes of it: crashes, damage, lost files, full disks.

Method: the files of a broker that is down are read, cut, damaged and removed; what clients get from the
next start is compared with what was written before. Full disks are real small file systems.
"""

import os
import random
import shutil

import pytest

import harness
import wire
from harness import wait_until
from test_topics import create, delete
from wire import error_name

SMALL_SEGMENTS = {"log.segment.bytes": str(1 << 20)}
KINDS = [kind for kind in ("tmpfs", "ext4") if harness.can_mount(kind)]


def fill(connection, count, partition=0, size=3000):
    """Records of `size` bytes that begin with their number."""
    for i in range(count):
        row = wire.produce(connection, "t", partition, wire.batch(
            [b"%d " % i + bytes(size)], timestamp=1000 + i))
        assert error_name(row.ErrorCode) == "NONE"


def numbers(broker, partition=0, offset=0):
    broker.wait_leader("t", partition)
    with broker.connect() as connection:
        found = wire.fetch_all(connection, "t", partition, offset)
        assert [item.offset for item in found] == list(range(offset, offset + len(found)))
        return [int(item.value.split()[0]) for item in found]


def first_words(broker, offset):
    """The first words of all records from `offset` on."""
    broker.wait_leader("t", 0)
    with broker.connect() as connection:
        return [item.value.split()[0] for item in wire.fetch_all(connection, "t", 0, offset)]


def path_of(broker, name, partition=0):
    return os.path.join(broker.partition_folder("t", partition), name)


@pytest.fixture
def filled(make_broker):
    """A broker that was stopped, with 1,000 records in three segments of t-0, and 10 in t-1."""
    broker = make_broker(SMALL_SEGMENTS)
    with broker.connect() as connection:
        create(connection, NumPartitions=2)
        fill(connection, 1000)
        fill(connection, 10, partition=1)
    broker.stop()
    assert len(broker.segments("t", 0)) == 3
    return broker


def test_segments_are_kafkas(filled):
    """Goal: a segment file is batches of Kafka's format, one behind the other, with nothing else, and
    the index files have entries that point at them."""
    expected = 0
    for name in filled.segments("t", 0):
        with open(path_of(filled, name), "rb") as file:
            data = file.read()
        batches = wire.parse_batches(data)
        assert sum(len(batch.bytes) for batch in batches) == len(data)
        assert batches[0].base_offset == int(name[:20]) == expected
        places, place = {}, 0
        for batch in batches:
            places[batch.base_offset] = place
            place += len(batch.bytes)
            expected += batch.count
        with open(path_of(filled, name[:20] + ".index"), "rb") as file:
            index = file.read()
        assert len(index) % 8 == 0 and len(index) > 0
        for at in range(0, len(index), 8):
            offset = int.from_bytes(index[at:at + 4], "big") + int(name[:20])
            assert places[offset] == int.from_bytes(index[at + 4:at + 8], "big")
    assert expected == 1000


def remove_indexes(broker):
    for name in os.listdir(broker.partition_folder("t", 0)):
        if name.endswith((".index", ".timeindex")):
            os.remove(path_of(broker, name))


def damage_indexes(broker):
    random_ = random.Random(1)
    for name in os.listdir(broker.partition_folder("t", 0)):
        if name.endswith((".index", ".timeindex")):
            with open(path_of(broker, name), "r+b") as file:
                file.write(random_.randbytes(64))


def cut_indexes(broker):
    for name in os.listdir(broker.partition_folder("t", 0)):
        if name.endswith((".index", ".timeindex")):
            os.truncate(path_of(broker, name), 5)


def remove_checkpoints(broker):
    for name in os.listdir(broker.data):
        if name.endswith("-checkpoint"):
            os.remove(os.path.join(broker.data, name))


def remove_partition_files(broker):
    for name in os.listdir(broker.partition_folder("t", 0)):
        if not name.endswith((".log", ".index", ".timeindex")):
            os.remove(path_of(broker, name))


def negate_checkpoints(broker):
    for name in os.listdir(broker.data):
        if name.endswith("-offset-checkpoint"):
            with open(os.path.join(broker.data, name), "w", encoding="ascii") as file:
                file.write("0\n1\nt 0 -7\n")


def damage_checkpoints(broker):
    for name in os.listdir(broker.data):
        if name.endswith("-checkpoint"):
            with open(os.path.join(broker.data, name), "w", encoding="ascii") as file:
                file.write("0\n7\nnonsense\n")


@pytest.mark.parametrize("harm", [
    remove_indexes, damage_indexes, cut_indexes, remove_checkpoints, damage_checkpoints,
    negate_checkpoints,    remove_partition_files])
@pytest.mark.parametrize("crashed", [False, True])
def test_derived_files_are_rebuilt(filled, harm, crashed):
    """Goal: everything beside the segments may be lost or damaged; all records are there, from any
    offset and by any time, and the partition takes more."""
    if crashed:
        os.remove(os.path.join(filled.data, ".kafka_cleanshutdown"))
    harm(filled)
    filled.start()
    assert numbers(filled) == list(range(1000))
    with filled.connect() as connection:
        for offset in (0, 1, 349, 500, 999):
            found = wire.parse_batches(wire.fetch(connection, "t", 0, offset, max_bytes=1).Records)
            assert found[0].base_offset == offset
            answer = connection.call("ListOffsets", 7, Topics=[{"Name": "t", "Partitions": [
                {"PartitionIndex": 0, "Timestamp": 1000 + offset}]}])
            assert answer.Topics[0].Partitions[0].Offset == offset
        row = wire.produce(connection, "t", 0, wire.batch([b"1000"]))
        assert (error_name(row.ErrorCode), row.BaseOffset) == ("NONE", 1000)


def last_segment(broker):
    return path_of(broker, broker.segments("t", 0)[-1])


def append_garbage(path):
    with open(path, "ab") as file:
        file.write(random.Random(3).randbytes(5000))
    return 1000


def append_zeros(path):
    with open(path, "ab") as file:
        file.write(bytes(100000))
    return 1000


def cut_last(path):
    os.truncate(path, os.path.getsize(path) - 1)
    return 999


def cut_within_header(path):
    size = len(wire.batch([b"999 " + bytes(3000)]))
    os.truncate(path, os.path.getsize(path) - size + 17)
    return 999


def flip_near_the_end(path):
    size = len(wire.batch([b"999 " + bytes(3000)]))
    with open(path, "r+b") as file:
        file.seek(-2 * size + 100, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))
    return 998


@pytest.mark.parametrize("harm", [append_garbage, append_zeros, cut_last, cut_within_header,
                                  flip_near_the_end])
def test_a_tail_that_is_not_whole_is_cut(filled, harm):
    """Goal: after a crash the log ends before the first batch that is not valid, says so, and takes
    more; records before it and other partitions are whole."""
    os.remove(os.path.join(filled.data, ".kafka_cleanshutdown"))
    remove_checkpoints(filled)
    count = harm(last_segment(filled))
    filled.start()
    assert numbers(filled) == list(range(count))
    assert numbers(filled, 1) == list(range(10))
    filled.wait_report(r"t-0: cut \d+ bytes off the end")
    with filled.connect() as connection:
        row = wire.produce(connection, "t", 0, wire.batch([b"%d" % count]))
        assert (error_name(row.ErrorCode), row.BaseOffset) == ("NONE", count)
    filled.restart(kill=True)
    assert numbers(filled) == list(range(count + 1))


@pytest.mark.parametrize("harm", [append_garbage, cut_last])
def test_damage_of_what_was_safe_is_left_to_a_person(filled, harm):
    """Goal: no crash has damaged what lies before a recovery point or a clean stop: the partition goes
    offline with its records as they are, the others serve; what the report says brings all up to the
    damage back."""
    count = harm(last_segment(filled))
    size = os.path.getsize(last_segment(filled))
    filled.start()
    filled.wait_report("t-0 is offline, since records that were safe on the disk are damaged: .*"
                       "remove recovery-point-offset-checkpoint")
    assert numbers(filled, 1) == list(range(10))
    with filled.connect() as connection:
        assert error_name(wire.fetch(connection, "t", 0, 0).ErrorCode) == "KAFKA_STORAGE_ERROR"
    filled.stop()
    assert os.path.getsize(last_segment(filled)) == size
    os.remove(os.path.join(filled.data, "recovery-point-offset-checkpoint"))
    filled.start()
    assert numbers(filled) == list(range(count))
    assert numbers(filled, 1) == list(range(10))


def test_a_partition_that_cannot_be_opened_goes_offline_alone(filled):
    """Goal: an environment's fault fences what it touches: one partition answers
    KAFKA_STORAGE_ERROR, the broker and the others serve; mended and started again it is back.
    Method: the segment's place is taken by a folder."""
    victim = path_of(filled, filled.segments("t", 1)[0], 1)
    shutil.move(victim, victim + ".aside")
    os.mkdir(victim)
    filled.start()
    assert numbers(filled) == list(range(1000))
    with filled.connect() as connection:
        wait_until(lambda: error_name(wire.fetch(connection, "t", 1, 0).ErrorCode) ==
                   "KAFKA_STORAGE_ERROR", "the partition to be given up")
        row = wire.produce(connection, "t", 1, wire.batch([b"x"]))
        assert error_name(row.ErrorCode) == "KAFKA_STORAGE_ERROR"
        assert error_name(wire.produce(connection, "t", 0, wire.batch([b"1000"])).ErrorCode) == "NONE"
    assert "t-1 is offline" in filled.report()
    filled.stop()
    os.rmdir(victim)
    shutil.move(victim + ".aside", victim)
    filled.start()
    assert numbers(filled, 1) == list(range(10))


def test_folders_of_unknown_topics_do_no_harm(filled):
    """Goal: a folder of a topic that the metadata do not have is not served and not in the way: it is
    kept under another name, and the report says so. What a deletion left behind is removed."""
    shutil.copytree(filled.partition_folder("t", 1), filled.partition_folder("stranger", 0))
    shutil.copytree(filled.partition_folder("t", 1), os.path.join(
        filled.data, "t-7.0123456789abcdef0123456789abcdef-delete"))
    os.mkdir(os.path.join(filled.data, "not a partition"))
    filled.start()
    with filled.connect() as connection:
        names = {topic.Name for topic in connection.call("Metadata", 9, Topics=None).Topics}
        assert names == {"t"}
        wait_until(lambda: not any(name.endswith("-delete") for name in os.listdir(filled.data)),
                   "the leftovers to go")
        filled.wait_report(r"stranger-0 is of a topic that the metadata do not have: kept as .*-stray")
        kept = [name for name in os.listdir(filled.data) if name.endswith("-stray")]
        assert len(kept) == 1 and kept[0].startswith("stranger-0.")
        assert filled.segments("t", 1)[0] in os.listdir(os.path.join(filled.data, kept[0]))
        assert error_name(create(connection, "stranger").ErrorCode) == "NONE"
        assert wire.produce(connection, "stranger", 0, wire.batch([b"x"])).BaseOffset == 0


# ---- full disks --------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(make_broker, tmp_path, kind):
    """Goal: when the disk is full a produce gets KAFKA_STORAGE_ERROR and the report says why; fetches,
    deletions and other topics' metadata go on; when space returns, produce does too, without a
    restart; and nothing acknowledged is lost, then or after a kill (where the disk outlives it).
    Method: a file system of 32 MiB that only the broker sees; deleting a topic makes room."""
    disk = str(tmp_path / "disk")
    broker = make_broker({"log.dirs": os.path.join(disk, "data"), "log.segment.bytes": str(1 << 20),
                          "log.segment.delete.delay.ms": "0", "offsets.topic.num.partitions": "1"},
                         command=harness.on_small_disk(disk, 32 << 20, kind), start=False)
    broker.start()
    with broker.connect() as connection:
        create(connection, "t")
        create(connection, "ballast")
        for _ in range(6):
            row = wire.produce(connection, "ballast", 0, wire.batch([bytes(1_000_000)]))
            assert error_name(row.ErrorCode) == "NONE"
        stored = 0
        while True:
            row = wire.produce(connection, "t", 0, wire.batch([b"%d " % stored + bytes(100_000)]))
            if row.ErrorCode != 0:
                break
            stored += 1
            assert stored < 400, "the disk is never full"
        assert error_name(row.ErrorCode) == "KAFKA_STORAGE_ERROR"
        broker.wait_report("(?i)no space|disk is full|space")
        # It stays so, and reading goes on.
        for _ in range(3):
            row = wire.produce(connection, "t", 0, wire.batch([b"no " + bytes(100_000)]))
            assert error_name(row.ErrorCode) == "KAFKA_STORAGE_ERROR"
        found = wire.fetch_all(connection, "t", 0)
        assert [int(item.value.split()[0]) for item in found] == list(range(stored))
        assert delete(connection, "ballast") == "NONE"

        def resumed():
            row = wire.produce(connection, "t", 0, wire.batch([b"%d " % stored + bytes(100_000)]))
            return error_name(row.ErrorCode) == "NONE"

        wait_until(resumed, "produce to resume", pause=0.1)
        found = wire.fetch_all(connection, "t", 0)
        assert [int(item.value.split()[0]) for item in found] == list(range(stored + 1))
        # The metadata log has room again as well.
        assert error_name(create(connection, "more").ErrorCode) == "NONE"
    if kind != "tmpfs":
        broker.restart(kill=True)
        assert numbers(broker) == list(range(stored + 1))


@pytest.mark.skipif("ext4" not in KINDS, reason="no small file system that outlives a broker")
@pytest.mark.parametrize("kill", [False, True])
def test_a_start_on_a_full_disk(make_broker, tmp_path, kill):
    """Goal: a broker that starts on a full disk serves what is there and deletes it; with room again
    its partitions take more, those too that were made while there was none for their folders.
    Method: the metadata lie on another disk, so that topics can be made on the full one."""
    disk = str(tmp_path / "disk")
    broker = make_broker({"log.dirs": os.path.join(disk, "data"), **SMALL_SEGMENTS,
                          "metadata.log.dir": str(tmp_path / "metadata"),
                          "log.segment.delete.delay.ms": "0"},
                         command=harness.on_small_disk(disk, 24 << 20, "ext4"), start=False)
    broker.start()
    with broker.connect() as connection:
        create(connection, "t")
        stored = 0
        for size in (100_000, 1000):
            while wire.produce(connection, "t", 0, wire.batch(
                    [b"%d " % stored + bytes(size)])).ErrorCode == 0:
                stored += 1
        assert stored > 100
        for i in range(5):
            wire.create_topic(connection, f"late-{i}")
        broker.wait_report("late-4-0 is offline: The disk is full")
    broker.restart(kill)
    assert numbers(broker) == list(range(stored))
    with broker.connect() as connection:
        row = wire.produce(connection, "t", 0, wire.batch([bytes(100_000)]))
        assert error_name(row.ErrorCode) == "KAFKA_STORAGE_ERROR"
        answer = connection.call("DeleteRecords", 1, TimeoutMs=5000, Topics=[
            {"Name": "t", "Partitions": [{"PartitionIndex": 0, "Offset": stored - 1}]}])
        assert answer.Topics[0].Partitions[0].LowWatermark == stored - 1
        for name in ("t", *(f"late-{i}" for i in range(5))):
            wait_until(lambda: wire.produce(connection, name, 0, wire.batch([b"yes"])).ErrorCode == 0,
                       f"{name} to take records", pause=0.1)
    assert first_words(broker, stored - 1) == [b"%d" % (stored - 1), b"yes"]
    broker.restart()
    assert first_words(broker, stored - 1) == [b"%d" % (stored - 1), b"yes"]
