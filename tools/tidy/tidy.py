#!/usr/bin/python3
"""Checks what the style guide marks [C]: tidy.py [--root FOLDER] [PATH...].

Prints `file:line: rule: message` for each finding and exits 1 if there is one. With paths, only
findings below them are printed. README.md beside this file lists the rules.
"""

import argparse
import concurrent.futures
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rules_file  # noqa: E402
import rules_tree  # noqa: E402
from source import Source, WORD  # noqa: E402

SOURCE_FOLDERS = ("src", "include", "test", "bench")
TEXT_FOLDERS = SOURCE_FOLDERS + ("bin", "config", "doc", "man", "schema", "tools")
TEXT_ENDINGS = (".c", ".h", ".py", ".sh", ".build", ".md", ".txt", ".properties", ".service", ".js",
                ".go", ".json")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "corpus", "golden", "data"}


def walk(root, folders, endings):
    for folder in folders:
        for base, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(set(names) - SKIPPED_FOLDERS)
            for name in sorted(files):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(base, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def check_file(root, path):
    """The facts of one file, and the findings of the rules that need no other file."""
    source = Source(path, read(root, path))
    findings = [(path, line, name, symbol, message)
                for name, function in rules_file.RULES.items()
                for line, symbol, message in function(source)]
    source.forget_tokens()
    return source, findings


class Tree:
    """What the rules over the whole tree see."""

    def __init__(self, root, sources):
        self.root, self.sources = root, sources
        path = "tools/layers.txt"
        text = read(root, path) if os.path.exists(os.path.join(root, path)) else ""
        self.layers = rules_tree.Layers(path, text)
        self.known = {source.path: source.lines for source in sources}
        # Generated code calls functions too: what a generator or a schema names counts as used.
        self.generated_words = set()
        for name in walk(root, ("tools/gen", "schema"), ("",)):
            self.generated_words.update(WORD.findall(read(root, name)))

    def texts(self):
        """(path, lines) of every text file but this checker's own, which name what they forbid."""
        for path in walk(self.root, TEXT_FOLDERS, TEXT_ENDINGS):
            if path.startswith("tools/tidy/") and path.endswith(".py"):
                continue
            yield path, self.known.get(path) or read(self.root, path).split("\n")


class Exceptions:
    """exceptions.txt: `at most N`, then `RULE PATH[:SYMBOL] reason`; the list may only shrink.

    A path that is a folder of the top level and ends in / stands for all files below it."""

    LINE = re.compile(r"([\w-]+) ([^\s:]+)(?::(\w+))? +(\S.*)")

    def __init__(self, path, text):
        self.path, self.rows, self.problems, self.most = path, {}, [], None
        for number, line in enumerate(text.splitlines(), 1):
            limit = re.fullmatch(r"at most (\d+)", line)
            match = self.LINE.fullmatch(line)
            if not line or line.startswith("#"):
                continue
            if limit:
                self.most = int(limit.group(1))
            elif match:
                self.rows[match.group(1, 2, 3)] = number
            else:
                self.problems.append((number, "a line is `RULE PATH[:SYMBOL] reason`"))
        self.used = set()

    def covers(self, finding):
        path, _, name, symbol, _ = finding
        folder = path.split("/")[0] + "/"
        for key in ((name, path, symbol), (name, path, None), (name, folder, None)):
            if key in self.rows:
                self.used.add(key)
                return True
        return False

    def findings(self):
        for number, message in self.problems:
            yield self.path, number, "exceptions", None, message
        for key, number in self.rows.items():
            if key not in self.used:
                yield self.path, number, "exceptions", None, (
                    "nothing needs this exception any more: remove it")
        if self.most is not None and len(self.rows) != self.most:
            remedy = ("mend the code instead" if len(self.rows) > self.most
                      else f"good: now write `at most {len(self.rows)}`")
            yield self.path, 1, "exceptions", None, (
                f"{len(self.rows)} exceptions stand here, the limit says {self.most}: {remedy}")


def check_files(root, paths):
    """check_file() of every path, in parallel where that pays and the machine lets us."""
    if len(paths) > 50:
        try:
            with concurrent.futures.ProcessPoolExecutor() as pool:
                return list(pool.map(check_file, [root] * len(paths), paths, chunksize=8))
        except OSError:
            pass  # no shared memory for its semaphores, as in a bare container
    return [check_file(root, path) for path in paths]


def check(root):
    """All findings of a tree as (path, line, rule, symbol, message), sorted."""
    results = check_files(root, list(walk(root, SOURCE_FOLDERS, (".c", ".h"))))
    findings = [finding for _, some in results for finding in some]
    tree = Tree(root, [source for source, _ in results])
    for name, function in rules_tree.RULES.items():
        findings += [(path, line, name, symbol, message)
                     for path, line, symbol, message in function(tree)]
    path = "tools/tidy/exceptions.txt"
    text = read(root, path) if os.path.exists(os.path.join(root, path)) else ""
    exceptions = Exceptions(path, text)
    findings = [finding for finding in findings if not exceptions.covers(finding)]
    findings += exceptions.findings()
    return sorted(findings, key=lambda finding: (finding[0], finding[1], finding[2]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--root", default=here, help="the project's folder")
    parser.add_argument("paths", nargs="*", help="print findings below these paths only")
    options = parser.parse_args()
    start = time.monotonic()
    findings = check(options.root)
    if options.paths:
        wanted = tuple(os.path.normpath(path) for path in options.paths)
        findings = [one for one in findings if one[0].startswith(wanted)]
    for path, line, name, _, message in findings:
        print(f"{path}:{line}: {name}: {message}")
    print(f"tidy: {len(findings)} findings in {time.monotonic() - start:.1f} s", file=sys.stderr)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
