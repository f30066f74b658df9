#!/usr/bin/python3
"""Says which lines the tests reached: cover.py BUILD_FOLDER.

Reads what a build with -Db_coverage=true left behind through gcov, prints one line per room, and
writes one line per file with the numbers of the lines never reached to BUILD_FOLDER/coverage.txt.
"""

import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def gcov_reports(folder):
    """The JSON documents that gcov prints, one for each .gcda file below the folder."""
    data = [os.path.join(base, name)
            for base, _, names in os.walk(folder) for name in names if name.endswith(".gcda")]
    for start in range(0, len(data), 50):
        output = subprocess.run(["gcov", "--json-format", "--stdout", *data[start:start + 50]],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        for line in output.stdout.splitlines():
            yield json.loads(line)


def line_counts(folder):
    """Per source file below src/: a dict from line number to how often it ran."""
    files = {}
    for report in gcov_reports(folder):
        for file in report["files"]:
            path = os.path.join(report["current_working_directory"], file["file"])
            path = os.path.relpath(os.path.realpath(path), ROOT)
            if not path.startswith("src/"):
                continue
            lines = files.setdefault(path, {})
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = max(lines.get(number, 0), line["count"])
    return files


def ranges(numbers):
    """[1, 2, 3, 7] as '1-3 7'."""
    words = []
    first = last = None
    for number in [*sorted(numbers), None]:
        if last is not None and number == last + 1:
            last = number
            continue
        if last is not None:
            words.append(str(first) if first == last else f"{first}-{last}")
        first = last = number
    return " ".join(words)


def main():
    folder = os.path.join(ROOT, sys.argv[1])
    rooms = {}
    with open(os.path.join(folder, "coverage.txt"), "w", encoding="utf-8") as out:
        for path, lines in sorted(line_counts(folder).items()):
            missed = [number for number, count in lines.items() if count == 0]
            out.write(f"{path}: {len(lines) - len(missed)} of {len(lines)} lines; "
                      f"never: {ranges(missed) or 'none'}\n")
            room = rooms.setdefault(os.path.dirname(path), [0, 0])
            room[0] += len(lines) - len(missed)
            room[1] += len(lines)
    for room, (reached, total) in sorted(rooms.items()):
        print(f"{room:<20} {100 * reached / total:5.1f} % of {total} lines")
    print(f"lines never reached, by file: {sys.argv[1]}/coverage.txt")


main()
