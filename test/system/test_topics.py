"""Topics as clients make, describe, change and delete them.

Method: raw requests where the exact answer matters; python3-confluent-kafka's and python3-kafka's
administrators for what they make of it.
"""

import os
import threading

import pytest

import wire
from harness import wait_until
from wire import error_name

RESOURCE_TOPIC, RESOURCE_BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


def create(connection, name="t", version=5, validate_only=False, **topic):
    values = {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1, **topic}
    answer = connection.call("CreateTopics", version, timeoutMs=10000, Topics=[values],
                             **({"validateOnly": True} if validate_only else {}))
    return answer.Topics[0]


def delete(connection, name):
    answer = connection.call("DeleteTopics", 5, TimeoutMs=10000, TopicNames=[name])
    return error_name(answer.Responses[0].ErrorCode)


def describe(connection, *names, version=9, auto_create=False):
    answer = connection.call("Metadata", version, AllowAutoTopicCreation=auto_create,
                             Topics=[{"Name": name} for name in names] if names else None)
    return {topic.Name: topic for topic in answer.Topics}


def alter(connection, resource, name, *changes, version=1, validate_only=False):
    """Each change is (operation, key, value)."""
    answer = connection.call("IncrementalAlterConfigs", version, ValidateOnly=validate_only,
                             Resources=[{"ResourceType": resource, "ResourceName": name, "Configs": [
                                 {"ConfigOperation": op, "Name": key, "Value": value}
                                 for op, key, value in changes]}])
    return error_name(answer.Responses[0].ErrorCode)


def configs(connection, resource, name, *keys, version=4, **more):
    answer = connection.call("DescribeConfigs", version, Resources=[
        {"ResourceType": resource, "ResourceName": name,
         "ConfigurationKeys": list(keys) or None}], **more)
    row = answer.Results[0]
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage
    return {item.Name: item for item in row.Configs}


# ---- making ----------------------------------------------------------------------------------------

def test_a_topic_is_usable_at_once(connection):
    """Goal: whoever was told of a topic can produce to every partition and fetch from it."""
    row = create(connection, NumPartitions=100)
    assert error_name(row.ErrorCode) == "NONE" and row.NumPartitions == 100
    for partition in range(100):
        answer = wire.produce(connection, "t", partition, wire.batch([b"x"]))
        assert error_name(answer.ErrorCode) == "NONE"
    topic = describe(connection, "t")["t"]
    assert len(topic.Partitions) == 100
    for partition in topic.Partitions:
        assert (partition.LeaderId, partition.ReplicaNodes, partition.IsrNodes) == (0, [0], [0])


@pytest.mark.parametrize("name, error", [
    ("", "INVALID_TOPIC_EXCEPTION"), (".", "INVALID_TOPIC_EXCEPTION"),
    ("..", "INVALID_TOPIC_EXCEPTION"), ("a b", "INVALID_TOPIC_EXCEPTION"),
    ("a/b", "INVALID_TOPIC_EXCEPTION"), ("ü", "INVALID_TOPIC_EXCEPTION"),
    ("x" * 250, "INVALID_TOPIC_EXCEPTION"), ("x" * 249, "NONE"), ("a.b_c-D9", "NONE")])
def test_names(connection, name, error):
    assert error_name(create(connection, name).ErrorCode) == error


def test_names_that_collide(connection):
    """Goal: '.' and '_' are one in metrics' names, so a topic may not differ in them alone."""
    assert create(connection, "a.b").ErrorCode == 0
    assert error_name(create(connection, "a_b").ErrorCode) == "INVALID_TOPIC_EXCEPTION"
    assert error_name(create(connection, "a.b").ErrorCode) == "TOPIC_ALREADY_EXISTS"


@pytest.mark.parametrize("values, error", [
    ({"NumPartitions": 0}, "INVALID_PARTITIONS"), ({"NumPartitions": -2}, "INVALID_PARTITIONS"),
    ({"ReplicationFactor": 0}, "INVALID_REPLICATION_FACTOR"),
    ({"ReplicationFactor": 2}, "INVALID_REPLICATION_FACTOR"),
    ({"Configs": [{"Name": "retention.ms", "Value": "soon"}]}, "INVALID_CONFIG"),
    ({"Configs": [{"Name": "no.such.key", "Value": "1"}]}, "INVALID_CONFIG"),
    ({"Configs": [{"Name": "retention.ms", "Value": None}]}, "INVALID_CONFIG"),
    ({"Configs": [{"Name": "min.insync.replicas", "Value": "0"}]}, "INVALID_CONFIG"),
    ({"NumPartitions": 1, "ReplicationFactor": -1, "Assignments": [
        {"PartitionIndex": 0, "BrokerIds": [0]}]}, "INVALID_REQUEST"),
    ({"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
        {"PartitionIndex": 1, "BrokerIds": [0]}]}, "INVALID_REPLICA_ASSIGNMENT"),
    ({"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
        {"PartitionIndex": 0, "BrokerIds": [7]}]}, "INVALID_REPLICA_ASSIGNMENT"),
    ({"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
        {"PartitionIndex": 0, "BrokerIds": [0]}, {"PartitionIndex": 1, "BrokerIds": [0]}]}, "NONE"),
])
def test_what_a_topic_may_be(connection, values, error):
    """Goal: Kafka's codes, a message for people, and no topic where there was an error."""
    row = create(connection, **values)
    assert error_name(row.ErrorCode) == error
    assert (row.ErrorMessage is None) == (error == "NONE")
    assert ("t" in describe(connection)) == (error == "NONE")


def test_one_bad_topic_spoils_no_other(connection):
    """Goal: errors are per topic; a name twice in one request is refused for both."""
    topics = [{"Name": name, "NumPartitions": 1, "ReplicationFactor": 1}
              for name in ("good", "b a d", "twice", "twice")]
    answer = connection.call("CreateTopics", 5, timeoutMs=10000, Topics=topics)
    found = {topic.Name: error_name(topic.ErrorCode) for topic in answer.Topics}
    assert found == {"good": "NONE", "b a d": "INVALID_TOPIC_EXCEPTION", "twice": "INVALID_REQUEST"}
    assert set(describe(connection)) == {"good"}


def test_defaults_and_the_answer_of_version_5(make_broker):
    """Goal: -1 means num.partitions; the answer tells what the topic became (KIP-525)."""
    broker = make_broker({"num.partitions": "7"})
    with broker.connect() as connection:
        row = create(connection, NumPartitions=-1, ReplicationFactor=-1,
                     Configs=[{"Name": "retention.ms", "Value": "1234"}])
        assert (row.NumPartitions, row.ReplicationFactor) == (7, 1)
        told = {config.Name: config for config in row.Configs}
        assert told["retention.ms"].Value == "1234"
        assert told["max.message.bytes"].Value == "1048588"


def test_validate_only_makes_nothing(connection):
    assert error_name(create(connection, validate_only=True).ErrorCode) == "NONE"
    assert describe(connection) == {}


def test_partitions_are_added(connection):
    """Goal: what is there stays, what is new works, and fewer is refused."""
    create(connection, NumPartitions=2)
    wire.produce(connection, "t", 1, wire.batch([b"old"]))

    def grow(count, name="t"):
        answer = connection.call("CreatePartitions", 2, TimeoutMs=10000, Topics=[
            {"Name": name, "Count": count, "Assignments": None}])
        return error_name(answer.Results[0].ErrorCode)

    assert grow(2) == "INVALID_PARTITIONS"
    assert grow(1) == "INVALID_PARTITIONS"
    assert grow(5) == "NONE"
    assert grow(5, "nowhere") == "UNKNOWN_TOPIC_OR_PARTITION"
    assert len(describe(connection, "t")["t"].Partitions) == 5
    for partition in range(5):
        assert wire.produce(connection, "t", partition, wire.batch([b"new"])).ErrorCode == 0
    assert wire.fetch(connection, "t", 1, 0).HighWatermark == 2
    assert wire.produce(connection, "t", 5, wire.batch([b"x"])).ErrorCode != 0


# ---- deleting --------------------------------------------------------------------------------------

def test_deleting_returns_the_space(broker, connection):
    create(connection, NumPartitions=3)
    wire.produce(connection, "t", 0, wire.batch([b"x" * 100000]))
    assert os.path.isdir(broker.partition_folder("t", 0))
    assert delete(connection, "t") == "NONE"
    assert delete(connection, "t") == "UNKNOWN_TOPIC_OR_PARTITION"
    assert error_name(describe(connection, "t")["t"].ErrorCode) == "UNKNOWN_TOPIC_OR_PARTITION"
    row = wire.produce(connection, "t", 0, wire.batch([b"x"]))
    assert error_name(row.ErrorCode) == "UNKNOWN_TOPIC_OR_PARTITION"
    wait_until(lambda: not [name for name in os.listdir(broker.data) if name.startswith("t-")],
               "the folders to go")


def test_deleting_ends_a_long_poll(broker, connection):
    """Goal: a fetch that waits at a partition is answered when the topic goes."""
    create(connection)
    connection.send("Fetch", 11, MaxWaitMs=60000, MinBytes=1, MaxBytes=1000, Topics=[
        {"Topic": "t", "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}])
    with broker.connect() as other:
        assert delete(other, "t") == "NONE"
    error = error_name(connection.receive().Responses[0].Partitions[0].ErrorCode)
    assert error in ("UNKNOWN_TOPIC_OR_PARTITION", "NOT_LEADER_OR_FOLLOWER")


def test_a_topic_can_be_made_again_at_once(broker, connection):
    """Goal: a topic with the name of one that was deleted is new, empty and usable, many times over,
    with producers that write to it all the time."""
    stop = threading.Event()

    def write():
        with broker.connect() as producer:
            while not stop.is_set():
                for partition in range(3):
                    wire.produce(producer, "t", partition, wire.batch([b"old"]))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_ in range(30):
            row = create(connection, NumPartitions=3)
            assert error_name(row.ErrorCode) == "NONE", round_
            for partition in range(3):
                answer = wire.produce(connection, "t", partition, wire.batch([b"mine"]))
                assert error_name(answer.ErrorCode) == "NONE", round_
                found = wire.fetch(connection, "t", partition, answer.BaseOffset)
                assert wire.parse_records(wire.parse_batches(found.Records)[0])[0].value == b"mine"
            assert delete(connection, "t") == "NONE"
    finally:
        stop.set()
        writer.join()


def test_delete_and_create_without_waiting(connection):
    """Goal: the same when the requests are pipelined, so that nobody waited for the old folders."""
    create(connection, NumPartitions=4)
    for _ in range(30):
        connection.send("DeleteTopics", 5, TimeoutMs=10000, TopicNames=["t"])
        connection.send("CreateTopics", 5, timeoutMs=10000, Topics=[
            {"Name": "t", "NumPartitions": 4, "ReplicationFactor": 1}])
        assert error_name(connection.receive().Responses[0].ErrorCode) == "NONE"
        assert error_name(connection.receive().Topics[0].ErrorCode) == "NONE"
        for partition in range(4):
            answer = wire.produce(connection, "t", partition, wire.batch([b"x"]))
            assert (error_name(answer.ErrorCode), answer.BaseOffset) == ("NONE", 0)


# ---- auto-creation ---------------------------------------------------------------------------------

def test_metadata_creates_topics_where_it_may(make_broker):
    """Goal: auto.create.topics.enable and the client must both want it; the client comes again until
    the topic is there; names that cannot be are refused."""
    broker = make_broker({"num.partitions": "3"})
    with broker.connect() as connection:
        topic = describe(connection, "quiet", auto_create=False)["quiet"]
        assert error_name(topic.ErrorCode) == "UNKNOWN_TOPIC_OR_PARTITION"
        topic = describe(connection, "b a d", auto_create=True)["b a d"]
        assert error_name(topic.ErrorCode) == "INVALID_TOPIC_EXCEPTION"
        topic = describe(connection, "made", auto_create=True)["made"]
        assert error_name(topic.ErrorCode) in (
            "NONE", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PARTITION")
        wait_until(lambda: describe(connection, "made")["made"].ErrorCode == 0, "the topic")
        assert len(describe(connection, "made")["made"].Partitions) == 3
    broker = make_broker({"auto.create.topics.enable": "false"})
    with broker.connect() as connection:
        topic = describe(connection, "quiet", auto_create=True)["quiet"]
        assert error_name(topic.ErrorCode) == "UNKNOWN_TOPIC_OR_PARTITION"
        assert describe(connection) == {}


def test_the_offsets_topic_appears_when_it_is_needed(connection):
    answer = connection.call("FindCoordinator", 1, Key="group", KeyType=0)
    assert error_name(answer.ErrorCode) in ("NONE", "COORDINATOR_NOT_AVAILABLE")
    wait_until(lambda: connection.call("FindCoordinator", 1, Key="group", KeyType=0).ErrorCode == 0,
               "the coordinator")
    topic = describe(connection)["__consumer_offsets"]
    assert topic.IsInternal and len(topic.Partitions) == 50
    found = configs(connection, RESOURCE_TOPIC, "__consumer_offsets", "cleanup.policy")
    assert found["cleanup.policy"].Value == "compact"
    row = wire.produce(connection, "__consumer_offsets", 0, wire.batch([(b"k", b"v")]))
    assert error_name(row.ErrorCode) == "INVALID_TOPIC_EXCEPTION"


# ---- describing and changing settings ---------------------------------------------------------------

def test_describe_and_alter_a_topics_configs(connection):
    create(connection, Configs=[{"Name": "segment.bytes", "Value": "1048576"}])
    found = configs(connection, RESOURCE_TOPIC, "t")
    assert found["segment.bytes"].Value == "1048576"
    assert found["segment.bytes"].ConfigSource == 1  # DYNAMIC_TOPIC_CONFIG
    assert found["retention.ms"].Value == "604800000"
    assert found["retention.ms"].ConfigSource == 5  # DEFAULT_CONFIG
    assert {"cleanup.policy", "compression.type", "max.message.bytes", "min.insync.replicas",
            "message.timestamp.type", "flush.messages", "index.interval.bytes"} <= set(found)
    only = configs(connection, RESOURCE_TOPIC, "t", "retention.ms", "no.such.key")
    assert list(only) == ["retention.ms"]
    assert alter(connection, RESOURCE_TOPIC, "t", (SET, "retention.ms", "5000")) == "NONE"
    assert configs(connection, RESOURCE_TOPIC, "t")["retention.ms"].Value == "5000"
    assert configs(connection, RESOURCE_TOPIC, "t")["segment.bytes"].Value == "1048576"
    assert alter(connection, RESOURCE_TOPIC, "t", (DELETE, "retention.ms", None)) == "NONE"
    assert configs(connection, RESOURCE_TOPIC, "t")["retention.ms"].Value == "604800000"
    assert alter(connection, RESOURCE_TOPIC, "t", (APPEND, "cleanup.policy", "compact")) == "NONE"
    policy = configs(connection, RESOURCE_TOPIC, "t")["cleanup.policy"].Value
    assert sorted(policy.split(",")) == ["compact", "delete"]
    assert alter(connection, RESOURCE_TOPIC, "t", (SUBTRACT, "cleanup.policy", "delete")) == "NONE"
    assert configs(connection, RESOURCE_TOPIC, "t")["cleanup.policy"].Value == "compact"


@pytest.mark.parametrize("resource, name, change, error", [
    (RESOURCE_TOPIC, "nowhere", (SET, "retention.ms", "1"), "UNKNOWN_TOPIC_OR_PARTITION"),
    (RESOURCE_TOPIC, "t", (SET, "retention.ms", "soon"), "INVALID_CONFIG"),
    (RESOURCE_TOPIC, "t", (SET, "no.such.key", "1"), "INVALID_CONFIG"),
    (RESOURCE_TOPIC, "t", (APPEND, "retention.ms", "1"), "INVALID_CONFIG"),
    (RESOURCE_TOPIC, "t", (9, "retention.ms", "1"), "INVALID_REQUEST"),
    (99, "t", (SET, "retention.ms", "1"), "INVALID_REQUEST"),
])
def test_changes_that_are_refused(connection, resource, name, change, error):
    create(connection)
    assert alter(connection, resource, name, change) == error
    assert configs(connection, RESOURCE_TOPIC, "t")["retention.ms"].Value == "604800000"


def test_validate_only_changes_nothing(connection):
    create(connection)
    change = (SET, "retention.ms", "5000")
    assert alter(connection, RESOURCE_TOPIC, "t", change, validate_only=True) == "NONE"
    assert configs(connection, RESOURCE_TOPIC, "t")["retention.ms"].Value == "604800000"


def test_alter_configs_replaces_everything(connection):
    """Goal: the older AlterConfigs takes away what it does not name."""
    create(connection, Configs=[{"Name": "segment.bytes", "Value": "1048576"}])
    answer = connection.call("AlterConfigs", 1, Resources=[
        {"ResourceType": RESOURCE_TOPIC, "ResourceName": "t", "Configs": [
            {"Name": "retention.ms", "Value": "7000"}]}])
    assert error_name(answer.Responses[0].ErrorCode) == "NONE"
    found = configs(connection, RESOURCE_TOPIC, "t")
    assert (found["retention.ms"].Value, found["segment.bytes"].Value) == ("7000", "1073741824")


def test_broker_configs(connection):
    """Goal: a broker's settings are told, with where they come from; those that can be changed while
    it runs are changed, for this broker or for all; those that cannot are refused."""
    found = configs(connection, RESOURCE_BROKER, "0", version=4, IncludeSynonyms=True)
    assert found["log.dirs"].ReadOnly and found["log.dirs"].ConfigSource == 4  # STATIC
    assert found["message.max.bytes"].Value == "1048588" and not found["message.max.bytes"].ReadOnly
    assert alter(connection, RESOURCE_BROKER, "0", (SET, "log.retention.ms", "111000")) == "NONE"
    assert alter(connection, RESOURCE_BROKER, "", (SET, "message.max.bytes", "2000000")) == "NONE"
    found = configs(connection, RESOURCE_BROKER, "0", IncludeSynonyms=True)
    assert (found["log.retention.ms"].Value, found["log.retention.ms"].ConfigSource) == ("111000", 2)
    assert (found["message.max.bytes"].Value, found["message.max.bytes"].ConfigSource) == (
        "2000000", 3)
    create(connection)
    topic = configs(connection, RESOURCE_TOPIC, "t")
    assert (topic["retention.ms"].Value, topic["max.message.bytes"].Value) == ("111000", "2000000")
    assert alter(connection, RESOURCE_BROKER, "0", (SET, "log.dirs", "/tmp")) in (
        "INVALID_REQUEST", "INVALID_CONFIG")
    assert alter(connection, RESOURCE_BROKER, "7", (SET, "log.retention.ms", "1")) != "NONE"


# ---- real administrators ----------------------------------------------------------------------------

def test_confluents_administrator(broker):
    from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    made = admin.create_topics([NewTopic("one", 3, 1, config={"retention.ms": "1000"}),
                                NewTopic("two", 1, 1)])
    for future in made.values():
        future.result(20)
    topics = admin.list_topics(timeout=20).topics
    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 3, "two": 1}
    resource = ConfigResource("topic", "one")
    found = admin.describe_configs([resource])[resource].result(20)
    assert found["retention.ms"].value == "1000"
    admin.create_partitions([NewPartitions("two", 4)])["two"].result(20)
    change = ConfigResource("topic", "one", set_config={"retention.ms": "2000"})
    admin.alter_configs([change])[change].result(20)
    assert admin.describe_configs([resource])[resource].result(20)["retention.ms"].value == "2000"
    admin.delete_topics(["one"])["one"].result(20)
    topics = admin.list_topics(timeout=20).topics
    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"two": 4}


def test_kafka_pythons_administrator(broker):
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics([NewTopic("one", 3, 1, topic_configs={"retention.ms": "1000"})])
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic("one", 3, 1)])
    assert admin.list_topics() == ["one"]
    assert len(admin.describe_topics(["one"])[0]["partitions"]) == 3
    resource = ConfigResource(ConfigResourceType.TOPIC, "one", {"retention.ms": None})
    answer = admin.describe_configs([resource])[0]
    assert [row[:2] for row in answer.resources[0][4]] == [("retention.ms", "1000")]
    admin.create_partitions({"one": NewPartitions(5)})
    assert len(admin.describe_topics(["one"])[0]["partitions"]) == 5
    admin.delete_topics(["one"])
    assert admin.list_topics() == []
    assert admin.describe_cluster()["brokers"][0]["node_id"] == 0
    admin.close()


# ---- restarts --------------------------------------------------------------------------------------

@pytest.mark.parametrize("kill", [False, True])
def test_metadata_survives(broker, kill):
    """Goal: topics with their ids, partitions, settings and the cluster's id are there after a stop
    and after a kill -9; what was deleted stays so."""
    with broker.connect() as connection:
        create(connection, "kept", NumPartitions=3,
               Configs=[{"Name": "retention.ms", "Value": "77000"}])
        create(connection, "gone")
        delete(connection, "gone")
        alter(connection, RESOURCE_TOPIC, "kept", (SET, "segment.bytes", "2000000"))
        alter(connection, RESOURCE_BROKER, "", (SET, "message.max.bytes", "2000001"))
        wire.produce(connection, "kept", 2, wire.batch([b"a", b"b"]))
        before = describe(connection, version=10)["kept"]
        cluster = connection.call("DescribeCluster", 0).ClusterId
    broker.restart(kill=kill)
    with broker.connect() as connection:
        assert set(describe(connection)) == {"kept"}
        after = describe(connection, version=10)["kept"]
        assert (after.TopicId, len(after.Partitions)) == (before.TopicId, 3)
        found = configs(connection, RESOURCE_TOPIC, "kept")
        assert (found["retention.ms"].Value, found["segment.bytes"].Value) == ("77000", "2000000")
        assert found["max.message.bytes"].Value == "2000001"
        assert connection.call("DescribeCluster", 0).ClusterId == cluster
        assert [row.value for row in wire.fetch_all(connection, "kept", 2)] == [b"a", b"b"]
        assert create(connection, "more").ErrorCode == 0
