"""Each version of the APIs on topics and records does its work, not only answers.

Method: one round per version, on topics of its own, with an old API's lack of a field made up for by
what the newest one says. Groups have their rounds in test_groups.py.
"""

import struct
import time
import zlib

import pytest

import wire
from wire import error_name

RESOURCE_TOPIC, RESOURCE_BROKER = 2, 4


def versions(name):
    accepted = wire.APIS[name].accepted
    return range(accepted.low, accepted.high + 1)


def topic_id(connection, name):
    return connection.call("Metadata", 12, Topics=[{"Name": name}]).Topics[0].TopicId


def create(connection, name, partitions=1, **configs):
    row = wire.create_topic(connection, name, partitions,
                            {key.replace("_", "."): value for key, value in configs.items()})
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage


def message_set(value, magic):
    """One message of the formats before batches, as Produce 0 to 2 carry it."""
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", 1234) if magic else b"")
    body += struct.pack(">ii", -1, len(value)) + value
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


@pytest.mark.parametrize("version", range(0, 14))
def test_produce(connection, version):
    create(connection, "t")
    id_ = topic_id(connection, "t")
    topic = {"TopicId": id_} if version >= 13 else {"Name": "t"}
    records = wire.batch([b"value"], timestamp=1234) if version >= 3 else message_set(
        b"value", 1 if version == 2 else 0)
    for offset in (0, 1):
        answer = connection.call("Produce", version, Acks=-1, TimeoutMs=5000, TopicData=[
            {**topic, "PartitionData": [{"Index": 0, "Records": records},
                                        {"Index": 3, "Records": records}]}])
        row, missing = answer.Responses[0].PartitionResponses
        assert (row.ErrorCode, row.BaseOffset, row.Index) == (0, offset, 0)
        assert row.LogAppendTimeMs == -1 and row.LogStartOffset == (0 if version >= 5 else -1)
        assert (error_name(missing.ErrorCode), missing.BaseOffset, missing.Index) == (
            "UNKNOWN_TOPIC_OR_PARTITION", -1, 3)
    assert [item.value for item in wire.fetch_all(connection, "t", 0)] == [b"value"] * 2


@pytest.mark.parametrize("version", range(0, 19))
def test_fetch(connection, version):
    create(connection, "t", 2)
    id_ = topic_id(connection, "t")
    wire.produce(connection, "t", 1, wire.batch([b"value"], timestamp=1234))
    topic = {"TopicId": id_} if version >= 13 else {"Topic": "t"}
    answer = connection.call("Fetch", version, MinBytes=1, Topics=[
        {**topic, "Partitions": [{"Partition": i, "PartitionMaxBytes": 1 << 20}
                                 for i in (1, 0, 7)]}])
    topic = answer.Responses[0]
    assert (topic.TopicId == id_) if version >= 13 else (topic.Topic == "t")
    full, empty, missing = topic.Partitions
    assert [(row.PartitionIndex, error_name(row.ErrorCode), row.HighWatermark)
            for row in topic.Partitions] == [
        (1, "NONE", 1), (0, "NONE", 0), (7, "UNKNOWN_TOPIC_OR_PARTITION", -1)]
    assert full.LastStableOffset == (1 if version >= 4 else -1)
    assert full.LogStartOffset == (0 if version >= 5 else -1)
    assert full.PreferredReadReplica == -1
    assert not empty.Records and not missing.Records
    if version >= 4:
        assert wire.parse_records(wire.parse_batches(full.Records)[0])[0].value == b"value"
    else:
        magic = full.Records[16]
        assert magic == (1 if version >= 2 else 0) and full.Records.endswith(b"value")


@pytest.mark.parametrize("version", range(0, 12))
def test_list_offsets(connection, version):
    create(connection, "t")
    wire.produce(connection, "t", 0, wire.batch([b"a", b"b"], timestamp=1234))
    for timestamp, offset in ((-1, 2), (-2, 0)) + (((1000, 0), (2000, -1)) if version else ()):
        answer = connection.call("ListOffsets", version, Topics=[{"Name": "t", "Partitions": [
            {"PartitionIndex": 0, "Timestamp": timestamp}]}])
        row = answer.Topics[0].Partitions[0]
        assert row.ErrorCode == 0
        if version == 0:
            assert row.OldStyleOffsets == [offset]
        else:
            assert (row.Offset, row.Timestamp) == (offset, 1234 if timestamp == 1000 else -1)
            assert row.LeaderEpoch == (0 if version >= 4 and offset >= 0 else -1)


def test_version_0_of_list_offsets_lists_segments(connection):
    """Goal: clients of 0.8 ask for where segments begin, newest first: of all of them, the end before
    them, or of those that were written by a time."""
    create(connection, "t", segment_bytes=1000000, retention_ms=-1)
    for i in range(12):  # three to a segment
        wire.produce(connection, "t", 0, wire.batch([b"x" * 300000], timestamp=1000 * (i + 1)))

    def ask(timestamp, count=100, partition=0):
        answer = connection.call("ListOffsets", 0, Topics=[{"Name": "t", "Partitions": [
            {"PartitionIndex": partition, "Timestamp": timestamp, "MaxNumOffsets": count}]}])
        row = answer.Topics[0].Partitions[0]
        return row.OldStyleOffsets if row.ErrorCode == 0 else error_name(row.ErrorCode)

    assert ask(-1) == [12, 9, 6, 3, 0]
    assert ask(-1, 2) == [12, 9] and ask(-1, 1) == [12] and ask(-1, 0) == [] and ask(-1, -5) == []
    assert ask(-1, 2**31 - 1) == [12, 9, 6, 3, 0]
    assert ask(-2) == [0]
    assert ask(2**62) == ask(int(time.time() * 1000) + 60000) == [12, 9, 6, 3, 0]
    assert ask(3000) == [0] and ask(2999) == [] and ask(8999) == [3, 0] and ask(9000) == [6, 3, 0]
    connection.call("DeleteRecords", 1, TimeoutMs=5000, Topics=[
        {"Name": "t", "Partitions": [{"PartitionIndex": 0, "Offset": 4}]}])
    assert ask(-1)[:4] == [12, 9, 6, 4] and ask(-2) == [4]
    assert ask(-3) == "UNSUPPORTED_VERSION" and ask(-1, partition=1) == "UNKNOWN_TOPIC_OR_PARTITION"
    create(connection, "empty")
    answer = connection.call("ListOffsets", 0, Topics=[{"Name": "empty", "Partitions": [
        {"PartitionIndex": 0, "Timestamp": -1, "MaxNumOffsets": 9}]}])
    assert answer.Topics[0].Partitions[0].OldStyleOffsets == [0]


@pytest.mark.parametrize("version", range(0, 5))
def test_offset_for_leader_epoch(connection, version):
    create(connection, "t")
    wire.produce(connection, "t", 0, wire.batch([b"a", b"b"]))
    for epoch, answered in ((0, (0, 2)), (5, (-1, -1))):
        answer = connection.call("OffsetForLeaderEpoch", version, Topics=[
            {"Topic": "t", "Partitions": [{"Partition": i, "LeaderEpoch": epoch} for i in (0, 4)]}])
        row, missing = answer.Topics[0].Partitions
        assert (row.ErrorCode, row.EndOffset) == (0, answered[1])
        assert row.LeaderEpoch == (answered[0] if version >= 1 else -1)
        assert (error_name(missing.ErrorCode), missing.EndOffset) == (
            "UNKNOWN_TOPIC_OR_PARTITION", -1)


@pytest.mark.parametrize("version", range(0, 3))
def test_delete_records(connection, version):
    create(connection, "t")
    create(connection, "c", cleanup_policy="compact")
    wire.produce(connection, "t", 0, wire.batch([b"a", b"b", b"c"]))

    def delete(offset, topic="t", partition=0):
        answer = connection.call("DeleteRecords", version, TimeoutMs=5000, Topics=[
            {"Name": topic, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}])
        row = answer.Topics[0].Partitions[0]
        return error_name(row.ErrorCode), row.LowWatermark

    assert delete(2) == ("NONE", 2)
    assert delete(1) == ("NONE", 2)  # it is gone already
    assert delete(4) == ("OFFSET_OUT_OF_RANGE", -1)
    assert delete(-2) == ("OFFSET_OUT_OF_RANGE", -1)
    assert delete(0, partition=1) == ("UNKNOWN_TOPIC_OR_PARTITION", -1)
    assert delete(0, topic="nowhere") == ("UNKNOWN_TOPIC_OR_PARTITION", -1)
    assert delete(0, topic="c") == ("POLICY_VIOLATION", -1)
    assert delete(-1) == ("NONE", 3)  # all of it
    assert error_name(wire.fetch(connection, "t", 0, 2).ErrorCode) == "OFFSET_OUT_OF_RANGE"


@pytest.mark.parametrize("version", range(0, 8))
def test_create_topics(connection, version):
    more = {"validateOnly": True} if version >= 1 else {}
    wanted = [{"Name": "plain", "NumPartitions": 2, "ReplicationFactor": 1,
               "Configs": [{"Name": "retention.ms", "Value": "1000"}]},
              {"Name": "manual", "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
                  {"PartitionIndex": 0, "BrokerIds": [0]}, {"PartitionIndex": 1, "BrokerIds": [0]}]},
              {"Name": "b a d", "NumPartitions": 1, "ReplicationFactor": 1},
              {"Name": "three", "NumPartitions": 1, "ReplicationFactor": 3},
              {"Name": "default", "NumPartitions": -1, "ReplicationFactor": -1}]
    errors = {"plain": "NONE", "manual": "NONE", "b a d": "INVALID_TOPIC_EXCEPTION",
              "three": "INVALID_REPLICATION_FACTOR", "default": "NONE"}
    for validate in ((more, {}) if more else ({},)):
        answer = connection.call("CreateTopics", version, timeoutMs=5000, Topics=wanted, **validate)
        rows = {row.Name: row for row in answer.Topics}
        assert {name: error_name(row.ErrorCode) for name, row in rows.items()} == errors
        assert bool(rows["three"].ErrorMessage) == (version >= 1)
        plain = rows["plain"]
        if version >= 5:
            assert (plain.NumPartitions, plain.ReplicationFactor) == (2, 1)
            configs = {row.Name: (row.Value, row.ConfigSource) for row in plain.Configs}
            assert configs["retention.ms"] == ("1000", 1) and len(configs) > 20
            assert (rows["three"].NumPartitions, rows["three"].ReplicationFactor) == (-1, -1)
            assert rows["default"].NumPartitions == 1 and rows["manual"].NumPartitions == 2
        is_there = not validate
        found = connection.call("Metadata", 12, AllowAutoTopicCreation=False, Topics=[
            {"Name": "plain"}]).Topics[0]
        assert (found.ErrorCode == 0) == is_there
        if is_there and version >= 7:
            assert plain.TopicId == found.TopicId
    answer = connection.call("CreateTopics", version, timeoutMs=5000, Topics=wanted[:1])
    assert error_name(answer.Topics[0].ErrorCode) == "TOPIC_ALREADY_EXISTS"


@pytest.mark.parametrize("version", range(0, 7))
def test_delete_topics(connection, version):
    for name in ("a", "b"):
        create(connection, name)
    ids = {name: topic_id(connection, name) for name in ("a", "b")}
    if version >= 6:
        asked = {"Topics": [{"Name": "a"}, {"Name": None, "TopicId": ids["b"]}, {"Name": "nowhere"}]}
    else:
        asked = {"TopicNames": ["a", "b", "nowhere"]}
    answer = connection.call("DeleteTopics", version, TimeoutMs=5000, **asked)
    assert {row.Name: error_name(row.ErrorCode) for row in answer.Responses} == {
        "a": "NONE", "b": "NONE", "nowhere": "UNKNOWN_TOPIC_OR_PARTITION"}
    if version >= 6:
        assert {row.Name: row.TopicId for row in answer.Responses if row.ErrorCode == 0} == ids
    assert connection.call("Metadata", 9, Topics=None).Topics == []


@pytest.mark.parametrize("version", range(0, 4))
def test_create_partitions(connection, version):
    create(connection, "t", 2)

    def grow(count, validate=False, topic="t", assignments=None):
        answer = connection.call("CreatePartitions", version, TimeoutMs=5000, ValidateOnly=validate,
                                 Topics=[{"Name": topic, "Count": count,
                                          "Assignments": assignments}])
        return error_name(answer.Results[0].ErrorCode)

    def count():
        return len(connection.call("Metadata", 9, Topics=[{"Name": "t"}]).Topics[0].Partitions)

    assert grow(4, validate=True) == "NONE" and count() == 2
    assert grow(4) == "NONE" and count() == 4
    assert wire.produce(connection, "t", 3, wire.batch([b"x"])).ErrorCode == 0
    for smaller in (4, 3, 0, -1):
        assert grow(smaller) == "INVALID_PARTITIONS"
    assert grow(5, topic="nowhere") == "UNKNOWN_TOPIC_OR_PARTITION"
    assert grow(6, assignments=[{"BrokerIds": [0]}]) == "INVALID_REPLICA_ASSIGNMENT"
    assert grow(5, assignments=[{"BrokerIds": [9]}]) == "INVALID_REPLICA_ASSIGNMENT"
    assert grow(5, assignments=[{"BrokerIds": [0]}]) == "NONE" and count() == 5


def described(connection, name, *keys, version=4, type_=RESOURCE_TOPIC, **more):
    answer = connection.call("DescribeConfigs", version, **more, Resources=[
        {"ResourceType": type_, "ResourceName": name, "ConfigurationKeys": list(keys) or None}])
    row = answer.Results[0]
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage
    return {item.Name: item for item in row.Configs}


@pytest.mark.parametrize("version", range(0, 5))
def test_describe_configs(connection, version):
    create(connection, "t", retention_ms=1000)
    more = {"IncludeSynonyms": True} if version >= 1 else {}
    if version >= 3:
        more["IncludeDocumentation"] = True
    found = described(connection, "t", "retention.ms", "segment.bytes", version=version, **more)
    set_, default = found["retention.ms"], found["segment.bytes"]
    assert (set_.Value, default.Value, set_.ReadOnly, set_.IsSensitive) == (
        "1000", "1073741824", False, False)
    if version == 0:
        assert (set_.IsDefault, default.IsDefault) == (False, True)
    else:
        assert (set_.ConfigSource, default.ConfigSource) == (1, 5)
        assert [(row.Name, row.Value, row.Source) for row in set_.Synonyms][0] == (
            "retention.ms", "1000", 1)
        assert [(row.Name, row.Source) for row in default.Synonyms] == [("log.segment.bytes", 5)]
    assert (set_.ConfigType, default.ConfigType) == ((5, 3) if version >= 3 else (0, 0))
    assert bool(set_.Documentation) == (version >= 3)
    everything = described(connection, "t", version=version)
    assert len(everything) > 20
    answer = connection.call("DescribeConfigs", version, Resources=[
        {"ResourceType": type_, "ResourceName": name, "ConfigurationKeys": []}
        for type_, name in ((RESOURCE_TOPIC, "t"), (RESOURCE_BROKER, "0"))])
    assert len(answer.Results[0].Configs) == len(everything)  # no key is every key
    assert len(answer.Results[1].Configs) > 100
    assert all(not row.Synonyms and not row.Documentation for row in everything.values())
    node = described(connection, "0", version=version, type_=RESOURCE_BROKER)
    assert node["node.id"].ReadOnly and len(node) > 100
    answer = connection.call("DescribeConfigs", version, Resources=[
        {"ResourceType": type_, "ResourceName": name, "ConfigurationKeys": None}
        for type_, name in ((RESOURCE_TOPIC, "nowhere"), (RESOURCE_TOPIC, "b a d"),
                            (RESOURCE_BROKER, "9"), (99, "t"))])
    assert [error_name(row.ErrorCode) for row in answer.Results] == [
        "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION", "INVALID_REQUEST",
        "INVALID_REQUEST"]


@pytest.mark.parametrize("version", range(0, 3))
def test_alter_configs(connection, version):
    """Goal: the list is all that is set afterwards."""
    create(connection, "t", retention_ms=1000)

    def alter(validate=False, **configs):
        answer = connection.call("AlterConfigs", version, ValidateOnly=validate, Resources=[
            {"ResourceType": RESOURCE_TOPIC, "ResourceName": "t", "Configs": [
                {"Name": key.replace("_", "."), "Value": value} for key, value in configs.items()]}])
        return error_name(answer.Responses[0].ErrorCode)

    def changed():
        return {name: row.Value for name, row in described(connection, "t").items()
                if row.ConfigSource == 1}

    assert alter(validate=True, segment_bytes="2000000") == "NONE"
    assert alter(segment_bytes="-1") == "INVALID_CONFIG"
    assert alter(no_such="1") == "INVALID_CONFIG"
    assert changed() == {"retention.ms": "1000"}
    assert alter(segment_bytes="2000000") == "NONE" and changed() == {"segment.bytes": "2000000"}
    assert alter() == "NONE" and changed() == {}


@pytest.mark.parametrize("version", range(0, 2))
def test_incremental_alter_configs(connection, version):
    create(connection, "t", retention_ms=1000)
    set_, delete, append, subtract = range(4)

    def alter(*changes, validate=False):
        answer = connection.call("IncrementalAlterConfigs", version, ValidateOnly=validate, Resources=[
            {"ResourceType": RESOURCE_TOPIC, "ResourceName": "t", "Configs": [
                {"Name": key, "ConfigOperation": operation, "Value": value}
                for operation, key, value in changes]}])
        return error_name(answer.Responses[0].ErrorCode)

    def value(key):
        row = described(connection, "t", key)[key]
        return row.Value, row.ConfigSource

    assert alter((append, "cleanup.policy", "compact"), validate=True) == "NONE"
    assert value("cleanup.policy") == ("delete", 5)
    assert alter((append, "cleanup.policy", "compact")) == "NONE"
    assert value("cleanup.policy") == ("delete,compact", 1)
    assert alter((append, "cleanup.policy", "compact")) == "NONE"  # it is there
    assert alter((subtract, "cleanup.policy", "delete")) == "NONE"
    assert value("cleanup.policy") == ("compact", 1)
    for operation in (append, subtract):
        assert alter((operation, "retention.ms", "5")) == "INVALID_CONFIG"
    assert alter((set_, "retention.ms", None)) == "INVALID_REQUEST"
    assert alter((set_, "retention.ms", "1"), (delete, "retention.ms", None)) == "INVALID_REQUEST"
    assert alter((9, "retention.ms", "1")) == "INVALID_REQUEST"
    assert value("retention.ms") == ("1000", 1)
    assert alter((delete, "retention.ms", None), (set_, "segment.bytes", "2000000")) == "NONE"
    assert value("retention.ms") == ("604800000", 5)
    assert value("segment.bytes") == ("2000000", 1)


@pytest.mark.parametrize("version", range(0, 6))
def test_describe_log_dirs(broker, connection, version):
    create(connection, "t", 2)
    create(connection, "u", 1)
    wire.produce(connection, "t", 1, wire.batch([b"value"]))
    size = len(wire.batch([b"value"]))

    def ask(topics):
        answer = connection.call("DescribeLogDirs", version, Topics=topics)
        assert answer.ErrorCode == 0 and len(answer.Results) == 1
        result = answer.Results[0]
        assert result.ErrorCode == 0 and result.LogDir.startswith("/")
        assert (result.TotalBytes > result.UsableBytes > 0) if version >= 4 else (
            result.TotalBytes == -1)
        assert all((row.OffsetLag, row.IsFutureKey) == (0, False)
                   for topic in result.Topics for row in topic.Partitions)
        return {(topic.Name, row.PartitionIndex): row.PartitionSize
                for topic in result.Topics for row in topic.Partitions}

    assert ask(None) == {("t", 0): 0, ("t", 1): size, ("u", 0): 0}
    assert ask([{"Topic": "t", "Partitions": [1, 9]}, {"Topic": "nowhere", "Partitions": [0]}]) == {
        ("t", 1): size}
    assert ask([]) == {}


def test_every_version_has_its_round():
    """Goal: a version that is added to an API is added here."""
    for name, count in (("Fetch", 18), ("ListOffsets", 11), ("OffsetForLeaderEpoch", 4),
                        ("DeleteRecords", 2), ("CreateTopics", 7), ("DeleteTopics", 6),
                        ("CreatePartitions", 3), ("DescribeConfigs", 4), ("AlterConfigs", 2),
                        ("IncrementalAlterConfigs", 1), ("DescribeLogDirs", 5), ("Produce", 13)):
        assert versions(name).stop - 1 == count, name
