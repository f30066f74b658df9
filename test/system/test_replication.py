"""Real clusters of three under faults: processes killed and frozen, one by one and all at once, while
clients write and read. What must hold afterwards is in replicated.py.

All tests share a cluster, and each begins and ends with all three nodes in it.
"""

import os
import signal

import pytest

import cluster as clusters
import harness
import replicated
import wire
from harness import wait_until
from replicated import PROPERTIES, KcatLoad, Load, Member, describe, leader_of, wait_led


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with clusters.Cluster(tmp_path_factory.mktemp("replication"), 3, PROPERTIES) as cluster:
        cluster.start()
        cluster.wait_voters(0, 1, 2)
        yield cluster
        for node in cluster.nodes:
            node.check_report()


@pytest.fixture
def cluster(shared):
    for node in shared.nodes:
        if node.process is None:
            node.start()
    shared.wait_brokers(0, 1, 2)
    yield shared


def bring_back(cluster, *nodes):
    for node in nodes:
        node.start()
    cluster.wait_brokers(0, 1, 2)


# ---- one is lost -----------------------------------------------------------------------------------

def test_leader_killed(cluster):
    """Goal: kill -9 of a leader: another goes on, and the old one follows when it is back."""
    load, kcat = Load(cluster, "leader-killed"), KcatLoad(cluster, "leader-killed-kcat")
    for _ in range(2):
        load.wait_progress()
        leader = wait_led(cluster, load.topic)
        leader.kill()
        load.wait_progress()
        bring_back(cluster, leader)
    for each in load, kcat:
        each.finish()
        each.check()


def test_follower_killed(cluster):
    """Goal: a follower that is killed is waited for no longer than its session, and catches up."""
    load = Load(cluster, "follower-killed", partitions=1)
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    follower = next(node for node in cluster.nodes if node is not leader)
    follower.kill()
    load.wait_progress()
    wait_until(lambda: len(describe(leader, load.topic)[0].IsrNodes) == 2, "the ISR to shrink")
    bring_back(cluster, follower)
    load.wait_progress()
    load.finish()
    load.check()


def test_controller_and_etcd_killed(cluster):
    """Goal: the active controller is killed, then an etcd alone: the load goes on, and metadata changes
    soon again."""
    load = Load(cluster, "controller-killed")
    load.wait_progress()
    active = next(node for node in cluster.nodes if node.id == cluster.quorum().LeaderId)
    active.kill()
    load.wait_progress()
    wait_until(lambda: cluster.create_topic("meanwhile").ErrorCode in (0, 36), "a topic")
    bring_back(cluster, active)
    os.kill(cluster.nodes[0].etcd_pid(), signal.SIGKILL)
    load.wait_progress()
    load.finish()
    load.check()


def test_frozen(cluster):
    """Goal: a leader that stands still for longer than its session is replaced; when it goes on, it
    learns that, and nothing that it took in the meantime counts."""
    load = Load(cluster, "frozen")
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    leader.pause()
    others = [node for node in cluster.nodes if node is not leader]
    try:
        wait_until(lambda: leader_of(cluster, load.topic, 0, others[0]) in others, "another leader")
        load.wait_progress()
    finally:
        leader.resume()
    load.wait_progress()
    load.finish()
    load.check()


def test_stopped_in_order(cluster):
    """Goal: SIGTERM under load: others lead before it goes, nobody is refused for long, nothing is
    lost; each in turn."""
    load = Load(cluster, "stopped")
    for node in cluster.nodes:
        load.wait_progress(20)
        node.stop()
        assert all(row.LeaderId != node.id
                   for row in describe(cluster.running()[0], load.topic))
        load.wait_progress(20)
        bring_back(cluster, node)
    load.finish()
    load.check()


# ---- several are lost ------------------------------------------------------------------------------

def test_all_killed(cluster):
    """Goal: all are killed in one moment and come back: each record that was acknowledged is there.

    With min.insync.replicas=1: this librdkafka (before 2.3.0) takes NOT_ENOUGH_REPLICAS after a lost
    connection for a fatal error of an idempotent producer."""
    load = Load(cluster, "all-killed", configs={"min.insync.replicas": "1"})
    load.wait_progress()
    for node in cluster.nodes:
        node.process.kill()
    for node in cluster.nodes:
        node.process.wait()
        node.process = None
    for node in cluster.nodes:
        node.start(wait=False)
    cluster.wait_ready()
    load.wait_progress()
    load.finish()
    load.check()


@pytest.fixture(scope="module")
def apart_shared(tmp_path_factory):
    with clusters.Cluster(tmp_path_factory.mktemp("apart"), 0, PROPERTIES) as cluster:
        controller = start_with_controller_apart(cluster)
        yield cluster
        controller.stop()
        for node in cluster.nodes:
            node.check_report()


@pytest.fixture
def apart(apart_shared):
    """Three brokers whose controller is a process of its own, and outlives them."""
    bring_back(apart_shared, *[node for node in apart_shared.nodes if node.process is None])
    yield apart_shared


def test_two_lost_in_turn(apart):
    """Goal: two of three replicas are lost, one after the other: with min.insync.replicas=2 the last one
    takes no more, and has all that was acknowledged; when another comes, it goes on."""
    load = Load(apart, "lost-in-turn", partitions=1)
    load.wait_progress()
    first = wait_led(apart, load.topic)
    first.kill()
    load.wait_progress()
    load.finish()
    second = wait_led(apart, load.topic)
    second.kill()
    last = apart.running()[0]
    wait_until(lambda: leader_of(apart, load.topic, 0, last) is last, "the last one to lead")
    # It has all, but shows only what it knows to be on two (KIP-966).
    seen = [number for _, number in replicated.read_numbers(apart, load.topic, 1)[0]]
    assert seen == list(range(len(seen))) and len(seen) > 0
    with last.connect() as connection:
        answer = wire.produce(connection, load.topic, 0, wire.batch([b"too few"]))
        assert wire.error_name(answer.ErrorCode) == "NOT_ENOUGH_REPLICAS"
        first.start()
        wait_until(lambda: wire.produce(connection, load.topic, 0, wire.batch(
            [str(load.next[0]).encode()])).ErrorCode == 0, "enough replicas")
    load.next[0] += 1
    second.start()
    load.check()


def test_all_but_one_lost(apart):
    """Goal: two of three replicas are lost in one moment: with min.insync.replicas=1 the last one has all
    that was acknowledged, shows it, and takes more."""
    load = Load(apart, "one-left", partitions=3, configs={"min.insync.replicas": "1"})
    load.wait_progress()
    last = apart.nodes[1]
    for node in apart.nodes:
        if node is not last:
            node.kill()
    load.wait_progress()
    load.finish()
    seen = replicated.read_numbers(apart, load.topic, load.partitions)
    for partition in range(load.partitions):
        assert [number for _, number in seen[partition]] == list(range(load.next[partition]))
    bring_back(apart, *[node for node in apart.nodes if node is not last])
    load.check()


def start_with_controller_apart(cluster):
    """Starts a process that is the controller only, and returns it, and three that are brokers only,
    which are the cluster's nodes then."""
    port = harness.free_port()
    controllers = {"controller_listener_names": "CONTROLLER",
                   "controller_quorum_bootstrap_servers": f"127.0.0.1:{port}"}
    controller = cluster.add(node_id=100, process_roles="controller",
                             listeners=f"CONTROLLER://127.0.0.1:{port}", **controllers)
    cluster.nodes = [cluster.add(node_id=i, process_roles="broker", **controllers)
                     for i in range(3)]
    for node in cluster.nodes + [controller]:
        node.properties["node.id"] = node.properties.pop("broker.id")
        del node.properties["zookeeper.connect"]
    controller.start(wait=False)
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        wait_until(lambda: cluster.brokers_by(node) == [0, 1, 2], "three brokers")
    return controller


# ---- what goes on beside it ------------------------------------------------------------------------

def test_group_without_its_coordinator(cluster):
    """Goal: a group's coordinator is killed: its members go on, and miss nothing."""
    load = Load(cluster, "grouped", partitions=3)
    members = [Member(cluster, load.topic, "g") for _ in range(2)]
    wait_until(lambda: all(len(member.records) > 50 for member in members), "both to read")
    answer = cluster.nodes[0].call("FindCoordinator", 3, Key="g", KeyType=0)
    coordinator = next(node for node in cluster.nodes if node.id == answer.NodeId)
    coordinator.kill()
    before = [len(member.records) for member in members]
    wait_until(lambda: all(len(member.records) > count + 50
                           for member, count in zip(members, before)), "both to go on")
    bring_back(cluster, coordinator)
    load.finish()
    expected = {(partition, number) for partition in range(3)
                for number in range(load.next[partition])}
    wait_until(lambda: {record for member in members for record in member.records} >= expected,
               "all records to be read by the group")
    for member in members:
        member.stop()
    load.check()


def test_topic_deleted_with_a_broker_away(cluster):
    """Goal: a broker that was away when a topic was deleted, and made anew, has the new one alone."""
    assert cluster.create_topic("deleted", replicas=3).ErrorCode == 0
    away = cluster.nodes[2]
    wait_until(lambda: os.path.isdir(away.partition_folder("deleted", 0)), "its folder")
    with wait_led(cluster, "deleted").connect() as connection:
        wait_until(lambda: wire.produce(connection, "deleted", 0,
                                        wire.batch([b"of old"])).ErrorCode == 0, "a record")
    away.kill()
    node = cluster.nodes[0]
    wait_until(lambda: node.call("DeleteTopics", 5, TopicNames=["deleted"],
                                 TimeoutMs=10000).Responses[0].ErrorCode in (0, 3), "the deletion")
    wait_until(lambda: not describe(node, "deleted"), "its end")
    # Until it is fenced, new replicas are placed there as well.
    cluster.wait_brokers(0, 1)
    load = Load(cluster, "deleted", partitions=1, replicas=2)
    load.wait_progress()
    bring_back(cluster, away)
    load.finish()
    load.check()
    hosts = describe(node, "deleted")[0].ReplicaNodes
    if away.id not in hosts:
        wait_until(lambda: not os.path.isdir(away.partition_folder("deleted", 0)),
                   "the old folder to go")


def test_reassigned_under_load(cluster):
    """Goal: a partition moves to other brokers while it is written to, and one of them is killed in the
    middle: it arrives, with all that it had."""
    load = Load(cluster, "moved", partitions=1, replicas=2)
    load.wait_progress()
    node = cluster.nodes[0]
    replicas = describe(node, load.topic)[0].ReplicaNodes
    target = next(other for other in cluster.nodes if other.id not in replicas)
    kept = replicas[1]
    wait_until(lambda: node.call("AlterPartitionReassignments", 0, TimeoutMs=10000, Topics=[{
        "Name": load.topic, "Partitions": [{
            "PartitionIndex": 0, "Replicas": [target.id, kept]}]}]).ErrorCode == 0, "the start")
    if target is not node:
        target.kill()
        load.wait_progress(20)
        bring_back(cluster, target)
    wait_until(lambda: [row.ReplicaNodes for row in describe(node, load.topic)] ==
               [[target.id, kept]], "the end of the move")
    load.wait_progress()
    load.finish()
    load.check()
