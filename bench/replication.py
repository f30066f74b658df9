#!/usr/bin/python3
"""Measures a cluster of three brokers on this machine: make bench-cluster.

    bench/replication.py [--only REGEX]

What replication costs (all brokers and their etcd processes together, beside one broker alone with the
same load), and how long a cluster takes to get over a loss. Brokers and requests are the system tests'
own (test/system/cluster.py, wire.py); the load is bench/load's, sent to the broker that leads.

Costs are processor time of whole processes, over the whole load, per GB of record batches that the
leader's log took; so they hold when something else runs beside. Times do not.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import sys
import threading
import time

import run as bench

sys.path.insert(0, os.path.join(bench.ROOT, "test", "system"))
import cluster as clusters  # noqa: E402
import harness  # noqa: E402
import wire  # noqa: E402

PARTS = 16
WINDOW = {"warm": 200, "window": 2000, "bytes": 1_000_000_000}
SESSION_MS = 3000
SIZES = (100, 1024, 16384)
SETTINGS = {
    "log.segment.delete.delay.ms": "0",
    "broker.session.timeout.ms": str(SESSION_MS),
    "broker.heartbeat.interval.ms": "500",
    "auto.leader.rebalance.enable": "false",
    "auto.create.topics.enable": "false",
}
AIMS = {"ratio": 3.5, "failover_ms": 200.0, "controller_s": 3.0, "changes_s": 2.0}
TICKS = os.sysconf("SC_CLK_TCK")


# ---- what processes cost --------------------------------------------------------------------

def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / TICKS


def pids_of(nodes):
    return [pid for node in nodes for pid in [node.process.pid] + node.etcd_pids()]


def log_bytes(node, topic):
    total = 0
    for name in os.listdir(node.data):
        if name.startswith(f"{topic}-"):
            folder = os.path.join(node.data, name)
            total += sum(os.path.getsize(os.path.join(folder, file))
                         for file in os.listdir(folder) if file.endswith(".log"))
    return total


# ---- clusters -------------------------------------------------------------------------------

@contextlib.contextmanager
def running(name, count):
    folder = os.path.join(bench.FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    with clusters.Cluster(folder, count, SETTINGS) as cluster:
        cluster.start()
        if count > 1:
            cluster.wait_voters(*range(count))
        yield cluster


def create(cluster, topic, parts, replicas, configs=None):
    """All partitions have these replicas, the first of which leads."""
    answer = cluster.running()[0].call("CreateTopics", 5, timeoutMs=60000, Topics=[{
        "Name": topic, "NumPartitions": -1, "ReplicationFactor": -1,
        "Assignments": [{"PartitionIndex": i, "BrokerIds": replicas} for i in range(parts)],
        "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()]}])
    row = answer.Topics[0]
    assert row.ErrorCode == 0, f"{topic}: {wire.error_name(row.ErrorCode)} {row.ErrorMessage}"
    wait_led(cluster, topic, parts, replicas[0])


def leaders(node, topic):
    found = node.call("Metadata", 9, Topics=[{"Name": topic}], AllowAutoTopicCreation=False).Topics[0]
    return [row.LeaderId for row in found.Partitions] if found.ErrorCode == 0 else []


def wait_led(cluster, topic, parts, leader):
    for node in cluster.running():
        harness.wait_until(lambda: leaders(node, topic) == [leader] * parts,
                           f"{topic} led by {leader}", limit=300, pause=0.005)


def delete(cluster, topic):
    cluster.running()[0].call("DeleteTopics", 5, TopicNames=[topic], TimeoutMs=60000)
    for node in cluster.running():
        harness.wait_until(lambda: not any(name.startswith(f"{topic}-") or name.startswith(f"{topic}.")
                                           for name in os.listdir(node.data)), f"{topic} to go")


# ---- what replication costs -----------------------------------------------------------------

def produce(cluster, size, acks, parts=PARTS, conns=10):
    topic = "load"
    create(cluster, topic, parts, [node.id for node in cluster.nodes])
    leader, pids = cluster.nodes[0], pids_of(cluster.nodes)
    before = [cpu_seconds([pid]) for pid in pids]
    result = bench.with_costs(bench.load(
        "produce", port=leader.port, pid=leader.process.pid, topic=topic, parts=parts, conns=conns,
        batch=size, depth=bench.DEPTHS[size], acks=acks, **WINDOW))
    if len(cluster.nodes) > 1:
        harness.wait_until(lambda: len({log_bytes(node, topic) for node in cluster.nodes}) == 1,
                           "the followers to catch up", limit=300)
    spent = [cpu_seconds([pid]) - start for pid, start in zip(pids, before)]
    followers = sum(spent[pids.index(node.process.pid)] for node in cluster.nodes[1:])
    gigabytes = log_bytes(leader, topic) / 1e9
    delete(cluster, topic)
    result["all_s_per_gb"] = sum(spent) / gigabytes
    result["follower_s_per_gb"] = followers / gigabytes / max(len(cluster.nodes) - 1, 1)
    return result


def run_costs(only, results):
    cases = [(size, acks) for size in SIZES for acks in (1, -1)]
    cases = [case for case in cases if only.search(cost_name(*case))]
    if not cases:
        return
    with running("alone", 1) as alone:
        single = {case: produce(alone, *case) for case in cases}
    print(f"{'':28} {'records/s':>10} {'MB/s':>6} {'s/GB':>7} {'follower':>8} {'p50 ms':>7} "
          f"{'p99 ms':>7} {'p99.9':>7} | {'alone s/GB':>10} {'ratio':>6}")
    with running("three", 3) as three:
        for case in cases:
            result = produce(three, *case)
            ratio = result["all_s_per_gb"] / single[case]["all_s_per_gb"]
            times = result["latency_us"]
            print(f"{cost_name(*case):28} {result['records_s']:10.0f} {result['mb_s']:6.0f} "
                  f"{result['all_s_per_gb']:7.3f} {result['follower_s_per_gb']:8.3f} "
                  f"{times['p50'] / 1000:7.2f} {times['p99'] / 1000:7.2f} "
                  f"{times.get('p999', times.get('p99.9', 0)) / 1000:7.2f} | "
                  f"{single[case]['all_s_per_gb']:10.3f} {ratio:6.2f} "
                  f"{bench.verdict(ratio, AIMS['ratio'])}", flush=True)
            results.append({"name": cost_name(*case), "three": result, "alone": single[case],
                            "ratio": ratio})


def cost_name(size, acks):
    return f"produce {bench.SIZE_NAMES[size]} acks={'all' if acks < 0 else acks}"


# ---- how long a loss takes ------------------------------------------------------------------

def first_success(attempt, limit=60):
    """Seconds until attempt() is true; one that cannot even connect counts as not."""
    start = time.monotonic()
    while time.monotonic() - start < limit:
        try:
            if attempt():
                return time.monotonic() - start
        except (OSError, wire.Closed):
            pass
        time.sleep(0.002)
    raise RuntimeError(f"not within {limit} s")


def lose_leader(results):
    """From kill -9 to the first record that another leader acknowledges, beyond the session."""
    beyond = []
    for _ in range(3):
        with running("failover", 3) as cluster:
            create(cluster, "t", 1, [2, 1, 0], {"min.insync.replicas": "2"})
            heir = cluster.nodes[1]
            time.sleep(1)
            cluster.nodes[2].kill()

            def attempt():
                with heir.connect() as connection:
                    return wire.produce(connection, "t", 0, wire.batch([b"x"])).ErrorCode == 0
            beyond.append(first_success(attempt) * 1000 - SESSION_MS)
    text = ", ".join(f"{value:.0f}" for value in beyond)
    bench.row(results, "leader killed: first ack beyond the session", f"{text} ms", max(beyond),
              AIMS["failover_ms"])


def lose_controller(results):
    times = []
    for _ in range(5):
        with running("controller", 3) as cluster:
            active = next(node for node in cluster.nodes if node.id == cluster.quorum().LeaderId)
            other = next(node for node in cluster.nodes if node is not active)
            active.kill()
            times.append(first_success(
                lambda: cluster.create_topic("next", node=other).ErrorCode in (0, 36)))
    text = ", ".join(f"{value:.2f}" for value in times)
    bench.row(results, "controller killed: next metadata change", f"{text} s", max(times),
              AIMS["controller_s"])


def change_leaders(results, count):
    """One broker of three is lost that led so many partitions, with replicas on another."""
    with running("changes", 3) as cluster:
        for i in range(0, count, 1000):
            create(cluster, f"many{i}", min(1000, count - i), [2, 1])
        lost = next(node for node in cluster.nodes if node.id == 2)
        other = cluster.nodes[1]
        seen = {}

        topics = [f"many{i}" for i in range(0, count, 1000)]

        def moved(topic):
            return sum(leader == 1 for leader in leaders(other, topic))

        def watch():
            harness.wait_until(lambda: moved(topics[0]), "the first change", pause=0.002)
            first = time.monotonic()
            harness.wait_until(lambda: sum(map(moved, topics)) == count, "all changes", pause=0.002)
            seen["done"] = time.monotonic() - first
        watcher = threading.Thread(target=watch)
        killed = time.monotonic()
        lost.kill()
        watcher.start()
        watcher.join(120)
        bench.row(results, f"{count} leaders change when one broker is lost",
                  f"{seen['done']:.2f} s from the first to the last, "
                  f"{time.monotonic() - killed:.2f} s after the kill", seen["done"],
                  AIMS["changes_s"])


def shut_down(results):
    with running("shutdown", 3) as cluster:
        for i in range(2):
            create(cluster, f"led{i}", 1000, [2, 1])
        node = next(node for node in cluster.nodes if node.id == 2)
        start = time.monotonic()
        node.stop()
        bench.row(results, "controlled shutdown with 2,000 leaders",
                  f"{time.monotonic() - start:.2f} s", time.monotonic() - start)


def catch_up(results):
    with running("catchup", 3) as cluster:
        create(cluster, "big", PARTS, [0, 1])
        leader = cluster.nodes[0]
        bench.load("fill", port=leader.port, topic="big", parts=PARTS, batch=16384,
                   count=(1 << 30) // 16384 // PARTS, depth=8)
        size, target = log_bytes(leader, "big"), cluster.nodes[2]
        pids = pids_of(cluster.nodes)
        before, start = cpu_seconds(pids), time.monotonic()
        leader.call("AlterPartitionReassignments", 0, TimeoutMs=60000, Topics=[{
            "Name": "big", "Partitions": [{"PartitionIndex": i, "Replicas": [0, 2]}
                                          for i in range(PARTS)]}])
        harness.wait_until(lambda: log_bytes(target, "big") == size, "the new replicas", limit=300)
        seconds = time.monotonic() - start
        cost = (cpu_seconds(pids) - before) / (size / 1e9)
        bench.row(results, "new replicas catch up 1 GB",
                  f"{seconds:.2f} s, {size / seconds / 1e6:.0f} MB/s, {cost:.2f} s/GB of all", seconds)


LOSSES = {
    "leader": lose_leader,
    "controller": lose_controller,
    "leader changes": lambda results: change_leaders(results, 10_000),
    "shutdown": shut_down,
    "catch up": catch_up,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=re.compile, default=re.compile(os.environ.get("ONLY") or ""))
    args = parser.parse_args()
    os.makedirs(bench.FOLDER, exist_ok=True)
    results = []
    run_costs(args.only, results)
    for name, measure in LOSSES.items():
        if args.only.search(name):
            measure(results)
    path = os.path.join(bench.BENCH, "cluster.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    print(f"all of it: {os.path.relpath(path, bench.ROOT)}")


if __name__ == "__main__":
    main()
