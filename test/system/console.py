"""The console tools as tests call them: what they print, what they say, how they end."""

import os
import subprocess

from harness import BIN, die_with_parent, environment, tool


def call(name, *arguments, input=b"", status=0, timeout=60):
    """Runs bin/kafka-NAME.sh to its end; its status must be the one given. Returns what it printed and
    what it said on standard error."""
    if isinstance(input, str):
        input = input.encode()
    done = subprocess.run([os.path.join(BIN, f"kafka-{name}.sh"), *map(str, arguments)],
                          input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env=environment(), preexec_fn=die_with_parent)
    error = done.stderr.decode(errors="replace")
    assert done.returncode == status, f"status {done.returncode}: {error[-2000:]}"
    return done.stdout, error


def create(broker, topic, partitions=1, **configs):
    words = [word for name, value in configs.items()
             for word in ("--config", f"{name.replace('_', '.')}={value}")]
    tool("topics", "--bootstrap-server", broker.bootstrap, "--create", "--topic", topic,
         "--partitions", partitions, "--replication-factor", 1, *words)


def produce(broker, topic, input, *arguments, **options):
    return call("console-producer", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                *arguments, input=input, **options)


def consume(broker, topic, count, *arguments, **options):
    """The first `count` records of partition 0, as they are printed."""
    output, error = call("console-consumer", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                         "--partition", 0, "--from-beginning", "--max-messages", count, *arguments,
                         **options)
    assert error.endswith(f"Processed a total of {count} messages\n"), error
    return output


def pairs(option, *settings):
    """("--property", "a=b", ...) for settings "a=b"."""
    return [word for setting in settings for word in (option, setting)]
