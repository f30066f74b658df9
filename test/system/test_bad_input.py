"""What no client should send: each gets Kafka's answer, others notice nothing, memory stays bounded.

Method: raw bytes on connections of their own, while another connection, opened before, has to go on
being answered. Where Kafka closes the connection the broker's report must say why.
"""

import gzip
import random
import resource
import socket
import struct
import threading
import time

import pytest

import wire
from harness import wait_until
from wire import error_name

MIB = 1 << 20


@pytest.fixture
def witness(broker):
    """A connection that must not notice anything; used once more at the end of the test."""
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", 2).ErrorCode == 0
        yield connection
        check_witness(connection)


def check_witness(connection):
    """Produces and fetches, within a time that nobody would call stalled."""
    start = time.monotonic()
    row = wire.produce(connection, "t", 1, wire.batch([b"still here"]))
    assert error_name(row.ErrorCode) == "NONE"
    row = wire.fetch(connection, "t", 1, row.BaseOffset)
    assert wire.parse_records(wire.parse_batches(row.Records)[0])[0].value == b"still here"
    assert time.monotonic() - start < 5


# ---- frames ----------------------------------------------------------------------------------------

def test_random_bytes(broker, witness):
    """Goal: noise ends or stalls its own connection, no more."""
    random_ = random.Random(1)
    for i in range(200):
        with broker.connect() as connection:
            try:
                connection.send_bytes(random_.randbytes(random_.choice((1, 3, 4, 7, 100, 10000))))
            except wire.Closed:
                pass
        if i % 50 == 0:
            check_witness(witness)


def test_frames_with_random_contents(broker, witness):
    """Goal: the same with lengths that are right, and with a header that is right."""
    random_ = random.Random(2)
    for i in range(300):
        with broker.connect() as connection:
            data = random_.randbytes(random_.randrange(0, 300))
            if i % 2:
                api = random_.choice([api for api in wire.APIS.values() if api.key < 76])
                version = random_.randrange(api.request.valid.low, api.request.valid.high + 1)
                data = struct.pack(">hhih", api.key, version, i, -1) + data
            connection.send_bytes(wire.frame(data))
        if i % 50 == 0:
            check_witness(witness)


def test_a_frame_that_is_too_large(make_broker):
    """Goal: socket.request.max.bytes is exact, and what is longer is refused by its length alone."""
    broker = make_broker({"socket.request.max.bytes": "100000"})
    with broker.connect() as other:
        with broker.connect() as connection:
            connection.send_bytes(struct.pack(">i", 100001))
            assert connection.is_closed()
        broker.wait_report("100001.*socket.request.max.bytes")
        with broker.connect() as connection:
            head = struct.pack(">hhih", wire.API_VERSIONS, 0, 1, -1)
            connection.send_bytes(wire.frame(head + bytes(100000 - len(head))))
            try:
                connection.receive_frame()
            except wire.Closed:
                broker.wait_report("ApiVersions.*cannot be read")  # bytes left over
        other.call("ApiVersions", 0)


@pytest.mark.parametrize("length", [-1, -2**31, 0, 1, 7])
def test_lengths_that_cannot_be(broker, witness, length):
    """Goal: negative lengths, and frames with no room for a header, close the connection."""
    with broker.connect() as connection:
        connection.send_bytes(struct.pack(">i", length) + bytes(max(length, 0)))
        assert connection.is_closed()
    broker.wait_report(r"connection of 127.0.0.1:\d+ closed: ")


def test_half_frames(broker, witness):
    """Goal: a connection that ends in the middle of a frame leaves nothing behind."""
    request = wire.frame(wire.request_bytes("Metadata", 9, {"Topics": None}, 1))
    for cut in range(len(request)):
        with broker.connect() as connection:
            connection.send_bytes(request[:cut])
    held = [broker.connect() for _ in range(20)]
    for connection in held:
        connection.send_bytes(struct.pack(">i", 50 * MIB) + bytes(1000))
    check_witness(witness)
    for connection in held:
        connection.close()


# ---- requests --------------------------------------------------------------------------------------

def sample_requests():
    """(API, version, values): requests with something inside every part."""
    records = wire.batch([(b"key", b"value")] * 3)
    topics = [{"Name": "t", "Partitions": [{"PartitionIndex": 0}]}]
    yield "Produce", 8, {"Acks": 1, "TimeoutMs": 1000, "TopicData": [
        {"Name": "t", "PartitionData": [{"Index": 0, "Records": records}]}]}
    yield "Produce", 9, {"Acks": 1, "TimeoutMs": 1000, "TopicData": [
        {"Name": "t", "PartitionData": [{"Index": 0, "Records": records}]}]}
    for version in (4, 11, 12):
        yield "Fetch", version, {"MaxWaitMs": 1, "MaxBytes": 1000, "Topics": [
            {"Topic": "t", "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}]}
    for version in (1, 6):
        yield "ListOffsets", version, {"Topics": topics}
    for version in (1, 12):
        yield "Metadata", version, {"Topics": [{"Name": "t"}, {"Name": "u"}]}
    for version in (2, 8):
        yield "OffsetCommit", version, {"GroupId": "g", "GenerationIdOrMemberEpoch": -1,
                                        "Topics": [{"Name": "t", "Partitions": [
                                            {"PartitionIndex": 0, "CommittedOffset": 1}]}]}
    yield "OffsetFetch", 8, {"Groups": [{"GroupId": "g", "Topics": [
        {"Name": "t", "PartitionIndexes": [0, 1]}]}]}
    for version in (2, 6):
        yield "JoinGroup", version, {"GroupId": "g", "SessionTimeoutMs": 6000,
                                     "RebalanceTimeoutMs": 1, "ProtocolType": "consumer",
                                     "Protocols": [{"Name": "range", "Metadata": b"\0" * 20}]}
    yield "SyncGroup", 5, {"GroupId": "g", "MemberId": "m", "ProtocolType": "consumer",
                           "ProtocolName": "range",
                           "Assignments": [{"MemberId": "m", "Assignment": b"x"}]}
    for version in (4, 5):
        yield "CreateTopics", version, {"validateOnly": True, "Topics": [
            {"Name": "n", "NumPartitions": 1, "ReplicationFactor": 1,
             "Configs": [{"Name": "retention.ms", "Value": "1"}]}]}
    for version in (1, 4):
        yield "DescribeConfigs", version, {"Resources": [
            {"ResourceType": 2, "ResourceName": "t", "ConfigurationKeys": ["retention.ms"]}]}
    yield "IncrementalAlterConfigs", 1, {"ValidateOnly": True, "Resources": [
        {"ResourceType": 2, "ResourceName": "t",
         "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "1"}]}]}
    yield "ApiVersions", 3, {"ClientSoftwareName": "x", "ClientSoftwareVersion": "1"}
    yield "InitProducerId", 4, {"TransactionalId": None}
    yield "DescribeTopicPartitions", 0, {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "t"}}


def test_wrong_lengths_inside(broker, witness):
    """Goal: no length, count or cut inside of a request does harm.
    Method: every request is cut at each of its bytes; every byte becomes 0xff, 0x7f, 0x00; every four
    bytes become the largest and the smallest number. Nobody waits for answers, since some are
    valid requests that wait; the witness is asked after each kind of request."""
    for name, version, values in sample_requests():
        request = wire.request_bytes(name, version, values, 1)
        body = request.index(b"wire") + 4
        damaged = [request[:cut] for cut in range(body, len(request))]
        for at in range(body, len(request)):
            for byte in (b"\xff", b"\x7f", b"\x00"):
                damaged.append(request[:at] + byte + request[at + 1:])
            for number in (b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00"):
                damaged.append(request[:at] + number + request[at + 4:])
        held = []
        for data in damaged:
            held.append(broker.connect())
            held[-1].send_bytes(wire.frame(data))
        check_witness(witness)
        for connection in held:
            connection.close()


def test_a_request_that_cannot_be_read_closes_the_connection(broker, witness):
    request = wire.request_bytes("Metadata", 1, {"Topics": [{"Name": "t"}]}, 1)
    with broker.connect() as connection:
        connection.send_bytes(wire.frame(request[:-1]))
        assert connection.is_closed()
    broker.wait_report("Metadata request of version 1 cannot be read")


def test_counts_that_lie_cost_no_memory(broker, witness):
    """Goal: an array that claims two thousand million elements in a frame of few bytes is refused
    before memory is reserved for it."""
    before = broker.status_bytes("VmHWM")
    for name, version in (("Metadata", 1), ("Produce", 3), ("Fetch", 4), ("CreateTopics", 4),
                          ("OffsetCommit", 2), ("Metadata", 9), ("Fetch", 12)):
        for count in (b"\x7f\xff\xff\xff", b"\x00\x0f\xff\xff", b"\xff\xff\xff\xff\x07"):
            request = wire.request_bytes(name, version, {}, 1)
            body = request.index(b"wire") + 4
            for at in range(body, min(body + 30, len(request) + 1)):
                with broker.connect() as connection:
                    connection.send_bytes(wire.frame(request[:at] + count + request[at + 4:]))
    check_witness(witness)
    assert broker.status_bytes("VmHWM") - before < 64 * MIB


def test_requests_that_are_large_once_decoded(make_broker):
    """Goal: requests of a few bytes per element, millions of them, cost memory within the budget.
    Method: 40 connections ask for half a million topics each, all at once, in 8 MiB; decoded that
    is many times as much."""
    budget = 64 * MIB
    broker = make_broker({"memory.budget.bytes": str(budget), "socket.request.max.bytes": str(9 * MIB)})
    count = 500_000
    head = wire.request_bytes("CreateTopics", 4, {"timeoutMs": 1000, "Topics": []}, 1)
    topic = struct.pack(">hihii", 0, 1, 1, 0, 0)
    frame = wire.frame(head[:-9] + struct.pack(">i", count) + topic * count + head[-5:])
    with broker.connect(timeout=60) as connection:
        wire.create_topic(connection, "t", 2)
        before = broker.status_bytes("VmRSS")
        askers = [broker.connect(timeout=60) for _ in range(40)]
        sent = [0] * len(askers)
        for asker in askers:
            asker.socket.setblocking(False)
        end = time.monotonic() + 60
        while any(sent[i] < len(frame) for i in range(len(askers))) and time.monotonic() < end:
            for i, asker in enumerate(askers):
                try:
                    sent[i] += asker.socket.send(frame[sent[i]:sent[i] + (1 << 20)])
                except BlockingIOError:
                    pass
                except (ConnectionResetError, BrokenPipeError):
                    sent[i] = len(frame)
        check_witness(connection)
        assert broker.status_bytes("VmHWM") - before < 4 * budget
        for asker in askers:
            asker.close()


# ---- records ---------------------------------------------------------------------------------------

def refusals():
    good = wire.batch([b"a", b"b", b"c"])
    flipped = bytearray(good)
    flipped[-2] ^= 1
    yield "a bit flipped", bytes(flipped), "CORRUPT_MESSAGE"
    yield "wrong CRC", wire.batch([b"a"], crc=1), "CORRUPT_MESSAGE"
    yield "cut", good[:-1], "CORRUPT_MESSAGE"
    yield "cut in the header", good[:60], "CORRUPT_MESSAGE"
    yield "one byte", b"\0", "CORRUPT_MESSAGE"
    yield "nothing", b"", "INVALID_RECORD"
    yield "null", None, "INVALID_RECORD"
    yield "length too short", good[:8] + struct.pack(">i", 10) + good[12:], "CORRUPT_MESSAGE"
    yield "negative length", good[:8] + struct.pack(">i", -1) + good[12:], "CORRUPT_MESSAGE"
    yield "huge length", good[:8] + struct.pack(">i", 2**31 - 1) + good[12:], "CORRUPT_MESSAGE"
    yield "two batches", good + good, "INVALID_RECORD"
    yield "no records", wire.batch([], payload=b"", count=0), "INVALID_RECORD"
    yield "negative count", wire.batch([b"a"], count=-1), "INVALID_RECORD"
    yield "count above the offsets", wire.batch([b"a"], count=5, last_delta=0), "INVALID_RECORD"
    yield "count below the offsets", wire.batch([b"a", b"b"], count=1, last_delta=1), "INVALID_RECORD"
    yield "negative delta", wire.batch([b"a"], last_delta=-1), "INVALID_RECORD"
    yield "a control batch", wire.batch([b"a"], attributes=0x20), "INVALID_RECORD"
    yield "an idempotent batch without a sequence", wire.batch(
        [b"a"], producer_id=5, producer_epoch=0), "INVALID_RECORD"


@pytest.mark.parametrize("name, records, error", refusals(), ids=[row[0] for row in refusals()])
def test_batches_that_are_wrong(broker, witness, name, records, error):
    """Goal: refused with Kafka's code, nothing is appended, the connection lives on."""
    row = wire.produce(witness, "t", 0, records)
    assert error_name(row.ErrorCode) == error
    assert row.BaseOffset == -1
    assert wire.fetch(witness, "t", 0, 0).HighWatermark == 0


@pytest.mark.parametrize("magic", [0, 1, 3, 127, -1])
def test_other_formats_in_a_modern_request(broker, witness, magic):
    """Goal: Produce 3 and later carries batches of magic 2 only."""
    row = wire.produce(witness, "t", 0, wire.batch([b"a"], magic=magic))
    assert error_name(row.ErrorCode) in ("INVALID_RECORD", "CORRUPT_MESSAGE",
                                         "UNSUPPORTED_FOR_MESSAGE_FORMAT")
    assert wire.fetch(witness, "t", 0, 0).HighWatermark == 0


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_codecs_that_do_not_exist(broker, witness, codec):
    row = wire.produce(witness, "t", 0, wire.batch([b"a"], attributes=codec))
    assert error_name(row.ErrorCode) in ("UNSUPPORTED_COMPRESSION_TYPE", "INVALID_RECORD",
                                         "CORRUPT_MESSAGE")


def bomb(codec, size):
    """One record of zeros, compressed, without ever being here as a whole."""
    if codec == wire.GZIP:
        whole = gzip.compress(bytes(size // 64))
        return whole * 64
    return wire.compress(wire.record(bytes(size)), codec)


@pytest.mark.parametrize("codec", [wire.GZIP, wire.LZ4, wire.ZSTD])
def test_compression_bombs(make_broker, codec):
    """Goal: records that open to far more than they are get an error where the broker has to open
    them, and never cost it the memory that they claim.
    Method: hundreds of MiB of zeros in less than a message; a topic that recompresses opens it."""
    broker = make_broker()
    size = {wire.GZIP: 900 * MIB, wire.LZ4: 200 * MIB, wire.ZSTD: 400 * MIB}[codec]
    payload = bomb(codec, size)
    assert len(payload) < 1_000_000
    with broker.connect(timeout=60) as connection:
        recompressing = "snappy"
        wire.create_topic(connection, "t", 1, {"compression.type": recompressing})
        row = wire.produce(connection, "t", 0, wire.batch([], codec, payload=payload, count=1))
        assert row.ErrorCode != 0, "a bomb was stored"
        with broker.connect() as other:
            row = wire.produce(other, "t", 0, wire.batch([b"fine"]))
            assert error_name(row.ErrorCode) == "NONE"
        assert broker.status_bytes("VmHWM") < 600 * MIB


# ---- slow, idle, greedy ----------------------------------------------------------------------------

def test_slow_senders(broker, witness):
    """Goal: senders that dribble keep nobody waiting, and get their answers in the end."""
    request = wire.frame(wire.request_bytes("Metadata", 1, {"Topics": None}, 1, "slow"))
    slow = [broker.connect() for _ in range(100)]
    for i in range(len(request)):
        for connection in slow:
            connection.send_bytes(request[i:i + 1])
        if i % 10 == 0:
            check_witness(witness)
    for connection in slow:
        assert len(connection.receive_frame()) > 10
        connection.close()


@pytest.mark.parametrize("name, version", [("ApiVersions", 0), ("Metadata", 1), ("Produce", 8)])
def test_a_hundred_thousand_pipelined_requests(broker, witness, name, version):
    """Goal: they are all answered, in order, in bounded memory, and others are served meanwhile; a
    client that leaves in the middle of it leaves nothing behind."""
    count = 100_000
    values = {"ApiVersions": {}, "Metadata": {"Topics": []}, "Produce": {
        "Acks": 1, "TimeoutMs": 1000, "TopicData": [{"Name": "t", "PartitionData": [
            {"Index": 0, "Records": wire.batch([b"v"])}]}]}}[name]
    request = bytearray(wire.frame(wire.request_bytes(name, version, values, 0)))
    stream = bytearray()
    for i in range(count):
        struct.pack_into(">i", request, 8, i)
        stream += request
    before = broker.status_bytes("VmRSS")
    for wanted in (count, count // 3):
        with broker.connect(timeout=60) as connection:
            sender = threading.Thread(target=send_all, args=(connection.socket, stream))
            sender.start()
            answers = connection.socket.makefile("rb")
            for i in range(wanted):
                size, correlation = struct.unpack(">ii", answers.read(8))
                assert correlation == i
                answers.read(size - 4)
                if i % 20000 == 0:
                    check_witness(witness)
            connection.socket.shutdown(socket.SHUT_RDWR)
            sender.join()
    assert broker.status_bytes("VmHWM") - before < 32 * MIB


def test_heavy_requests_take_turns(broker, witness):
    """Goal: requests that take a shard's time, all there at once, are all answered, and others in
    between. Method: 12 connections ask three times each for 200,000 topics of bad names."""
    count = 200_000
    names = b"".join(struct.pack(">h7s", 7, b"/%06d" % i) for i in range(count))
    request = wire.request_bytes("Metadata", 1, {"Topics": []}, 1)[:-4]
    frame = wire.frame(request + struct.pack(">i", count) + names)
    askers = [broker.connect(timeout=60) for _ in range(12)]
    senders = [threading.Thread(target=send_all, args=(asker.socket, frame * 3))
               for asker in askers]
    for sender in senders:
        sender.start()
    check_witness(witness)
    for asker in askers:
        for _ in range(3):
            assert len(asker.receive_frame()) > count * 9
        asker.close()
    for sender in senders:
        sender.join()


def send_all(connection, data):
    try:
        connection.sendall(data)
    except OSError:
        pass  # the other side has left


def test_readers_that_do_not_read(make_broker):
    """Goal: answers that nobody takes cost bounded memory, and others are served.
    Method: 20 connections ask for 8 MiB a hundred times each and read nothing."""
    broker = make_broker({"memory.budget.bytes": str(256 * MIB)})
    with broker.connect() as connection:
        wire.create_topic(connection, "t", 2)
        for _ in range(9):
            assert wire.produce(connection, "t", 0, wire.batch([bytes(1_000_000)])).ErrorCode == 0
        before = broker.status_bytes("VmRSS")
        greedy = [broker.connect() for _ in range(20)]
        for reader in greedy:
            reader.socket.setblocking(False)
            request = wire.frame(wire.request_bytes("Fetch", 11, {
                "MaxWaitMs": 0, "MaxBytes": 8 * MIB, "Topics": [{"Topic": "t", "Partitions": [
                    {"Partition": 0, "PartitionMaxBytes": 8 * MIB}]}]}, 1))
            for _ in range(100):
                try:
                    reader.socket.sendall(request)
                except BlockingIOError:
                    break
        for _ in range(20):
            check_witness(connection)
        assert broker.status_bytes("VmRSS") - before < 256 * MIB
        for reader in greedy:
            reader.close()


@pytest.mark.parametrize("key", ["memory.budget.bytes", "queued.max.request.bytes"])
def test_frames_beyond_the_memory_budget_wait(make_broker, key):
    """Goal: what is announced is admitted against memory.budget.bytes, or Kafka's setting; what has no room waits in the
    sockets, is answered when there is room, and nothing is dropped.
    Method: 100 producers send 2 MiB each, all but the last byte; 200 MiB against a budget of 64."""
    budget = 64 * MIB
    broker = make_broker({key: str(budget), "socket.request.max.bytes": str(8 * MIB),
                          "message.max.bytes": str(4 * MIB)})
    with broker.connect() as connection:
        wire.create_topic(connection, "t", 1)
        frame = wire.frame(wire.request_bytes("Produce", 8, {
            "Acks": 1, "TimeoutMs": 1000, "TopicData": [{"Name": "t", "PartitionData": [
                {"Index": 0, "Records": wire.batch([bytes(2 * MIB)])}]}]}, 1))
        before = broker.status_bytes("VmRSS")
        producers = [broker.connect(timeout=60) for _ in range(100)]
        sent = [0] * len(producers)
        for producer in producers:
            producer.socket.setblocking(False)
        push(producers, sent, frame, len(frame) - 1, 2)
        assert broker.status_bytes("VmHWM") - before < 2 * budget
        # Those that were admitted finish one by one and make room for the others.
        answered = set()
        end = time.monotonic() + 120
        while len(answered) < len(producers):
            assert time.monotonic() < end, f"{len(answered)} of {len(producers)} were answered"
            push(producers, sent, frame, len(frame), 0.05)
            for i, producer in enumerate(producers):
                if i not in answered and sent[i] == len(frame):
                    try:
                        if producer.socket.recv(1000):
                            answered.add(i)
                    except BlockingIOError:
                        pass
        assert broker.status_bytes("VmHWM") - before < 2 * budget
        assert wire.fetch(connection, "t", 0, 0).HighWatermark == len(producers)


def push(producers, sent, frame, end, seconds):
    """Sends what the sockets take, until they take nothing or the time is over."""
    until = time.monotonic() + seconds
    while True:
        moved = 0
        for i, producer in enumerate(producers):
            if sent[i] < end:
                try:
                    count = producer.socket.send(frame[sent[i]:min(end, sent[i] + (1 << 18))])
                except BlockingIOError:
                    continue
                sent[i] += count
                moved += count
        if moved == 0 or time.monotonic() > until:
            return


def test_thousands_of_idle_connections(broker, witness):
    """Goal: ten thousand connections that say hello and then nothing cost little and slow nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10000, hard - 1000)
    before = broker.status_bytes("VmRSS")
    hello = wire.frame(wire.request_bytes("ApiVersions", 0, {}, 1))
    idle = []
    try:
        for _ in range(count):
            connection = socket.create_connection(broker.address, 20)
            connection.sendall(hello)
            idle.append(connection)
        for connection in idle:
            assert connection.recv(4096)
        check_witness(witness)
        cost = (broker.status_bytes("VmRSS") - before) / count
        assert cost < 8192, f"{cost:.0f} bytes per idle connection"
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check_witness(witness)


def test_idle_connections_are_closed(make_broker):
    """Goal: connections.max.idle.ms holds, and whoever is active stays."""
    broker = make_broker({"connections.max.idle.ms": "500"})
    with broker.connect() as idle, broker.connect() as active:
        start = time.monotonic()
        idle.call("ApiVersions", 0)
        idle.socket.setblocking(False)

        def is_gone():
            active.call("ApiVersions", 0)
            try:
                return idle.socket.recv(1) == b""
            except BlockingIOError:
                return False

        wait_until(is_gone, "the idle connection's end")
        assert time.monotonic() - start > 0.4
        active.call("ApiVersions", 0)


def test_fetch_answers_are_bounded(make_broker):
    """Goal: fetch.max.bytes bounds an answer whatever the client asks for; a first batch that is larger
    still comes, and a client that waits for more than that gets what there is at once."""
    broker = make_broker({"fetch.max.bytes": "100000"})
    with broker.connect() as connection:
        wire.create_topic(connection, "t", 1)
        for size in [30_000] * 10 + [300_000]:
            assert wire.produce(connection, "t", 0, wire.batch([bytes(size)])).ErrorCode == 0
        row = wire.fetch(connection, "t", 0, 0, max_bytes=2**31 - 1, min_bytes=2**31 - 1,
                         wait_ms=2**31 - 1)
        assert len(wire.parse_batches(row.Records)) == 3
        row = wire.fetch(connection, "t", 0, 10, max_bytes=2**31 - 1)
        assert len(row.Records) > 300_000
