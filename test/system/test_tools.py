"""The command-line tools against a broker: what they print, to the letter, and their exit codes.

Method: the launchers in bin/ are run as people run them; output that scripts read is compared with the
text that Kafka's tools print, of today or, with --zookeeper, of 0.11.
"""

import json
import os
import re
import subprocess
import time

import pytest

import wire
from harness import BIN, OTTLA, Program, die_with_parent, environment, free_port, run, wait_until


def call(name, *arguments, status=0, input=None):
    """Runs kafka-NAME.sh; returns what it printed on standard output and standard error."""
    done = subprocess.run(
        [os.path.join(BIN, f"kafka-{name}.sh"), *map(str, arguments)], env=environment(),
        stdin=subprocess.DEVNULL if input is None else None, input=input, capture_output=True,
        text=True, timeout=60, check=False, preexec_fn=die_with_parent)
    assert done.returncode == status, f"{name} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


@pytest.fixture
def broker(make_broker):
    """A broker whose control listener answers where ZooKeeper used to."""
    port = free_port()
    made = make_broker({"zookeeper.connect": f"127.0.0.1:{port}"})
    made.zookeeper = f"127.0.0.1:{port}"
    return made


@pytest.fixture
def tool(broker):
    """tool(name, ...) runs a tool against the broker and returns its standard output."""
    def call_it(name, *arguments, status=0):
        return call(name, "--bootstrap-server", broker.bootstrap, *arguments, status=status)[0]
    return call_it


@pytest.fixture
def complain(broker):
    """complain(name, ...) returns the last line that a tool which must fail wrote to stderr."""
    def call_it(name, *arguments):
        errors = call(name, "--bootstrap-server", broker.bootstrap, *arguments, status=1)[1]
        return errors.strip().split("\n")[-1]
    return call_it


def produce(broker, topic, partition, *values, **options):
    with broker.connect() as connection:
        answer = wire.produce(connection, topic, partition, wire.batch(list(values), **options))
        assert answer.ErrorCode == 0


# ---- all of them -----------------------------------------------------------------------------------

TOOLS = [tool["name"] for tool in json.loads(
    subprocess.run([OTTLA, "help", "--format", "json"], stdout=subprocess.PIPE, check=True).stdout)]


LAUNCHED = {name[len("kafka-"):-len(".sh")] for name in os.listdir(BIN)
            if name.startswith("kafka-") and os.path.islink(os.path.join(BIN, name))}


def test_every_launcher_has_its_tool():
    """And what Kafka does not have has no launcher."""
    assert set(TOOLS) - LAUNCHED == {"dev", "node", "server"}
    assert LAUNCHED <= set(TOOLS)


@pytest.mark.parametrize("name", [name for name in TOOLS if name in LAUNCHED])
def test_options_are_told(name):
    """Goal: without arguments a tool tells its options and fails; asked for them it does not fail;
    the JSON that man pages are made from has the same options."""
    output, errors = call(name, status=1)
    assert output == "" and "Description" in errors
    assert call(name, "--help") == (errors, "")
    told = json.loads(run(OTTLA, "help", name, "--format", "json"))[0]
    for option in told["options"] if not told["commands"] else ():
        assert f"--{option['names'][0]}" in errors


def test_versions():
    assert re.fullmatch(r"\d+\.\d+\.\d+ \(Ottla\)\n", call("topics", "--version")[0])
    assert call("topics", "--version") == call("storage", "--version")


def test_no_broker():
    """Goal: one line that names the address and what to do, at once."""
    port = free_port()
    began = time.monotonic()
    errors = call("topics", "--bootstrap-server", f"127.0.0.1:{port}", "--list", status=1)[1]
    assert errors == f"no broker can be reached at 127.0.0.1:{port}. Does a broker run there?\n"
    errors = call("topics", "--zookeeper", f"127.0.0.1:{port}/chroot", "--list", status=1)[1]
    assert f"127.0.0.1:{port}" in errors and "zookeeper.connect" in errors
    assert time.monotonic() - began < 5
    assert call("topics", "--list", status=1)[1].startswith("--bootstrap-server must be specified")


def test_command_config(broker, tmp_path):
    """Goal: a property file can say where to connect; what cannot be done is refused by name."""
    path = tmp_path / "client.properties"
    path.write_text(f"bootstrap.servers={broker.bootstrap}\nclient.id=me\nunknown.key=1\n")
    assert call("cluster", "cluster-id", "--config", path)[0].startswith("Cluster ID: ")
    path.write_text("security.protocol=SASL_SSL\n")
    errors = call("topics", "--bootstrap-server", broker.bootstrap, "--command-config", path,
                  "--list", status=1)[1]
    assert errors == f"{path}: security.protocol=SASL_SSL: this release connects with PLAINTEXT only\n"
    errors = call("topics", "--command-config", tmp_path / "none", "--list", status=1)[1]
    assert errors.startswith(f"{tmp_path}/none cannot be read: ")


def test_old_classes(broker):
    """Goal: scripts that start a class of Kafka's get the tool that does the same."""
    produce(broker_with_topic(broker, "t"), "t", 0, b"x")
    script = os.path.join(BIN, "kafka-run-class.sh")
    assert run(script, "kafka.tools.GetOffsetShell", "--broker-list", broker.bootstrap, "--topic", "t",
               "--time", "-1") == b"t:0:1\n"
    assert run(script, "kafka.admin.TopicCommand", "--zookeeper", broker.zookeeper,
               "--list") == b"t\n"


def broker_with_topic(broker, name, partitions=1, keep_old=False):
    """`keep_old` is for records whose timestamps retention would take for very old."""
    call("topics", "--bootstrap-server", broker.bootstrap, "--create", "--topic", name, "--partitions",
         partitions, *(("--config", "retention.ms=-1") if keep_old else ()))
    return broker


@pytest.mark.skipif("build-" in OTTLA, reason="instrumented programs start slowly")
@pytest.mark.parametrize("arguments", [
    ("topics", "--list"), ("topics", "--describe"), ("consumer-groups", "--list"),
    ("configs", "--describe", "--topic", "t"), ("get-offsets",), ("log-dirs", "--describe"),
    ("broker-api-versions",)], ids=" ".join)
def test_tools_answer_within_10_ms(broker, arguments):
    """Goal: a tool is as fast as a shell command. Method: the best of many, which other load on the
    machine does not reach."""
    broker_with_topic(broker, "t", 10)
    best = 1
    for _ in range(100):
        began = time.perf_counter()
        subprocess.run([OTTLA, arguments[0], "--bootstrap-server", broker.bootstrap, *arguments[1:]],
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
        best = min(best, time.perf_counter() - began)
        if best < 0.010:
            break
    assert best < 0.010


# ---- topics ----------------------------------------------------------------------------------------

def test_topics_with_zookeeper(broker):
    """Goal: a session of the days of ZooKeeper, word for word."""
    def old(*arguments, status=0):
        return call("topics", "--zookeeper", broker.zookeeper, *arguments, status=status)

    create = ("--create", "--replication-factor", 1, "--partitions", 1, "--topic")
    assert old("--list")[0] == ""
    assert old(*create, "test")[0] == 'Created topic "test".\n'
    assert old("--list")[0] == "test\n"
    assert old(*create, "test", status=1)[1] == \
        "Error while executing topic command : Topic 'test' already exists.\n"
    assert old(*create, "test", "--if-not-exists") == ("", "")
    assert old("--create", "--topic", "x", status=1)[1].startswith(
        'Missing required argument "[partitions]"')
    assert old(*create, "my_topic", "--config", "retention.ms=1000")[0] == (
        "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') "
        "could collide. To avoid issues it is best to use either, but not both.\n"
        'Created topic "my_topic".\n')
    assert old("--describe")[0] == (
        "Topic:my_topic\tPartitionCount:1\tReplicationFactor:1\tConfigs:retention.ms=1000\n"
        "\tTopic: my_topic\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\n"
        "Topic:test\tPartitionCount:1\tReplicationFactor:1\tConfigs:\n"
        "\tTopic: test\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\n")
    assert old("--describe", "--topics-with-overrides")[0] == (
        "Topic:my_topic\tPartitionCount:1\tReplicationFactor:1\tConfigs:retention.ms=1000\n")
    assert old("--alter", "--topic", "test", "--partitions", 2)[0] == (
        "WARNING: If partitions are increased for a topic that has a key, the partition logic or "
        "ordering of the messages will be affected\nAdding partitions succeeded!\n")
    deprecated = (
        "WARNING: Altering topic configuration from this script has been deprecated and may be removed "
        "in future releases.\n         Going forward, please use kafka-configs.sh for this functionality"
        "\n")
    assert old("--alter", "--topic", "my_topic", "--delete-config", "retention.ms", "--config",
               "segment.ms=5000")[0] == deprecated + 'Updated config for topic "my_topic".\n'
    assert "Configs:segment.ms=5000\n" in old("--describe", "--topic", "my_topic")[0]
    assert old("--delete", "--topic", "test")[0] == (
        "Topic test is marked for deletion.\n"
        "Note: This will have no impact if delete.topic.enable is not set to true.\n")
    assert old("--list")[0] == "my_topic\n"
    assert old("--delete", "--topic", "test", status=1)[1] == (
        "Error while executing topic command : Topic test does not exist on ZK path "
        f"{broker.zookeeper}\n")
    assert old("--describe", "--topic", "test") == ("", "")


def test_topics_of_today(broker, tool, complain):
    assert tool("topics", "--list") == "\n"
    assert tool("topics", "--create", "--topic", "one") == "Created topic one.\n"
    assert tool("topics", "--create", "--topic", "two", "--partitions", 3, "--config",
                "retention.ms=1000", "--config", "cleanup.policy=compact") == "Created topic two.\n"
    assert tool("topics", "--list") == "one\ntwo\n"
    text = tool("topics", "--describe")
    assert re.fullmatch(
        "Topic: one\tTopicId: \\S{22}\tPartitionCount: 1\tReplicationFactor: 1"
        "\tConfigs: min.insync.replicas=1\n"
        "\tTopic: one\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: \tLastKnownElr: \n"
        "Topic: two\tTopicId: (\\S{22})\tPartitionCount: 3\tReplicationFactor: 1"
        "\tConfigs: cleanup.policy=compact,min.insync.replicas=1,retention.ms=1000\n"
        + "".join(f"\tTopic: two\tPartition: {i}\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: "
                  "\tLastKnownElr: \n" for i in range(3)), text), text
    topic_id = re.search(r"Topic: two\tTopicId: (\S+)", text)[1]
    assert tool("topics", "--describe", "--topic-id", topic_id).startswith("Topic: two\t")
    assert complain("topics", "--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ") == \
        "TopicId 'AAAAAAAAAAAAAAAAAAAAAQ' does not exist as expected"
    assert complain("topics", "--describe", "--topic", "three") == \
        "Topic 'three' does not exist as expected"
    assert tool("topics", "--describe", "--topic", "three", "--if-exists") == ""
    assert tool("topics", "--alter", "--topic", "one", "--partitions", 4) == ""
    assert complain("topics", "--alter", "--topic", "one", "--partitions", 2).startswith(
        "Error while executing topic command : ")
    for report in ("under-replicated-partitions", "unavailable-partitions",
                   "under-min-isr-partitions"):
        assert tool("topics", "--describe", f"--{report}") == ""
    assert tool("topics", "--describe", "--at-min-isr-partitions").count("\n") == 7
    # The cluster's min.insync.replicas is no default, so each topic has something to say.
    assert tool("topics", "--describe", "--topics-with-overrides").count("\n") == 2
    assert tool("topics", "--delete", "--topic", "t.*,nothing") == ""
    assert tool("topics", "--list") == "one\n"
    assert complain("topics", "--delete", "--topic", "two") == \
        "Topic 'two' does not exist as expected"
    assert tool("topics", "--delete", "--topic", "two", "--if-exists") == ""


def test_describing_page_by_page(broker, tool):
    """Goal: answers of a few partitions each make one description."""
    broker_with_topic(broker, "a", 7)
    broker_with_topic(broker, "b", 3)
    whole = tool("topics", "--describe")
    assert whole.count("\tPartition: ") == 10
    assert tool("topics", "--describe", "--partition-size-limit-per-response", 2) == whole


def test_topics_as_json(broker, tool):
    broker_with_topic(broker, "a", 2)
    assert json.loads(tool("topics", "--list", "--output", "json")) == ["a"]
    topic = json.loads(tool("topics", "--describe", "--output", "json"))[0]
    assert topic["partition_count"] == 2 and topic["partitions"][1] == {
        "partition": 1, "leader": 0, "replicas": [0], "isr": [0], "elr": [], "last_known_elr": []}


@pytest.mark.parametrize("arguments, message", [
    (("--create",), 'Missing required argument "[topic]"'),
    (("--list", "--create", "--topic", "t"),
     "Command must include exactly one action: --list, --describe, --create, --alter or --delete"),
    (("--list", "--partitions", 3), 'Option "[partitions]" can\'t be used with option "[list]"'),
    (("--alter", "--topic", "t"), 'Missing required argument "[partitions]"'),
    (("--create", "--topic", "t", "--partitions", 0), "The partitions must be greater than 0"),
    (("--create", "--topic", "t", "--partitions", "x"),
     "Cannot parse argument 'x' of option partitions; give a whole number of 32 bits"),
    (("--create", "--topic", "t", "--replication-factor", 0),
     "The replication factor must be between 1 and 32767 inclusive"),
    (("--create", "--topic", "t", "--config", "x"), "Error while executing topic command : requirement "
     "failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."),
    (("--create", "--topic", "t", "--config", "no.such=1"),
     "Error while executing topic command : Unknown topic config name: no.such"),
    (("--create", "--topic", "t", "--replica-assignment", "0:0"), "Error while executing topic command :"
     " Partition replica lists may not contain duplicate entries: 0"),
    (("--create", "--topic", "a b"), "Error while executing topic command : "),
    (("--describe", "--topic", "a("), "Error while executing topic command : a( is an invalid regex"),
    (("--lst",), "lst is not a recognized option; did you mean --list?"),
    (("--list", "--output", "yaml"), "'yaml' is no value of --output; give one of: text json"),
])
def test_mistakes_with_topics(broker, arguments, message):
    errors = call("topics", "--bootstrap-server", broker.bootstrap, *arguments, status=1)[1]
    assert errors.startswith(message), errors


# ---- offsets and records ---------------------------------------------------------------------------

def test_get_offsets(broker, tool, complain):
    broker_with_topic(broker, "t", 12, keep_old=True)
    broker_with_topic(broker, "other")
    produce(broker, "t", 0, b"a", b"b", timestamp=1000)
    produce(broker, "t", 11, b"c", timestamp=2000)
    assert tool("get-offsets", "--topic", "t").split() == [
        "t:0:2", "t:1:0", "t:10:0", "t:11:1", *(f"t:{i}:0" for i in range(2, 10))]
    assert tool("get-offsets", "--topic-partitions", "t:0,t:10-,o.*:-1") == \
        "other:0:0\nt:0:2\nt:10:0\nt:11:1\n"
    assert tool("get-offsets", "--topic", "t", "--partitions", "0,11", "--time", "1500") == "t:11:0\n"
    assert tool("get-offsets", "--topic", "t", "--partitions", "0,11", "--time", "max-timestamp") == \
        "t:0:0\nt:11:0\n"
    assert tool("get-offsets", "--topic", "t", "--partitions", "0", "--time", "-2") == "t:0:0\n"
    assert complain("get-offsets", "--topic", "x") == \
        "Error occurred: Could not match any topic-partitions with the specified filters"
    assert complain("get-offsets", "--time", "noon").startswith(
        "Error occurred: Malformed time argument noon.")
    assert complain("get-offsets", "--topic-partitions", "t:x") == \
        "Error occurred: Invalid rule specification: t:x"


def test_delete_records(broker, tool, complain, tmp_path):
    broker_with_topic(broker, "t", 2)
    produce(broker, "t", 0, b"a", b"b", b"c")
    produce(broker, "t", 1, b"a")
    path = tmp_path / "offsets.json"
    path.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": "t", "partition": 0, "offset": 2}, {"topic": "t", "partition": 1, "offset": -1}]}))
    assert tool("delete-records", "--offset-json-file", path) == (
        "Executing records delete operation\nRecords delete operation completed:\n"
        "partition: t-0\tlow_watermark: 2\npartition: t-1\tlow_watermark: 1\n")
    assert tool("get-offsets", "--topic", "t", "--time", "earliest") == "t:0:2\nt:1:1\n"
    path.write_text('{"partitions": [{"topic": "t", "partition": 0, "offset": 9},'
                    '{"topic": "no", "partition": 0, "offset": 9}]}')
    output = tool("delete-records", "--offset-json-file", path, status=1)
    assert "partition: t-0\terror: " in output and "partition: no-0\terror: " in output
    for text, message in [("{", "is not a valid JSON"), ("{}", "Missing partitions field"),
                          ('{"version": 2}', "Not supported version field value 2"),
                          ('{"partitions": [{}]}', "needs"),
                          ('{"partitions": [{"topic": "t", "partition": 4294967296, "offset": 3}]}',
                           "must be from 0 to 2147483647")]:
        path.write_text(text)
        assert message in complain("delete-records", "--offset-json-file", path)
    assert tool("get-offsets", "--topic", "t", "--time", "earliest") == "t:0:2\nt:1:1\n"


def test_log_dirs(broker, tool, complain):
    """Goal: the sizes are those of the files."""
    broker_with_topic(broker, "t", 2)
    produce(broker, "t", 1, b"x" * 1000)
    lines = tool("log-dirs", "--describe", "--topic-list", "t").split("\n")
    assert lines[:2] == ["Querying brokers for log directories information",
                         "Received log directory information from brokers 0"]
    size = os.path.getsize(os.path.join(broker.partition_folder("t", 1), broker.segments("t", 1)[0]))
    assert json.loads(lines[2]) == {"version": 1, "brokers": [{"broker": 0, "logDirs": [
        {"logDir": broker.data, "error": None, "partitions": [
            {"partition": "t-0", "size": 0, "offsetLag": 0, "isFuture": False},
            {"partition": "t-1", "size": size, "offsetLag": 0, "isFuture": False}]}]}]}
    assert complain("log-dirs", "--describe", "--broker-list", "0,7") == \
        "ERROR: The given brokers do not exist from --broker-list: 7. Current existent brokers: 0"


def test_dump_log(broker, tool):
    """Goal: the broker's own files are what the tool says they should be."""
    call("topics", "--bootstrap-server", broker.bootstrap, "--create", "--topic", "t", "--config",
         "segment.bytes=10000", "--config", "index.interval.bytes=500", "--config", "retention.ms=-1")
    for i in range(30):
        produce(broker, "t", 0, b"%d" % i * 500, timestamp=1000 + i)
    broker.stop()
    folder = broker.partition_folder("t", 0)
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder)
                   if name.endswith((".log", ".index", ".timeindex", ".snapshot")))
    output, errors = call("dump-log", "--files", ",".join(files), "--deep-iteration")
    assert errors == ""
    offsets = [int(found) for found in re.findall(r"^\| offset: (\d+)", output, re.M)]
    assert offsets == list(range(30)) and "isvalid: false" not in output
    assert len(re.findall(r"^offset: \d+ position: \d+$", output, re.M)) > 5
    assert call("dump-log", "--verify-index-only", "--files",
                ",".join(name for name in files if "index" in name))[1] == ""


def test_dump_of_internal_topics(broker, tool):
    """Goal: committed offsets and metadata can be read in the broker's own logs."""
    broker_with_topic(broker, "t")
    tool("consumer-groups", "--reset-offsets", "--group", "g", "--topic", "t", "--to-latest",
         "--execute")
    broker.stop()
    logs = []
    for folder, _, names in os.walk(broker.data):
        if "__consumer_offsets-" in folder:
            logs += [os.path.join(folder, name) for name in names if name.endswith(".log")]
    output = call("dump-log", "--offsets-decoder", "--files", ",".join(logs))[0]
    assert re.search(r'key: \{"type":"1","data":\{"group":"g","topic":"t","partition":0\}\} payload: '
                     r'\{"version":"\d","data":\{"offset":0,', output)


# ---- groups ----------------------------------------------------------------------------------------

@pytest.fixture
def topic(broker):
    broker_with_topic(broker, "t", 2, keep_old=True)
    produce(broker, "t", 0, b"a", b"b", b"c", timestamp=1000)
    produce(broker, "t", 1, b"d", timestamp=9000)


@pytest.fixture
def idle_group(broker, topic, tool):
    """A group without members that has committed the ends of both partitions."""
    tool("consumer-groups", "--reset-offsets", "--group", "g", "--topic", "t", "--to-latest",
         "--execute")
    assert committed(broker) == {("t", 0): 3, ("t", 1): 1}
    return "g"


@pytest.fixture
def member(broker, idle_group):
    """A member of that group."""
    with Program("kcat", "-b", broker.bootstrap, "-G", "g", "-u", "-q", "t") as consumer:
        produce(broker, "t", 0, b"e", timestamp=9000)
        consumer.read_lines(1)
        yield consumer


def committed(broker):
    text = call("consumer-groups", "--bootstrap-server", broker.bootstrap, "--describe", "--group", "g",
                "--output", "json")[0]
    return {(row["topic"], row["partition"]): row.get("current_offset") for row in json.loads(text)}


def test_a_group_with_members(broker, tool, complain, member):
    wait_until(lambda: committed(broker) == {("t", 0): 4, ("t", 1): 1}, "the commit")
    assert tool("consumer-groups", "--list") == "g\n"
    assert tool("consumer-groups", "--list", "--state", "stable", "--type") == (
        f"{'GROUP':25} {'TYPE':20} {'STATE':20}\n{'g':25} {'Classic':20} {'Stable':20}\n")
    assert tool("consumer-groups", "--list", "--state", "empty") == f"{'GROUP':25} {'STATE':20}\n"
    text = tool("consumer-groups", "--describe", "--group", "g")
    consumer = re.search(r"rdkafka-\S+", text)[0]
    width = max(15, len(consumer))
    assert text == (
        f"\n{'GROUP':15} {'TOPIC':15} PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             "
        f"{'CONSUMER-ID':{width}} HOST            CLIENT-ID"
        f"\n{'g':15} {'t':15} 0          4               4               0               "
        f"{consumer:{width}} /127.0.0.1      rdkafka"
        f"\n{'g':15} {'t':15} 1          1               1               0               "
        f"{consumer:{width}} /127.0.0.1      rdkafka\n")
    text = tool("consumer-groups", "--describe", "--group", "g", "--members", "--verbose")
    assert re.search(r"^g +rdkafka-\S+ +/127.0.0.1 +rdkafka +2 +- +t:0,1 +- +- +$", text, re.M)
    text = tool("consumer-groups", "--describe", "--group", "g", "--state")
    assert re.search(rf"^g +{broker.bootstrap}  \(0\) +range +Stable +1$", text, re.M)
    assert complain("consumer-groups", "--reset-offsets", "--group", "g", "--all-topics",
                    "--to-earliest", "--execute") == (
        "Error: Assignments can only be reset if the group 'g' is inactive, but the current state is "
        "Stable.")
    assert complain("consumer-groups", "--delete", "--group", "g").startswith(
        "* Group 'g' could not be deleted due to: ")
    assert "TOPIC                          PARTITION  CURRENT-OFFSET" in call(
        "consumer-groups", "--zookeeper", broker.zookeeper, "--describe", "--group", "g")[0]


@pytest.mark.parametrize("arguments, expected", [
    (("--to-earliest", "--all-topics"), (0, 0)),
    (("--to-latest", "--topic", "t"), (3, 1)),
    (("--to-current", "--topic", "t"), (3, 1)),
    (("--to-offset", 2, "--topic", "t:0"), (2, 1)),
    (("--to-offset", 99, "--topic", "t"), (3, 1)),
    (("--shift-by", -2, "--topic", "t:0"), (1, 1)),
    (("--shift-by", -9, "--all-topics"), (0, 0)),
    (("--to-datetime", "1970-01-01T00:00:05.000", "--topic", "t"), (3, 0)),
    (("--to-datetime", "1970-01-01T01:00:00.500+01:00", "--topic", "t"), (0, 0)),
    (("--by-duration", "PT1H", "--topic", "t"), (3, 1)),
])
def test_resets(broker, tool, idle_group, arguments, expected):
    """Goal: each way of resetting, first only shown, then done."""
    reset = ("consumer-groups", "--reset-offsets", "--group", "g", *arguments)
    plan = tool(*reset, "--dry-run")
    assert plan.startswith(f"\n{'GROUP':15} {'TOPIC':15} PARTITION  NEW-OFFSET\n")
    assert committed(broker) == {("t", 0): 3, ("t", 1): 1}
    assert tool(*reset, "--execute") == plan
    assert committed(broker) == {("t", 0): expected[0], ("t", 1): expected[1]}


def test_resets_through_a_file(broker, tool, complain, idle_group, tmp_path):
    """Goal: what --export prints --from-file reads, of one group and of several."""
    path = tmp_path / "plan.csv"
    path.write_text(tool("consumer-groups", "--reset-offsets", "--group", "g", "--to-earliest",
                         "--all-topics", "--export", "--dry-run"))
    assert path.read_text() == "t,0,0\nt,1,0\n\n"
    path.write_text("t,0,1\n\"t\",1,0\n")
    reset = ("consumer-groups", "--reset-offsets", "--from-file", path, "--execute")
    tool(*reset, "--group", "g")
    assert committed(broker) == {("t", 0): 1, ("t", 1): 0}
    path.write_text("g,t,0,2\nh,t,0,3\n")
    tool(*reset, "--group", "g", "--group", "h")
    assert committed(broker) == {("t", 0): 2, ("t", 1): 0}
    path.write_text("t,zero,0\n")
    assert complain(*reset, "--group", "g").endswith(
        f"{path}:1: a row is topic,partition,offset")


def test_deleting_groups(broker, tool, complain, idle_group):
    assert tool("consumer-groups", "--delete-offsets", "--group", "g", "--topic", "t:1") == (
        "Request succeeded for deleting offsets from group g.\n"
        f"\n{'TOPIC':15} PARTITION  {'STATUS':15}\n{'t':15} 1          {'Successful':15}\n")
    assert committed(broker) == {("t", 0): 3}
    assert complain("consumer-groups", "--delete", "--group", "g", "--group", "nobody").startswith(
        "* Group 'nobody' could not be deleted due to: ")
    assert complain("consumer-groups", "--describe", "--group", "g") == \
        "Error: Consumer group 'g' does not exist."
    assert tool("consumer-groups", "--list") == ""


@pytest.mark.parametrize("arguments, message", [
    (("--describe",), "Option [describe] takes one of these options: [group], [all-groups]"),
    (("--describe", "--group", "g", "--members", "--state"),
     "Option [describe] takes at most one of these options: [members], [offsets], [state]"),
    (("--list", "--verbose"), 'Option "[verbose]" can only be used with option "[describe]"'),
    (("--reset-offsets", "--group", "g", "--to-earliest"),
     "One of the reset scopes should be defined: --all-topics, --topic."),
    (("--reset-offsets", "--group", "g", "--topic", "t"), "Option '[reset-offsets]' requires one of"),
    (("--reset-offsets", "--group", "g", "--topic", "t", "--to-earliest", "--to-latest"),
     'Option "[to-earliest]" can\'t be used with option "[to-latest]"'),
    (("--reset-offsets", "--group", "g", "--topic", "t", "--to-datetime", "noon"),
     "--to-datetime noon is no date and time"),
    (("--list", "--state", "sleepy"), "\nError: Executing consumer group command failed due to Invalid "
     "state list 'sleepy'."),
])
def test_mistakes_with_groups(broker, arguments, message):
    errors = call("consumer-groups", "--bootstrap-server", broker.bootstrap, *arguments, status=1)[1]
    assert errors.startswith(message), errors


# ---- settings and the cluster ----------------------------------------------------------------------

def test_configs(broker, tool, complain):
    broker_with_topic(broker, "t")
    assert tool("configs", "--describe", "--topic", "t") == "Dynamic configs for topic t are:\n"
    assert tool("configs", "--alter", "--topic", "t", "--add-config",
                "retention.ms=5000,cleanup.policy=[compact,delete]") == \
        "Completed updating config for topic t.\n"
    assert tool("configs", "--describe", "--entity-type", "topics", "--entity-name", "t") == (
        "Dynamic configs for topic t are:\n"
        "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy="
        "compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}\n"
        "  retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000}\n")
    assert complain("configs", "--alter", "--topic", "t", "--delete-config", "retention.ms,flush.ms") \
        == "Invalid config(s): flush.ms"
    tool("configs", "--alter", "--topic", "t", "--delete-config", "retention.ms,cleanup.policy")
    assert tool("configs", "--describe", "--topic", "t") == "Dynamic configs for topic t are:\n"
    every = tool("configs", "--describe", "--topic", "t", "--all")
    assert every.startswith("All configs for topic t are:\n  cleanup.policy=delete sensitive=false ")
    assert complain("configs", "--alter", "--topic", "t", "--add-config", "no.such=1") == \
        "Unknown topic config name: no.such"
    assert complain("configs", "--describe", "--topic", "x") == \
        "The topic 'x' doesn't exist and doesn't have dynamic config."


def test_configs_of_brokers(broker, tool, complain):
    assert tool("configs", "--alter", "--broker-defaults", "--add-config",
                "log.retention.ms=100000") == "Completed updating default config for brokers in the " \
        "cluster.\n"
    assert tool("configs", "--alter", "--broker", 0, "--add-config", "log.retention.ms=200000") == \
        "Completed updating config for broker 0.\n"
    text = tool("configs", "--describe", "--entity-type", "brokers")
    assert text == (
        "Dynamic configs for broker 0 are:\n"
        "  log.retention.ms=200000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms="
        "200000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=100000, DEFAULT_CONFIG:"
        "log.retention.hours=168}\n"
        "Default configs for brokers in the cluster are:\n"
        "  log.retention.ms=100000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:"
        "log.retention.ms=100000}\n") or "log.retention.ms=200000" in text
    assert complain("configs", "--describe", "--broker", "x") == \
        "The entity name for brokers must be a valid integer broker id, but it is: x"
    assert complain("configs", "--alter", "--entity-type", "brokers", "--add-config", "a=b").startswith(
        "An entity-name or default entity must be specified")


def test_configs_as_json(broker, tool):
    """Goal: what --describe tells, for scripts: one object per entity, default entities unnamed."""
    tool("topics", "--create", "--topic", "json", "--config", "retention.ms=5000")
    described = ("configs", "--describe", "--output", "json")
    assert json.loads(tool(*described, "--topic", "json")) == [
        {"entity_type": "topics", "entity_name": "json", "configs": [
            {"name": "retention.ms", "value": "5000", "source": "DYNAMIC_TOPIC_CONFIG",
             "sensitive": False, "read_only": False, "synonyms": [
                 {"source": "DYNAMIC_TOPIC_CONFIG", "name": "retention.ms", "value": "5000"}]}]}]
    named = [item["entity_name"]
             for item in json.loads(tool(*described, "--entity-type", "brokers"))]
    assert named == ["0", None]
    every = json.loads(tool(*described, "--topic", "json", "--all"))[0]["configs"]
    assert {"cleanup.policy", "retention.ms"} < {item["name"] for item in every}


def test_configs_with_zookeeper(broker, tmp_path):
    def old(*arguments, status=0):
        return call("configs", "--zookeeper", broker.zookeeper, "--entity-type", "topics",
                    "--entity-name", "t", *arguments, status=status)

    broker_with_topic(broker, "t")
    assert old("--alter", "--add-config", "retention.ms=5000")[0] == \
        "Completed Updating config for entity: topic 't'.\n"
    assert old("--describe")[0] == "Configs for topic 't' are retention.ms=5000\n"
    path = tmp_path / "add.properties"
    path.write_text("retention.ms = 6000\nsegment.ms = 70000\n")
    old("--alter", "--add-config-file", path)
    assert old("--describe")[0] == "Configs for topic 't' are retention.ms=6000,segment.ms=70000\n"
    assert old("--alter", "--delete-config", "flush.ms", status=1)[1] == "Invalid config(s): flush.ms\n"


def test_cluster(broker):
    with open(os.path.join(broker.data, "meta.properties"), encoding="ascii") as file:
        cluster_id = re.search(r"cluster.id=(\S+)", file.read())[1]
    assert call("cluster", "cluster-id", "-b", broker.bootstrap)[0] == f"Cluster ID: {cluster_id}\n"
    lines = call("cluster", "list-endpoints", "--bootstrap-server", broker.bootstrap)[0].split("\n")
    assert lines[0].split() == ["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]
    assert lines[1].split() == ["0", "127.0.0.1", str(broker.port), "null", "unfenced", "broker"]
    assert call("cluster", "dance", status=1)[1].startswith("cluster has no command dance\n")


def test_api_versions(broker, tool, connection):
    """Goal: each range is the one that the broker advertises."""
    text = tool("broker-api-versions")
    assert text.startswith(f"{broker.bootstrap} (id: 0 rack: null isFenced: false) -> (\n\tProduce(0): ")
    told = {int(key): (int(low), int(high or low)) for key, low, high in
            re.findall(r"^\t\w+\((\d+)\): (\d+)(?: to (\d+))?", text, re.M)}
    answer = connection.call("ApiVersions", 0)
    assert told == {item.ApiKey: (item.MinVersion, item.MaxVersion) for item in answer.ApiKeys}


def test_storage(make_broker, tmp_path):
    """Goal: a folder that was formatted with an id makes a cluster of that id."""
    broker = make_broker(start=False)
    path = tmp_path / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in broker.properties.items()))
    output = call("storage", "info", "-c", path, status=1)[0]
    assert output == f"Found problem:\n  {broker.data} does not exist\n\n"
    cluster_id = call("storage", "random-uuid")[0].strip()
    assert len(cluster_id) == 22 and cluster_id[0] != "-"
    output = call("storage", "format", "-t", cluster_id, "-c", path, "--standalone")[0]
    assert re.fullmatch(f"Formatting .* {broker.data} with metadata.version \\S+\\.\n", output)
    errors = call("storage", "format", "--cluster-id", cluster_id, "--config", path, status=1)[1]
    assert errors == (f"Log directory {broker.data} is already formatted. Use --ignore-formatted to "
                      "ignore this directory and format the others.\n")
    assert call("storage", "format", "-t", cluster_id, "-c", path, "-g")[0] == \
        "All of the log directories are already formatted.\n"
    output = call("storage", "info", "-c", path)[0]
    assert re.fullmatch(f"Found log directory:\n  {broker.data}\n\nFound metadata: "
                        f"{{cluster.id={cluster_id}, directory.id=\\S+, node.id=0, version=1}}\n\n",
                        output)
    broker.start()
    assert call("cluster", "cluster-id", "-b", broker.bootstrap)[0] == f"Cluster ID: {cluster_id}\n"
    assert "give 22 letters" in call("storage", "format", "-t", "x", "-c", path, status=1)[1]


def test_the_rest_as_json(broker, tool, tmp_path):
    """Goal: what the tools of old print for people is there for programs, too."""
    produce(broker_with_topic(broker, "t", keep_old=True), "t", 0, b"x", b"y")
    assert json.loads(tool("get-offsets", "--output", "json")) == [
        {"topic": "t", "partition": 0, "offset": 2}]
    path = tmp_path / "offsets.json"
    path.write_text('{"partitions": [{"topic": "t", "partition": 0, "offset": 1},'
                    '{"topic": "u", "partition": 0, "offset": 1}]}')
    assert json.loads(tool("delete-records", "--offset-json-file", path, "--output", "json",
                           status=1)) == [
        {"topic": "t", "partition": 0, "low_watermark": 1},
        {"topic": "u", "partition": 0, "error": "UNKNOWN_TOPIC_OR_PARTITION"}]
    endpoints = json.loads(call("cluster", "list-endpoints", "-b", broker.bootstrap, "--output",
                                "json")[0])
    assert endpoints == [{"id": 0, "host": "127.0.0.1", "port": broker.port, "rack": None,
                          "is_fenced": False, "endpoint_type": "broker"}]
    cluster_id = json.loads(call("cluster", "cluster-id", "-b", broker.bootstrap, "--output",
                                 "json")[0])["cluster_id"]
    told = json.loads(tool("broker-api-versions", "--output", "json"))
    assert told[0]["id"] == 0 and told[0]["port"] == broker.port
    api = next(api for api in told[0]["apis"] if api["key"] == 20)
    assert api["name"] == "DeleteTopics" and api["usable_version"] == api["max_version"]
    config = os.path.join(broker.folder, "server.properties")
    info = json.loads(call("storage", "info", "-c", config, "--output", "json")[0])
    assert info["log_dirs"] == [broker.data] and info["problems"] == []
    assert info["metadata"]["cluster.id"] == cluster_id and info["metadata"]["node.id"] == 0
    assert call("cluster", "cluster-id", "-b", broker.bootstrap, "--output", "xml", status=1)[1] \
        .startswith("'xml' is no value of --output; give one of: text json\n")


def test_storage_tells_of_features(broker, tmp_path):
    """Goal: releases and levels of metadata.version, as the broker has them, and the refusal of
    those that there are not."""
    log = os.path.join(broker.data, "__cluster_metadata-0", "00000000000000000000.log")
    records = call("dump-log", "--cluster-metadata-decoder", "--files", log)[0]
    newest = int(re.search('"name":"metadata.version","featureLevel":(\\d+)', records)[1])
    assert call("storage", "version-mapping")[0] == f"metadata.version={newest} (4.3-IV0)\n"
    for release, level in ("3.3-IV3", 7), ("3.7", 19), ("3.9.1", 21), ("4.0-IV1", 23):
        assert call("storage", "version-mapping", "--release-version", release)[0] == \
            f"metadata.version={level} ({release})\n"
    assert call("storage", "feature-dependencies", "-f", "metadata.version=17", "-f",
                f"metadata.version={newest}")[0] == (
        "metadata.version=17 (3.7-IV2) has no dependencies.\n"
        f"metadata.version={newest} (4.3-IV0) has no dependencies.\n")
    for words, message in (
            (["version-mapping", "-r", "2.8"], "Unknown release version '2.8'. Supported versions "
             "are: 3.3-IV3 to 4.3-IV0\n"),
            (["feature-dependencies", "-f", "a.b=1"], "Unknown feature: a.b\n"),
            (["feature-dependencies", "-f", "metadata.version=99"],
             "Unknown metadata.version 99: this release has 7 to 30\n"),
            (["feature-dependencies", "-f", "metadata.version=x"],
             "Invalid version format: x for feature metadata.version\n"),
            (["feature-dependencies", "-f", "x"],
             "Can't parse feature=level string x: equals sign not found.\n")):
        assert call("storage", *words, status=1)[1] == message
    path = tmp_path / "server.properties"
    path.write_text(f"broker.id=0\nlog.dirs={tmp_path}/data\n")
    errors = call("storage", "format", "-t", call("storage", "random-uuid")[0].strip(), "-c", path,
                  "-r", "9.9", status=1)[1]
    assert errors.startswith("Unknown release version '9.9'.")
