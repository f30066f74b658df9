"""The tour of README.md, as a new user walks it.

Method: the commands are taken out of the page and typed into a terminal, one by one, with a broker on
the settings that `make run` has; the Python goes into a file first.
"""

import os
import re

from harness import PYTHON, ROOT

BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)


def section(title):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(rf"^## {title}\n(.*?)^## ", file.read(), re.MULTILINE | re.DOTALL)[1]


def commands(text, folder):
    """The lines of the page's blocks; a block of Python is the command that runs it."""
    for block in BLOCK.findall(text):
        lines = [line[4:] for line in block.strip("\n").split("\n")]
        if any(line.startswith("from kafka import") for line in lines):
            (folder / "tour.py").write_text("\n".join(lines) + "\n")
            yield f"{PYTHON} {folder}/tour.py"
        else:
            yield from filter(None, lines)


def test_the_tour(open_terminal, tmp_path):
    """Goal: every command of the tour works, and shows what the tour is about."""
    server, tour = open_terminal(), open_terminal()
    server.start("bin/kafka-server-start.sh config/server.properties")
    server.wait_for("is ready after")
    shown = {command: tour.run(command) for command in commands(section("A tour"), tmp_path)}

    def of(words):
        return next(output for command, output in shown.items() if re.search(words, command))

    assert of("--create") == "Created topic greetings.\n"
    assert of("--describe --topic").count("\tPartition: ") == 3
    assert sorted(of("console-consumer").splitlines()) == [
        "Processed a total of 2 messages", "hello", "world"]
    records = sorted(line.split(" ", 2)[2] for line in of("kcat.* -C").splitlines()
                     if not line.startswith("%"))
    assert records == [" hello", " world", "k1 one", "k2 two"]
    assert sorted(line.split(" ", 2)[2] for line in of("tour.py").splitlines()) == [
        "None b'hello'", "None b'world'", "b'k1' b'one'", "b'k2' b'two'", "b'k3' b'three'"]
    assert "readers" in of("consumer-groups.* --list").splitlines()
    rows = [line.split() for line in of("--describe --group").splitlines()
            if line.startswith("readers")]
    assert sorted(row[1:3] for row in rows) == [["greetings", str(i)] for i in range(3)]
    assert sum(int(row[3]) for row in rows) == 5 and all(row[5] == "0" for row in rows)
