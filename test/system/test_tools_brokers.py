"""The tools of clusters with three brokers: what moves between them, and what is told of it.

Method: as in test_tools.py. What must not end while it is looked at goes to a broker that is paused.
"""

import json
import os
import re
import signal
import subprocess

import pytest

import cluster as clusters
from harness import BIN, OTTLA, Program, die_with_parent, environment, wait_until
from test_tools import call
from test_tools_cluster import ottla


@pytest.fixture
def cluster(tmp_path):
    with clusters.Cluster(tmp_path / "cluster", 3) as made:
        made.start()
        made.wait_voters(0, 1, 2)
        made.address = ("--bootstrap-server", ",".join(node.bootstrap for node in made.nodes))
        yield made


@pytest.fixture
def tool(cluster):
    """tool(name, ...) runs a tool against the cluster and returns its standard output."""
    def call_it(name, *arguments, status=0):
        return call(name, *cluster.address, *arguments, status=status)[0]
    return call_it


def described(tool, *options):
    """Of each partition that is described: (topic, number), leader, replicas, ISR."""
    rows = re.findall(r"^\tTopic: (\S+)\tPartition: (\d+)\tLeader: (\S+)\tReplicas: (\S*)\tIsr: (\S*)",
                      tool("topics", "--describe", *options), re.M)
    return {(topic, int(index)): (leader, replicas, sorted(isr.split(",")))
            for topic, index, leader, replicas, isr in rows}


# ---- the quorum ------------------------------------------------------------------------------------

def test_the_quorum(cluster, tool, tmp_path):
    """Goal: all three are told of with their directories; one is removed, a fourth takes its place,
    and it is added again, by the property file that it was started with."""
    status = dict(re.findall(r"^(\w+): +(.*)$", tool("metadata-quorum", "describe", "--status"), re.M))
    leader = int(status["LeaderId"])
    assert status["ClusterId"] in tool("cluster", "cluster-id")
    assert sorted(voter["id"] for voter in json.loads(status["CurrentVoters"])) == [0, 1, 2]
    lines = tool("metadata-quorum", "describe", "--replication").split("\n")
    assert lines[0].split() == ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp",
                                "LastCaughtUpTimestamp", "Status"]
    rows = [line.split() for line in lines[1:4]]
    assert int(rows[0][0]) == leader and sorted(int(row[0]) for row in rows) == [0, 1, 2]
    assert [row[-1] for row in rows] == ["Leader", "Follower", "Follower"]
    told = json.loads(tool("metadata-quorum", "describe", "--status", "--output", "json"))
    assert told["leader_id"] == leader and len(told["voters"]) == 3
    other = next(int(row[0]) for row in rows[1:])
    directory = next(row[1] for row in rows if int(row[0]) == other)
    remove = (os.path.join(BIN, "kafka-metadata-quorum.sh"), *cluster.address, "remove-controller", "-i",
              str(other), "-d", directory)

    def try_to_remove():
        """etcd changes nothing before its members have known each other for some seconds."""
        done = subprocess.run(remove, env=environment(), capture_output=True, text=True, timeout=60,
                              check=False, preexec_fn=die_with_parent)
        assert done.returncode == 0 or "unhealthy" in done.stderr, done.stderr
        return done.stdout
    assert wait_until(try_to_remove, "the removal", pause=0.5) == \
        f"Removed  KRaft controller {other} with directory id {directory}\n"
    cluster.wait_voters(*{0, 1, 2} - {other})
    cluster.add().start()
    cluster.wait_voters(*{0, 1, 2, 3} - {other})
    config = os.path.join(cluster.nodes[other].folder, "server.properties")
    output = tool("metadata-quorum", "--command-config", config, "add-controller")
    assert output.startswith(f"Added controller {other} with directory id {directory} and endpoints: ")
    cluster.wait_voters(0, 1, 2, 3)


# ---- leaders and replicas --------------------------------------------------------------------------

def test_reports_of_partitions(cluster, tool):
    """Goal: with a broker away, each report has the partitions that it is about, and no others."""
    for name, assignment, least in (("three", "2:0:1,0:1:2", 1), ("least", "1:2:0", 3),
                                    ("exact", "0:1:2", 2), ("alone", "2,0", 1)):
        assert tool("topics", "--create", "--topic", name, "--replica-assignment", assignment,
                    "--config", f"min.insync.replicas={least}") == f"Created topic {name}.\n"
    whole = described(tool)
    assert whole["three", 0] == ("2", "2,0,1", ["0", "1", "2"])
    assert whole["alone", 0] == ("2", "2", ["2"]) and whole["alone", 1] == ("0", "0", ["0"])
    for report in ("under-replicated", "unavailable", "under-min-isr"):
        assert described(tool, f"--{report}-partitions") == {}
    assert set(described(tool, "--at-min-isr-partitions")) == {("least", 0), ("alone", 0), ("alone", 1)}
    cluster.nodes[2].stop()
    cluster.wait_brokers(0, 1)
    now = described(tool)
    assert now["three", 0] == ("0", "2,0,1", ["0", "1"])
    assert now["alone", 0][0] == "none"
    assert set(described(tool, "--under-replicated-partitions")) == {
        ("three", 0), ("three", 1), ("least", 0), ("exact", 0), ("alone", 0)}
    assert set(described(tool, "--unavailable-partitions")) == {("alone", 0)}
    assert set(described(tool, "--under-min-isr-partitions")) == {("least", 0), ("alone", 0)}
    assert set(described(tool, "--at-min-isr-partitions")) == {("exact", 0), ("alone", 1)}
    old = call("topics", "--zookeeper", f"127.0.0.1:{cluster.control_port}", "--describe",
               "--under-replicated-partitions", "--topic", "exact")[0]
    assert old == "\tTopic: exact\tPartition: 0\tLeader: 0\tReplicas: 0,1,2\tIsr: 0,1\n"


def test_elections_without_candidates(cluster, tool):
    """Goal: a partition whose only replica is away gets no leader, by either election, and says why."""
    tool("topics", "--create", "--topic", "t", "--replica-assignment", "2,0")
    cluster.nodes[2].stop()
    cluster.wait_brokers(0, 1)
    for kind, error in (("preferred", "PreferredLeaderNotAvailable"),
                        ("unclean", "EligibleLeadersNotAvailable")):
        output = tool("leader-election", "--election-type", kind, "--topic", "t", "--partition", 0,
                      status=1)
        assert output.startswith(f"Error completing leader election ({kind.upper()}) for partition: t-0: "
                                 f"org.apache.kafka.common.errors.{error}Exception: ")
    cluster.nodes[2].start()
    cluster.wait_brokers(0, 1, 2)
    wait_until(lambda: described(tool)["t", 0][0] == "2", "the leader to be back")
    assert tool("leader-election", "--election-type", "preferred", "--all-topic-partitions") == ""


def test_taking_replicas_away(cluster, tool, tmp_path):
    """Goal: what needs no copying is done at once; the file that was printed leads back as text."""
    tool("topics", "--create", "--topic", "t", "--replica-assignment", "0:1:2")
    path = tmp_path / "plan.json"
    path.write_text('{"partitions": [{"topic": "t", "partition": 0, "replicas": [2, 1]}]}')
    reassign = ("reassign-partitions", "--reassignment-json-file", path)
    output = tool(*reassign, "--execute")
    assert json.loads(output.split("\n")[2])["partitions"] == [
        {"topic": "t", "partition": 0, "replicas": [0, 1, 2], "log_dirs": ["any"] * 3}]
    wait_until(lambda: "Reassignment of partition t-0 is completed.\n" in tool(*reassign, "--verify"),
               "the reassignment")
    assert described(tool)["t", 0][1:] == ("2,1", ["1", "2"])
    path.write_text('{"topics": [{"topic": "t"}]}')
    proposed = json.loads(tool("reassign-partitions", "--generate", "--topics-to-move-json-file", path,
                               "--broker-list", "0,1,2").split("\n")[4])
    assert len(set(proposed["partitions"][0]["replicas"])) == 2


def test_following_and_cancelling(cluster, tool, tmp_path):
    """Goal: a move that cannot end is told of everywhere, others need --additional, and --cancel puts
    the replicas back and takes the throttles away."""
    tool("topics", "--create", "--topic", "t", "--replica-assignment", "0,1")
    path = tmp_path / "plan.json"
    path.write_text('{"partitions": [{"topic": "t", "partition": 0, "replicas": [2]}]}')
    reassign = ("reassign-partitions", "--reassignment-json-file", path)
    cluster.nodes[2].pause()
    try:
        tool(*reassign, "--execute", "--throttle", 100000)
        assert tool("reassign-partitions", "--list") == (
            "Current partition reassignments:\nt-0: replicas: 2,0. adding: 2. removing: 0.\n")
        assert tool(*reassign, "--verify") == (
            "Status of partition reassignment:\n"
            "Reassignment of partition t-0 is still in progress.\n\n")
        assert "Adding Replicas: 2\tRemoving Replicas: 0" in tool("topics", "--describe")
        settings = tool("configs", "--describe", "--topic", "t")
        assert "leader.replication.throttled.replicas=0:0 " in settings
        assert "follower.replication.throttled.replicas=0:2 " in settings
        errors = call("reassign-partitions", *cluster.address, *reassign[1:], "--execute", status=1)[1]
        assert errors.startswith("Cannot execute because there is an existing partition assignment.  Use "
                                 "--additional to override this")
        assert "Successfully started" in tool(*reassign, "--execute", "--additional")
        assert tool(*reassign, "--cancel").startswith(
            "Successfully cancelled partition reassignment for: t-0\n"
            "None of the specified partition moves are active."
            "Clearing broker-level throttles on brokers ")
    finally:
        cluster.nodes[2].resume()
    assert tool("reassign-partitions", "--list") == "No partition reassignments found.\n"
    assert described(tool)["t", 0] == ("0", "0", ["0"])
    assert "throttled" not in tool("configs", "--describe", "--topic", "t")


def test_unregistering(cluster, tool):
    """Goal: a broker that is gone for good is forgotten, and comes back when it is started again."""
    cluster.nodes[2].stop()
    cluster.wait_brokers(0, 1)
    endpoints = ("cluster", "list-endpoints", "--output", "json")
    fenced = {row["id"]: row["is_fenced"] for row in json.loads(tool(*endpoints,
                                                                     "--include-fenced-brokers"))}
    assert fenced == {0: False, 1: False, 2: True}
    assert tool("cluster", "unregister", "--id", 2) == "Broker 2 is no longer registered.\n"
    assert [row["id"] for row in json.loads(tool(*endpoints, "--include-fenced-brokers"))] == [0, 1]
    errors = call("cluster", "unregister", *cluster.address, "--id", "2", status=1)[1]
    assert errors == "Broker ID 2 is not currently registered\n"
    cluster.nodes[2].start()
    cluster.wait_brokers(0, 1, 2)


# ---- draining --------------------------------------------------------------------------------------

def test_planning_and_cancelling_a_drain(cluster, tool):
    """Goal: the plan names what moves where and what cannot, with the reason; --cancel stops the
    moves, and the drain that ran says so."""
    for name, assignment in ("a", "0:1:2"), ("b", "0:1,1:0"), ("c", "0,1"):
        tool("topics", "--create", "--topic", name, "--replica-assignment", assignment)
    drain = ("node", "drain", "0", *cluster.address)
    output = ottla(*drain, "--dry-run", status=1)[0]
    assert re.fullmatch(
        r"Broker 0 has 4 replicas, .* K?B\.\n"
        r"b-0 would move from 0,1 to 2,1\nb-1 would move from 1,0 to 1,2\n"
        r"c-0 would move from 0 to [12]\n"
        r"a-0 cannot move: each of the 2 other brokers that are there has a replica of it already\n",
        output)
    cluster.nodes[2].pause()
    try:
        with Program(OTTLA, *drain, "--report-interval-ms", "100") as program:
            wait_until(lambda: "b-0: " in tool("reassign-partitions", "--list"), "the moves")
            assert re.fullmatch(r"Cancelled [23] moves off broker 0\.\n",
                                ottla(*drain, "--cancel")[0])
            program.wait(status=1)
            assert "b-0 cannot move: its move was cancelled" in program.lines
    finally:
        cluster.nodes[2].resume()
    assert tool("reassign-partitions", "--list") == "No partition reassignments found.\n"
    assert sorted(described(tool)["b", 0][1]) == sorted("0,1") # in whatever order, as in Kafka


# ---- dev -------------------------------------------------------------------------------------------

def test_dev_with_three(tmp_path):
    """Goal: one command gives three brokers that know each other; one may be killed; nothing is left
    behind."""
    with Program(OTTLA, "dev", "--brokers", "3", "--output", "json") as program:
        told = json.loads(program.read_line())
        address = ("--bootstrap-server", told["bootstrap"])
        assert len(told["bootstrap"].split(",")) == 3
        assert call("topics", *address, "--create", "--topic", "t", "--replication-factor", 3)[0] == \
            "Created topic t.\n"
        os.kill(told["brokers"][2]["pid"], signal.SIGKILL)
        wait_until(lambda: "broker 2 has ended by signal 9" in "".join(program.errors), "the report")
        assert call("topics", *address, "--list")[0] == "t\n"
        program.signal(signal.SIGTERM)
        program.wait()
    assert not os.path.exists(told["dir"])
    for broker in told["brokers"]:
        assert not clusters.is_running(broker["pid"])
