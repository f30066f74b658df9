"""What the system tests stand on: brokers as processes, client programs, waiting for conditions.

Nothing here sleeps for a length of time and hopes: `wait_until` polls a condition and fails, with
its name, when it does not come true in a generous time.
"""

import ctypes
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import wire

ROOT = wire.ROOT
OTTLA = os.environ.get("OTTLA", os.path.join(ROOT, "build", "ottla"))
BIN = os.path.join(ROOT, "bin")
CLIENTS = os.path.join(ROOT, "test", "system", "clients")
DAEMONS = os.path.join(ROOT, "build", "test-root", "bin")
PYTHON = "/usr/bin/python3"
WAIT_S = 60  # how long a condition may take on a machine that does much else
BUG_SIGNS = ("PANIC", "Sanitizer", "runtime error:")

_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def is_sanitized():
    if not os.path.exists(OTTLA):
        return False
    with open(OTTLA, "rb") as program:
        return b"__asan_init" in program.read()


IS_SANITIZED = is_sanitized()


def die_with_parent():
    """In a child, before it becomes its program: no process outlives the tests."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(condition, what, limit=WAIT_S, pause=0.01):
    """Returns the first true answer of condition()."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(pause)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- programs --------------------------------------------------------------------------------------

def environment(**more):
    return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8", "OTTLA": OTTLA, **more}


def run(*command, input=None, timeout=120, status=0, stdout=subprocess.PIPE, cwd=None, **more):
    """Runs a program to its end; returns what it printed (bytes). Its status must be the one given,
    or any with None."""
    if isinstance(input, str):
        input = input.encode()
    if input is None and "stdin" not in more:
        more["stdin"] = subprocess.DEVNULL
    done = subprocess.run([str(word) for word in command], input=input, timeout=timeout,
                          stdout=stdout, stderr=subprocess.PIPE, env=environment(), cwd=cwd,
                          preexec_fn=die_with_parent, **more)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                             f"{(done.stdout or b'')[-2000:].decode(errors='replace')}\n"
                             f"{done.stderr[-4000:].decode(errors='replace')}")
    return done.stdout


def tool(name, *arguments, **options):
    """Runs bin/kafka-NAME.sh; returns what it printed, as text."""
    return run(os.path.join(BIN, f"kafka-{name}.sh"), *arguments, **options).decode()


class Program:
    """A program that goes on while the test does other things; its output comes line by line."""

    def __init__(self, *command, stdin=subprocess.DEVNULL, cwd=None):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(), cwd=cwd, preexec_fn=die_with_parent)
        self.lines, self.errors = [], []  # all that it has printed
        self.waiting = queue.Queue()      # what of it nobody has read
        self.readers = [threading.Thread(target=self._read_output, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read_output(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self.waiting.put(self.lines[-1])
        self.waiting.put(None)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))

    def _describe(self):
        return (f"{' '.join(self.command)}\nprinted, last: {self.lines[-20:]}\n"
                f"{''.join(self.errors[-40:])}")

    def read_line(self, timeout=WAIT_S):
        """The next line, or None when the program has closed its output."""
        try:
            line = self.waiting.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no line in {timeout} s from {self._describe()}") from None
        return line

    def read_lines(self, count, timeout=WAIT_S):
        found = []
        while len(found) < count:
            line = self.read_line(timeout)
            assert line is not None, f"{len(found)} lines of {count} from {self._describe()}"
            found.append(line)
        return found

    def drain(self):
        """The lines that are there and nobody has read; does not wait."""
        found = []
        while not self.waiting.empty():
            line = self.waiting.get()
            if line is None:
                self.waiting.put(None)
                break
            found.append(line)
        return found

    def read_until(self, pattern, timeout=WAIT_S):
        while True:
            line = self.read_line(timeout)
            assert line is not None, f"no line like {pattern} from {self._describe()}"
            if re.search(pattern, line):
                return line

    def wait(self, status=0, timeout=WAIT_S):
        try:
            found = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self._describe()}") from None
        for reader in self.readers:
            reader.join(timeout)
        assert found == status, f"status {found} of {self._describe()}"

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


# ---- brokers ---------------------------------------------------------------------------------------

class Broker:
    """`ottla server` in a folder of its own. `properties` are added to its property file; `command`
    stands before the program (see `on_small_disk`); `variables` are added to its environment."""

    def __init__(self, folder, properties=None, overrides=(), command=(), host="127.0.0.1",
                 variables=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.host, self.port = host, free_port()
        self.data = os.path.join(self.folder, "data")
        self.report_path = os.path.join(self.folder, "report")
        self.properties = {
            "broker.id": "0",
            "listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": self.data,
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
        }
        self.properties.update(properties or {})
        self.overrides, self.command = list(overrides), list(command)
        self.variables = dict(variables or {})
        self.text = None
        self.process = None

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    def write_properties(self, text):
        """The whole property file, in the place of `properties`."""
        self.text = text

    def start(self, wait=True):
        assert self.process is None, "it runs already"
        path = os.path.join(self.folder, "server.properties")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text or "".join(f"{key}={value}\n"
                                            for key, value in self.properties.items()))
        words = self.command + [OTTLA, "server", path]
        for override in self.overrides:
            words += ["--override", override]
        with open(self.report_path, "ab") as report:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=report, stderr=report, cwd=self.folder,
                env=environment(**self.variables), preexec_fn=die_with_parent)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_until(self.is_ready, "the broker's first answer", pause=0.002)

    def is_ready(self):
        assert self.process.poll() is None, f"the broker ended:\n{self.tail()}"
        try:
            with self.connect() as connection:
                connection.call("ApiVersions", 0)
        except (ConnectionRefusedError, wire.Closed):
            return False
        return True

    def connect(self, **options):
        return wire.Connection(self.address, **options)

    def wait_leader(self, topic, *partitions):
        """Waits until partitions are open: after a crash they open when their logs are recovered, and
        clients that come before are told NOT_LEADER_OR_FOLLOWER."""
        with self.connect() as connection:
            for partition in partitions or (0,):
                wait_until(lambda: wire.fetch(connection, topic, partition, 0).ErrorCode in (0, 1),
                           f"{topic}-{partition}")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, timeout=WAIT_S):
        """SIGTERM; it must end by itself, with status 0, and have reported no bug."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise AssertionError(f"SIGTERM did not end it in {timeout} s:\n{self.tail()}") from None
        assert status == 0, f"the broker ended with {status}:\n{self.tail()}"
        self.check_report()

    def kill(self):
        """kill -9. It must have been alive until then."""
        process, self.process = self.process, None
        assert process.poll() is None, f"the broker ended before it was killed:\n{self.tail()}"
        process.kill()
        process.wait()
        self.check_report()

    def restart(self, kill=False):
        if kill:
            self.kill()
        else:
            self.stop()
        return self.start()

    def end(self):
        """Whatever state it is in: away with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def report(self):
        if not os.path.exists(self.report_path):
            return ""
        with open(self.report_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self, count=40):
        return "\n".join(self.report().split("\n")[-count:])

    def check_report(self):
        text = self.report()
        assert not any(sign in text for sign in BUG_SIGNS), f"the broker met a bug:\n{self.tail(100)}"

    def wait_report(self, pattern):
        return wait_until(lambda: re.search(pattern, self.report()), f"a report like {pattern}")

    def status_bytes(self, name):
        """VmRSS (resident now) or VmHWM (its peak) of the process. 0 for a sanitized program, whose
        memory is mostly the sanitizer's: bounds on memory say nothing of it then."""
        if IS_SANITIZED:
            return 0
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"{name}:\s+(\d+) kB", file.read())[1]) * 1024

    def partition_folder(self, topic, partition):
        return os.path.join(self.data, f"{topic}-{partition}")

    def segments(self, topic, partition):
        """Names of the segment files, oldest first."""
        folder = self.partition_folder(topic, partition)
        return sorted(name for name in os.listdir(folder) if name.endswith(".log"))

    def remove(self):
        shutil.rmtree(self.data, ignore_errors=True)


# ---- small disks -----------------------------------------------------------------------------------

def _namespace():
    """The words that start a program in a mount namespace of its own, where it may mount."""
    return ["unshare", "--mount"] if os.geteuid() == 0 else \
        ["unshare", "--user", "--map-root-user", "--mount"]


def on_small_disk(folder, size_bytes, kind="tmpfs"):
    """The words that start a broker with a small file system at `folder`, mounted for it alone. A tmpfs
    goes away with the broker; others lie in an image beside the folder and are there again at the
    next start."""
    os.makedirs(folder, exist_ok=True)
    if kind == "tmpfs":
        mount = f"mount -t tmpfs -o size={size_bytes} none '{folder}'"
    else:
        image = f"{folder}.img"
        mount = (f"{{ [ -e '{image}' ] || {{ truncate -s {size_bytes} '{image}' && "
                 f"mkfs.{kind} -q -m 0 '{image}'; }}; }} && mount -o loop '{image}' '{folder}'")
    return _namespace() + ["sh", "-c", f'{mount} && exec "$0" "$@"']


def can_mount(kind):
    """Whether this machine lets us mount a small file system of that kind."""
    folder = f"/tmp/ottla-mount-probe-{os.getpid()}"
    try:
        return subprocess.run(on_small_disk(folder, 8 << 20, kind) + ["true"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=environment()).returncode == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.exists(f"{folder}.img"):
            os.remove(f"{folder}.img")
