"""Clusters that faults can be made for: each node on a machine of its own (network.py), with a clock and
a small disk of its own.

    with faulty.Cluster(folder, 3, PROPERTIES) as cluster:
        cluster.start()
        cluster.nodes[0].clock.jump(-3600)
        cluster.nodes[1].disk.fill()
        cluster.nodes[2].disk.slow_down(10)
        cluster.end_faults()

The disk has the partitions; the metadata, and with it etcd, are elsewhere. The clock is the wall's, by
libfaketime, which programs load before all others.
"""

import glob
import os

import cluster as clusters
import harness
import network as networks

DISK_BYTES = 256 << 20
HAS_DISKS = harness.can_mount("ext4")
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def can_make():
    return networks.can_make() and HAS_DISKS and FAKETIME is not None and not harness.IS_SANITIZED


class Clock:
    """A wall clock that is wrong by as much as a file says, within a second of the change."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "clock")
        self.jump(0)
        self.variables = {
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.path,
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.pids = []  # that had it

    def jump(self, seconds):
        """To so many seconds off the true time."""
        with open(f"{self.path}.new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+}\n")
        os.replace(f"{self.path}.new", self.path)

    def clean_up(self):
        """Its shared memory outlives a process that is killed."""
        for pid in self.pids:
            for path in f"/dev/shm/faketime_shm_{pid}", f"/dev/shm/sem.faketime_sem_{pid}":
                if os.path.exists(path):
                    os.remove(path)


class Disk:
    """A file system of a node's, which nobody else sees."""

    def __init__(self, node):
        self.node = node
        self.folder = os.path.join(node.folder, "disk")
        self.group = None

    def seen(self, path):
        """How we see a path of the node's, while it runs."""
        return f"/proc/{self.node.process.pid}/root{path}"

    def fill(self):
        """To the last byte."""
        ballast = os.open(os.path.join(self.seen(self.folder), "ballast"), os.O_CREAT | os.O_WRONLY)
        try:
            for size in 1 << 20, 1 << 12, 1:
                piece = bytes(size)
                try:
                    while True:
                        os.write(ballast, piece)
                except OSError:
                    pass
        finally:
            os.close(ballast)

    def make_room(self):
        path = os.path.join(self.seen(self.folder), "ballast")
        if os.path.exists(path):
            os.remove(path)

    def slow_down(self, writes_per_second):
        """Until speed_up()."""
        device = os.stat(self.seen(self.folder)).st_dev
        self.group = ControlGroup(f"ottla-{os.getpid()}-{self.node.id}")
        self.group.limit_writes(f"{os.major(device)}:{os.minor(device)}", writes_per_second)
        self.group.enter(self.node.process.pid)

    def speed_up(self):
        if self.group is not None:
            self.group.remove()
            self.group = None


class ControlGroup:
    """Processes whose input and output is limited, by whichever version of cgroups is there. A limit
    holds for what they wait for, as fsync; what the kernel writes by itself later is not slower."""

    V1, V2 = "/sys/fs/cgroup/blkio", "/sys/fs/cgroup"

    def __init__(self, name):
        self.is_v1 = os.path.exists(os.path.join(self.V1, "blkio.throttle.write_iops_device"))
        self.base = self.V1 if self.is_v1 else self.V2
        self.path = os.path.join(self.base, name)
        self.homes, self.device = {}, None
        if not self.is_v1:
            _write(os.path.join(self.base, "cgroup.subtree_control"), "+io")
        os.mkdir(self.path)

    def limit_writes(self, device, per_second):
        self.device = device
        if self.is_v1:
            _write(os.path.join(self.path, "blkio.throttle.write_iops_device"),
                   f"{device} {per_second or 0}")
        else:
            _write(os.path.join(self.path, "io.max"), f"{device} wiops={per_second or 'max'}")

    def enter(self, pid):
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
        home = next(path for _, kinds, path in rows
                    if ("blkio" in kinds.split(",") if self.is_v1 else kinds == ""))
        self.homes[pid] = f"{self.base}{home}"
        _write(os.path.join(self.path, "cgroup.procs"), str(pid))

    def remove(self):
        self.limit_writes(self.device, None)
        for pid, home in self.homes.items():
            if os.path.exists(f"/proc/{pid}"):
                _write(os.path.join(home, "cgroup.procs"), str(pid))
        os.rmdir(self.path)


def can_slow_disks():
    try:
        group = ControlGroup(f"ottla-probe-{os.getpid()}")
        os.rmdir(group.path)
        return True
    except OSError:
        return False


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class Node(clusters.Node):
    def __init__(self, network, folder, node_id, *arguments, **options):
        self.disk = self.clock = None
        super().__init__(folder, node_id, *arguments, host=network.host(node_id), **options)
        self.disk, self.clock = Disk(self), Clock(self.folder)
        self.data = os.path.join(self.disk.folder, "data")
        self.properties.update({"log.dirs": self.data,
                                "metadata.log.dir": os.path.join(self.folder, "metadata")})
        self.variables.update(self.clock.variables)
        self.command = network.enter(node_id) + harness.on_small_disk(
            self.disk.folder, DISK_BYTES, "ext4")

    def start(self, wait=True):
        super().start(wait=False)
        self.clock.pids.append(self.process.pid)
        if wait:
            self.wait_ready()
        return self

    def partition_folder(self, topic, partition):
        return self.disk.seen(super().partition_folder(topic, partition))

    def end_faults(self):
        self.disk.speed_up()
        self.clock.jump(0)
        if self.process is not None:
            self.disk.make_room()

    def remove(self):
        image = f"{self.disk.folder}.img"
        if os.path.exists(image):
            os.remove(image)
        super().remove()


class Cluster(clusters.Cluster):
    """Brokers that are controllers as well, by KRaft's settings."""

    def __init__(self, folder, count, properties=None):
        self.network = networks.Network(count)
        try:
            super().__init__(folder, count, properties)
        except BaseException:
            self.network.close()
            raise

    def make_node(self, folder, node_id, properties):
        node = Node(self.network, folder, node_id, self.control_port, properties)
        node.properties.update({
            "process.roles": "broker,controller", "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{node.bootstrap},CONTROLLER://{node.host}:{self.control_port}",
            "controller.quorum.bootstrap.servers": ",".join(
                f"{self.network.host(machine)}:{self.control_port}"
                for machine in range(self.network.count))})
        node.properties["node.id"] = node.properties.pop("broker.id")
        del node.properties["zookeeper.connect"]
        return node

    def end_faults(self):
        self.network.heal()
        for node in self.nodes:
            node.end_faults()

    def end(self):
        try:
            super().end()
            for node in self.nodes:
                node.disk.speed_up()
                node.clock.clean_up()
        finally:
            self.network.close()
