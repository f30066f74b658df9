"""Forming a cluster: processes find each other, metadata moves into etcd, and whoever should not be in
it is refused."""

import os
import shutil

import pytest

import cluster as clusters
import harness
import wire


@pytest.fixture
def make_cluster(tmp_path):
    """make_cluster(count, properties) is a cluster that is not started; it ends with the test, and
    nothing of it is left."""
    made = []

    def make(count, properties=None):
        made.append(clusters.Cluster(tmp_path / f"cluster-{len(made)}", count, properties))
        return made[-1]

    yield make
    for cluster in made:
        for node in cluster.nodes:
            print(f"--- report of {node.folder}\n{node.tail(60)}")
            node.check_report()
        cluster.end()


def read(node, name):
    with open(os.path.join(node.data, name), encoding="ascii") as file:
        return file.read()


def refused(node):
    """The report of a process that must end by itself, with a failure."""
    process, node.process = node.process, None
    assert process.wait(harness.WAIT_S) == 1, node.tail()
    node.check_etcd_gone()
    return node.report()


# ---- one process -----------------------------------------------------------------------------------

def test_one_is_alone(make_cluster):
    """Goal: a single process is what it was: no etcd, its metadata in its own log, and one voter."""
    cluster = make_cluster(1).start()
    node = cluster.nodes[0]
    assert cluster.create_topic("a").ErrorCode == 0
    assert node.etcd_pids() == []
    assert not os.path.exists(os.path.join(node.data, "metadata.engine"))
    assert cluster.voters() == [0]
    node.stop()
    node.start()
    assert cluster.topics_by(node) == ["a"]


# ---- forming ---------------------------------------------------------------------------------------

def test_second_joins(make_cluster):
    """Goal: the second process finds the first by zookeeper.connect, is in its cluster, and knows its
    topics; the metadata is in etcd then, with the first as its voter."""
    cluster = make_cluster(2)
    first, second = cluster.nodes
    first.start()
    assert cluster.create_topic("before", node=first).ErrorCode == 0
    second.start()
    cluster.wait_brokers(0, 1)
    assert read(first, "metadata.engine").startswith("engine=etcd\n")
    assert read(second, "metadata.engine").startswith("engine=etcd\n")
    assert cluster.voters() == [0]
    for node, name in (first, "by-first"), (second, "by-second"):
        assert cluster.create_topic(name, replicas=2, node=node).ErrorCode == 0
    for node in cluster.nodes:
        harness.wait_until(lambda: cluster.topics_by(node) == ["before", "by-first", "by-second"],
                           f"all topics at node {node.id}")


def test_walk(make_cluster, tmp_path):
    """Goal: the old walk: the property file copied twice, with a number, a listener and a folder set at
    its end; all three are one cluster, also for the old tools, and voters all."""
    cluster = make_cluster(3)
    with open(os.path.join(harness.ROOT, "config", "server.properties"), encoding="utf-8") as file:
        template = file.read()
    for node in cluster.nodes:
        lines = [f"zookeeper.connect=127.0.0.1:{cluster.control_port}"]
        if node.id > 0:
            lines.append(f"broker.id={node.id}")
        lines += [f"listeners=PLAINTEXT://127.0.0.1:{node.port}", f"log.dir={node.data}"]
        node.write_properties(template + "\n".join(lines) + "\n")
    cluster.start()
    cluster.wait_voters(0, 1, 2)
    old = "--zookeeper", f"127.0.0.1:{cluster.control_port}"
    harness.tool("topics", "--create", *old, "--replication-factor", "3", "--partitions", "1",
                 "--topic", "my-replicate-topic")
    shown = harness.tool("topics", "--describe", *old, "--topic", "my-replicate-topic")
    assert "ReplicationFactor: 3" in shown or "ReplicationFactor:3" in shown
    assert harness.re.search(r"Leader: ?[012]\s+Replicas: ?[012],[012],[012]\s+Isr: ?[012]", shown)


def test_started_at_once(make_cluster):
    """Goal: three processes that start in the same moment are one cluster; each restarts as often as it
    likes, and all at once again."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    assert cluster.create_topic("kept", replicas=3).ErrorCode == 0
    for node in cluster.nodes:
        node.stop()
        node.start()
        cluster.wait_brokers(0, 1, 2)
    cluster.stop()
    cluster.start()
    for node in cluster.nodes:
        harness.wait_until(lambda: cluster.topics_by(node) == ["kept"],
                           f"the topic at node {node.id}")
    assert cluster.voters() == [0, 1, 2]


def test_founder_killed(make_cluster):
    """Goal: the founder is killed by -9: the others go on with the metadata, its etcd is gone with it,
    tools find the cluster at its address, and it comes back into it."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    founder, second, third = cluster.nodes
    founder.kill()
    harness.wait_until(lambda: cluster.create_topic("after", node=second).ErrorCode == 0,
                       "a topic without the founder")
    cluster.wait_brokers(1, 2)
    listed = harness.wait_until(
        lambda: harness.tool("topics", "--list", "--zookeeper",
                             f"127.0.0.1:{cluster.control_port}", status=None),
        "the controllers' address to answer")
    assert listed == "after\n"
    founder.start()
    cluster.wait_brokers(0, 1, 2)
    assert "after" in cluster.topics_by(founder)


def test_all_killed(make_cluster):
    """Goal: all are killed by -9 and started again: nothing that was answered is lost."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    for i in range(3):
        for node in cluster.nodes:
            name = f"t-{i}-{node.id}"
            assert cluster.create_topic(name, replicas=3, node=node).ErrorCode == 0
        for node in cluster.nodes:
            node.kill()
        cluster.start()
        expected = sorted(f"t-{j}-{k}" for j in range(i + 1) for k in range(3))
        for node in cluster.nodes:
            harness.wait_until(lambda: cluster.topics_by(node) == expected,
                               f"all topics at node {node.id}")


def test_etcd_killed(make_cluster):
    """Goal: an etcd that is killed is started again; the broker above it goes on."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    for node in cluster.nodes:
        pid = node.etcd_pid()
        os.kill(pid, 9)
        harness.wait_until(lambda: node.etcd_pids() not in ([], [pid]), "another etcd")
        harness.wait_until(
            lambda: cluster.create_topic(f"t-{node.id}", node=node).ErrorCode in (0, 36),
            "a topic")
    assert cluster.voters() == [0, 1, 2]


def test_number_is_chosen(make_cluster):
    """Goal: a process without a number gets the first that is free, and keeps it."""
    cluster = make_cluster(1).start()
    added = cluster.add(node_id=-1)
    added.start()
    cluster.wait_brokers(0, 1)
    assert "node.id=1\n" in read(added, "meta.properties")
    added.stop()
    added.start()
    cluster.wait_brokers(0, 1)


# ---- voters ----------------------------------------------------------------------------------------

def test_voters_change(make_cluster):
    """Goal: RemoveRaftVoter takes a vote, which the node does not take back by itself; a fourth takes
    the place; AddRaftVoter gives it again. What is wrong is refused."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    directories = {voter.ReplicaId: voter.ReplicaDirectoryId
                   for voter in cluster.quorum().CurrentVoters}
    assert len(set(directories.values())) == 3
    node = cluster.nodes[0]

    def change(api, version, node_id, directory, **more):
        answer = node.call(api, version, VoterId=node_id, VoterDirectoryId=directory, **more)
        return wire.error_name(answer.ErrorCode)

    assert change("RemoveRaftVoter", 0, 7, directories[2]) == "VOTER_NOT_FOUND"
    assert change("RemoveRaftVoter", 0, 2, directories[1]) == "VOTER_NOT_FOUND"
    assert change("RemoveRaftVoter", 0, 2, directories[2],
                  ClusterId="another") == "INCONSISTENT_CLUSTER_ID"
    assert change("AddRaftVoter", 0, 2, directories[2], TimeoutMs=1000) == "DUPLICATE_VOTER"
    assert change("RemoveRaftVoter", 0, 2, directories[2]) == "NONE"
    cluster.wait_voters(0, 1)
    harness.wait_until(lambda: cluster.nodes[2].etcd_pids() == [], "the end of its etcd")
    assert 2 in [observer.ReplicaId for observer in cluster.quorum().Observers]
    cluster.add().start()
    cluster.wait_brokers(0, 1, 2, 3)
    cluster.wait_voters(0, 1, 3)
    assert change("AddRaftVoter", 0, 2, directories[2], TimeoutMs=30000) == "NONE"
    cluster.wait_voters(0, 1, 2, 3)


def test_gone_for_good(make_cluster):
    """Goal: the place of a voter that does not come back is taken by the one that stands by; when it
    does come back, it stands by."""
    cluster = make_cluster(3, {"etcd.member.replace.ms": "1000",
                               "broker.session.timeout.ms": "2000",
                               "broker.heartbeat.interval.ms": "300"}).start()
    cluster.wait_voters(0, 1, 2)
    cluster.add().start()
    cluster.wait_brokers(0, 1, 2, 3)
    cluster.nodes[1].kill()
    cluster.wait_voters(0, 2, 3)
    cluster.nodes[1].start()
    cluster.wait_brokers(0, 1, 2, 3)
    assert cluster.voters() == [0, 2, 3]


# ---- other ways to say it --------------------------------------------------------------------------

def voters_text(ports):
    return ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(ports))


def test_static_voters(make_cluster):
    """Goal: controller.quorum.voters and listeners for it, as in KRaft's first years."""
    cluster = make_cluster(0)
    ports = [harness.free_port() for _ in range(3)]
    for i in range(3):
        node = cluster.add(node_id=i, process_roles="broker,controller",
                           controller_listener_names="CONTROLLER",
                           controller_quorum_voters=voters_text(ports))
        node.properties["node.id"] = node.properties.pop("broker.id")
        node.properties["listeners"] += f",CONTROLLER://127.0.0.1:{ports[i]}"
        del node.properties["zookeeper.connect"]
    cluster.start()
    cluster.wait_voters(0, 1, 2)
    assert cluster.create_topic("a", replicas=3).ErrorCode == 0


def test_roles_apart(make_cluster):
    """Goal: one process is the controller only, two are brokers only: these have no etcd."""
    cluster = make_cluster(0)
    port = harness.free_port()
    controller = cluster.add(node_id=100, process_roles="controller",
                             controller_listener_names="CONTROLLER",
                             listeners=f"CONTROLLER://127.0.0.1:{port}",
                             controller_quorum_bootstrap_servers=f"127.0.0.1:{port}")
    brokers = [cluster.add(node_id=i, process_roles="broker",
                           controller_listener_names="CONTROLLER",
                           controller_quorum_bootstrap_servers=f"127.0.0.1:{port}")
               for i in range(2)]
    for node in cluster.nodes:
        node.properties["node.id"] = node.properties.pop("broker.id")
        del node.properties["zookeeper.connect"]
    controller.start(wait=False)
    for node in brokers:
        node.start()
    for node in brokers:
        harness.wait_until(lambda: cluster.brokers_by(node) == [0, 1], "both brokers")
        assert node.etcd_pids() == []
    assert cluster.create_topic("a", replicas=2, node=brokers[1]).ErrorCode == 0
    assert [voter.ReplicaId for voter in cluster.quorum(brokers[0]).CurrentVoters] == [100]


def test_external_etcd(make_cluster, tmp_path):
    """Goal: with etcd.endpoints the metadata is in an etcd of somebody else's, and no other is run."""
    port, peer = harness.free_port(), harness.free_port()
    etcd = harness.Program(
        os.path.join(harness.DAEMONS, "etcd"), "--data-dir", tmp_path / "etcd",
        "--listen-client-urls", f"http://127.0.0.1:{port}",
        "--advertise-client-urls", f"http://127.0.0.1:{port}",
        "--listen-peer-urls", f"http://127.0.0.1:{peer}",
        "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
        "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--log-level", "error")
    with etcd:
        cluster = make_cluster(3, {"etcd.endpoints": f"127.0.0.1:{port}"}).start()
        assert cluster.create_topic("a", replicas=3).ErrorCode == 0
        assert [node.etcd_pids() for node in cluster.nodes] == [[], [], []]
        cluster.stop()
        cluster.start()
        assert cluster.topics_by(cluster.nodes[2]) == ["a"]
        cluster.stop()


# ---- bad input -------------------------------------------------------------------------------------

def test_id_in_use(make_cluster):
    """Goal: a second process of one number is told so, and the first is not disturbed."""
    cluster = make_cluster(1).start()
    twin = cluster.add(node_id=0)
    twin.start(wait=False)
    report = refused(twin)
    assert "broker.id 0 is in use in cluster" in report and "another broker.id" in report
    assert cluster.create_topic("a").ErrorCode == 0
    assert cluster.nodes[0].etcd_pids() == [], "it grew for nobody"


def test_another_cluster(make_cluster):
    """Goal: a broker with another cluster's folder is refused, with both ids."""
    cluster, other = make_cluster(1).start(), make_cluster(1).start()
    stray = other.nodes[0]
    ids = [harness.re.search("cluster.id=(.*)", read(node, "meta.properties"))[1]
           for node in (cluster.nodes[0], stray)]
    stray.stop()
    stray.properties["zookeeper.connect"] = f"127.0.0.1:{cluster.control_port}"
    stray.properties["broker.id"] = "0"
    stray.start(wait=False)
    report = refused(stray)
    assert ids[0] in report and ids[1] in report and "empty folder" in report


def test_wiped_voter(make_cluster):
    """Goal: a voter whose disk was wiped does not vote again: it is refused, with the command that
    helps; after it, the node joins anew."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    wiped = cluster.nodes[2]
    wiped.stop()
    cluster.wait_brokers(0, 1)
    shutil.rmtree(wiped.data)
    wiped.start(wait=False)
    report = refused(wiped)
    found = harness.re.search(r"remove-controller --controller-id 2 --controller-directory-id (\S+?)\.? ",
                              report + " ")
    assert found, report
    directory = next(voter.ReplicaDirectoryId for voter in cluster.quorum().CurrentVoters
                     if voter.ReplicaId == 2)
    answer = cluster.nodes[0].call("RemoveRaftVoter", 0, VoterId=2, VoterDirectoryId=directory)
    assert answer.ErrorCode == 0
    wiped.start()
    cluster.wait_brokers(0, 1, 2)
    cluster.wait_voters(0, 1, 2)


def test_wiped_etcd(make_cluster):
    """Goal: the same where only etcd's folder is gone."""
    cluster = make_cluster(3).start()
    cluster.wait_voters(0, 1, 2)
    wiped = cluster.nodes[1]
    wiped.stop()
    shutil.rmtree(os.path.join(wiped.data, "etcd"))
    wiped.start(wait=False)
    assert "remove-controller" in refused(wiped)


def test_listener_nobody_has(make_cluster):
    """Goal: a broker that would speak to others by a listener that they do not have is refused."""
    cluster = make_cluster(1).start()
    stray = cluster.add(inter_broker_listener_name="INSIDE",
                        listener_security_protocol_map="INSIDE:PLAINTEXT")
    stray.properties["listeners"] = f"INSIDE://127.0.0.1:{stray.port}"
    stray.start(wait=False)
    report = refused(stray)
    assert "inter.broker.listener.name is INSIDE" in report and "they have PLAINTEXT" in report


def test_same_folder(make_cluster):
    """Goal: a second process with the first one's folder is told so at once, and joins nothing."""
    cluster = make_cluster(1).start()
    twin = cluster.add(log_dirs=cluster.nodes[0].data, log_dir="/elsewhere")
    twin.start(wait=False)
    report = refused(twin)
    assert "is in use by another process" in report and "remove log.dirs" in report
    assert cluster.nodes[0].etcd_pids() == []
