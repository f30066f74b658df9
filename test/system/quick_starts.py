"""The client programs in clients/, each in the manner of the quick start of Kafka's Java client:

    PROGRAM produce BOOTSTRAP TOPIC          acks=all, retries 0, batch.size 16384, linger.ms 1: sends
                                             the strings 0 to 99 with themselves as keys
    PROGRAM consume BOOTSTRAP TOPIC COUNT    group srk, auto.offset.reset=earliest, commits by hand
                                             after each twentieth record; prints "offset = 0, key = 0,
                                             value = 0" for COUNT records, then waits to be killed
"""

import os

import harness

GO_PATH = "/usr/share/gocode"
COMMANDS = {
    "kafka-python": "quick_kafka_python.py",
    "confluent-kafka": "quick_confluent.py",
    "librdkafka": "quick_librdkafka.c",
    "segmentio": "quick_segmentio.go",
    "sarama": "quick_sarama.go",
    "kafkajs": "quick_kafkajs.js",
}


class Builder:
    def __init__(self, folder):
        self.folder = folder

    def command(self, name):
        return self.build(COMMANDS[name])

    def build(self, source):
        """The words that run a program of clients/."""
        path = os.path.join(harness.CLIENTS, source)
        stem, kind = os.path.splitext(source)
        if kind == ".py":
            return [harness.PYTHON, path]
        if kind == ".js":
            return ["node", path]
        program = self.folder / stem
        if not program.exists():
            if kind == ".c":
                harness.run("gcc", "-O1", "-Wall", "-Werror", path, "-o", program, "-lrdkafka")
            else:
                harness.run("env", "GO111MODULE=off", f"GOPATH={GO_PATH}", "GOFLAGS=", "go", "build",
                            "-o", program, path, timeout=300)
        return [str(program)]
