"""Real clusters of three under faults of all kinds, one after the other, chosen by a seed.

OTTLA_FAULT_SECONDS says how long (15); a failure names the seed, OTTLA_SEED repeats the choice, though
not the moments. Each round has a topic of its own, a load and a group on it; one fault at a time, so
everything must go on, and everything must be there at the round's end. What that is: replicated.py.
"""

import os
import random
import signal
import time

import pytest

import faulty
from harness import wait_until
from replicated import PROPERTIES, KcatLoad, Load, Member, leader_of

pytestmark = pytest.mark.skipif(not faulty.can_make(), reason="takes root and its rights")

SECONDS = float(os.environ.get("OTTLA_FAULT_SECONDS", "15"))
SEED = int(os.environ.get("OTTLA_SEED", str(time.time_ns() % 1_000_000)))
ROUND_S = 40
SESSION_S = float(PROPERTIES["broker.session.timeout.ms"]) / 1000


class Mix:
    def __init__(self, cluster, random_):
        self.cluster, self.network, self.random = cluster, cluster.network, random_
        self.load = None
        self.began = time.monotonic()

    def say(self, what):
        print(f"{time.monotonic() - self.began:8.2f} s  {what}", flush=True)

    def round(self, number, end):
        self.load = Load(self.cluster, f"round-{number}", configs=self.random.choice([
            {}, {"flush.messages": "1"}]))
        kcat = KcatLoad(self.cluster, f"kcat-{number}")
        members = [Member(self.cluster, self.load.topic, f"g-{number}") for _ in range(2)]
        self.load.wait_progress(10)
        while time.monotonic() < end:
            self.fault()
            self.load.wait_progress(10)
            before = sum(len(member.records) for member in members)
            wait_until(lambda: sum(len(member.records) for member in members) > before,
                       "the group to go on")
        self.say("calm")
        for load in self.load, kcat:
            load.finish()
            load.check()
        expected = {(partition, each) for partition in range(self.load.partitions)
                    for each in range(self.load.next[partition])}
        wait_until(lambda: {each for member in members for each in member.records} >= expected,
                   "the group to have read all")
        for member in members:
            member.stop()

    def fault(self):
        node = self.pick()
        fault = self.random.choice([
            self.kill, self.kill, self.kill_all, self.stop, self.freeze, self.freeze, self.kill_etcd,
            self.freeze_etcd, self.fill_disk, self.slow_disk, self.jump_clock, self.isolate, self.part_from_brokers, self.part_from_one, self.one_way,
            self.lose_two_in_turn])
        self.say(f"{fault.__name__} {node.id}")
        fault(node)
        self.cluster.end_faults()
        self.cluster.wait_brokers(0, 1, 2)
        if self.random.random() < 0.5:
            self.say("to be in sync")
            self.load.wait_in_sync()

    def pick(self):
        """A broker by its role, as far as it is known, or any."""
        leader = leader_of(self.cluster, self.load.topic, 0)
        quorum = self.cluster.quorum()
        active = quorum.LeaderId if quorum else None
        return self.random.choice([
            self.random.choice(self.cluster.nodes), leader or self.cluster.nodes[0],
            next((node for node in self.cluster.nodes if node.id == active), self.cluster.nodes[0])])

    def last(self):
        """A fault lasts less than a session, or more."""
        time.sleep(self.random.choice([0, 0.2, SESSION_S * 0.7, SESSION_S * 1.5, SESSION_S * 3])
                   * self.random.uniform(0.7, 1.3))

    def kill(self, node):
        node.kill()
        self.last()
        node.start()

    def kill_all(self, _):
        nodes = self.random.sample(self.cluster.nodes, 3)
        for node in nodes:
            node.kill()
        for node in nodes:
            node.start(wait=False)
        self.cluster.wait_ready()

    def stop(self, node):
        node.stop()
        self.last()
        node.start()

    def lose_two_in_turn(self, node):
        other = self.random.choice([each for each in self.cluster.nodes if each is not node])
        for lost in node, other:
            self.load.wait_in_sync()
            lost.kill()
            self.load.wait_progress(5)
            lost.start()
            self.cluster.wait_brokers(0, 1, 2)

    def freeze(self, node):
        node.pause()
        self.last()
        node.resume()

    def kill_etcd(self, node):
        os.kill(node.etcd_pid(), signal.SIGKILL)

    def freeze_etcd(self, node):
        pid = node.etcd_pid()
        os.kill(pid, signal.SIGSTOP)
        self.last()
        os.kill(pid, signal.SIGCONT)

    def fill_disk(self, node):
        node.disk.fill()
        self.last()

    def slow_disk(self, node):
        node.disk.slow_down(self.random.choice([2, 10, 50]))
        self.last()

    def jump_clock(self, node):
        node.clock.jump(self.random.choice([-86400, -3600, -5, 5, 3600, 86400 * 3]))
        self.last()

    def isolate(self, node):
        self.network.isolate(node.id)
        self.last()

    def part_from_brokers(self, node):
        self.network.part(node.id, *self.network.others(node.id))
        self.last()

    def part_from_one(self, node):
        self.network.part(node.id, self.random.choice(self.network.others(node.id)))
        self.last()

    def one_way(self, node):
        for other in self.network.others(node.id):
            pair = [node.id, other]
            if self.random.random() < 0.5:
                pair.reverse()
            self.network.cut(*pair)
        self.last()


def test_mix(tmp_path):
    random_ = random.Random(SEED)
    print(f"seed {SEED}")
    with faulty.Cluster(tmp_path, 3, PROPERTIES) as cluster:
        cluster.start()
        cluster.wait_voters(0, 1, 2)
        mix = Mix(cluster, random_)
        end, number = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            mix.round(number, min(end, time.monotonic() + ROUND_S))
            number += 1
        for node in cluster.nodes:
            node.check_report()
