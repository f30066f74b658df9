"""The launchers in bin/: names, arguments, daemons, stopping.

Method: a stand-in for `ottla` prints its arguments (or waits, as a server would), so these tests
are about the scripts alone; other system tests drive the real program through them.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "bin")
TOOLS = sorted(name[len("kafka-"):-len(".sh")] for name in os.listdir(BIN)
               if os.path.islink(os.path.join(BIN, name)) and name.startswith("kafka-"))
STAND_IN = """#!/bin/sh
for word in "$@"; do echo "<$word>"; done
case " $* " in
*' broken '*) echo 'no such file' >&2; exit 3 ;;
*' wait '*) exec sleep 60 ;;
esac
"""


def run(*command, env=None, cwd=None, status=0):
    done = subprocess.run(command, env={"PATH": os.environ["PATH"], **(env or {})}, cwd=cwd,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20)
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture
def installed(tmp_path):
    """A folder as `make install` leaves it: launchers and program side by side."""
    folder = tmp_path / "usr" / "bin"
    shutil.copytree(BIN, folder, symlinks=True)
    program = folder / "ottla"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_gets_its_name_and_every_argument(installed, tool):
    """Goal: quoting survives, nothing is added."""
    output = run(installed / f"kafka-{tool}.sh", "--topic", "two words", "", "*")
    assert output == f"<{tool}>\n<--topic>\n<two words>\n<>\n<*>\n"


def test_launchers_work_through_a_link_and_from_anywhere(installed, tmp_path):
    """Goal: a link in another folder, a relative path, and `sh SCRIPT` all find the program."""
    link = tmp_path / "kafka-topics.sh"
    link.symlink_to(installed / "kafka-topics.sh")
    assert run(link) == "<topics>\n"
    assert run("./kafka-topics.sh", cwd=installed) == "<topics>\n"
    assert run("sh", "kafka-topics.sh", cwd=installed) == "<topics>\n"
    assert run("sh", "kafka-server-start.sh", "x", cwd=installed) == "<server>\n<x>\n"


def test_in_the_tree_an_unbuilt_program_is_named(tmp_path):
    """Goal: who forgot to build is told what to do."""
    shutil.copytree(BIN, tmp_path / "bin", symlinks=True)
    (tmp_path / "meson.build").write_text("")
    output = run(tmp_path / "bin" / "kafka-topics.sh", "--list", status=1)
    assert "run `make`" in output


@pytest.mark.parametrize("name, tool", [
    ("kafka.Kafka", "server"),
    ("kafka.admin.TopicCommand", "topics"),
    ("org.apache.kafka.tools.TopicCommand", "topics"),
    ("kafka.tools.GetOffsetShell", "get-offsets"),
    ("kafka.admin.ConsumerGroupCommand", "consumer-groups"),
    ("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "consumer-groups"),
    ("org.apache.kafka.tools.ProducerPerformance", "producer-perf-test"),
    ("kafka.tools.DumpLogSegments", "dump-log"),
    ("kafka.admin.PreferredReplicaLeaderElectionCommand", "preferred-replica-election"),
    ("org.apache.kafka.tools.LeaderElectionCommand", "leader-election"),
    ("kafka.admin.ReassignPartitionsCommand", "reassign-partitions"),
    ("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "reassign-partitions"),
    ("kafka.tools.ReplicaVerificationTool", "replica-verification"),
    ("org.apache.kafka.tools.MetadataQuorumCommand", "metadata-quorum"),
])
def test_run_class_knows_old_and_new_classes(installed, name, tool):
    """Goal: scripts that call kafka-run-class.sh with a class go on working."""
    output = run(installed / "kafka-run-class.sh", "-name", "x", "-loggc", name, "--list")
    assert output == f"<{tool}>\n<--list>\n"


def test_run_class_refuses_what_it_does_not_know(installed):
    output = run(installed / "kafka-run-class.sh", "com.example.TopicCommand", status=1)
    assert "com.example.TopicCommand" in output
    assert "USAGE" in run(installed / "kafka-run-class.sh", status=1)


def test_server_start_passes_overrides_in_the_foreground(installed):
    output = run(installed / "kafka-server-start.sh", "a.properties", "--override", "x=1 2")
    assert output == "<server>\n<a.properties>\n<--override>\n<x=1 2>\n"
    assert "USAGE" in run(installed / "kafka-server-start.sh", status=1)
    assert "USAGE" in run(installed / "kafka-server-start.sh", "-daemon", status=1)


def test_server_start_daemon_writes_to_the_log_folder(installed, tmp_path):
    """Goal: -daemon returns at once, the server lives on with its output in kafkaServer.out."""
    logs = tmp_path / "logs"
    run(installed / "kafka-server-start.sh", "-daemon", "wait", env={"LOG_DIR": str(logs)})
    assert (logs / "kafkaServer.out").read_text() == "<server>\n<wait>\n"
    found = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_child_of(pid, str(logs))]
    assert len(found) == 1
    os.kill(int(found[0]), signal.SIGTERM)


def is_child_of(pid, folder):
    """Whether the process writes to a file below the folder."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1").startswith(folder)
    except OSError:
        return False


def test_server_start_daemon_reports_a_start_that_failed(installed, tmp_path):
    """Goal: a broker that ends at once is not reported as started."""
    output = run(installed / "kafka-server-start.sh", "-daemon", "broken",
                 env={"LOG_DIR": str(tmp_path / "logs")}, status=3)
    assert "no such file" in output


def test_zookeeper_scripts_are_harmless(installed):
    for name in ("zookeeper-server-start.sh", "zookeeper-server-stop.sh"):
        output = run(installed / name, "-daemon", "config/zookeeper.properties")
        assert "needs no ZooKeeper" in output
        assert output.count("\n") == 1


class FakeProc:
    """A folder like /proc whose processes are real ones (sleep) with made-up command lines, so that
    no other broker of the machine is ever in reach."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def add(self, *words, cwd="/", comm="ottla"):
        # Who runs the tests in the background may have SIGINT ignored, and children inherit that.
        child = subprocess.Popen(
            ["sleep", "60"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.children.append(child)
        place = self.folder / str(child.pid)
        place.mkdir()
        (place / "comm").write_text(comm + "\n")
        (place / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (place / "cwd").symlink_to(cwd)
        return child

    def stop(self, *arguments, status=0, env=None):
        return run(os.path.join(BIN, "kafka-server-stop.sh"), *arguments, status=status,
                   env={"PROC": str(self.folder), **(env or {})})

    def ended(self):
        """The signals that the children have died of; None for those alive."""
        time.sleep(0.2)
        return [-child.poll() if child.poll() is not None else None for child in self.children]


@pytest.fixture
def proc(tmp_path):
    folder = tmp_path / "proc"
    folder.mkdir()
    fake = FakeProc(folder)
    yield fake
    for child in fake.children:
        child.kill()
        child.wait()


def test_stop_ends_servers_and_nothing_else(proc):
    proc.add("build/ottla", "server", "a.properties")
    proc.add("/usr/bin/ottla", "topics", "--list")
    proc.add("sleep", "server", comm="sleep")
    proc.add("/usr/bin/ottla", "server")
    proc.stop()
    assert proc.ended() == [signal.SIGTERM, None, None, signal.SIGTERM]


def test_stop_says_when_there_is_nothing_to_stop(proc):
    assert proc.stop(status=1) == "No kafka server to stop\n"


def test_stop_takes_another_signal(proc):
    proc.add("ottla", "server", "a.properties")
    proc.stop(env={"SIGNAL": "INT"})
    assert proc.ended() == [signal.SIGINT]


def test_stop_by_node_id_and_role(proc, tmp_path):
    """Goal: KIP-979, with ids from node.id, broker.id or an override, and relative paths."""
    (tmp_path / "one.properties").write_text("# node.id=9\nnode.id = 1\nprocess.roles=controller\n")
    (tmp_path / "two.properties").write_text("broker.id=2\r\nprocess.roles=broker\r\n")
    proc.add("ottla", "server", str(tmp_path / "one.properties"))
    proc.add("ottla", "server", "two.properties", cwd=str(tmp_path))
    proc.add("ottla", "server", "two.properties", "--override", "broker.id=3", cwd=str(tmp_path))
    proc.add("ottla", "server", "gone.properties")
    term = signal.SIGTERM
    assert proc.stop("--node-id=9", status=1) == "No kafka server to stop\n"
    proc.stop("--node-id", "3")
    assert proc.ended() == [None, None, term, None]
    proc.stop("--process-role=controller")
    assert proc.ended() == [term, None, term, None]
    proc.stop("--process-role", "broker,controller")
    assert proc.ended() == [term, None, term, term]
    proc.stop("--process-role=broker", "--node-id=2")
    assert proc.ended() == [term] * 2 + [term] * 2


def test_stop_refuses_other_arguments(proc):
    proc.add("ottla", "server")
    assert "USAGE" in proc.stop("--node", "1", status=1)
    assert proc.ended() == [None]
