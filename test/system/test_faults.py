"""Real clusters of three in networks of their own, under faults that come from outside: cuts, small and
slow disks, clocks that jump. What must hold afterwards is in replicated.py.

The tests share a cluster, and each begins and ends with all three nodes in it.
"""

import time

import pytest

import faulty
from harness import wait_until
from replicated import PROPERTIES, Load, Member, describe, leader_of, wait_led

pytestmark = pytest.mark.skipif(not faulty.can_make(), reason="takes root and its rights")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with faulty.Cluster(tmp_path_factory.mktemp("faults"), 3, PROPERTIES) as cluster:
        cluster.start()
        cluster.wait_voters(0, 1, 2)
        yield cluster
        for node in cluster.nodes:
            node.check_report()


@pytest.fixture
def cluster(shared):
    shared.end_faults()
    for node in shared.nodes:
        if node.process is None:
            node.start()
    shared.wait_brokers(0, 1, 2)
    yield shared


def wait_deposed(cluster, topic, leader, partition=0):
    """Until others know of another leader than this one."""
    by = next(node for node in cluster.running() if node is not leader)
    return wait_until(lambda: (lambda node: node if node not in (None, leader) else None)(
        leader_of(cluster, topic, partition, by)), f"another leader of {topic}-{partition}")


def active_controller(cluster):
    quorum = wait_until(cluster.quorum, "an active controller")
    return next(node for node in cluster.nodes if node.id == quorum.LeaderId)


def end(cluster, load):
    """The faults are over: everything must be available, and what was promised be there."""
    cluster.end_faults()
    cluster.wait_brokers(0, 1, 2)
    load.wait_progress()
    load.finish()
    load.check()


# ---- cuts ------------------------------------------------------------------------------------------

def test_isolated(cluster):
    """Goal: a leader that nobody reaches, and that reaches nobody: another leads; what it took alone
    counts for nothing."""
    load = Load(cluster, "isolated")
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    cluster.network.isolate(leader.id)
    wait_deposed(cluster, load.topic, leader)
    load.wait_progress()
    end(cluster, load)


def test_leader_and_followers_parted(cluster):
    """Goal: a leader that clients reach, and no other broker does."""
    load = Load(cluster, "parted")
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    cluster.network.part(leader.id, *cluster.network.others(leader.id))
    wait_deposed(cluster, load.topic, leader)
    load.wait_progress()
    end(cluster, load)


@pytest.mark.parametrize("direction", ["out", "in"])
def test_one_way(cluster, direction):
    """Goal: what a leader sends to the others is lost, or what they send to it."""
    load = Load(cluster, f"one-way-{direction}")
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    for other in cluster.network.others(leader.id):
        cluster.network.cut(*((leader.id, other) if direction == "out" else (other, leader.id)))
    wait_deposed(cluster, load.topic, leader)
    load.wait_progress()
    end(cluster, load)


def test_follower_parted_from_leader(cluster):
    """Goal: a follower that reaches everyone but its leader leaves the ISR, and comes back to it."""
    load = Load(cluster, "follower-parted", partitions=1)
    load.wait_progress()
    leader = wait_led(cluster, load.topic)
    follower = cluster.nodes[cluster.network.others(leader.id)[0]]
    third = next(node for node in cluster.nodes if node not in (leader, follower))
    cluster.network.part(leader.id, follower.id)
    wait_until(lambda: len(describe(third, load.topic)[0].IsrNodes) == 2, "the ISR to shrink")
    load.wait_progress()
    end(cluster, load)


def test_parted_from_controller(cluster):
    """Goal: a broker that reaches everyone but the active controller: one of the two gives way, and the
    load goes on."""
    load = Load(cluster, "no-controller")
    load.wait_progress()
    active = active_controller(cluster)
    for broker in cluster.network.others(active.id):
        cluster.network.part(active.id, broker)
        load.wait_progress(20)
        cluster.network.heal()
        load.wait_progress(20)
    end(cluster, load)


def test_controller_isolated(cluster):
    """Goal: the active controller is cut off: another one takes over, metadata changes go on, and a
    group too."""
    load = Load(cluster, "controller-isolated")
    member = Member(cluster, load.topic, "isolated")
    wait_until(lambda: len(member.records) > 50, "the group to read")
    active = active_controller(cluster)
    cluster.network.isolate(active.id)
    other = cluster.nodes[cluster.network.others(active.id)[0]]
    wait_until(lambda: cluster.create_topic("meanwhile", node=other).ErrorCode in (0, 36),
               "a topic without it")
    load.wait_progress()
    before = len(member.records)
    wait_until(lambda: len(member.records) > before + 50, "the group to go on")
    end(cluster, load)
    expected = {(partition, number) for partition in range(3)
                for number in range(load.next[partition])}
    wait_until(lambda: set(member.records) >= expected, "all records to be read by the group")
    member.stop()


# ---- disks and clocks ------------------------------------------------------------------------------

def pick(cluster, load, role):
    """The leader of partition 0, or a follower of it."""
    leader = wait_led(cluster, load.topic)
    return leader if role == "leader" else cluster.nodes[cluster.network.others(leader.id)[0]]


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_full_disk(cluster, role):
    """Goal: the disk of one broker fills. A follower leaves the ISR and the load goes on; a leader tells
    clients KAFKA_STORAGE_ERROR until there is room. Then everything goes on, without a restart."""
    load = Load(cluster, f"full-{role}", partitions=1)
    load.wait_progress()
    node = pick(cluster, load, role)
    node.disk.fill()
    if role == "follower":
        wait_until(lambda: node.id not in describe(cluster.running()[0], load.topic)[0].IsrNodes,
                   "the ISR to shrink")
        load.wait_progress()
    else:
        node.wait_report("(?i)disk is full")
    end(cluster, load)


@pytest.mark.skipif(not faulty.can_slow_disks(), reason="no control group that limits writes")
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_slow_disk(cluster, role):
    """Goal: the disk of one broker takes ten writes per second, while each record has to be on it before
    it counts: all goes on, as slow as the slowest in the ISR."""
    load = Load(cluster, f"slow-{role}", partitions=1, configs={"flush.messages": "1"})
    load.wait_progress()
    node = pick(cluster, load, role)
    node.disk.slow_down(10)
    load.wait_progress(10)
    end(cluster, load)


def test_clocks(cluster):
    """Goal: the brokers' clocks jump, forwards and back, by hours: nobody is fenced for it, no group
    loses its members, nothing is lost or told twice."""
    load = Load(cluster, "clocks", configs={"message.timestamp.type": "LogAppendTime"})
    member = Member(cluster, load.topic, "clocks")
    wait_until(lambda: len(member.records) > 50, "the group to read")
    epochs = [row.LeaderEpoch for row in describe(cluster.nodes[0], load.topic)]
    for seconds in 7200, -7200:
        for node in cluster.nodes:
            node.clock.jump(seconds * (1 - node.id))
        wait_until(lambda: any(abs(told / 1000 - time.time()) > 3600
                               for told in list(member.timestamps.values())), "a clock to jump")
        load.wait_progress()
    assert [row.LeaderEpoch for row in describe(cluster.nodes[0], load.topic)] == epochs
    assert member.assignments == 1
    end(cluster, load)
    member.stop()
