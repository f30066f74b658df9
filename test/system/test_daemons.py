"""Daemons that run beside a broker: system loggers that write to it, and a watcher of groups.

Method: the real programs (harness.DAEMONS) with property files of their own, as their manuals say;
what they wrote is read by kcat, what they tell is asked for as their users ask.
"""

import json
import os
import socket
import urllib.error
import urllib.request

import pytest

import wire
from console import create, produce
from harness import DAEMONS, Program, free_port, run, wait_until
from zookeeper import Server as ZooKeeper

RSYSLOG = """
global(workDirectory="{folder}")
module(load="imtcp")
module(load="omkafka")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="line" type="string" string="%app-name%:%msg%\\n")
action(type="omkafka" broker=["{bootstrap}"] topic="logs" template="line" errorFile="{folder}/errors"
       confParam=["compression.codec=snappy", "queue.buffering.max.ms=5",
                  "enable.idempotence=true"]
       resubmitOnFailure="on")
"""
SYSLOG_NG = """
@version: current
source s {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(syslog-protocol)); }};
destination d {{ kafka-c(topic("logs") bootstrap-servers("{bootstrap}") key("$PROGRAM")
    message("$PROGRAM:$MSG") config(linger.ms(5) compression.codec(lz4) enable.idempotence("true"))); }};
log {{ source(s); destination(d); }};
"""
BURROW = """
[general]
pidfile="{folder}/pid"
[logging]
filename="{folder}/log"
[zookeeper]
servers=["{zookeeper}"]
[client-profile.watcher]
client-id="burrow"
kafka-version="2.0.0"
[cluster.here]
class-name="kafka"
servers=["{bootstrap}"]
client-profile="watcher"
topic-refresh=1
offset-refresh=1
[consumer.here]
class-name="kafka"
cluster="here"
servers=["{bootstrap}"]
client-profile="watcher"
start-latest=false
[httpserver.default]
address="127.0.0.1:{port}"
[evaluator.default]
class-name="caching"
expire-cache=1
[storage.default]
class-name="inmemory"
min-distance=1
"""


def rsyslog(folder):
    return ["rsyslogd", "-n", "-i", folder / "pid", "-f", folder / "conf"]


def syslog_ng(folder):
    return ["syslog-ng", "--foreground", "--no-caps", "--cfgfile", folder / "conf", "--persist-file",
            folder / "persist", "--pidfile", folder / "pid", "--control", folder / "control"]


def configure(folder, name, text, **values):
    values["port"] = free_port()
    (folder / name).write_text(text.format(folder=folder, **values))
    return values["port"]


def connect(port, daemon):
    def try_it():
        assert daemon.process.poll() is None, daemon.errors
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            return None

    return wait_until(try_it, "the daemon to listen")


def log_lines(first, last):
    return "".join(f"<13>1 2026-01-01T00:00:00Z host program - - - line {i}\n"
                   for i in range(first, last)).encode()


@pytest.mark.parametrize("text, words", [(RSYSLOG, rsyslog), (SYSLOG_NG, syslog_ng)],
                         ids=["rsyslog", "syslog-ng"])
def test_system_loggers(broker, tmp_path, text, words):
    """Goal: what is logged arrives, once, in order; also what is logged while the broker is away."""
    create(broker, "logs")
    port = configure(tmp_path, "conf", text, bootstrap=broker.bootstrap)
    name, *arguments = words(tmp_path)
    with Program(os.path.join(DAEMONS, name), *arguments) as daemon:
        with connect(port, daemon) as log:
            log.sendall(log_lines(0, 1000))
            wait_until(lambda: end_offset(broker) == 1000, "a thousand lines")
            broker.stop()
            log.sendall(log_lines(1000, 1500))
            broker.start()
            log.sendall(log_lines(1500, 2000))
            wait_until(lambda: end_offset(broker) >= 2000, "the lines logged meanwhile")
        daemon.process.terminate()
        daemon.wait()
    output = run("kcat", "-C", "-e", "-q", "-b", broker.bootstrap, "-t", "logs").decode()
    lines = [line.strip().replace(": ", ":") for line in output.splitlines() if line]
    assert lines == [f"program:line {i}" for i in range(2000)]


def end_offset(broker):
    with broker.connect() as connection:
        answer = connection.call("ListOffsets", 5, ReplicaId=-1, Topics=[
            {"Name": "logs", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}])
        return answer.Topics[0].Partitions[0].Offset


def test_burrow_reads_the_lag_of_a_group(broker, tmp_path):
    """Goal: Burrow, which follows __consumer_offsets and the ends of all partitions, sees what a group
    committed, how far behind that is, and that it catches up."""
    create(broker, "watched")
    produce(broker, "watched", "x\n" * 10)
    with broker.connect() as connection, ZooKeeper() as zookeeper:
        commit(connection, 4)
        port = configure(tmp_path, "burrow.toml", BURROW, bootstrap=broker.bootstrap,
                         zookeeper=zookeeper.address)
        with Program(os.path.join(DAEMONS, "Burrow"), "--config-dir", tmp_path) as burrow:

            def lag():
                assert burrow.process.poll() is None, burrow.errors
                try:
                    answer = urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/v3/kafka/here/consumer/readers/lag", timeout=10)
                except (urllib.error.URLError, ConnectionError):
                    return None  # not listening, or it has not read of the group as yet
                status = json.load(answer)["status"]
                return [(row["topic"], row["partition"], row["end"]["offset"], row["current_lag"])
                        for row in status["partitions"] if row["end"]], status["totallag"]

            wait_until(lambda: lag() == ([("watched", 0, 4, 6)], 6), "a lag of 6")
            produce(broker, "watched", "x\n" * 5)
            wait_until(lambda: lag() == ([("watched", 0, 4, 11)], 11), "a lag of 11")
            commit(connection, 15)
            wait_until(lambda: lag() == ([("watched", 0, 15, 0)], 0), "no lag")
            burrow.process.terminate()
            burrow.wait()


def commit(connection, offset):
    wait_until(lambda: connection.call("FindCoordinator", 1, Key="readers",
                                       KeyType=0).ErrorCode == 0, "the coordinator")

    def is_done():
        answer = connection.call("OffsetCommit", 5, GroupId="readers", MemberId="",
                                 GenerationIdOrMemberEpoch=-1, Topics=[
            {"Name": "watched", "Partitions": [
                {"PartitionIndex": 0, "CommittedOffset": offset, "CommittedMetadata": ""}]}])
        error = wire.error_name(answer.Topics[0].Partitions[0].ErrorCode)
        assert error in ("NONE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"), error
        return error == "NONE"

    wait_until(is_done, "the commit")
