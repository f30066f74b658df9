"""The protocol, request by request: what is advertised, what is refused and how, order, sessions,
epochs, idempotence. Every rule that Kafka's clients lean on and that a well-behaved client of today
would not show.

Method: raw requests by wire.py against a broker of its own for each test.
"""

import struct
import time

import pytest

import wire
from wire import error_name

# The ranges that clients from 0.11 to 4.x need to see (key: lowest must be at most, highest at least).
NEEDED = {
    "Produce": (0, 13), "Fetch": (0, 18), "ListOffsets": (0, 11), "Metadata": (0, 13),
    "OffsetCommit": (1, 10), "OffsetFetch": (1, 10), "FindCoordinator": (0, 6), "JoinGroup": (0, 9),
    "Heartbeat": (0, 4), "LeaveGroup": (0, 5), "SyncGroup": (0, 5), "DescribeGroups": (0, 6),
    "ListGroups": (0, 5), "ApiVersions": (0, 4), "CreateTopics": (0, 7), "DeleteTopics": (0, 6),
    "DeleteRecords": (0, 2), "InitProducerId": (0, 5), "OffsetForLeaderEpoch": (0, 4),
    "DescribeConfigs": (0, 4), "AlterConfigs": (0, 2), "DescribeLogDirs": (0, 5),
    "CreatePartitions": (0, 3), "DeleteGroups": (0, 2), "IncrementalAlterConfigs": (0, 1),
    "OffsetDelete": (0, 0), "DescribeCluster": (0, 2), "DescribeTopicPartitions": (0, 0),
}
# librdkafka up to 2.11.0 turns a feature on only if the ranges contain these versions
# (rdkafka_feature.c); without FindCoordinator 0 it silently does not compress with lz4.
LIBRDKAFKA_FEATURES = {
    "MsgVer2": [("Produce", 3), ("Fetch", 4)],
    "LZ4, BrokerGroupCoordinator": [("FindCoordinator", 0)],
    "BrokerBalancedConsumer": [("FindCoordinator", 0), ("OffsetCommit", 1), ("OffsetCommit", 2),
                               ("OffsetFetch", 1), ("JoinGroup", 0), ("SyncGroup", 0),
                               ("Heartbeat", 0), ("LeaveGroup", 0)],
    "ThrottleTime": [("Produce", 1), ("Produce", 2), ("Fetch", 1), ("Fetch", 2)],
    "OffsetTime": [("ListOffsets", 1)],
    "ZSTD": [("Produce", 7), ("Fetch", 10)],
    "IdempotentProducer": [("InitProducerId", 0)],
}
# kafkajs takes the lower of its best version and the broker's highest, whatever the lowest is.
KAFKAJS_BEST = {"Produce": 7, "Fetch": 11, "Metadata": 6, "OffsetCommit": 5, "CreateTopics": 3,
                "DeleteTopics": 1, "DeleteRecords": 1, "ListOffsets": 3}


def ranges(connection, version=0):
    answer = connection.call("ApiVersions", version, ClientSoftwareName="test",
                             ClientSoftwareVersion="1.0")
    assert answer.ErrorCode == 0
    return {key.ApiKey: (key.MinVersion, key.MaxVersion) for key in answer.ApiKeys}


def named(found):
    return {name: found.get(api.key) for name, api in wire.APIS.items()}


def make_topic(connection, name="t", partitions=1, **configs):
    row = wire.create_topic(connection, name, partitions,
                            {key.replace("_", "."): value for key, value in configs.items()})
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage


def assert_refused(broker, connection, reason):
    """The connection is closed, the reason is reported, others go on."""
    assert connection.is_closed()
    broker.wait_report(reason)
    with broker.connect() as other:
        ranges(other)


# ---- versions --------------------------------------------------------------------------------------

def test_advertised_ranges_serve_every_client(connection):
    found = named(ranges(connection))
    for name, (low, high) in NEEDED.items():
        assert found[name], f"{name} is not advertised"
        assert found[name][0] <= low and found[name][1] >= high, f"{name} {found[name]}"
    for feature, needed in LIBRDKAFKA_FEATURES.items():
        for name, version in needed:
            assert found[name][0] <= version <= found[name][1], f"{feature}: {name} {version}"
    for name, best in KAFKAJS_BEST.items():
        assert found[name][0] <= best, name


def test_all_versions_of_api_versions_agree(connection):
    """Goal: every version lists the same ranges, and only from 3 on with features."""
    expected = ranges(connection)
    for version in range(expected[wire.API_VERSIONS][1] + 1):
        assert ranges(connection, version) == expected


def test_kafka_python_guesses_a_modern_broker(broker):
    """Goal: kafka-python 2.0.2 guesses a release from ranges, after ApiVersions 0 with Metadata 0
    sent right behind it; a wrong guess makes it use ancient formats."""
    import kafka
    client = kafka.client_async.KafkaClient(bootstrap_servers=broker.bootstrap)
    assert client.config["api_version"] >= (2, 4)
    client.close()


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(connection):
    """Goal: KIP-511: error 35, body of version 0, header without tags, and ApiVersions' own range."""
    for version in (6, 7, 100, 32767):
        connection.send_bytes(wire.frame(
            struct.pack(">hhih", wire.API_VERSIONS, version, 77, 4) + b"test" + b"\0" + b"junk"))
        data = connection.receive_frame()
        assert struct.unpack_from(">i", data)[0] == 77
        answer = wire.decode("ApiVersionsResponse", 0, data, 4)
        assert error_name(answer.ErrorCode) == "UNSUPPORTED_VERSION"
        own = [(key.MinVersion, key.MaxVersion) for key in answer.ApiKeys
               if key.ApiKey == wire.API_VERSIONS]
        assert own and own[0][0] == 0 and own[0][1] >= 4
    ranges(connection)  # the connection lives on


def test_software_names_are_checked(connection):
    """Goal: KIP-511: from version 3 name and version are letters, digits, '-' and '.'."""
    for name, version in (("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a", "1\n")):
        answer = connection.call("ApiVersions", 3, ClientSoftwareName=name,
                                 ClientSoftwareVersion=version)
        assert error_name(answer.ErrorCode) == "INVALID_REQUEST"
    assert ranges(connection, 3)


def test_every_version_of_every_api_is_answered(connection):
    """Goal: what is advertised and accepted is really served: a request with nothing but defaults, in
    each version, gets an answer that decodes to its last byte.
    Method: what an API does is other tests' matter; here error codes inside are welcome."""
    found = named(ranges(connection))
    fill = {"ApiVersions": {"ClientSoftwareName": "x", "ClientSoftwareVersion": "1"},
            "Produce": {"Acks": 1}}
    answered = 0
    for name, advertised in sorted(found.items()):
        if advertised is None:
            continue
        accepted = wire.APIS[name].accepted
        for version in range(max(advertised[0], accepted.low), min(advertised[1], accepted.high) + 1):
            connection.call(name, version, **fill.get(name, {}))
            answered += 1
    assert answered > 100


def test_unknown_tags_are_skipped(connection):
    """Goal: KIP-482: tagged fields that a newer client sends are ignored at every depth."""
    make_topic(connection)
    tags = {77: b"from the future", 1000: b""}
    answer = connection.call("Metadata", 12, Topics=[{"Name": "t", "_tags": tags}], _tags=tags)
    assert [topic.Name for topic in answer.Topics] == ["t"]
    assert answer.Topics[0].ErrorCode == 0


@pytest.mark.parametrize("name, version", [
    ("Produce", 14), ("Metadata", 99), ("LeaderAndIsr", 0),
    ("ControlledShutdown", 1)])
def test_what_is_not_served_closes_the_connection(broker, connection, name, version):
    """Goal: as in Kafka, a version that is not accepted, or an API that no client's listener serves,
    ends the connection."""
    key = wire.APIS[name].key
    connection.send_bytes(wire.frame(struct.pack(">hhih", key, version, 1, -1) + bytes(40)))
    assert_refused(broker, connection, rf"{name} version {version} is not supported")


@pytest.mark.parametrize("key", [-1, 94, 999, 32767])
def test_an_unknown_api_key_closes_the_connection(broker, connection, key):
    connection.send_bytes(wire.frame(struct.pack(">hhih", key, 0, 1, -1) + bytes(40)))
    assert_refused(broker, connection, rf"{key}")


def test_client_ids_may_be_null_or_empty(broker):
    for client_id in (None, "", "x" * 249, "ünï"):
        with broker.connect(client_id=client_id) as connection:
            ranges(connection)
            ranges(connection, 3)


# ---- order, and answers that do not come ------------------------------------------------------------

def test_metadata_0_right_behind_api_versions_0(broker):
    """Goal: kafka-python sends both without waiting."""
    with broker.connect() as connection:
        connection.send("ApiVersions", 0)
        connection.send("Metadata", 0)
        assert connection.receive().ApiKeys
        answer = connection.receive()
        assert [(node.NodeId, node.Host, node.Port) for node in answer.Brokers] == [
            (0, "127.0.0.1", broker.port)]


def test_answers_come_in_the_order_of_the_requests(connection):
    """Goal: a long poll holds back what was sent behind it on the same connection.
    Method: `receive` insists on the oldest request's correlation id."""
    make_topic(connection)
    start = time.monotonic()
    connection.send("Fetch", 11, MaxWaitMs=300, MinBytes=1, MaxBytes=1000, Topics=[
        {"Topic": "t", "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}])
    for _ in range(50):
        connection.send("ApiVersions", 0)
        connection.send("Metadata", 1, Topics=None)
    connection.receive()
    assert time.monotonic() - start >= 0.3
    for _ in range(100):
        connection.receive()


def test_pipelined_produces_keep_their_order(connection):
    make_topic(connection)
    for i in range(200):
        connection.send("Produce", 8, Acks=-1, TimeoutMs=5000, TopicData=[
            {"Name": "t", "PartitionData": [
                {"Index": 0, "Records": wire.batch([b"%d" % i])}]}])
    offsets = [connection.receive().Responses[0].PartitionResponses[0].BaseOffset
               for _ in range(200)]
    assert offsets == list(range(200))
    assert [int(item.value) for item in wire.fetch_all(connection, "t", 0)] == list(range(200))


def test_acks_0_gets_no_answer(connection):
    """Goal: nothing comes for the produce, and the next request's answer comes at once."""
    make_topic(connection)
    wire.produce(connection, "t", 0, wire.batch([b"quiet"]), acks=0)
    assert wire.fetch(connection, "t", 0, 0, wait_ms=5000).HighWatermark == 1


def test_acks_0_that_fails_closes_the_connection(broker, connection):
    """Goal: that is how such a producer learns that its metadata is stale."""
    wire.produce(connection, "nowhere", 0, wire.batch([b"quiet"]), acks=0)
    assert_refused(broker, connection, "acks=0")


def test_acks_other_than_0_1_and_all_are_refused(connection):
    make_topic(connection)
    for acks in (2, -2, 32767):
        row = wire.produce(connection, "t", 0, wire.batch([b"x"]), acks=acks)
        assert error_name(row.ErrorCode) == "INVALID_REQUIRED_ACKS"
        assert row.BaseOffset == -1


# ---- record formats --------------------------------------------------------------------------------

def test_zstd_needs_produce_7_and_fetch_10(connection):
    """Goal: KIP-110: clients below cannot know the codec."""
    make_topic(connection)
    zstd = wire.batch([b"x" * 100], wire.ZSTD)
    for version in (3, 6):
        row = wire.produce(connection, "t", 0, zstd, version=version)
        assert error_name(row.ErrorCode) == "UNSUPPORTED_COMPRESSION_TYPE"
    assert wire.produce(connection, "t", 0, zstd, version=7).BaseOffset == 0
    assert wire.parse_batches(wire.fetch(connection, "t", 0, 0, version=10).Records)[0].codec == 4


@pytest.mark.parametrize("codec", [wire.NONE, wire.GZIP, wire.SNAPPY, wire.LZ4, wire.ZSTD])
def test_batches_pass_through_as_they_came(connection, codec):
    """Goal: what a consumer gets are the producer's bytes but for offset and leader epoch."""
    make_topic(connection)
    sent = wire.batch([(b"k%d" % i, b"value %d" % i * 9) for i in range(50)], codec)
    wire.produce(connection, "t", 0, wire.batch([b"before"]))
    assert wire.produce(connection, "t", 0, sent).BaseOffset == 1
    found = wire.parse_batches(wire.fetch(connection, "t", 0, 1).Records)
    assert len(found) == 1 and found[0].base_offset == 1 and found[0].leader_epoch >= 0
    assert found[0].bytes[16:] == sent[16:]


def test_headers_keys_and_nulls_come_back(connection):
    make_topic(connection)
    records = [wire.record(b"v", b"k", [(b"a", b"1"), (b"a", None), (b"", b"")], 0, 0),
               wire.record(None, b"tombstone", (), 1, 5), wire.record(b"", b"", (), 2, -7)]
    wire.produce(connection, "t", 0, wire.batch([], payload=b"".join(records), count=3,
                                                timestamp=1_000_000, max_timestamp=1_000_005))
    found = wire.fetch_all(connection, "t", 0)
    assert [(r.key, r.value, r.headers, r.timestamp) for r in found] == [
        (b"k", b"v", [(b"a", b"1"), (b"a", None), (b"", b"")], 1_000_000),
        (b"tombstone", None, [], 1_000_005), (b"", b"", [], 999_993)]


def test_fetch_limits(connection):
    """Goal: max_bytes holds, but the first batch comes whole whatever its size (KIP-74)."""
    make_topic(connection)
    for _ in range(10):
        wire.produce(connection, "t", 0, wire.batch([b"x" * 1000]))
    one = len(wire.batch([b"x" * 1000]))
    assert len(wire.fetch(connection, "t", 0, 0, max_bytes=1).Records) == one
    row = wire.fetch(connection, "t", 0, 0, max_bytes=3 * one + 5)
    assert len(wire.parse_batches(row.Records)) == 3
    row = wire.fetch(connection, "t", 0, 10)
    assert not row.Records and row.HighWatermark == 10
    for offset in (11, -1):
        row = wire.fetch(connection, "t", 0, offset)
        assert error_name(row.ErrorCode) == "OFFSET_OUT_OF_RANGE"


def test_a_long_poll_ends_when_records_come(broker, connection):
    """Goal: min_bytes are waited for, and an append wakes the waiting fetch at once."""
    make_topic(connection)
    connection.send("Fetch", 11, MaxWaitMs=30000, MinBytes=1, MaxBytes=1 << 20, Topics=[
        {"Topic": "t", "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1 << 20}]}])
    start = time.monotonic()
    with broker.connect() as producer:
        wire.produce(producer, "t", 0, wire.batch([b"wake up"]))
    partition = connection.receive().Responses[0].Partitions[0]
    assert wire.parse_records(wire.parse_batches(partition.Records)[0])[0].value == b"wake up"
    assert time.monotonic() - start < 10


def fetch_quickly(connection, partitions, **limits):
    """Bytes that come, and whether they came without the ten seconds that the fetch may wait."""
    start = time.monotonic()
    answer = connection.call("Fetch", 11, MaxWaitMs=10000, **limits, Topics=[
        {"Topic": "t", "Partitions": [{"Partition": i, "PartitionMaxBytes": 1 << 20}
                                      for i in range(partitions)]}])
    records = [row.Records or b"" for topic in answer.Responses for row in topic.Partitions]
    return sum(map(len, records)), time.monotonic() - start < 8


def test_min_bytes_beyond_what_an_answer_may_have_are_not_waited_for(connection):
    """Goal: as in Kafka min_bytes is at most max_bytes: what is there is told at once, also when all
    of it is in one of several partitions."""
    make_topic(connection, partitions=8)
    one = len(wire.batch([b"x" * 1000]))
    for _ in range(40):
        wire.produce(connection, "t", 5, wire.batch([b"x" * 1000]))
    for partitions, limit in ((8, 5 * one), (6, 30 * one)):
        size, is_quick = fetch_quickly(connection, partitions, MaxBytes=limit, MinBytes=1 << 24)
        assert one <= size <= limit and is_quick
        size, is_quick = fetch_quickly(connection, partitions, MaxBytes=limit, MinBytes=limit)
        assert one <= size <= limit and is_quick


def test_fetch_max_bytes_bounds_every_answer(make_broker):
    """Goal: the broker's limit holds whatever the client asks; a larger first batch still comes."""
    broker = make_broker({"fetch.max.bytes": 5000, "num.shards": 1})
    with broker.connect() as connection:
        make_topic(connection, partitions=2)
        for partition in (0, 1):
            for _ in range(10):
                wire.produce(connection, "t", partition, wire.batch([b"x" * 1000]))
        size, is_quick = fetch_quickly(connection, 2, MaxBytes=1 << 20, MinBytes=1 << 20)
        assert 3000 < size <= 5000 and is_quick
        large = wire.batch([b"x" * 9000])
        base = wire.produce(connection, "t", 0, large).BaseOffset
        assert len(wire.fetch(connection, "t", 0, base).Records) == len(large)


# ---- fetch sessions (KIP-227) ------------------------------------------------------------------------

class Session:
    def __init__(self, connection):
        self.connection, self.id, self.epoch = connection, 0, 0

    def fetch(self, *wanted, forgotten=(), epoch=None, version=11):
        answer = self.connection.call(
            "Fetch", version, MaxWaitMs=0, MaxBytes=1 << 20, SessionId=self.id,
            SessionEpoch=self.epoch if epoch is None else epoch,
            Topics=[{"Topic": "t", "Partitions": [
                {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
                for partition, offset in wanted]}] if wanted else [],
            ForgottenTopicsData=[{"Topic": "t", "Partitions": list(forgotten)}] if forgotten else [])
        if answer.ErrorCode == 0 and epoch is None:
            self.id, self.epoch = answer.SessionId, self.epoch + 1
        return error_name(answer.ErrorCode), {
            row.PartitionIndex: row for topic in answer.Responses for row in topic.Partitions}


def test_a_session_tells_only_what_changed(broker, connection):
    make_topic(connection, partitions=4)
    with broker.connect() as producer:
        session = Session(connection)
        error, rows = session.fetch((0, 0), (1, 0), (2, 0), (3, 0))
        assert error == "NONE" and session.id > 0 and sorted(rows) == [0, 1, 2, 3]
        assert session.fetch() == ("NONE", {})
        wire.produce(producer, "t", 2, wire.batch([b"news"]))
        error, rows = session.fetch()
        assert list(rows) == [2] and rows[2].Records and rows[2].HighWatermark == 1
        # It is told again until the client moves on.
        assert list(session.fetch()[1]) == [2]
        assert session.fetch((2, 1)) == ("NONE", {})
        # A partition that is forgotten is told no more.
        assert session.fetch(forgotten=[2, 3]) == ("NONE", {})
        wire.produce(producer, "t", 3, wire.batch([b"unheard"]))
        wire.produce(producer, "t", 1, wire.batch([b"heard"]))
        assert list(session.fetch()[1]) == [1]


def test_session_errors(connection):
    make_topic(connection)
    session = Session(connection)
    session.fetch((0, 0))
    assert session.fetch(epoch=7)[0] == "INVALID_FETCH_SESSION_EPOCH"
    assert session.fetch((0, 0))[0] == "NONE"
    stranger = Session(connection)
    stranger.id, stranger.epoch = 123456789, 3
    assert stranger.fetch()[0] == "FETCH_SESSION_ID_NOT_FOUND"
    # The final epoch closes the session and fetches once more without one.
    assert session.fetch((0, 0), epoch=-1)[0] == "NONE"
    assert session.fetch()[0] == "FETCH_SESSION_ID_NOT_FOUND"


def test_a_session_of_nothing_ends(connection):
    """Goal: a client that forgets its last partition is told that it has no session (id 0)."""
    make_topic(connection, partitions=2)
    session = Session(connection)
    session.fetch((0, 0), (1, 0))
    old, epoch = session.id, session.epoch
    assert session.fetch(forgotten=[0]) == ("NONE", {}) and session.id == old
    assert session.fetch(forgotten=[1]) == ("NONE", {}) and session.id == 0
    session.id, session.epoch = old, epoch + 2
    assert session.fetch()[0] == "FETCH_SESSION_ID_NOT_FOUND"


def test_names_and_ids_do_not_mix_in_a_session(connection):
    """Goal: KIP-516: a session keeps to names or to ids; the client that changes begins anew."""
    make_topic(connection)
    session = Session(connection)
    session.fetch((0, 0), version=12)
    answer = connection.call("Fetch", 13, MaxBytes=1000, SessionId=session.id,
                             SessionEpoch=session.epoch)
    assert error_name(answer.ErrorCode) == "FETCH_SESSION_TOPIC_ID_ERROR"
    assert session.fetch(version=12)[0] == "NONE"


def test_a_new_session_replaces_the_old_one(connection):
    make_topic(connection)
    session = Session(connection)
    session.fetch((0, 0))
    old = session.id
    session.epoch = 0
    assert session.fetch((0, 0))[0] == "NONE" and session.id not in (0, old)
    session.id, session.epoch = old, 1
    assert session.fetch()[0] == "FETCH_SESSION_ID_NOT_FOUND"


# ---- topic ids (KIP-516) ----------------------------------------------------------------------------

def topic_id(connection, name="t"):
    answer = connection.call("Metadata", 12, Topics=[{"Name": name}])
    return answer.Topics[0].TopicId


def test_topic_ids(connection):
    """Goal: metadata, produce and fetch go by id; an id that is not known has its own error."""
    make_topic(connection)
    id_ = topic_id(connection)
    assert id_ != wire.UUID_ZERO
    topic = connection.call("Metadata", 12, Topics=[{"Name": None, "TopicId": id_}]).Topics[0]
    assert (topic.Name, topic.ErrorCode) == ("t", 0)
    stranger = b"0123456789abcdef"
    topic = connection.call("Metadata", 12, Topics=[{"Name": None, "TopicId": stranger}]).Topics[0]
    assert error_name(topic.ErrorCode) == "UNKNOWN_TOPIC_ID"
    for asked, error in ((id_, "NONE"), (stranger, "UNKNOWN_TOPIC_ID")):
        row = connection.call("Produce", 13, Acks=-1, TimeoutMs=5000, TopicData=[
            {"TopicId": asked, "PartitionData": [{"Index": 0, "Records": wire.batch([b"x"])}]}])
        row = row.Responses[0]
        assert row.TopicId == asked
        assert error_name(row.PartitionResponses[0].ErrorCode) == error
        row = connection.call("Fetch", 13, MaxBytes=1000, Topics=[
            {"TopicId": asked, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}])
        row = row.Responses[0]
        assert row.TopicId == asked and error_name(row.Partitions[0].ErrorCode) == error
        assert bool(row.Partitions[0].Records) == (error == "NONE")


def test_a_topic_made_again_has_another_id(connection):
    make_topic(connection)
    wire.produce(connection, "t", 0, wire.batch([b"old"]))
    old = topic_id(connection)
    answer = connection.call("DeleteTopics", 6, TimeoutMs=5000, Topics=[{"Name": "t"}])
    assert error_name(answer.Responses[0].ErrorCode) == "NONE"
    make_topic(connection)
    assert topic_id(connection) != old
    assert wire.fetch(connection, "t", 0, 0).HighWatermark == 0
    row = connection.call("Fetch", 13, MaxBytes=1000, Topics=[
        {"TopicId": old, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}])
    assert error_name(row.Responses[0].Partitions[0].ErrorCode) == "UNKNOWN_TOPIC_ID"


# ---- leader epochs (KIP-320) --------------------------------------------------------------------------

def leader_epoch(connection):
    return connection.call("Metadata", 7, Topics=[{"Name": "t"}]).Topics[0].Partitions[0].LeaderEpoch


def test_epochs_that_a_client_knows_are_checked(connection):
    """Goal: a client that is ahead or behind is told so by Fetch, ListOffsets and
    OffsetForLeaderEpoch; one that sends no epoch is served."""
    make_topic(connection)
    wire.produce(connection, "t", 0, wire.batch([b"x"]))
    epoch = leader_epoch(connection)
    wanted = [(-1, "NONE"), (epoch, "NONE"), (epoch + 1, "UNKNOWN_LEADER_EPOCH")]
    if epoch > 0:
        wanted.append((epoch - 1, "FENCED_LEADER_EPOCH"))
    for asked, error in wanted:
        row = wire.fetch(connection, "t", 0, 0, CurrentLeaderEpoch=asked)
        assert error_name(row.ErrorCode) == error
        answer = connection.call("ListOffsets", 5, Topics=[{"Name": "t", "Partitions": [
            {"PartitionIndex": 0, "CurrentLeaderEpoch": asked, "Timestamp": -1}]}])
        assert error_name(answer.Topics[0].Partitions[0].ErrorCode) == error
        answer = connection.call("OffsetForLeaderEpoch", 3, ReplicaId=-1, Topics=[
            {"Topic": "t", "Partitions": [
                {"Partition": 0, "CurrentLeaderEpoch": asked, "LeaderEpoch": epoch}]}])
        row = answer.Topics[0].Partitions[0]
        assert error_name(row.ErrorCode) == error
        if error == "NONE":
            assert (row.LeaderEpoch, row.EndOffset) == (epoch, 1)


def test_a_restart_keeps_old_epochs_apart(broker):
    """Goal: KIP-101: where an epoch ended is known over restarts, and a fetcher that is past it is
    told to truncate."""
    with broker.connect() as connection:
        make_topic(connection)
        first = leader_epoch(connection)
        wire.produce(connection, "t", 0, wire.batch([b"a", b"b", b"c"]))
    broker.restart(kill=True)
    with broker.connect() as connection:
        second = leader_epoch(connection)
        wire.produce(connection, "t", 0, wire.batch([b"d"]))
        answer = connection.call("OffsetForLeaderEpoch", 3, ReplicaId=-1, Topics=[
            {"Topic": "t", "Partitions": [
                {"Partition": 0, "CurrentLeaderEpoch": second, "LeaderEpoch": first}]}])
        row = answer.Topics[0].Partitions[0]
        if second == first:
            assert (row.LeaderEpoch, row.EndOffset) == (first, 4)
        else:
            assert second > first and (row.LeaderEpoch, row.EndOffset) == (first, 3)
            answer = connection.call("Fetch", 12, MaxBytes=1000, Topics=[
                {"Topic": "t", "Partitions": [{
                    "Partition": 0, "PartitionMaxBytes": 1000, "FetchOffset": 4,
                    "LastFetchedEpoch": first}]}])
            diverging = answer.Responses[0].Partitions[0].DivergingEpoch
            assert (diverging.Epoch, diverging.EndOffset) == (first, 3)


# ---- offsets by time (KIP-79, KIP-734) -----------------------------------------------------------------

def offset_at(connection, timestamp, version=7):
    answer = connection.call("ListOffsets", version, Topics=[{"Name": "t", "Partitions": [
        {"PartitionIndex": 0, "Timestamp": timestamp}]}])
    row = answer.Topics[0].Partitions[0]
    assert error_name(row.ErrorCode) == "NONE"
    return row.Offset, row.Timestamp


def test_offsets_by_time(connection):
    """Goal: earliest, latest, first at or after a time, and the record with the greatest one."""
    make_topic(connection)
    for base in (1000, 5000, 3000):
        wire.produce(connection, "t", 0, wire.batch(
            [], payload=b"".join(wire.record(b"x", None, (), i, i * 100) for i in range(3)),
            count=3, timestamp=base, max_timestamp=base + 200))
    assert offset_at(connection, -2) == (0, -1)
    assert offset_at(connection, -1) == (9, -1)
    assert offset_at(connection, 0) == (0, 1000)
    assert offset_at(connection, 1101) == (2, 1200)
    assert offset_at(connection, 1201) == (3, 5000)
    assert offset_at(connection, 5101) == (5, 5200)
    assert offset_at(connection, 5201) == (-1, -1)
    assert offset_at(connection, -3) == (5, 5200)
    answer = connection.call("ListOffsets", 0, Topics=[{"Name": "t", "Partitions": [
        {"PartitionIndex": 0, "Timestamp": -1, "MaxNumOffsets": 1}]}])
    assert answer.Topics[0].Partitions[0].OldStyleOffsets == [9]


def list_offsets(connection, version, *wanted):
    """Error and offset for each (topic, partition, timestamp)."""
    answer = connection.call("ListOffsets", version, Topics=[
        {"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": timestamp}]}
        for topic, partition, timestamp in wanted])
    return [(error_name(topic.Partitions[0].ErrorCode), topic.Partitions[0].Offset)
            for topic in answer.Topics]


def test_special_timestamps_need_their_version(connection):
    """Goal: each number below 0 is known from a version on (KIP-734, 405, 1005, 1023); a client that
    sends it in an older one, or sends another number, would take any answer for a place in the log."""
    make_topic(connection)
    wire.produce(connection, "t", 0, wire.batch([b"x"] * 3, timestamp=1000))
    known = {-1: (1, 3), -2: (1, 0), -3: (7, 0), -4: (8, 0), -5: (9, -1), -6: (11, -1)}
    for version in range(1, 12):
        for timestamp in range(-8, 0):
            first, offset = known.get(timestamp, (99, -1))
            expected = ("NONE", offset) if version >= first else ("UNSUPPORTED_VERSION", -1)
            assert list_offsets(connection, version, ("t", 0, timestamp)) == [expected], (
                version, timestamp)


def test_a_partition_is_asked_for_its_offset_once(connection):
    """Goal: a partition that stands twice in one ListOffsets gets INVALID_REQUEST both times; the
    others get their offset, the unknown ones their own error."""
    make_topic(connection, partitions=2)
    assert list_offsets(connection, 5, ("t", 0, -1), ("t", 1, -1), ("t", 0, -2), ("t", 2, -1),
                        ("nowhere", 0, -1)) == [
        ("INVALID_REQUEST", -1), ("NONE", 0), ("INVALID_REQUEST", -1),
        ("UNKNOWN_TOPIC_OR_PARTITION", -1), ("UNKNOWN_TOPIC_OR_PARTITION", -1)]


# ---- idempotence (KIP-98) ----------------------------------------------------------------------------

def producer_id(connection):
    answer = connection.call("InitProducerId", 4, TransactionalId=None,
                             TransactionTimeoutMs=1000)
    assert error_name(answer.ErrorCode) == "NONE" and answer.ProducerEpoch == 0
    return answer.ProducerId


def test_producer_ids(connection):
    """Goal: every version gives a new id, whatever id the client had; half of one is a mistake, as is a
    transactional id without a letter."""
    seen = set()

    def ask(version, **more):
        answer = connection.call("InitProducerId", version, **{
            "TransactionalId": None, "TransactionTimeoutMs": 1000, **more})
        return error_name(answer.ErrorCode), answer.ProducerId, answer.ProducerEpoch

    for version in range(6):
        error, id_, epoch = ask(version)
        assert (error, epoch) == ("NONE", 0) and id_ not in seen
        seen.add(id_)
    error, id_, epoch = ask(4, ProducerId=min(seen), ProducerEpoch=3)
    assert (error, epoch) == ("NONE", 0) and id_ not in seen
    for more in ({"ProducerId": 5}, {"ProducerEpoch": 5}, {"TransactionalId": ""}):
        assert ask(4, **more) == ("INVALID_REQUEST", -1, -1)


def test_duplicates_are_dropped_and_gaps_refused(broker):
    """Goal: a retry gets the offset of the first time, for the last five batches; a hole in the
    sequence and an old epoch are refused; all of it holds over a crash and over a clean stop."""
    with broker.connect() as connection:
        make_topic(connection)
        id_ = producer_id(connection)
        assert producer_id(connection) != id_
    wanted = 0

    def send(connection, sequence, count=2, epoch=0):
        row = wire.produce(connection, "t", 0, wire.batch(
            [b"%d" % (sequence + i) for i in range(count)], producer_id=id_, producer_epoch=epoch,
            sequence=sequence))
        return error_name(row.ErrorCode), row.BaseOffset

    for kill in (None, True, False):
        if kill is not None:
            broker.restart(kill=kill)
        with broker.connect() as connection:
            for _ in range(6):
                assert send(connection, wanted) == ("NONE", wanted)
                wanted += 2
            for back in (2, 4, 6, 8, 10):
                assert send(connection, wanted - back) == ("NONE", wanted - back)
            assert send(connection, wanted + 2)[0] == "OUT_OF_ORDER_SEQUENCE_NUMBER"
            assert send(connection, wanted - 2, count=1)[0] in (
                "OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER")
    with broker.connect() as connection:
        assert send(connection, 0, epoch=1) == ("NONE", wanted)
        assert send(connection, wanted)[0] == "INVALID_PRODUCER_EPOCH"
        assert send(connection, 5, epoch=2)[0] == "OUT_OF_ORDER_SEQUENCE_NUMBER"
        values = [int(item.value) for item in wire.fetch_all(connection, "t", 0)]
        assert values == list(range(wanted)) + [0, 1]


def test_transactions_that_nobody_coordinates_are_refused(connection):
    """Goal: a transactional batch without a transaction never gets in: no one would end it, and who
    reads committed records only would wait at it for ever. Kafka's codes: without a transactional id
    as with one that is not allowed, with one as out of a transaction."""
    make_topic(connection)
    wire.produce(connection, "t", 0, wire.batch([b"before"]))
    for more, error in (({}, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
                        ({"TransactionalId": "x"}, "INVALID_TXN_STATE")):
        answer = connection.call("Produce", 9, Acks=-1, TimeoutMs=5000, **more, TopicData=[
            {"Name": "t", "PartitionData": [{"Index": 0, "Records": wire.batch(
                [b"x"], attributes=0x10, producer_id=producer_id(connection), producer_epoch=0,
                sequence=0)}]}])
        row = answer.Responses[0].PartitionResponses[0]
        assert (error_name(row.ErrorCode), row.BaseOffset) == (error, -1) and row.ErrorMessage
    assert wire.produce(connection, "t", 0, wire.batch([b"after"])).BaseOffset == 1
    assert wire.fetch(connection, "t", 0, 0).LastStableOffset == 2


def test_sequences_wrap_around(connection):
    """Goal: after 2^31 - 1 comes 0."""
    make_topic(connection)
    id_ = producer_id(connection)
    sequence = 2**31 - 2
    for expected in (0, 3, 6):
        row = wire.produce(connection, "t", 0, wire.batch(
            [b"a", b"b", b"c"], producer_id=id_, producer_epoch=0, sequence=sequence))
        assert (error_name(row.ErrorCode), row.BaseOffset) == ("NONE", expected)
        sequence = (sequence + 3) & 0x7FFFFFFF
