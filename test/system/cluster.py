"""Clusters of real brokers: several processes that find each other, and the etcd processes under them.

    with Cluster(folder, 3) as cluster:
        cluster.start()
        cluster.kill(0)

All are on 127.0.0.1, with ports and folders of their own; they find each other by the old
`zookeeper.connect`, as a copied property file has it, unless the properties say otherwise.
"""

import os

import harness
import wire


def children(pid):
    """Processes that this one has started and that run."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii"):
            pass
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    found = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
        except FileNotFoundError:
            pass
    return found


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Node(harness.Broker):
    """A broker of a cluster. It remembers the etcd processes that it had."""

    def __init__(self, folder, node_id, control_port, properties=None, **options):
        self.id = node_id
        self.etcd_seen = set()
        super().__init__(folder, {
            "broker.id": str(node_id),
            "zookeeper.connect": f"127.0.0.1:{control_port}",
            "default.replication.factor": "1",
            **(properties or {})}, **options)

    def etcd_pids(self):
        if self.process is None:
            return []
        pids = children(self.process.pid)
        self.etcd_seen.update(pids)
        return pids

    def etcd_pid(self):
        return harness.wait_until(self.etcd_pids, f"an etcd of node {self.id}")[0]

    def check_etcd_gone(self):
        """Nothing that it started outlives it."""
        for pid in self.etcd_seen:
            harness.wait_until(lambda: not is_running(pid), f"the end of process {pid}")

    def kill(self):
        self.etcd_pids()
        super().kill()
        self.check_etcd_gone()

    def stop(self, **options):
        self.etcd_pids()
        super().stop(**options)
        self.check_etcd_gone()

    def end(self):
        self.etcd_pids()
        super().end()
        self.check_etcd_gone()

    def call(self, api, version, **values):
        with self.connect() as connection:
            return connection.call(api, version, **values)


class Cluster:
    def __init__(self, folder, count, properties=None):
        self.folder = str(folder)
        self.control_port = harness.free_port()
        self.properties = properties or {}
        self.nodes = []
        for _ in range(count):
            self.add()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for node in self.nodes:
                print(f"--- report of {node.folder}\n{node.tail(60)}")
        self.end()

    def add(self, node_id=None, **properties):
        """Another node, not started. Its properties are told with _ in the place of dots."""
        more = {name.replace("_", "."): str(value) for name, value in properties.items()}
        node_id = len(self.nodes) if node_id is None else node_id
        node = self.make_node(os.path.join(self.folder, f"node-{len(self.nodes)}"), node_id,
                              {**self.properties, **more})
        self.nodes.append(node)
        return node

    def make_node(self, folder, node_id, properties):
        return Node(folder, node_id, self.control_port, properties)

    def start(self):
        """All at once; ready when each knows all the others."""
        for node in self.nodes:
            node.start(wait=False)
        self.wait_ready()
        return self

    def running(self):
        return [node for node in self.nodes if node.process is not None]

    def wait_ready(self):
        for node in self.running():
            node.wait_ready()
        self.wait_brokers(*[node.id for node in self.running()])

    def brokers_by(self, node):
        """The ids that a node's clients are told."""
        answer = node.call("Metadata", 9, Topics=[])
        return sorted(broker.NodeId for broker in answer.Brokers)

    def wait_brokers(self, *ids):
        """Until each that runs tells its clients of these, and no others."""
        for node in self.running():
            harness.wait_until(lambda: self.brokers_by(node) == sorted(ids),
                               f"node {node.id} to know {ids}")

    def quorum(self, node=None):
        """What DescribeQuorum says; None while there is no active controller."""
        node = node or self.running()[0]
        answer = node.call("DescribeQuorum", 2, Topics=[{
            "TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}])
        if wire.error_name(answer.ErrorCode) in ("NOT_CONTROLLER", "REQUEST_TIMED_OUT"):
            return None
        assert answer.ErrorCode == 0, wire.error_name(answer.ErrorCode)
        return answer.Topics[0].Partitions[0]

    def voters(self, node=None):
        quorum = self.quorum(node)
        return sorted(voter.ReplicaId for voter in quorum.CurrentVoters) if quorum else None

    def wait_voters(self, *ids):
        harness.wait_until(lambda: self.voters() == sorted(ids), f"the voters {ids}", pause=0.1)

    def create_topic(self, name, partitions=1, replicas=1, node=None, configs=None):
        """Creates a topic by whoever answers; its row."""
        node = node or self.running()[0]
        return node.call("CreateTopics", 5, timeoutMs=10000, Topics=[{
            "Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas,
            "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()],
        }]).Topics[0]

    def topics_by(self, node):
        answer = node.call("Metadata", 9, Topics=None)
        return sorted(topic.Name for topic in answer.Topics if not topic.IsInternal)

    def stop(self):
        for node in reversed(self.running()):
            node.stop()

    def end(self):
        for node in self.nodes:
            node.end()
            if "OTTLA_KEEP" not in os.environ:
                node.remove()
