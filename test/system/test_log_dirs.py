"""Real clusters of three, one broker of which has its logs on two disks."""

import os

import pytest

import cluster as clusters
import harness
import wire
from harness import wait_until
from replicated import Load, describe

PROPERTIES = {
    "broker.session.timeout.ms": "9000",
    "replica.lag.time.max.ms": "5000",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
}


def make_cluster(tmp_path):
    """Node 0 has a disk of its own in front of another folder."""
    cluster = clusters.Cluster(tmp_path, 0, PROPERTIES)
    disk, other = str(tmp_path / "disk"), str(tmp_path / "other")
    cluster.nodes.append(clusters.Node(
        os.path.join(cluster.folder, "node-0"), 0, cluster.control_port,
        {**PROPERTIES, "log.dirs": f"{other},{disk}/data"},
        command=harness.on_small_disk(disk, 64 << 20, "ext4")))
    cluster.add(1)
    cluster.add(2)
    return cluster, disk, other


def log_dir_errors(node):
    answer = node.call("DescribeLogDirs", 3, Topics=None)
    return {row.LogDir: wire.error_name(row.ErrorCode) for row in answer.Results}


@pytest.mark.skipif(os.geteuid() != 0 or not harness.can_mount("ext4"),
                    reason="takes a file system to break")
def test_a_disk_fails_under_load(tmp_path):
    """Goal: when a disk of a broker fails, what is on it is led by others within moments, and nothing
    that was acknowledged is lost; the broker goes on with its other disk, and has all again after a
    restart. Method: a small file system is told to abort while a producer writes with acks=all."""
    cluster, disk, other = make_cluster(tmp_path)
    with cluster:
        cluster.start()
        cluster.wait_voters(0, 1, 2)
        load = Load(cluster, "t", partitions=4)
        load.wait_progress()
        broken = cluster.nodes[0]
        well = {int(name[2:]) for name in os.listdir(other) if name.startswith("t-")}
        assert 0 < len(well) < 4
        harness.run("nsenter", "-t", broken.process.pid, "-m", "mount", "-o", "remount,abort", disk)

        def has_moved():
            rows = describe(cluster.nodes[1], "t")
            return all((0 in row.IsrNodes) == (row.PartitionIndex in well) and
                       (row.LeaderId != 0 or row.PartitionIndex in well) for row in rows)

        wait_until(has_moved, "others to lead what was on the disk")
        load.wait_progress()
        assert log_dir_errors(broken) == {other: "NONE", f"{disk}/data": "KAFKA_STORAGE_ERROR"}
        broken.wait_report(f"the log directory {disk}/data has failed")
        broken.stop()
        broken.start()
        cluster.wait_brokers(0, 1, 2)
        load.wait_progress()
        load.finish()
        load.wait_in_sync()
        assert set(log_dir_errors(broken).values()) == {"NONE"}
