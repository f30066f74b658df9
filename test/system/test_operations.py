"""The story that doc/operations.md tells, from Form to Drain and shrink, typed as it stands.

Method: the commands are taken out of the page. Servers get terminals of their own; files that the page
puts into config/ and /tmp go into the test's folder. kafka-server-stop.sh looks for processes in a
folder of links to the test's servers, not at those of the whole machine.
"""

import os
import re

import harness
from cluster import children
from test_readme import BLOCK

SECTIONS = ["Form", "Look", "Grow", "Restart and upgrade", "Drain and shrink"]


def commands():
    with open(os.path.join(harness.ROOT, "doc", "operations.md"), encoding="utf-8") as file:
        page = file.read()
    for title in SECTIONS:
        text = re.search(rf"^## {title}\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)[1]
        for block in BLOCK.findall(text):
            yield from (line[4:] for line in block.strip("\n").split("\n"))


class Story:
    def __init__(self, open_terminal, folder):
        self.open_terminal, self.folder = open_terminal, folder
        self.processes = folder / "proc"
        self.processes.mkdir()
        self.operator = open_terminal()
        self.servers = {}  # property file -> terminal

    def here(self, command):
        """The command, with the page's files in the test's folder."""
        command = re.sub(r"config/(server-\d)", rf"{self.folder}/\1", command)
        command = command.replace("build/ottla", harness.OTTLA)
        return re.sub(r"/tmp/(kafka-logs-\d|\w+\.json)", rf"{self.folder}/\1", command)

    def start(self, command):
        properties = command.split()[1]
        if properties not in self.servers:
            self.servers[properties] = self.open_terminal()
        terminal = self.servers[properties]
        terminal.start(command)
        terminal.wait_for("is ready after")
        for pid in children(terminal.shell.pid):
            link = self.processes / str(pid)
            if not link.exists():
                link.symlink_to(f"/proc/{pid}")

    def stop(self, command):
        node = re.search(r"--node-id=(\d)", command)[1]
        self.operator.run(f"PROC={self.processes} {command}")
        self.servers[f"{self.folder}/server-{node}.properties"].finish()

    def type(self, command):
        """What it showed. A move or an election that is not over yet is looked at again."""
        if "server-start.sh" in command:
            return self.start(command)
        if "server-stop.sh" in command:
            return self.stop(command)
        shown = self.operator.run(command)
        while "is still in progress" in shown or "-partitions" in command.split()[-1] and shown:
            shown = self.operator.run(command)
        return shown


def test_the_story(open_terminal, tmp_path):
    """Goal: every command works, and shows what the page says of it."""
    story = Story(open_terminal, tmp_path)
    shown = [(command, story.type(story.here(command))) for command in commands()]

    def of(words):
        return [output for command, output in shown if re.search(words, command)]

    assert of("--create") == ['Created topic "my-replicate-topic".\n']
    assert re.search(r"Leader: [012]\s+Replicas: ([012],?){3}\s+Isr: ([012],?){3}",
                     of("--describe --zookeeper")[0])
    endpoints = of("list-endpoints")[0]
    assert all(str(port) in endpoints for port in (9092, 9093, 9094))
    assert "LeaderId" in of("describe --status")[0]
    assert of("under-replicated") == [""] and of("unavailable") == [""]
    assert "my-replicate-topic" in of("--generate")[0]
    assert re.search("my-replicate-topic-0 is completed?|is complete", of("--verify")[0])
    assert of("unregister") == ["Broker 3 is no longer registered.\n"]
    last = story.operator.run("bin/kafka-topics.sh --describe --bootstrap-server localhost:9092 "
                              "--topic my-replicate-topic")
    assert re.search(r"Replicas: ([012],?){3}\s+Isr: ([012],?){3}", last), last
