#!/usr/bin/python3
"""Measures the broker beside a probe of this machine's ceiling: make bench.

    bench/run.py [--full] [--only REGEX] [--soak SECONDS]

Starts the broker with a fresh folder under build/bench, runs each case several times against it and
against the probe (bench/probe.c), the two in turn, and keeps the run of either that cost the least
processor time: noise only ever adds. Prints tables as it goes and leaves everything in
build/bench/result.json.

Without --full (FULL=1) a choice of cases that takes a few minutes; with it the whole matrix.
--only (ONLY=) takes the cases whose name, printed at the left, the expression finds. The soak, ten
seconds or as long as told, watches memory under a steady load.

Costs are the server's alone: user and system time of all its threads, in the window in which the
load is steady. Payload is what record batches take, their headers included. 1 MB is 10^6 bytes.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "build", "bench")
FOLDER = os.path.join(BENCH, "data")
LOAD = os.path.join(BENCH, "load")
PROBE = os.path.join(BENCH, "probe")
OTTLA = os.path.join(ROOT, "build", "ottla")

REPEATS = 3
CALL_SECONDS_MAX = 120
WINDOW_BYTES = 500_000_000  # as much as stays in memory and is used again by the next run
FILL_BYTES = 256 << 20
FILL_BATCHES = 200_000
DEPTHS = {100: 32, 1024: 16, 16384: 8, 1 << 20: 2}
SIZE_NAMES = {100: "100 B", 1024: "1 KB", 16384: "16 KB", 1 << 20: "1 MB"}

# What the project aims at: name, unit, the greatest value that is good.
AIMS = {
    "ratio": 1.5,         # to the probe's processor time, from 16 KB on
    "request_us": 3.0,    # 100 B on 100 connections
    "arrival_p99_us": 2000.0,
    "start_ms": 20.0,
    "idle_rss_mib": 16.0,
    "partitions_mib": 160.0,
}


def die_with_parent():
    """In a child: be killed when this process ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def fresh_folder(name):
    path = os.path.join(FOLDER, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def load_command(what, options):
    return [LOAD, what] + [f"--{name}={value}" for name, value in options.items()]


def load(what, **options):
    """Runs the load generator and returns what it measured."""
    command = load_command(what, options)
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=CALL_SECONDS_MAX, check=False,
                          preexec_fn=die_with_parent)
    if done.returncode != 0:
        raise RuntimeError(f"failed: {' '.join(command)}")
    return json.loads(done.stdout)


class Broker:
    """A running broker; its folder is kept until the next of that name."""

    def __init__(self, name, folder=None, **overrides):
        self.name = name
        self.port = free_port()
        self.folder = folder or fresh_folder(name)
        self.report = open(os.path.join(BENCH, f"{name}.txt"), "w", encoding="utf-8")
        self.process = subprocess.Popen(self.command(self.port, self.folder, **overrides),
                                        stdout=self.report, stderr=self.report,
                                        preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.wait_until_ready()

    @staticmethod
    def command(port, folder, **overrides):
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "log.dirs": folder,
            # What a run wrote must be gone before the next, or each would use fresh memory.
            "log.segment.delete.delay.ms": 0,
        }
        settings.update({name.replace("_", "."): value for name, value in overrides.items()})
        command = [OTTLA, "server", os.path.join(ROOT, "bench", "bench.properties")]
        for name, value in settings.items():
            command += ["--override", f"{name}={value}"]
        return command

    def wait_until_ready(self):
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"no broker: see {self.report.name}") from None
                time.sleep(0.01)

    def create(self, topic, parts, **configs):
        options = {"topic": topic, "parts": parts, "port": self.port}
        if configs:
            options["configs"] = ",".join(f"{k.replace('_', '.')}={v}" for k, v in configs.items())
        return load("create", **options)

    def delete(self, topic):
        load("delete", topic=topic, port=self.port)
        end = time.monotonic() + 10
        while any(entry.startswith(f"{topic}-") or entry.startswith(f"{topic}.")
                  for entry in os.listdir(self.folder)):
            if time.monotonic() > end:
                raise RuntimeError(f"{topic} does not go away")
            time.sleep(0.005)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.report.close()


class Probe:
    def __init__(self, *flags):
        folder = fresh_folder("probe" + "".join(flags))
        self.process = subprocess.Popen([PROBE, *flags, folder],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


# ---- the matrix -----------------------------------------------------------------------------


def produce_case(batch, conns, parts, acks=-1, flush=0):
    return {"kind": "produce", "batch": batch, "conns": conns, "parts": parts, "acks": acks,
            "flush": flush, "depth": DEPTHS[batch]}


def fetch_case(batch, conns, parts, answer=None):
    return {"kind": "fetch", "batch": batch, "conns": conns, "parts": parts,
            "answer": answer or batch, "depth": DEPTHS[answer or batch]}


def case_name(case):
    name = f"{case['kind']} {SIZE_NAMES[case['batch']]} conns={case['conns']} parts={case['parts']}"
    if case["kind"] == "produce":
        name += f" acks={'all' if case['acks'] < 0 else case['acks']}"
        name += " flush" if case["flush"] else ""
    elif case["answer"] != case["batch"]:
        name += f" by {SIZE_NAMES[case['answer']]}"
    return name


def quick_cases():
    sizes = list(DEPTHS)
    cases = [produce_case(size, conns, 16) for size in sizes for conns in (1, 10, 100)]
    cases += [produce_case(size, 10, parts) for size in (100, 16384) for parts in (1, 1000)]
    cases += [produce_case(size, conns, 16, acks)
              for size, conns in ((100, 100), (16384, 10)) for acks in (0, 1)]
    cases += [produce_case(size, conns, 16, flush=1)
              for size in (100, 16384) for conns in (1, 10, 100)]
    cases += [fetch_case(size, conns, 16) for size in sizes for conns in (1, 10, 100)]
    cases += [fetch_case(16384, conns, 16, 1 << 20) for conns in (1, 10)]
    cases += [fetch_case(size, 10, parts) for size in (100, 16384) for parts in (1, 1000)]
    return cases


def full_cases():
    sizes = list(DEPTHS)
    shapes = [(conns, parts) for parts in (1, 16, 1000) for conns in (1, 10, 100)]
    cases = [produce_case(size, conns, parts, acks, flush) for flush in (0, 1)
             for acks in (-1, 1, 0) for size in sizes for conns, parts in shapes]
    cases += [fetch_case(size, conns, parts) for size in sizes for conns, parts in shapes]
    cases += [fetch_case(16384, conns, parts, 1 << 20) for conns, parts in shapes]
    return cases


def with_costs(result):
    """Adds what follows from the counts."""
    moved = result["requests"] * result["payload_bytes"]
    result["request_us"] = result["cpu_s"] / max(result["requests"], 1) * 1e6
    result["cpu_s_per_gb"] = result["cpu_s"] / moved * 1e9 if moved else 0
    result["mb_s"] = moved / result["seconds"] / 1e6
    result["records_s"] = result["requests"] * result["records"] / result["seconds"]
    result["requests_s"] = result["requests"] / result["seconds"]
    return result


def cheapest(results):
    return min(results, key=lambda result: result["request_us"])


class Matrix:
    """Runs cases; remembers what the probe gave for the same load."""

    def __init__(self, window_ms):
        self.window = {"warm": 100, "window": window_ms, "bytes": WINDOW_BYTES}
        self.broker = Broker("matrix")
        self.probes = {0: Probe(), 1: Probe("--sync")}
        self.ceilings = {}
        self.topic_count = 0
        self.fetch_topic = None  # (batch, parts), name, batches per partition

    def restart_broker(self):
        self.broker.stop()
        self.fetch_topic = None
        self.broker = Broker("matrix")

    def stop(self):
        self.broker.stop()
        for probe in self.probes.values():
            probe.stop()

    def options(self, case):
        names = ("batch", "conns", "parts", "acks", "depth", "answer")
        # With many partitions it takes a while until each has its file.
        warm = {"warm": 600} if case["parts"] >= 1000 else {}
        return self.window | warm | {name: case[name] for name in names if name in case}

    def new_topic(self, parts, **configs):
        self.topic_count += 1
        name = f"bench{self.topic_count}"
        self.broker.create(name, parts, **configs)
        return name

    def run_probe(self, case):
        probe = self.probes[case.get("flush", 0)]
        return with_costs(load(case["kind"], port=probe.port, pid=probe.pid, probe=1,
                               **self.options(case)))

    def run_produce(self, case):
        topic = self.new_topic(case["parts"], **({"flush_messages": 1} if case["flush"] else {}))
        result = load("produce", port=self.broker.port, pid=self.broker.pid, topic=topic,
                      **self.options(case))
        self.broker.delete(topic)
        return with_costs(result)

    def drop_fetch_topic(self):
        if self.fetch_topic:
            self.broker.delete(self.fetch_topic[1])
        self.fetch_topic = None

    def run_fetch(self, case):
        key = (case["batch"], case["parts"])
        if not self.fetch_topic or self.fetch_topic[0] != key:
            self.drop_fetch_topic()
            total = min(FILL_BYTES // case["batch"], FILL_BATCHES)
            count = max(total // case["parts"], case["answer"] // case["batch"])
            topic = self.new_topic(case["parts"])
            load("fill", port=self.broker.port, topic=topic, parts=case["parts"],
                 batch=case["batch"], count=count, depth=8)
            self.fetch_topic = (key, topic, count)
        return with_costs(load("fetch", port=self.broker.port, pid=self.broker.pid,
                               topic=self.fetch_topic[1], count=self.fetch_topic[2],
                               **self.options(case)))

    def run(self, case):
        key = tuple(case.get(name) for name in
                    ("kind", "batch", "conns", "parts", "acks", "flush", "answer"))
        # Neither means anything to the probe.
        if case["kind"] == "fetch":
            key = tuple(value for i, value in enumerate(key) if i != 3)
        elif case["acks"] == 1:
            key = tuple(-1 if i == 4 else value for i, value in enumerate(key))
        run_broker = self.run_produce if case["kind"] == "produce" else self.run_fetch
        probe_results, broker_results = self.ceilings.setdefault(key, []), []
        needs_probe = not probe_results
        for _ in range(REPEATS):
            if needs_probe:
                probe_results.append(self.run_probe(case))
            broker_results.append(run_broker(case))
        return cheapest(broker_results), cheapest(probe_results)


def verdict(value, limit):
    return "ok" if value <= limit else "MISS"


def case_aim(case, broker, ratio):
    if case["batch"] >= 16384 and not case.get("flush"):
        return verdict(ratio, AIMS["ratio"])
    if case["kind"] == "produce" and case["batch"] == 100 and case["conns"] == 100 and \
            not case["flush"]:
        return verdict(broker["request_us"], AIMS["request_us"])
    return ""


MATRIX_HEAD = (f"{'':44} {'records/s':>10} {'MB/s':>6} {'s/GB':>7} {'us/req':>7} {'p99 ms':>7} "
               f"{'MiB':>5} | {'s/GB':>7} {'us/req':>7} {'MB/s':>6} | {'ratio':>5}")


def print_case(name, broker, probe, ratio, aim):
    print(f"{name:44} {broker['records_s']:10.0f} {broker['mb_s']:6.0f} "
          f"{broker['cpu_s_per_gb']:7.3f} {broker['request_us']:7.2f} "
          f"{broker['latency_us']['p99'] / 1000:7.2f} {broker['rss_kib'] / 1024:5.0f} | "
          f"{probe['cpu_s_per_gb']:7.3f} {probe['request_us']:7.2f} {probe['mb_s']:6.0f} | "
          f"{ratio:5.2f} {aim}", flush=True)


def run_matrix(args, results):
    cases = full_cases() if args.full else quick_cases()
    cases = [case for case in cases if args.only.search(case_name(case))]
    if not cases:
        return
    print("\nProduce and fetch: the broker | the probe | processor time, broker to probe")
    print(MATRIX_HEAD)
    matrix = Matrix(500)
    try:
        for case in cases:
            try:
                broker, probe = matrix.run(case)
            except RuntimeError as error:
                results.append({"name": case_name(case), "failed": str(error)})
                print(f"{case_name(case):44} FAILED: {error}", flush=True)
                matrix.restart_broker()
                continue
            ratio = broker["request_us"] / probe["request_us"] if probe["request_us"] else 0
            aim = case_aim(case, broker, ratio)
            print_case(case_name(case), broker, probe, ratio, aim)
            results.append({"name": case_name(case), "case": case, "broker": broker,
                            "probe": probe, "ratio": ratio, "aim": aim})
    finally:
        matrix.stop()


# ---- single figures -------------------------------------------------------------------------


def row(results, name, text, value, limit=None):
    """Prints a figure and keeps it."""
    aim = "" if limit is None else f"aim {limit:g}: {verdict(value, limit)}"
    print(f"{name:44} {text:60} {aim}", flush=True)
    results.append({"name": name, "text": text, "value": value, "aim": aim})


def run_pings(args, results):
    names = {"ping ApiVersions conns=100": 18, "ping Metadata conns=100": 3}
    wanted = {name: key for name, key in names.items() if args.only.search(name)}
    if not wanted:
        return
    broker, probe = Broker("ping"), Probe()
    try:
        broker.create("bench", 1)
        for name, key in wanted.items():
            options = {"key": key, "conns": 100, "depth": 32, "warm": 100, "window": 500}
            runs = [with_costs(load("ping", port=broker.port, pid=broker.pid, **options))
                    for _ in range(REPEATS)]
            floor = [with_costs(load("ping", port=probe.port, pid=probe.pid, probe=1, **options))
                     for _ in range(REPEATS)]
            best, least = cheapest(runs), cheapest(floor)
            row(results, name,
                f"{best['request_us']:.2f} us/req, {best['requests_s'] / 1000:.0f} k/s; "
                f"probe {least['request_us']:.2f} us/req", best["request_us"])
    finally:
        broker.stop()
        probe.stop()


def run_ping_pong(args, results):
    """One 4 KB batch at a time, appended and acknowledged: the floor of latency."""
    name = "append and ack 4 KB, one at a time"
    if not args.only.search(name):
        return
    broker, probe = Broker("pingpong"), Probe()
    try:
        broker.create("bench", 1)
        options = {"batch": 4096, "warm": 100, "window": 500}
        best = load("produce", port=broker.port, pid=broker.pid, topic="bench", **options)
        floor = load("produce", port=probe.port, pid=probe.pid, probe=1, **options)
        row(results, name, " p50 {p50:.0f} us, p99 {p99:.0f};".format(**best["latency_us"])[1:] +
            " probe p50 {p50:.0f}, p99 {p99:.0f}".format(**floor["latency_us"]),
            best["latency_us"]["p50"])
    finally:
        broker.stop()
        probe.stop()


def latency_text(result):
    return "p50 {p50:.0f} us, p99 {p99:.0f}, p99.9 {p999:.0f}, max {max:.0f}".format(
        **result["arrival_us"])


def evict(folder):
    """Writes the files out and drops them from the page cache."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            fd = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            total += os.fstat(fd).st_size
            os.close(fd)
    return total


def run_latency(args, results):
    steady = "latency at 1,000 records/s"
    beside = "latency beside cold reads"
    cold = "cold reads"
    if not any(args.only.search(name) for name in (steady, beside, cold)):
        return
    window = 30_000 if args.full else 5_000
    broker = Broker("latency")
    try:
        broker.create("steady", 1)
        options = {"rate": 1000, "warm": 1000, "port": broker.port, "pid": broker.pid}
        result = load("latency", topic="steady", acks=-1, window=window, **options)
        row(results, steady, latency_text(result), result["arrival_us"]["p99"],
            AIMS["arrival_p99_us"])
        run_cold(broker, beside, cold, results)
    finally:
        broker.stop()


def run_cold(broker, beside, cold, results):
    """A reader of a gigabyte that is not in memory, one megabyte at a time, beside hot traffic."""
    batches = 65_000
    broker.create("cold", 1)
    load("fill", port=broker.port, topic="cold", batch=16384, count=batches, depth=8)
    total = evict(os.path.join(broker.folder, "cold-0"))
    broker.create("hot", 1)
    window = 4000
    hot = subprocess.Popen(
        load_command("latency", {"topic": "hot", "rate": 1000, "acks": -1, "warm": 300,
                                 "window": window, "port": broker.port, "pid": broker.pid}),
        stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    time.sleep(0.5)
    read = load("fetch", port=broker.port, pid=broker.pid, topic="cold", batch=16384, count=batches,
                answer=1 << 20, conns=1, depth=1, quota=batches // 64, warm=0, window=60_000,
                bytes=0)
    out, _ = hot.communicate(timeout=CALL_SECONDS_MAX)
    if hot.returncode != 0:
        raise RuntimeError("the hot traffic failed")
    hot_result = json.loads(out)
    row(results, beside, latency_text(hot_result), hot_result["arrival_us"]["p99"])
    moved = with_costs(read)
    row(results, cold, f"{total / 1e6:.0f} MB: {moved['mb_s']:.0f} MB/s, "
        f"{moved['cpu_s_per_gb']:.2f} s/GB; {read['seconds']:.1f} s", moved["mb_s"])


def run_start(args, results):
    name = "start to first answer"
    if not args.only.search(name):
        return
    runs = []
    for attempt in range(5):
        folder = fresh_folder(f"start{attempt}")
        port = free_port()
        command = [LOAD, "start", f"--port={port}", *Broker.command(port, folder)]
        with open(os.path.join(BENCH, "start.txt"), "w", encoding="utf-8") as report:
            for kind in ("empty", "again"):
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=report, check=False,
                                      timeout=CALL_SECONDS_MAX, preexec_fn=die_with_parent)
                if done.returncode != 0:
                    raise RuntimeError(f"no start: see {report.name}")
                runs.append((kind, json.loads(done.stdout.splitlines()[-1])))
    empty = [run["answer_ms"] for kind, run in runs if kind == "empty"]
    again = [run["answer_ms"] for kind, run in runs if kind == "again"]
    value = statistics.median(empty)
    row(results, name, f"empty folder {value:.1f} ms, again {statistics.median(again):.1f} ms "
        f"(medians of 5)", value, AIMS["start_ms"])
    rss = max(run["idle_rss_kib"] for _, run in runs) / 1024
    row(results, "idle resident memory", f"{rss:.1f} MiB", rss, AIMS["idle_rss_mib"])


def run_idle_conns(args, results):
    name = "10,000 idle connections"
    if not args.only.search(name):
        return
    broker = Broker("conns")
    try:
        hold = subprocess.Popen(load_command("hold", {"port": broker.port, "conns": 10_000}),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                preexec_fn=die_with_parent)
        before = rss_mib(broker.pid)
        hold.stdout.readline()
        value = rss_mib(broker.pid) - before
        row(results, name, f"{value:.1f} MiB more, {value * 1024 / 10_000:.2f} KiB each", value)
        hold.stdin.close()
        hold.wait(CALL_SECONDS_MAX)
    finally:
        broker.stop()


def run_idle_partitions(args, results):
    name = "10,000 idle partitions"
    if not args.only.search(name):
        return
    count = 10_000
    broker = Broker("partitions")
    try:
        before = rss_mib(broker.pid)
        started = time.monotonic()
        # Two topics: one request may not make more than 10,000 metadata records.
        for topic in ("many1", "many2"):
            broker.create(topic, count // 2)
        seconds = time.monotonic() - started
        time.sleep(1)
        created = rss_mib(broker.pid) - before
        for topic in ("many1", "many2"):
            load("fill", port=broker.port, topic=topic, parts=count // 2, batch=100, count=1,
                 depth=32)
        written = rss_mib(broker.pid) - before
        row(results, name, f"{created:.1f} MiB more; with a record each {written:.1f} MiB; "
            f"created in {seconds:.1f} s", max(created, written), AIMS["partitions_mib"])
    finally:
        broker.stop()
    again = Broker("partitions", folder=broker.folder)
    try:
        time.sleep(1)
        value = rss_mib(again.pid) - before
        row(results, f"{name}, started again", f"{value:.1f} MiB more", value,
            AIMS["partitions_mib"])
    finally:
        again.stop()


def run_soak(args, results):
    """Memory under a load that goes on: what comes in goes out by retention."""
    name = f"memory over {args.soak} s of load"
    if not args.only.search(name):
        return
    broker = Broker("soak", log_retention_check_interval_ms=1000)
    children = []
    try:
        broker.create("soak", 16, segment_bytes=8 << 20, retention_bytes=16 << 20)
        options = {"topic": "soak", "parts": 16, "batch": 16384, "conns": 10, "depth": 4,
                   "warm": 0, "bytes": 0, "window": args.soak * 1000, "port": broker.port,
                   "pid": broker.pid}
        children.append(subprocess.Popen(load_command("produce", options),
                                         stdout=subprocess.PIPE, preexec_fn=die_with_parent))
        samples = []
        end = time.monotonic() + args.soak
        while time.monotonic() < end and children[0].poll() is None:
            samples.append(rss_mib(broker.pid))
            time.sleep(min(0.5, args.soak / 20))
        out, _ = children[0].communicate(timeout=CALL_SECONDS_MAX)
        produced = with_costs(json.loads(out))
        quarter = max(len(samples) // 4, 1)
        early = statistics.mean(samples[quarter:2 * quarter] or samples)
        late = statistics.mean(samples[-quarter:])
        row(results, name, f"{early:.1f} MiB in the second quarter, {late:.1f} in the last, "
            f"most {max(samples):.1f}; {produced['mb_s']:.0f} MB/s", late)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
        broker.stop()


# ---- the run --------------------------------------------------------------------------------


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=False).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": model[1] if model else "", "commit": commit,
            "kernel": os.uname().release, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load": os.getloadavg()[0]}


def touch_memory():
    """So that fresh memory costs the same in every run: see load.c."""
    with open("/proc/meminfo", encoding="ascii") as file:
        free = int(re.search(r"MemFree:\s+(\d+)", file.read())[1]) * 1024
    load("touch", bytes=min(free // 2, 3_000_000_000))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", default=os.environ.get("FULL") == "1")
    parser.add_argument("--only", type=re.compile, default=re.compile(os.environ.get("ONLY", "")))
    parser.add_argument("--soak", type=int, default=int(os.environ.get("SOAK") or 10))
    return parser.parse_args()


def main():
    args = parse_args()
    started = time.monotonic()
    results = {"machine": machine(), "matrix": [], "figures": []}
    print("{cpu}, {cores} cores, Linux {kernel}, load {load:.2f}, commit {commit}".format(
        **results["machine"]))
    if results["machine"]["load"] > 0.5:
        print("Something else is running: figures will be worse than this machine can do.")
    touch_memory()
    try:
        for part in (run_start, run_ping_pong, run_latency, run_pings, run_idle_conns,
                     run_idle_partitions, run_soak):
            try:
                part(args, results["figures"])
            except RuntimeError as error:
                results["figures"].append({"name": part.__name__, "failed": str(error)})
                print(f"{part.__name__} FAILED: {error}", flush=True)
        run_matrix(args, results["matrix"])
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
        with open(os.path.join(BENCH, "result.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    print(f"{time.monotonic() - started:.0f} s; all figures: build/bench/result.json")
    return int(any("failed" in result for result in results["matrix"] + results["figures"]))


if __name__ == "__main__":
    sys.exit(main())
