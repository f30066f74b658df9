"""What clients learn of the cluster and its topics: Metadata, DescribeCluster,
DescribeTopicPartitions, and ApiVersions from version 5 on.

Method: raw requests, for what no client of today sends too.
"""

import pytest

import wire
from wire import error_name


def create(connection, name, partitions=1):
    row = wire.create_topic(connection, name, partitions)
    assert error_name(row.ErrorCode) == "NONE", row.ErrorMessage


def cluster_id(connection):
    return connection.call("DescribeCluster", 0).ClusterId


# ---- ApiVersions: is this the broker that the client means? (KIP-1242) --------------------------------

def test_a_client_learns_that_it_is_at_another_broker(connection):
    """Goal: who says which cluster and node it means is told to bootstrap anew when this is not the
    one; who does not know, or sends a version that cannot say, is served."""
    own = cluster_id(connection)

    def ask(version=5, **more):
        answer = connection.call("ApiVersions", version, ClientSoftwareName="x",
                                 ClientSoftwareVersion="1", **more)
        return error_name(answer.ErrorCode), len(answer.ApiKeys) > 0

    for more in ({}, {"ClusterId": own}, {"ClusterId": own, "NodeId": 0}, {"NodeId": 7}):
        assert ask(**more) == ("NONE", True)
    for more in ({"ClusterId": own, "NodeId": 1}, {"ClusterId": "another", "NodeId": 0},
                 {"ClusterId": ""}):
        assert ask(**more) == ("REBOOTSTRAP_REQUIRED", False)
    assert ask(4) == ("NONE", True)


# ---- Metadata --------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [10, 11])
def test_topic_ids_are_not_understood_before_version_12(connection, version):
    """Goal: the fields are there from 10 on, but mean something from 12 on: INVALID_REQUEST for all
    topics, and an answer that such a client can read (no null for a name)."""
    create(connection, "t")
    id_ = connection.call("Metadata", 12, Topics=[{"Name": "t"}]).Topics[0].TopicId
    for wanted in ({"Name": None, "TopicId": id_}, {"Name": "t", "TopicId": id_}, {"Name": None}):
        answer = connection.call("Metadata", version, Topics=[{"Name": "t"}, wanted],
                                 AllowAutoTopicCreation=False)
        assert [(topic.Name, error_name(topic.ErrorCode)) for topic in answer.Topics] == [
            ("t", "INVALID_REQUEST"), (wanted["Name"] or "", "INVALID_REQUEST")]
    topic = connection.call("Metadata", version, Topics=[{"Name": "t"}]).Topics[0]
    assert (topic.Name, topic.TopicId, topic.ErrorCode) == ("t", id_, 0)


@pytest.mark.parametrize("version", [0, 4, 9, 12])
def test_a_name_that_stands_twice_is_created_and_told_once(connection, version):
    answer = connection.call("Metadata", version, Topics=[
        {"Name": "new"}, {"Name": "other"}, {"Name": "new"}])
    assert [(topic.Name, error_name(topic.ErrorCode)) for topic in answer.Topics] == [
        ("new", "NONE"), ("other", "NONE")]


def test_topics_are_created_only_for_who_wants_them(make_broker):
    """Goal: versions below 4 cannot say that they do not want it; the broker's setting holds for
    all; names that cannot be are refused, and names that collide are not made."""
    with make_broker().connect() as connection:
        def ask(name, version=9, wants=False):
            answer = connection.call("Metadata", version, Topics=[{"Name": name}],
                                     **({"AllowAutoTopicCreation": wants} if version >= 4 else {}))
            return error_name(answer.Topics[0].ErrorCode), len(answer.Topics[0].Partitions)

        assert ask("a") == ("UNKNOWN_TOPIC_OR_PARTITION", 0)
        assert ask("a", wants=True) == ("NONE", 1)
        assert ask("b", version=3) == ("NONE", 1)
        assert ask("a b", wants=True) == ("INVALID_TOPIC_EXCEPTION", 0)
        assert ask("x.y", wants=True) == ("NONE", 1)
        assert ask("x_y", wants=True) == ("UNKNOWN_TOPIC_OR_PARTITION", 0)
        assert ask("__consumer_offsets", wants=True) == ("NONE", 50)
        answer = connection.call("DescribeConfigs", 4, Resources=[
            {"ResourceType": 2, "ResourceName": "__consumer_offsets",
             "ConfigurationKeys": ["cleanup.policy", "compression.type", "segment.bytes"]}])
        assert {row.Name: row.Value for row in answer.Results[0].Configs} == {
            "cleanup.policy": "compact", "compression.type": "producer",
            "segment.bytes": "104857600"}
    with make_broker({"auto.create.topics.enable": "false"}).connect() as connection:
        topic = connection.call("Metadata", 9, Topics=[{"Name": "a"}]).Topics[0]
        assert error_name(topic.ErrorCode) == "UNKNOWN_TOPIC_OR_PARTITION"


# ---- DescribeCluster (KIP-919) ------------------------------------------------------------------------

def test_endpoint_types(connection):
    """Goal: a broker's listener tells of brokers; who wants controllers, or what does not exist, gets
    an error and nothing else."""
    answer = connection.call("DescribeCluster", 2, EndpointType=1)
    assert (answer.ErrorCode, answer.EndpointType, answer.ControllerId) == (0, 1, 0)
    assert [(node.BrokerId, node.IsFenced) for node in answer.Brokers] == [(0, False)]
    for type_, error in ((2, "MISMATCHED_ENDPOINT_TYPE"), (0, "UNSUPPORTED_ENDPOINT_TYPE"),
                         (3, "UNSUPPORTED_ENDPOINT_TYPE"), (-1, "UNSUPPORTED_ENDPOINT_TYPE")):
        answer = connection.call("DescribeCluster", 1, EndpointType=type_)
        assert error_name(answer.ErrorCode) == error and answer.ErrorMessage
        assert (answer.ClusterId, answer.ControllerId, answer.Brokers) == ("", -1, [])


# ---- DescribeTopicPartitions (KIP-966) ------------------------------------------------------------------

def describe(connection, names=(), limit=2000, cursor=None):
    """[(topic, error, partitions)], and the cursor as (topic, partition)."""
    more = {} if cursor is None else {
        "Cursor": {"TopicName": cursor[0], "PartitionIndex": cursor[1]}}
    answer = connection.call("DescribeTopicPartitions", 0, ResponsePartitionLimit=limit,
                             Topics=[{"Name": name} for name in names], **more)
    rows = [(topic.Name, error_name(topic.ErrorCode), [row.PartitionIndex for row in topic.Partitions])
            for topic in answer.Topics]
    next_ = answer.NextCursor
    return rows, None if next_ is None else (next_.TopicName, next_.PartitionIndex)


def test_pages_of_partitions(connection):
    """Goal: sorted topics, at most `limit` partitions in one answer, the cursor leads on, and all
    pages together are everything once. A page that ends with a topic leads to the next one's first
    partition, without naming that topic."""
    create(connection, "a", 3)
    create(connection, "b", 2)
    create(connection, "c", 4)
    everything = [("a", "NONE", [0, 1, 2]), ("b", "NONE", [0, 1]), ("c", "NONE", [0, 1, 2, 3])]
    for names in ((), ("c", "a", "b", "a")):
        assert describe(connection, names) == (everything, None)
        assert describe(connection, names, 3) == (everything[:1], ("b", 0))
        assert describe(connection, names, 4) == (
            [everything[0], ("b", "NONE", [0])], ("b", 1))
        for limit in range(0, 11):
            found, cursor = [], None
            while True:
                rows, cursor = describe(connection, names, limit, cursor)
                assert sum(len(row[2]) for row in rows) <= max(limit, 1)
                found += [(row[0], index) for row in rows for index in row[2]]
                if cursor is None:
                    break
            assert found == [(row[0], index) for row in everything for index in row[2]]


def test_a_cursor_survives_its_topic(connection):
    """Goal: of all topics, a cursor to one that was deleted leads to what follows it."""
    for name in ("a", "b", "c"):
        create(connection, name, 2)
    rows, cursor = describe(connection, limit=3)
    assert cursor == ("b", 1)
    connection.call("DeleteTopics", 5, TimeoutMs=5000, TopicNames=["b"])
    assert describe(connection, limit=3, cursor=cursor) == ([("c", "NONE", [0, 1])], None)


def test_unknown_topics_and_cursors_that_cannot_be(connection):
    create(connection, "a", 2)
    assert describe(connection, ("a", "b", "c d")) == (
        [("a", "NONE", [0, 1]), ("b", "UNKNOWN_TOPIC_OR_PARTITION", []),
         ("c d", "INVALID_TOPIC_EXCEPTION", [])], None)
    for cursor in (("a", -1), ("z", 0)):
        assert describe(connection, ("a",), cursor=cursor) == ([("a", "INVALID_REQUEST", [])], None)
    assert describe(connection, (), cursor=("a", -1)) == ([], None)
    assert describe(connection, (), cursor=("a", 7)) == ([("a", "NONE", [])], None)
