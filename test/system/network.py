"""Networks of a test's own: machines with addresses, one bridge between them, and cuts.

    with Network(3) as network:           # the calling thread is at network.OWN from here on
        Broker(..., host=network.host(0), command=network.enter(0))
        network.cut(0, 1)                 # what 0 sends to 1 gets lost; 1 still reaches 0
        network.heal()

A machine is a network name space, held by a process that does nothing; they go away with it, and the
host's network sees nothing of them. Whoever makes the network sits on the bridge himself: the calling
thread enters its name space, and so does what it starts, threads and processes, until close().

A cut is a neighbour's hardware address that nobody has. Packets get lost with nothing told to anyone,
in one direction, on connections that are open too; and it takes nothing of the kernel but addresses.
"""

import ctypes
import os
import subprocess

import harness

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NOBODY = "02:00:00:00:ff:ff"


def _set_namespace(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def can_make():
    """Whether this machine lets us make networks."""
    if os.geteuid() != 0:
        return False
    try:
        with Network(1) as network:
            network.cut(0, network.OUTSIDE)
        return True
    except (OSError, AssertionError):
        return False


class Network:
    OUTSIDE = 99  # the number of the place where the maker sits, for cuts
    OWN = "10.77.0.100"

    def __init__(self, count):
        self.count = count
        self.holders, self.cuts = [], set()
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        hub = self._hold()
        descriptor = os.open(f"/proc/{hub}/ns/net", os.O_RDONLY)
        _set_namespace(descriptor)
        os.close(descriptor)
        # Addresses are there at once, and nothing else is sent: no IPv6, no waiting for its answers.
        _ip("link", "add", "hub", "type", "bridge", "forward_delay", "0")
        _ip("link", "set", "hub", "addrgenmode", "none", "up")
        _ip("address", "add", f"{self.OWN}/24", "dev", "hub")
        for machine in range(self.count):
            pid = self._hold()
            _ip("link", "add", f"m{machine}", "type", "veth", "peer", "name", "eth", "netns", pid)
            _ip("link", "set", f"m{machine}", "master", "hub", "addrgenmode", "none", "up")
            enter = self.enter(machine)
            _ip("address", "add", f"{self.host(machine)}/24", "dev", "eth", enter=enter)
            _ip("link", "set", "eth", "addrgenmode", "none", "up", enter=enter)

    def _hold(self):
        holder = harness.Program("unshare", "--net", "sh", "-c",
                                 "ip link set lo up && echo ready && exec sleep infinity")
        self.holders.append(holder)
        assert holder.read_line() == "ready", f"no network of its own: {holder.errors}"
        return holder.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The calling thread is home again."""
        _set_namespace(self.home)
        os.close(self.home)
        for holder in self.holders:
            holder.kill()

    def host(self, machine):
        return self.OWN if machine == self.OUTSIDE else f"10.77.0.{machine + 1}"

    def enter(self, machine):
        """The words that start a program on a machine."""
        if machine == self.OUTSIDE:
            return []
        return ["nsenter", f"--net=/proc/{self.holders[machine + 1].process.pid}/ns/net"]

    def cut(self, sender, *receivers):
        """What the sender sends to them is lost."""
        for receiver in receivers:
            self._neighbour(sender, "replace", receiver, "lladdr", NOBODY, "nud", "permanent")
            self.cuts.add((sender, receiver))

    def part(self, one, *others):
        """Nothing goes through between the one and the others."""
        for other in others:
            self.cut(one, other)
            self.cut(other, one)

    def isolate(self, machine):
        """From everyone, us too."""
        self.part(machine, self.OUTSIDE, *self.others(machine))

    def others(self, machine):
        return [other for other in range(self.count) if other != machine]

    def heal(self):
        for sender, receiver in sorted(self.cuts):
            self._neighbour(sender, "del", receiver)
        self.cuts.clear()

    def _neighbour(self, machine, verb, other, *state):
        device = "hub" if machine == self.OUTSIDE else "eth"
        _ip("neighbour", verb, self.host(other), *state, "dev", device, enter=self.enter(machine))


def _ip(*words, enter=()):
    done = subprocess.run([*enter, "ip", *map(str, words)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=harness.environment(), check=False)
    assert done.returncode == 0, f"ip {words}: {done.stdout.decode()}"
