"""Groups of consumers: real clients that share partitions, die and join; the rules of the protocol, by
raw requests; offsets and groups over restarts.
"""

import collections
import threading
import time

import confluent_kafka
import pytest

import harness
import wire
from harness import Program, run, wait_until
from wire import error_name

PARTITIONS = 12
SHORT_SESSIONS = {"group.min.session.timeout.ms": "1000"}


# ---- members that come and go -----------------------------------------------------------------------

class Member:
    """A group_member.py, and what it has told so far."""

    def __init__(self, broker, strategy, group="g"):
        self.program = Program(harness.PYTHON, f"{harness.CLIENTS}/group_member.py", broker.bootstrap,
                               "t", group, strategy)
        self.owned = set()
        self.records = []      # (partition, offset, value)
        self.uncommitted = collections.defaultdict(set)  # partition -> offsets since the last commit
        self.given_up = set()  # (partition, offset): given up without a commit, may come again

    def read(self):
        for line in self.program.drain():
            word, *rest = line.split()
            if word == "record":
                self.records.append((int(rest[0]), int(rest[1]), rest[2]))
                self.uncommitted[int(rest[0])].add(int(rest[1]))
            elif word == "committed":
                partition, end = int(rest[0]), int(rest[1])
                self.uncommitted[partition] -= set(range(end))
            elif word == "assigned":
                self.owned |= {int(partition) for partition in rest}
            else:
                self.give_up([int(partition) for partition in rest])

    def give_up(self, partitions):
        for partition in partitions:
            self.owned.discard(partition)
            self.given_up |= {(partition, offset) for offset in self.uncommitted.pop(partition, ())}


class Source:
    """Produces numbered records to all partitions until it is told to stop."""

    def __init__(self, broker):
        self.counts = [0] * PARTITIONS
        self.stopping = threading.Event()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap,
                                                  "linger.ms": 1})
        self.thread = threading.Thread(target=self.produce)
        self.thread.start()

    def produce(self):
        while not self.stopping.wait(0.01):
            for partition in range(PARTITIONS):
                self.producer.produce("t", b"%d" % self.counts[partition], partition=partition)
                self.counts[partition] += 1
            self.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(30) == 0


def is_shared(members):
    """Whether the members own all partitions, each one once, and evenly."""
    for member in members:
        member.read()
    owned = [partition for member in members for partition in member.owned]
    return sorted(owned) == list(range(PARTITIONS)) and \
        {len(member.owned) for member in members} == {PARTITIONS // len(members)}


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_die_and_join(make_broker, strategy):
    """Goal: three members share twelve partitions; one is killed, another joins; no record is lost, and
    none comes twice but those that their reader had not committed when it lost the partition.
    Method: records are produced all the while, and members print what they get and commit; those that
    live commit before they give a partition up."""
    broker = make_broker(SHORT_SESSIONS)
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", PARTITIONS).ErrorCode == 0
    members = [Member(broker, strategy) for _ in range(3)]
    source = Source(broker)
    try:
        wait_until(lambda: is_shared(members), "three members to share the partitions")
        wait_until(lambda: members[1].read() or len(members[1].records) > 100, "records")
        victim = members.pop(1)
        victim.program.kill()
        wait_until(lambda: is_shared(members), "two members to take over")
        members.append(Member(broker, strategy))
        wait_until(lambda: is_shared(members), "the new member to get its share")
        wait_until(lambda: members[2].read() or len(members[2].records) > 50, "its records")
    finally:
        source.stop()

    def is_all_read():
        for member in members:
            member.read()
        ends = collections.defaultdict(int)
        for member in members + [victim]:
            for partition, offset, _ in member.records:
                ends[partition] = max(ends[partition], offset + 1)
        return all(ends[partition] == source.counts[partition] for partition in range(PARTITIONS))

    wait_until(is_all_read, "the last records")
    for member in members:
        member.program.process.terminate()
        member.program.wait()
        member.read()
    victim.program.wait(status=-9)
    victim.read()
    victim.give_up(range(PARTITIONS))
    check_deliveries(source.counts, members, victim)


def check_deliveries(counts, members, victim):
    seen = collections.Counter()
    for member in members + [victim]:
        for partition, offset, value in member.records:
            assert int(value) == offset
            seen[partition, offset] += 1
    assert sorted(seen) == [(partition, offset) for partition in range(PARTITIONS)
                            for offset in range(counts[partition])]
    twice = {place for place, times in seen.items() if times > 1}
    allowed = set().union(victim.given_up, *(member.given_up for member in members))
    assert twice <= allowed, f"delivered twice: {sorted(twice - allowed)}"


def test_two_groups_each_get_everything(broker):
    """Goal: groups know nothing of each other."""
    lines = b"".join(b"record %d\n" % i for i in range(1000))
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", PARTITIONS).ErrorCode == 0
    run("kcat", "-P", "-b", broker.bootstrap, "-t", "t", input=lines)
    readers = [Program("kcat", "-b", broker.bootstrap, "-u", "-c", "1000",
                       "-X", "auto.offset.reset=earliest", "-G", group, "t")
               for group in ("one", "two")]
    for reader in readers:
        reader.wait()
        assert sorted(reader.lines) == sorted(lines.decode().splitlines())


def test_members_of_different_clients_share(make_broker, quick_start):
    """Goal: librdkafka, kafka-python and sarama agree on who reads what: one group, the range strategy,
    100 keyed records over three partitions, each of which comes to one of them.
    Method: librdkafka comes first, and leads. Debian's sarama cannot: it refuses to read the newer
    subscriptions of the others ("invalid length"), and ends."""
    broker = make_broker(SHORT_SESSIONS)
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", 3).ErrorCode == 0
    readers = []
    try:
        with broker.connect() as connection:
            def are_all_in():
                answer = connection.call("DescribeGroups", 3, Groups=["srk"]).Groups[0]
                return answer.GroupState == "Stable" and len(answer.Members) == len(readers)

            for client in ("librdkafka", "kafka-python", "sarama"):
                readers.append(Program(*quick_start(client), "consume", broker.bootstrap, "t", 100))
                wait_until(are_all_in, f"{client} to be a member")
        run(*quick_start("confluent-kafka"), "produce", broker.bootstrap, "t")
        found = []

        def are_all_there():
            for reader in readers:
                found.extend(reader.drain())
            return len(found) >= 100

        wait_until(are_all_there, "all records")
        values = sorted(int(line.rsplit(" ", 1)[1]) for line in found)
        assert values == list(range(100))
        assert all(reader.lines for reader in readers)
    finally:
        for reader in readers:
            reader.kill()


class StaticConsumer:
    """A librdkafka consumer with an instance id; what it was told of its partitions, in order."""

    def __init__(self, broker, instance):
        self.events = []
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": broker.bootstrap, "group.id": "g", "group.instance.id": instance,
            "session.timeout.ms": 30000, "heartbeat.interval.ms": 100,
            "partition.assignment.strategy": "range", "auto.offset.reset": "earliest"})
        self.consumer.subscribe(["t"], on_assign=self.tell("assigned"), on_revoke=self.tell("revoked"))

    def tell(self, word):
        return lambda _, partitions: self.events.append(
            (word, sorted(row.partition for row in partitions)))

    def owned(self):
        self.consumer.poll(0.05)
        return {row.partition for row in self.consumer.assignment()}


def test_a_static_member_comes_back_without_a_rebalance(broker):
    """Goal: KIP-345 with a real client: the process of an instance id ends and another begins; it gets
    the partitions of the one before, and the others do not notice. An administrator can remove it."""
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", 4).ErrorCode == 0
        consumers = [StaticConsumer(broker, name) for name in ("one", "two")]
        wait_until(lambda: all([len(each.owned()) == 2 for each in consumers]), "both to share")
        before, events = consumers[0].owned(), list(consumers[1].events)
        consumers[0].consumer.close()
        consumers[0] = StaticConsumer(broker, "one")
        wait_until(lambda: consumers[0].owned() == before, "its partitions")
        for _ in range(10):  # heartbeats that would tell of a rebalance
            consumers[1].owned()
        assert consumers[1].events == events
        answer = connection.call("DescribeGroups", 4, Groups=["g"]).Groups[0]
        assert answer.GroupState == "Stable"
        assert sorted(row.GroupInstanceId for row in answer.Members) == ["one", "two"]
        consumers[0].consumer.close()
        answer = connection.call("LeaveGroup", 3, GroupId="g", Members=[
            {"MemberId": "", "GroupInstanceId": "one"},
            {"MemberId": "", "GroupInstanceId": "three"}])
        assert [error_name(row.ErrorCode) for row in answer.Members] == ["NONE", "UNKNOWN_MEMBER_ID"]
        wait_until(lambda: consumers[1].owned() == {0, 1, 2, 3}, "the other to take over")
        consumers[1].consumer.close()


# ---- the rules -----------------------------------------------------------------------------------------

class RawMember:
    """A member by hand, on a connection of its own."""

    def __init__(self, broker, group="g", instance=None, session_ms=10000, protocols=("range",)):
        self.connection = broker.connect()
        self.group, self.instance, self.session_ms = group, instance, session_ms
        self.protocols = protocols
        self.id, self.generation = "", -1
        wait_until(lambda: self.connection.call(
            "FindCoordinator", 1, Key=group, KeyType=0).ErrorCode == 0, "the coordinator")

    def send_join(self, version=5, **more):
        self.connection.send("JoinGroup", version, **{
            "GroupId": self.group, "SessionTimeoutMs": self.session_ms, "RebalanceTimeoutMs": 5000,
            "MemberId": self.id, "GroupInstanceId": self.instance, "ProtocolType": "consumer",
            "Protocols": [{"Name": name, "Metadata": b"meta " + name.encode()}
                          for name in self.protocols], **more})

    def receive_join(self):
        answer = self.connection.receive()
        if answer.ErrorCode == 0:
            self.id, self.generation = answer.MemberId, answer.GenerationId
        return answer

    def join(self, **more):
        """Joins, with the second round that a member without an id has to make (KIP-394)."""
        for _ in range(50):
            self.send_join(**more)
            answer = self.receive_join()
            error = error_name(answer.ErrorCode)
            if error == "MEMBER_ID_REQUIRED":
                self.id = answer.MemberId
            elif error not in ("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR",
                               "COORDINATOR_LOAD_IN_PROGRESS"):
                return answer
        raise AssertionError("the group's coordinator does not come")

    def sync(self, assignments=(), **more):
        return self.connection.call("SyncGroup", 3, **{
            "GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id,
            "GroupInstanceId": self.instance,
            "Assignments": [{"MemberId": member, "Assignment": data}
                            for member, data in assignments], **more})

    def heartbeat(self, **more):
        return error_name(self.connection.call("Heartbeat", 3, **{
            "GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id,
            "GroupInstanceId": self.instance, **more}).ErrorCode)

    def leave(self):
        return error_name(self.connection.call("LeaveGroup", 1, GroupId=self.group,
                                               MemberId=self.id).ErrorCode)

    def commit(self, offset, topic="t", partition=0, metadata="", **more):
        answer = self.connection.call("OffsetCommit", 7, **{
            "GroupId": self.group, "GenerationIdOrMemberEpoch": self.generation, "MemberId": self.id,
            "GroupInstanceId": self.instance, "Topics": [{"Name": topic, "Partitions": [{
                "PartitionIndex": partition, "CommittedOffset": offset,
                "CommittedMetadata": metadata}]}], **more})
        return error_name(answer.Topics[0].Partitions[0].ErrorCode)


def enter(member):
    """Joins alone, as leader, and takes an assignment."""
    answer = member.join()
    assert error_name(answer.ErrorCode) == "NONE" and answer.Leader == member.id
    assert member.sync([(member.id, b"mine")]).Assignment == b"mine"


def fetch_offsets(connection, group="g", topics=None, version=7):
    answer = connection.call("OffsetFetch", version, GroupId=group, Topics=topics)
    assert error_name(answer.ErrorCode) == "NONE"
    return {(topic.Name, row.PartitionIndex): (row.CommittedOffset, row.Metadata)
            for topic in answer.Topics for row in topic.Partitions}


def group_state(connection, group="g"):
    answer = connection.call("DescribeGroups", 3, Groups=[group]).Groups[0]
    return answer.GroupState


@pytest.fixture
def topic(connection):
    assert wire.create_topic(connection, "t", 2).ErrorCode == 0


def test_a_group_of_two(broker, topic):
    """Goal: the leader learns both members' subscriptions, each gets what the leader gave it."""
    one, two = RawMember(broker), RawMember(broker)
    enter(one)
    assert one.heartbeat() == "NONE"
    two.send_join()
    answer = two.receive_join()
    assert error_name(answer.ErrorCode) == "MEMBER_ID_REQUIRED" and answer.MemberId
    two.id = answer.MemberId
    two.send_join()
    wait_until(lambda: one.heartbeat() == "REBALANCE_IN_PROGRESS", "the rebalance")
    answer = one.join()
    assert answer.GenerationId == 2 and answer.Leader == one.id and answer.ProtocolName == "range"
    assert {row.MemberId: row.Metadata for row in answer.Members} == {
        one.id: b"meta range", two.id: b"meta range"}
    answer = two.receive_join()
    assert answer.GenerationId == 2 and answer.Members == [] and answer.Leader == one.id
    two.connection.send("SyncGroup", 3, GroupId="g", GenerationId=2, MemberId=two.id,
                        GroupInstanceId=None)
    assert one.sync([(one.id, b"left"), (two.id, b"right")]).Assignment == b"left"
    assert two.connection.receive().Assignment == b"right"
    assert two.leave() == "NONE"
    wait_until(lambda: one.heartbeat() == "REBALANCE_IN_PROGRESS", "the rebalance")


def test_generations_and_members_are_checked(broker, topic):
    member = RawMember(broker)
    enter(member)
    assert member.heartbeat(GenerationId=9) == "ILLEGAL_GENERATION"
    assert member.heartbeat(MemberId="stranger") == "UNKNOWN_MEMBER_ID"
    assert member.heartbeat(GroupId="") == "INVALID_GROUP_ID"
    assert member.commit(5) == "NONE"
    assert member.commit(6, GenerationIdOrMemberEpoch=0) == "ILLEGAL_GENERATION"
    assert member.commit(7, MemberId="stranger") == "UNKNOWN_MEMBER_ID"
    assert member.commit(8, GenerationIdOrMemberEpoch=-1, MemberId="") == "UNKNOWN_MEMBER_ID"
    with broker.connect() as connection:
        assert fetch_offsets(connection) == {("t", 0): (5, "")}
    assert error_name(member.sync(GenerationId=9).ErrorCode) == "ILLEGAL_GENERATION"
    stranger = RawMember(broker, session_ms=10)
    stranger.send_join()
    assert error_name(stranger.receive_join().ErrorCode) == "INVALID_SESSION_TIMEOUT"
    stranger = RawMember(broker, protocols=("other",))
    assert error_name(stranger.join().ErrorCode) == "INCONSISTENT_GROUP_PROTOCOL"
    stranger = RawMember(broker)
    stranger.id = "made up"
    assert error_name(stranger.join().ErrorCode) == "UNKNOWN_MEMBER_ID"
    assert member.leave() == "NONE"
    assert member.heartbeat() == "UNKNOWN_MEMBER_ID"


def test_a_silent_member_is_dropped(make_broker):
    """Goal: session.timeout.ms after its last heartbeat, and its partitions go to the others."""
    broker = make_broker(SHORT_SESSIONS)
    member = RawMember(broker, session_ms=1000)
    enter(member)
    start = time.monotonic()
    with broker.connect() as connection:
        assert group_state(connection) == "Stable"
        wait_until(lambda: group_state(connection) == "Empty", "the session's end")
    assert time.monotonic() - start > 0.8
    assert member.heartbeat() == "UNKNOWN_MEMBER_ID"


def test_static_members(broker, topic):
    """Goal: KIP-345: a member with an instance id that comes back takes its place without a rebalance,
    and the process that had it before is fenced."""
    leader = RawMember(broker, instance="one")
    enter(leader)
    again = RawMember(broker, instance="one")
    answer = again.join()
    assert error_name(answer.ErrorCode) == "NONE"
    assert again.id != leader.id and answer.GenerationId == leader.generation
    assert again.sync().Assignment == b"mine"
    assert again.heartbeat() == "NONE"
    assert leader.heartbeat() == "FENCED_INSTANCE_ID"
    assert leader.commit(1) == "FENCED_INSTANCE_ID"


def test_offsets(broker, connection, topic):
    """Goal: offsets with metadata, of topics that exist, per partition; unknown ones are -1; who is in
    no group commits too."""
    member = RawMember(broker)
    enter(member)
    assert member.commit(7, metadata="note") == "NONE"
    assert member.commit(8, partition=1) == "NONE"
    assert member.commit(9, topic="nowhere") == "UNKNOWN_TOPIC_OR_PARTITION"
    assert member.commit(9, metadata="x" * 5000) == "OFFSET_METADATA_TOO_LARGE"
    assert fetch_offsets(connection) == {("t", 0): (7, "note"), ("t", 1): (8, "")}
    asked = [{"Name": "t", "PartitionIndexes": [0, 5]}]
    assert fetch_offsets(connection, topics=asked) == {("t", 0): (7, "note"), ("t", 5): (-1, "")}
    assert fetch_offsets(connection, "other", asked) == {("t", 0): (-1, ""), ("t", 5): (-1, "")}
    simple = RawMember(broker, group="simple")
    assert simple.commit(3) == "NONE"
    answer = connection.call("OffsetFetch", 8, Groups=[
        {"GroupId": "g", "Topics": None}, {"GroupId": "simple", "Topics": None}])
    assert {group.GroupId: len(group.Topics[0].Partitions) for group in answer.Groups} == {
        "g": 2, "simple": 1}


def test_groups_are_listed_described_and_deleted(broker, connection, topic):
    member = RawMember(broker)
    enter(member)
    member.commit(7)
    RawMember(broker, group="simple").commit(1)

    def listed(**states):
        answer = connection.call("ListGroups", 4, **states)
        assert answer.ErrorCode == 0
        return {group.GroupId: group.GroupState for group in answer.Groups}

    assert listed() == {"g": "Stable", "simple": "Empty"}
    assert listed(StatesFilter=["Stable"]) == {"g": "Stable"}
    answer = connection.call("DescribeGroups", 4, Groups=["g", "none"])
    group = answer.Groups[0]
    assert (group.GroupState, group.ProtocolType, group.ProtocolData) == (
        "Stable", "consumer", "range")
    assert [(row.MemberId, row.ClientId, row.ClientHost, row.MemberAssignment)
            for row in group.Members] == [(member.id, "wire", "/127.0.0.1", b"mine")]
    assert (answer.Groups[1].GroupState, answer.Groups[1].ErrorCode) == ("Dead", 0)

    def remove(*groups):
        answer = connection.call("DeleteGroups", 1, GroupsNames=list(groups))
        return {row.GroupId: error_name(row.ErrorCode) for row in answer.Results}

    assert remove("g", "none") == {"g": "NON_EMPTY_GROUP", "none": "GROUP_ID_NOT_FOUND"}
    answer = connection.call("OffsetDelete", 0, GroupId="simple", Topics=[
        {"Name": "t", "Partitions": [{"PartitionIndex": 0}]}])
    assert answer.ErrorCode == 0 and answer.Topics[0].Partitions[0].ErrorCode == 0
    assert fetch_offsets(connection, "simple") == {}
    member.leave()
    assert remove("g") == {"g": "NONE"}
    assert "g" not in listed()
    assert fetch_offsets(connection) == {}


def test_a_deleted_topics_offsets_go(connection, broker, topic):
    RawMember(broker, group="simple").commit(5)
    assert fetch_offsets(connection, "simple") == {("t", 0): (5, "")}
    answer = connection.call("DeleteTopics", 5, TimeoutMs=5000, TopicNames=["t"])
    assert answer.Responses[0].ErrorCode == 0
    wait_until(lambda: fetch_offsets(connection, "simple") == {}, "the offsets to go")


@pytest.mark.parametrize("kill", [False, True])
def test_groups_survive_restarts(broker, kill):
    """Goal: committed offsets, the generation and the members are there after a restart: a member that
    comes back with a heartbeat goes on as if nothing had been."""
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t", 2).ErrorCode == 0
    member = RawMember(broker, session_ms=30000)
    enter(member)
    assert member.commit(7, metadata="note") == "NONE"
    for i in range(200):
        assert member.commit(i, partition=1) == "NONE"
    broker.restart(kill=kill)
    member.connection = broker.connect()
    wait_until(lambda: member.heartbeat() not in ("COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"),
               "the coordinator")
    assert member.heartbeat() == "NONE"
    with broker.connect() as connection:
        assert fetch_offsets(connection) == {("t", 0): (7, "note"), ("t", 1): (199, "")}
        assert group_state(connection) == "Stable"
    assert member.commit(8) == "NONE"
    assert member.sync().Assignment == b"mine"


# ---- every version ---------------------------------------------------------------------------------------

def committed(connection, version, group, ids):
    """OffsetFetch of t-0 and t-5 and of everything: offset, epoch and metadata of t-0."""
    topic = {"TopicId": ids} if version >= 10 else {"Name": "t"}
    found = []
    for topics in ([{**topic, "PartitionIndexes": [0, 5]}], None):
        if topics is None and version < 2:
            continue  # version 1 cannot ask for everything
        values = {"Groups": [{"GroupId": group, "Topics": topics}]} if version >= 8 else {
            "GroupId": group, "Topics": topics}
        answer = connection.call("OffsetFetch", version, **values)
        assert answer.ErrorCode == 0
        answer = answer.Groups[0] if version >= 8 else answer
        assert answer.ErrorCode == 0 and len(answer.Topics) == 1
        assert answer.Topics[0].TopicId == ids if version >= 10 else answer.Topics[0].Name == "t"
        rows = {row.PartitionIndex: row for row in answer.Topics[0].Partitions}
        if topics is not None:
            missing = rows.pop(5)
            assert (missing.CommittedOffset, missing.Metadata, missing.ErrorCode) == (-1, "", 0)
        found.append([(row.CommittedOffset, row.CommittedLeaderEpoch, row.Metadata)
                      for row in rows.values()])
    assert all(rows == found[0] for rows in found)
    return found[0]


def test_a_groups_life_in_every_version(broker, connection, topic):
    """Goal: each version of each API that a member or a tool uses does its work, not only answers:
    joins, gets its assignment, commits and reads it back, heartbeats, leaves.
    Method: as many rounds as the longest API has versions; an API that has fewer stays at its last."""
    ids = connection.call("Metadata", 12, Topics=[{"Name": "t"}]).Topics[0].TopicId
    last = {name: wire.APIS[name].accepted.high for name in (
        "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch",
        "DescribeGroups", "ListGroups", "DeleteGroups", "FindCoordinator")}
    for round_ in range(11):
        at = {name: min(round_, high) for name, high in last.items()}
        at["OffsetCommit"], at["OffsetFetch"] = max(at["OffsetCommit"], 1), max(at["OffsetFetch"], 1)
        group = f"g{round_}"
        asked = {"CoordinatorKeys": [group]} if at["FindCoordinator"] >= 4 else {"Key": group}
        answer = connection.call("FindCoordinator", at["FindCoordinator"], **asked)
        answer = answer.Coordinators[0] if at["FindCoordinator"] >= 4 else answer
        assert (answer.ErrorCode, answer.NodeId, answer.Host) == (0, 0, "127.0.0.1")

        member = RawMember(broker, group)
        join = {name: value for name, value in (
            ("GroupId", group), ("SessionTimeoutMs", 10000), ("ProtocolType", "consumer"),
            ("Protocols", [{"Name": "range", "Metadata": b"meta"}])) }
        if at["JoinGroup"] >= 1:
            join["RebalanceTimeoutMs"] = 5000
        answer = member.connection.call("JoinGroup", at["JoinGroup"], MemberId="", **join)
        if at["JoinGroup"] >= 4:
            assert error_name(answer.ErrorCode) == "MEMBER_ID_REQUIRED"
            answer = member.connection.call("JoinGroup", at["JoinGroup"], MemberId=answer.MemberId,
                                            **join)
        assert (answer.ErrorCode, answer.GenerationId, answer.ProtocolName) == (0, 1, "range")
        assert answer.ProtocolType == ("consumer" if at["JoinGroup"] >= 7 else None)
        assert answer.Leader == answer.MemberId
        assert [(row.MemberId, row.Metadata) for row in answer.Members] == [
            (answer.MemberId, b"meta")]
        own = {"GroupId": group, "MemberId": answer.MemberId}

        protocol = {"ProtocolType": "consumer", "ProtocolName": "range"}
        answer = member.connection.call(
            "SyncGroup", at["SyncGroup"], GenerationId=1, **own,
            Assignments=[{"MemberId": own["MemberId"], "Assignment": b"all"}],
            **(protocol if at["SyncGroup"] >= 5 else {}))
        assert (answer.ErrorCode, answer.Assignment) == (0, b"all")
        if at["SyncGroup"] >= 5:
            assert (answer.ProtocolType, answer.ProtocolName) == ("consumer", "range")
        assert member.connection.call("Heartbeat", at["Heartbeat"], GenerationId=1,
                                      **own).ErrorCode == 0

        version = at["OffsetCommit"]
        partition = {"PartitionIndex": 0, "CommittedOffset": 40 + round_, "CommittedMetadata": "m"}
        if version >= 6:
            partition["CommittedLeaderEpoch"] = 0
        name = {"TopicId": ids} if version >= 10 else {"Name": "t"}
        answer = member.connection.call("OffsetCommit", version, GenerationIdOrMemberEpoch=1, **own,
                                        Topics=[{**name, "Partitions": [partition]}])
        assert answer.Topics[0].Partitions[0].ErrorCode == 0
        epoch = 0 if version >= 6 and at["OffsetFetch"] >= 5 else -1
        assert committed(connection, at["OffsetFetch"], group, ids) == [(40 + round_, epoch, "m")]

        answer = connection.call("DescribeGroups", at["DescribeGroups"], Groups=[group]).Groups[0]
        assert (answer.ErrorCode, answer.GroupState, answer.ProtocolData) == (0, "Stable", "range")
        assert [(row.MemberMetadata, row.MemberAssignment) for row in answer.Members] == [
            (b"meta", b"all")]
        answer = connection.call("ListGroups", at["ListGroups"])
        row = [row for row in answer.Groups if row.GroupId == group][0]
        assert row.ProtocolType == "consumer"
        assert row.GroupState == ("Stable" if at["ListGroups"] >= 4 else "")
        assert row.GroupType == ("classic" if at["ListGroups"] >= 5 else "")

        if at["LeaveGroup"] >= 3:
            answer = member.connection.call("LeaveGroup", at["LeaveGroup"], GroupId=group, Members=[
                {"MemberId": own["MemberId"], "GroupInstanceId": None}, {"MemberId": "stranger"}])
            assert [error_name(row.ErrorCode) for row in answer.Members] == [
                "NONE", "UNKNOWN_MEMBER_ID"]
        else:
            answer = member.connection.call("LeaveGroup", at["LeaveGroup"], **own)
        assert answer.ErrorCode == 0
        answer = connection.call("DeleteGroups", at["DeleteGroups"], GroupsNames=[group])
        assert [(row.GroupId, row.ErrorCode) for row in answer.Results] == [(group, 0)]
        answer = connection.call("DescribeGroups", at["DescribeGroups"], Groups=[group]).Groups[0]
        assert (answer.GroupState, error_name(answer.ErrorCode)) == (
            "Dead", "GROUP_ID_NOT_FOUND" if at["DescribeGroups"] >= 6 else "NONE")


def test_topic_ids_of_offsets(broker, connection, topic):
    """Goal: version 10 goes by topic id; one that is not known has its own error, beside others that
    are served."""
    ids = connection.call("Metadata", 12, Topics=[{"Name": "t"}]).Topics[0].TopicId
    stranger = b"0123456789abcdef"
    assert RawMember(broker, group="simple").commit(4) == "NONE"
    answer = connection.call("OffsetCommit", 10, GroupId="simple", Topics=[
        {"TopicId": id_, "Partitions": [{"PartitionIndex": index, "CommittedOffset": 5}]}
        for id_, index in ((stranger, 0), (ids, 0), (ids, 9))])
    assert [(row.TopicId, error_name(row.Partitions[0].ErrorCode)) for row in answer.Topics] == [
        (stranger, "UNKNOWN_TOPIC_ID"), (ids, "NONE"), (ids, "UNKNOWN_TOPIC_OR_PARTITION")]
    answer = connection.call("OffsetFetch", 10, Groups=[{"GroupId": "simple", "Topics": [
        {"TopicId": id_, "PartitionIndexes": [0]} for id_ in (stranger, ids)]}]).Groups[0]
    assert [(row.TopicId, error_name(row.Partitions[0].ErrorCode),
             row.Partitions[0].CommittedOffset) for row in answer.Topics] == [
        (stranger, "UNKNOWN_TOPIC_ID", -1), (ids, "NONE", 5)]


def test_finding_coordinators(connection):
    """Goal: a group's coordinator is found, also that of the group without a name, in which consumers
    that assign themselves commit; there is none of transactions, and kinds that do not exist are an
    error."""
    kinds = {0: "NONE", 1: "COORDINATOR_NOT_AVAILABLE", 2: "INVALID_REQUEST", 7: "INVALID_REQUEST"}
    for kind, error in kinds.items():
        answer = connection.call("FindCoordinator", 4, KeyType=kind, CoordinatorKeys=["g", "", "h"])
        assert [(row.Key, error_name(row.ErrorCode), row.NodeId) for row in answer.Coordinators] == [
            (key, error, 0 if error == "NONE" else -1) for key in ("g", "", "h")]
        answer = connection.call("FindCoordinator", 3, KeyType=kind, Key="")
        assert error_name(answer.ErrorCode) == error


def test_offsets_that_may_not_be_deleted(broker, connection, topic):
    """Goal: of what does not exist, and of topics that the group reads, offsets are not deleted; the
    rest of the request is done. A group that is not there is an error of the whole."""
    assert wire.create_topic(connection, "u", 1).ErrorCode == 0
    assert wire.create_topic(connection, "v", 1).ErrorCode == 0
    subscription = wire.encode("ConsumerProtocolSubscription", 0, {"Topics": ["t"]})
    member = RawMember(broker)
    join = {"Protocols": [{"Name": "range", "Metadata": b"\0\0" + subscription}]}
    assert member.join(**join).ErrorCode == 0
    member.sync([(member.id, b"mine")])
    for name in ("t", "u", "v"):
        assert member.commit(5, topic=name) == "NONE"

    def delete(group, *wanted):
        answer = connection.call("OffsetDelete", 0, GroupId=group, Topics=[
            {"Name": name, "Partitions": [{"PartitionIndex": index} for index in indexes]}
            for name, indexes in wanted])
        return error_name(answer.ErrorCode), [
            (topic.Name, row.PartitionIndex, error_name(row.ErrorCode))
            for topic in answer.Topics for row in topic.Partitions]

    assert delete("g", ("t", [0, 9]), ("nowhere", [0]), ("u", [-1, 0])) == ("NONE", [
        ("t", 0, "GROUP_SUBSCRIBED_TO_TOPIC"), ("t", 9, "UNKNOWN_TOPIC_OR_PARTITION"),
        ("nowhere", 0, "UNKNOWN_TOPIC_OR_PARTITION"), ("u", -1, "UNKNOWN_TOPIC_OR_PARTITION"),
        ("u", 0, "NONE")])
    assert fetch_offsets(connection) == {("t", 0): (5, ""), ("v", 0): (5, "")}
    assert delete("stranger", ("t", [0, 9])) == ("GROUP_ID_NOT_FOUND", [])
    assert delete("g", ("nowhere", [0])) == (
        "NONE", [("nowhere", 0, "UNKNOWN_TOPIC_OR_PARTITION")])
