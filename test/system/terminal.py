"""Terminals that a test types into as a person would, and rooms to type in: name spaces of a test's own,
where every port is free and Kafka's usual folder is empty.
"""

import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import socket
import struct
import subprocess
import termios
import time

from harness import ROOT, WAIT_S, Program, die_with_parent, environment

PROMPT = "ready$ "
KAFKA_LOGS = "/tmp/kafka-logs"
HOSTS = "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
FURNISH = ('ip link set lo up && mount --bind "$1" /etc/hosts && mount --bind "$2" "$3" && '
           'echo ready && exec sleep infinity')


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Room:
    """A network of its own with nothing but the loopback, a machine's usual /etc/hosts, and a folder of
    the test's in the place of /tmp/kafka-logs. `enter` are the words that start a program inside."""

    def __init__(self, folder):
        self.logs = folder / "kafka-logs"
        self.logs.mkdir()
        hosts = folder / "hosts"
        hosts.write_text(HOSTS.format(name=socket.gethostname()))
        self.has_made_place = not os.path.exists(KAFKA_LOGS)
        os.makedirs(KAFKA_LOGS, exist_ok=True)
        as_user = [] if os.geteuid() == 0 else ["--user"]
        self.holder = Program("unshare", *as_user, *(["--map-root-user"] if as_user else []), "--net",
                              "--mount", "sh", "-c", FURNISH, "sh", hosts, self.logs, KAFKA_LOGS)
        self.is_there = self.holder.read_line() == "ready"
        self.enter = ["nsenter", "--target", str(self.holder.process.pid), "--net", "--mount",
                      *(["--user", "--preserve-credentials"] if as_user else [])] \
            if self.is_there else []

    def is_usable(self):
        """Without name spaces the machine itself serves, if nobody uses what a session would."""
        return self.is_there or \
            is_free(9092) and is_free(2181) and self.has_made_place

    def close(self):
        self.holder.kill()
        if self.has_made_place:
            shutil.rmtree(KAFKA_LOGS)


class Terminal:
    """A pseudo terminal with a shell in the checkout's folder. What it shows is kept in `shown`, of
    which `seen` characters have been waited for."""

    def __init__(self, enter=()):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 50, 500, 0, 0))
        self.shown, self.seen = "", 0
        self.shell = subprocess.Popen(
            [*enter, "bash", "--norc", "--noprofile", "--noediting", "-i"], stdin=theirs,
            stdout=theirs, stderr=theirs, env=environment(PS1=PROMPT, TERM="dumb"),
            start_new_session=True, preexec_fn=lambda: self._become_controlling(theirs))
        os.close(theirs)
        self.wait_for(re.escape(PROMPT))
        self.run(f"cd {shlex.quote(ROOT)}")

    @staticmethod
    def _become_controlling(terminal):
        die_with_parent()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    def type(self, text):
        os.write(self.ours, text.encode())

    def wait_for(self, pattern):
        """Waits until something like the pattern shows; returns what stood before it, unseen as yet."""
        end = time.monotonic() + WAIT_S
        while True:
            found = re.compile(pattern, re.MULTILINE).search(self.shown, self.seen)
            if found:
                before = self.shown[self.seen:found.start()]
                self.seen = found.end()
                return before
            left = end - time.monotonic()
            assert left > 0 and select.select([self.ours], [], [], left)[0], \
                f"no {pattern} on the terminal, which shows\n{self.shown}"
            self.shown += os.read(self.ours, 65536).decode(errors="replace").replace("\r\n", "\n")

    def start(self, command):
        """Types a command, and leaves it running."""
        self.type(command + "\n")
        self.wait_for(re.escape(command) + "\n")

    def finish(self, status=0):
        """Waits for the prompt; returns what was shown before it. The command's status must be that."""
        output = self.wait_for(re.escape(PROMPT))
        self.start("echo status $?")
        found = self.wait_for(re.escape(PROMPT))
        assert found == f"status {status}\n", f"{found}{self.shown}"
        return output

    def run(self, command, status=0):
        self.start(command)
        return self.finish(status)

    def close(self):
        self.shell.kill()
        self.shell.wait()
        os.close(self.ours)
