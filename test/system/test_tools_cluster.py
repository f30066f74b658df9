"""The tools of clusters: elections, reassignments, verification, the quorum, `dev` and `node drain`.

Method: as in test_tools.py, the launchers are run as people run them and their output is compared to
the letter. Here is what one broker can show of them, their mistakes above all.
"""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import BIN, OTTLA, Program, die_with_parent, environment, free_port, wait_until
from test_tools import call, produce


@pytest.fixture
def broker(make_broker):
    port = free_port()
    made = make_broker({"zookeeper.connect": f"127.0.0.1:{port}"})
    made.zookeeper = f"127.0.0.1:{port}"
    call("topics", "--bootstrap-server", made.bootstrap, "--create", "--topic", "t",
         "--partitions", "2")
    return made


@pytest.fixture
def tool(broker):
    """tool(name, ...) runs a tool against the broker and returns its standard output."""
    def call_it(name, *arguments, status=0):
        return call(name, "--bootstrap-server", broker.bootstrap, *arguments, status=status)[0]
    return call_it


@pytest.fixture
def complain(broker):
    """complain(name, ...) returns the first line that a tool which must fail wrote to stderr."""
    def call_it(name, *arguments):
        errors = call(name, "--bootstrap-server", broker.bootstrap, *arguments, status=1)[1]
        return errors.split("\n")[0]
    return call_it


def ottla(*arguments, status=0):
    done = subprocess.run([OTTLA, *map(str, arguments)], env=environment(), text=True, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          preexec_fn=die_with_parent)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


# ---- elections -------------------------------------------------------------------------------------

def test_elections(tool, complain, tmp_path):
    """Goal: partitions that are led as they should be are told so, and those that are not there."""
    elect = ("leader-election", "--election-type", "preferred")
    assert tool(*elect, "--all-topic-partitions") == ""
    assert tool(*elect, "--topic", "t", "--partition", 1) == \
        "Valid replica already elected for partitions t-1\n"
    path = tmp_path / "elect.json"
    path.write_text('{"partitions": [{"topic": "t", "partition": 1}, {"topic": "t", "partition": 0}]}')
    assert tool(*elect, "--path-to-json-file", path) == \
        "Valid replica already elected for partitions t-0, t-1\n"
    path.write_text('{"partitions": [{"topic": "t", "partition": 5}, {"topic": "t", "partition": 0}]}')
    assert re.fullmatch(
        r"Valid replica already elected for partitions t-0\n"
        r"Error completing leader election \(UNCLEAN\) for partition: t-5: org\.apache\.kafka\.common"
        r"\.errors\.UnknownTopicOrPartitionException: .+\n",
        tool("leader-election", "--election-type", "Unclean", "--path-to-json-file", path, status=1))
    assert complain(*elect, "--topic", "u", "--partition", 0) == "1 replica(s) could not be elected"


@pytest.mark.parametrize("arguments, message", [
    (["--all-topic-partitions"], "Missing required option(s): election-type"),
    (["--election-type", "preferred"], "One and only one of the following options is required: "
     "topic, all-topic-partitions, path-to-json-file"),
    (["--election-type", "preferred", "--topic", "t"], "Missing required option(s): partition"),
    (["--election-type", "preferred", "--all-topic-partitions", "--partition", "1"],
     "Option partition is only allowed if topic is used"),
    (["--election-type", "fair", "--all-topic-partitions"],
     "Cannot parse argument 'fair' of option election-type; give preferred or unclean"),
])
def test_mistakes_with_elections(complain, arguments, message):
    assert complain("leader-election", *arguments) == message


def test_elections_of_old(broker, tmp_path):
    elect = ("preferred-replica-election", "--zookeeper", broker.zookeeper)
    assert call(*elect)[0] == (
        'Created preferred replica election path with {"version":1,"partitions":['
        '{"topic":"t","partition":0},{"topic":"t","partition":1}]}\n'
        "Successfully started preferred replica election for partitions Set(t-0, t-1)\n")
    path = tmp_path / "elect.json"
    path.write_text('{"partitions": [{"topic": "t", "partition": 1}, {"topic": "u", "partition": 0}]}')
    assert call(*elect, "--path-to-json-file", path)[0] == (
        'Created preferred replica election path with {"version":1,"partitions":['
        '{"topic":"t","partition":1}]}\n'
        "Successfully started preferred replica election for partitions Set(t-1)\n"
        "Skipping preferred replica leader election for partition u-0 since it doesn't exist.\n")


# ---- reassignments ---------------------------------------------------------------------------------

CURRENT = ('{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[0],"log_dirs":["any"]},'
           '{"topic":"t","partition":1,"replicas":[0],"log_dirs":["any"]}]}')


@pytest.fixture
def plan(tmp_path):
    """plan(text) is a file with that text."""
    def write(text):
        path = tmp_path / "plan.json"
        path.write_text(text)
        return path
    return write


def settings_of(tool, *entity):
    """What is set of an entity, by name."""
    text = tool("configs", "--describe", *entity)
    return dict(re.findall(r"^  (\S+?)=(\S*)", text, re.M))


def test_generating_a_plan(tool, complain, plan):
    topics = plan('{"topics": [{"topic": "t"}], "version": 1}')
    generate = ("reassign-partitions", "--generate", "--topics-to-move-json-file", topics)
    assert tool(*generate, "--broker-list", "0,7") == (
        f"Current partition replica assignment\n{CURRENT}\n\n"
        f"Proposed partition reassignment configuration\n{CURRENT}\n")
    assert complain(*generate, "--broker-list", "7") == \
        "Error: Replication factor: 1 larger than available brokers: 0."
    assert complain(*generate, "--broker-list", "0,0") == \
        "Error: Broker list contains duplicate entries: [0]"
    plan('{"topics": [{"topic": "u"}], "version": 1}')
    assert complain(*generate, "--broker-list", "0") == "Error: Topic u not found."
    plan("{")
    assert "The input string is not a valid JSON" in complain(*generate, "--broker-list", "0")


def test_carrying_out_a_plan(tool, plan):
    """Goal: throttles are set while replicas move, and go when all have; the file for the way back is
    printed."""
    path = plan(CURRENT)
    assert tool("reassign-partitions", "--list") == "No partition reassignments found.\n"
    assert tool("reassign-partitions", "--execute", "--reassignment-json-file", path,
                "--throttle", 5000) == (
        f"Current partition replica assignment\n\n{CURRENT}\n\n"
        "Save this to use as the --reassignment-json-file option during rollback\n"
        "Warning: You must run --verify periodically, until the reassignment completes, to ensure "
        "the throttle is removed.\n"
        "The inter-broker throttle limit was set to 5000 B/s\n"
        "Successfully started partition reassignments for t-0,t-1\n")
    assert settings_of(tool, "--topic", "t") == {
        "leader.replication.throttled.replicas": "0:0,1:0",
        "follower.replication.throttled.replicas": ""}
    assert settings_of(tool, "--broker", "0") == {
        "leader.replication.throttled.rate": "5000",
        "follower.replication.throttled.rate": "5000"}
    verified = ("Status of partition reassignment:\n"
                "Reassignment of partition t-0 is completed.\n"
                "Reassignment of partition t-1 is completed.\n\n")
    verify = ("reassign-partitions", "--verify", "--reassignment-json-file", path)
    assert tool(*verify, "--preserve-throttles") == verified
    assert len(settings_of(tool, "--topic", "t")) == 2
    cleared = ("Clearing broker-level throttles on broker 0\n"
               "Clearing topic-level throttles on topic t\n")
    assert tool(*verify) == verified + cleared
    assert settings_of(tool, "--topic", "t") == settings_of(tool, "--broker", "0") == {}
    assert tool("reassign-partitions", "--cancel", "--reassignment-json-file", path) == (
        "None of the specified partition reassignments are active.\n"
        "None of the specified partition moves are active." + cleared)


def test_plans_that_cannot_be(tool, complain, plan):
    execute = ("reassign-partitions", "--execute", "--reassignment-json-file")
    for text, message in (
            ('{"partitions": [{"topic": "t", "partition": 0, "replicas": [0, 7]}]}',
             "Error: Unknown broker id 7"),
            ('{"partitions": [{"topic": "t", "partition": 9, "replicas": [0]}]}',
             "Error: Unable to find partition: t-9"),
            ('{"partitions": []}', "Error: Partition reassignment list cannot be empty"),
            ('{"partitions": [{"topic": "t", "partition": 0, "replicas": [0, 0]}]}',
             "Error: Partition replica lists may not contain duplicate entries: t-0 contains "
             "multiple entries for 0")):
        assert complain(*execute, plan(text)) == message
    path = plan('{"partitions": [{"topic": "t", "partition": 0, "replicas": [0, 7]},'
                '{"topic": "u", "partition": 1, "replicas": [0]}]}')
    assert tool("reassign-partitions", "--verify", "--preserve-throttles",
                "--reassignment-json-file", path) == (
        "Status of partition reassignment:\n"
        "There is no active reassignment of partition t-0, but replica set is 0 rather than 0,7.\n"
        "There is no active reassignment of partition u-1, but replica set is  rather than 0.\n\n")


@pytest.mark.parametrize("arguments, message", [
    (["--bootstrap-server", "x"], "Command must include exactly one action: --generate, --execute, "
     "--verify, --cancel, --list"),
    (["--list", "--verify"], "Command must include exactly one action: --generate, --execute, "
     "--verify, --cancel, --list"),
    (["--execute"], 'Missing required argument "[reassignment-json-file]"'),
    (["--generate", "--broker-list", "0"],
     'Missing required argument "[topics-to-move-json-file]"'),
    (["--list", "--throttle", "5"], 'Option "[throttle]" can\'t be used with action "[list]"'),
    (["--verify", "--reassignment-json-file", "x", "--additional"],
     'Option "[additional]" can\'t be used with action "[verify]"'),
])
def test_mistakes_with_reassignments(arguments, message):
    assert call("reassign-partitions", *arguments, status=1)[1].split("\n")[0] == message


def test_reassignments_of_old(broker, tool, plan):
    old_current = re.sub(r',"log_dirs":\["any"\]', "", CURRENT)
    reassign = ("reassign-partitions", "--zookeeper", broker.zookeeper, "--reassignment-json-file",
                plan(old_current))
    assert call(*reassign, "--execute", "--throttle", 7000)[0] == (
        f"Current partition replica assignment\n\n{old_current}\n\n"
        "Save this to use as the --reassignment-json-file option during rollback\n"
        "Warning: You must run Verify periodically, until the reassignment completes, to ensure the "
        "throttle is removed. You can also alter the throttle by rerunning the Execute command "
        "passing a new value.\n"
        "The throttle limit was set to 7000 B/s\n"
        "Successfully started reassignment of partitions.\n")
    verified = ("Status of partition reassignment: \n"
                "Reassignment of partition t-0 completed successfully\n"
                "Reassignment of partition t-1 completed successfully\n")
    assert call(*reassign, "--verify")[0] == verified + "Throttle was removed.\n"
    assert call(*reassign, "--verify")[0] == verified
    plan('{"partitions": [{"topic": "t", "partition": 0, "replicas": [3]}]}')
    assert call(*reassign, "--verify")[0] == (
        "Status of partition reassignment: \n"
        "ERROR: Assigned replicas (0) don't match the list of replicas for reassignment (3) for "
        "partition t-0\nReassignment of partition t-0 failed\n")
    assert call(*reassign, "--execute", status=1)[1] == \
        "Partitions reassignment failed due to Unknown broker id 3\n"


# ---- verification ----------------------------------------------------------------------------------

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


def test_verification_once(broker, complain):
    produce(broker, "t", 1, b"a", b"b")
    output = call("replica-verification", "--broker-list", broker.bootstrap, "--topics-include", "t",
                  "--time", "-2", "--once")[0]
    assert re.fullmatch(f"{DATE}: verification process is started\n{DATE}: max lag is 0 for partition "
                        "t-0 at offset 0 among 2 partitions\n", output)
    assert complain("replica-verification", "--topics-include", "none") == (
        "No topics found. --topics-include if specified, is either filtering out all topics or there "
        "is no topic.")
    assert call("replica-verification", "--once", status=1)[1].startswith(
        'Missing required argument "[broker-list]"')


def test_verification_goes_on(broker):
    """Goal: it reports again and again, follows the log, and waits for a broker that is away."""
    def reported(offset):
        wait_until(lambda: any(line.endswith(f"max lag is 0 for partition t-0 at offset {offset} among "
                                             "2 partitions") for line in program.drain()),
                   f"a report of offset {offset}")
    with Program(os.path.join(BIN, "kafka-replica-verification.sh"), "--broker-list",
                 broker.bootstrap, "--report-interval-ms", "100", "--max-wait-ms", "50") as program:
        reported(0)
        produce(broker, "t", 0, b"a", b"b", b"c")
        broker.restart()
        produce(broker, "t", 0, b"d")
        reported(4)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == -signal.SIGTERM


# ---- the quorum ------------------------------------------------------------------------------------

def test_changing_the_quorum_dry(broker, tmp_path):
    """Goal: with --dry-run it is told what would be done, from the property file of the controller."""
    with open(os.path.join(broker.data, "meta.properties"), encoding="ascii") as file:
        directory = re.search(r"directory.id=(\S+)", file.read())[1]
    config = os.path.join(broker.folder, "server.properties")
    quorum = ("metadata-quorum", "--bootstrap-server", broker.bootstrap)
    assert call(*quorum, "--command-config", config, "add-controller", "--dry-run")[0] == (
        f"DRY RUN of adding controller 0 with directory id {directory} and endpoints: "
        f"CONTROLLER://{broker.zookeeper}\n")
    assert call(*quorum, "remove-controller", "--controller-id", "3", "--controller-directory-id",
                directory, "--dry-run")[0] == (
        f"DRY RUN of removing  KRaft controller 3 with directory id {directory}\n")
    for words, message in (
            (["add-controller"], "You must supply the configuration file of the controller you are "
             "adding when using add-controller.\n"),
            (["remove-controller", "-i", "-1", "-d", directory],
             "Invalid negative --controller-id: -1\n"),
            (["remove-controller", "-i", "1", "-d", "x"],
             "Failed to parse --controller-directory-id: x; give 22 letters as `describe "
             "--replication` prints them\n")):
        assert call(*quorum, *words, status=1)[1] == message
    path = tmp_path / "broker.properties"
    path.write_text("process.roles=broker\nnode.id=5\ncontroller.listener.names=CONTROLLER\n"
                    f"controller.quorum.bootstrap.servers={broker.zookeeper}\n"
                    "listeners=PLAINTEXT://127.0.0.1:19092\n")
    errors = call("metadata-quorum", "--command-config", path, "add-controller", status=1)[1]
    assert errors.endswith("process.roles did not contain 'controller' in configuration file. Is this "
                           "a valid controller configuration file?\n")


@pytest.mark.parametrize("words, message", [
    ([], "One of --status or --replication must be specified with describe sub-command"),
    (["--status", "--replication"],
     "Only one of --status or --replication should be specified with describe sub-command"),
    (["--status", "--human-readable"],
     "The option --human-readable is only supported along with --replication"),
])
def test_mistakes_with_the_quorum(words, message):
    errors = call("metadata-quorum", "--bootstrap-server", "x", "describe", *words, status=1)[1]
    assert errors.split("\n")[0] == message


# ---- cluster, dev and node -------------------------------------------------------------------------

def test_unregistering(broker):
    """Goal: a broker that is there is not forgotten, one that never was is no broker."""
    cluster = ("cluster", "unregister", "--bootstrap-server", broker.bootstrap)
    errors = call(*cluster, "--id", "9", status=1)[1]
    assert "9" in errors or "registered" in errors


def test_dev():
    """Goal: one command gives a cluster that works, and leaves nothing behind."""
    with Program(OTTLA, "dev", "--output", "json") as program:
        told = json.loads(program.read_line())
        assert os.path.isdir(told["dir"]) and told["brokers"][0]["id"] == 0
        address = ("--bootstrap-server", told["bootstrap"])
        assert call("topics", *address, "--create", "--topic", "t")[0] == "Created topic t.\n"
        assert call("topics", "--zookeeper", told["zookeeper"], "--list")[0] == "t\n"
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(60) == 0
    assert not os.path.exists(told["dir"])
    with pytest.raises(ProcessLookupError):
        os.kill(told["brokers"][0]["pid"], 0)


def test_dev_that_does_not_start():
    output, errors = ottla("dev", "--override", "num.partitions=many", status=1)
    assert output == "" and "num.partitions=many is not valid" in errors
    assert errors.endswith("broker 0 has ended with status 1\n")
    assert ottla("dev", "--brokers", "0", status=1)[1].startswith("--brokers must be from 1 to 50\n")


def test_draining_the_only_broker(broker):
    """Goal: what cannot move is told with the reason, and nothing is changed."""
    produce(broker, "t", 0, b"x" * 1000)
    address = ("--bootstrap-server", broker.bootstrap)
    output, errors = ottla("node", "drain", "0", *address, status=1)
    assert re.fullmatch(r"Broker 0 has 2 replicas, 1\.\d KB\.\n"
                        r"t-0 cannot move: no other broker is there\n"
                        r"t-1 cannot move: no other broker is there\n", output)
    assert errors == "Broker 0 still has 2 replicas.\n"
    plan = json.loads(ottla("node", "drain", "0", *address, "--dry-run", "--output", "json",
                            status=1)[0])
    assert plan["event"] == "plan" and plan["broker"] == 0
    assert [(part["topic"], part["partition"], part["state"], part["reason"])
            for part in plan["partitions"]] == [
        ("t", 0, "stuck", "no other broker is there"), ("t", 1, "stuck", "no other broker is there")]
    assert ottla("node", "drain", "0", *address, "--cancel")[0] == "Cancelled 0 moves off broker 0.\n"
    assert ottla("node", "drain", "4", *address, status=1)[1] == "the cluster has no broker 4\n"
    assert ottla("node", "drain", *address, status=1)[1].startswith("give the number of one broker\n")
