#!/usr/bin/python3
"""Runs the project's checks and tests and adds them up: verify.py check | test | SUITE...

`make check` and `make test` call this. A suite is a row of SUITES: its name, the groups that it
belongs to, and a function that runs it and returns how many passed and how many failed. Every
suite runs whatever the ones before it said, a suite that could not even start counts as one
failure, and the last line is always `N passed, N failed`.
"""

import os
import re
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"


class Broken(Exception):
    """A suite that could not run; the message says why."""


def run(*command):
    """Runs a command with its output shown; returns its exit status."""
    sys.stdout.flush()
    return subprocess.call(command, cwd=ROOT, stdin=subprocess.DEVNULL)


def run_or_break(*command):
    if run(*command) != 0:
        raise Broken(f"{' '.join(command)} failed")


def run_as_one_test(*command):
    return (1, 0) if run(*command) == 0 else (0, 1)


def count_cmocka(case):
    """(passed, failed) by the summary that cmocka printed, or None without one."""
    text = "".join(case.itertext())
    run_count = sum(map(int, re.findall(r"\] (\d+) test\(s\) run", text)))
    if run_count == 0:
        return None
    skipped = sum(map(int, re.findall(r"SKIPPED  ?\] (\d+) test\(s\)", text)))
    failed = sum(map(int, re.findall(r"FAILED   ?\] (\d+) test\(s\)", text)))
    return run_count - skipped - failed, failed


def count_junit(path, status):
    """Counts a JUnit file's cases. A runner that failed without naming a case is one failure."""
    if not os.path.exists(path):
        raise Broken(f"no results in {os.path.relpath(path, ROOT)}")
    passed = failed = 0
    for case in xml.parse(path).iter("testcase"):
        counts = count_cmocka(case)
        is_bad = case.find("failure") is not None or case.find("error") is not None
        if counts is not None:
            passed += counts[0]
            failed += max(counts[1], int(is_bad))
        elif is_bad:
            failed += 1
        elif case.find("skipped") is None:
            passed += 1
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed


def fresh_file(path):
    """The path, with what an earlier run left there removed."""
    full = os.path.join(ROOT, path)
    if os.path.exists(full):
        os.remove(full)
    return full


def unit_tests(folder):
    run_or_break("tools/build.sh", folder, "--quiet")
    results = fresh_file(f"{folder}/meson-logs/testlog.junit.xml")
    status = run("meson", "test", "-C", folder, "--suite", "unit", "--print-errorlogs")
    return count_junit(results, status)


def python_tests(folder):
    suite = unittest.defaultTestLoader.discover(os.path.join(ROOT, folder))
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    return result.testsRun - failed, failed


def simulated_clusters(folder, seeds):
    """Seeds of the cluster simulator: each is a test."""
    run_or_break("tools/build.sh", folder, "--quiet", "test/sim/sim")
    command = [os.path.join(ROOT, folder, "test/sim/sim"), f"--seeds={seeds}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    counts = re.search(r"^(\d+) seeds? passed, (\d+) failed", done.stdout, re.MULTILINE)
    if counts is None:
        raise Broken("the simulator ended without a result")
    return int(counts.group(1)), int(counts.group(2))


def planted_bugs(folder, seeds):
    """Bugs planted in the simulator's second program: each that some seed finds is a test passed."""
    run_or_break("tools/build.sh", folder, "--quiet", "test/sim/sim_planted")
    command = [os.path.join(ROOT, folder, "test/sim/sim_planted"), "--hunt", f"--seeds={seeds}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    counts = re.search(r"^(\d+) planted bugs found, (\d+) not", done.stdout, re.MULTILINE)
    if counts is None:
        raise Broken("the hunt ended without a result")
    return int(counts.group(1)), int(counts.group(2))


def shell_scripts():
    """Every script that starts with a shell's name, wherever it lies."""
    paths = []
    for folder in (".ci", "bin", "dist", "tools"):
        for name in sorted(os.listdir(os.path.join(ROOT, folder))):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if re.match(rb"#!.*\b(ba)?sh\b", file.readline()):
                        paths.append(path)
    return run_as_one_test("shellcheck", "--severity=warning", *paths)


def system_tests(folder):
    """The system tests, on the program of that build folder ($OTTLA, for launchers as well)."""
    run_or_break("tools/build.sh", folder, "--quiet")
    run_or_break("tools/deps.sh", "test")
    os.environ["OTTLA"] = os.path.join(ROOT, folder, "ottla")
    results = fresh_file(f"{folder}/system.junit.xml")
    status = run(PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=10",
                 f"--junitxml={results}", "test/system")
    return count_junit(results, status)


# Generators whose output is committed: each takes --check, and --doc to write it anew.
GENERATORS = ["tools/gen/configs.py"]


def generated_files():
    statuses = [run(PYTHON, generator, "--check") for generator in GENERATORS]
    return statuses.count(0), len(statuses) - statuses.count(0)


SUITES = [
    ("packages", "check test", lambda: run_as_one_test("tools/deps.sh", "build", "check")),
    ("format", "check test", lambda: run_as_one_test("tools/format.sh", "--check")),
    ("shell scripts", "check test", shell_scripts),
    ("tidy", "check test", lambda: run_as_one_test(PYTHON, "tools/tidy/tidy.py")),
    ("tidy's tests", "check test", lambda: python_tests("tools/tidy")),
    ("generated files", "check test", generated_files),
    ("unit, gcc", "check test", lambda: unit_tests("build")),
    ("unit, clang", "check test", lambda: unit_tests("build-clang")),
    ("simulated clusters", "test", lambda: simulated_clusters("build", "1-300")),
    ("planted bugs", "test", lambda: planted_bugs("build", "1-300")),
    ("unit, sanitized", "san", lambda: unit_tests("build-san")),
    ("unit, threads", "tsan", lambda: unit_tests("build-tsan")),
    ("system", "test", lambda: system_tests("build")),
    ("system, sanitized", "san", lambda: system_tests("build-san")),
]


def verify(suites):
    """Runs the suites; returns rows of name, passed, failed, seconds."""
    rows = []
    for name, _, function in suites:
        print(f"\n=== {name}", flush=True)
        start = time.monotonic()
        try:
            passed, failed = function()
        except (Broken, OSError) as error:
            print(f"{name}: {error}")
            passed, failed = 0, 1
        rows.append((name, passed, failed, time.monotonic() - start))
    return rows


def main():
    wanted = sys.argv[1:]
    suites = [row for row in SUITES if row[0] in wanted or set(row[1].split()) & set(wanted)]
    if not suites:
        names = ", ".join(f"'{row[0]}'" for row in SUITES)
        sys.exit(f"usage: tools/verify.py check|test|san|tsan|SUITE...   suites: {names}")
    rows = verify(suites)
    print()
    for name, passed, failed, seconds in rows:
        print(f"{name:<20} {passed:>6} passed {failed:>4} failed {seconds:>8.1f} s")
    failed = sum(row[2] for row in rows)
    print(f"{sum(row[1] for row in rows)} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
