"""Connections as such: who speaks something else, too many of them, and no descriptors left.

Method: raw sockets against a broker with small limits, while a connection that was there before has
to be served.
"""

import http.client
import re
import resource
import socket
import ssl
import struct
import time

import pytest

import harness
import wire
from harness import Program, wait_until


def is_refused(broker, source="127.0.0.1"):
    """Whether a new connection is closed instead of being served."""
    with socket.create_connection(broker.address, 20, (source, 0)) as stranger:
        try:
            stranger.sendall(wire.frame(wire.request_bytes("ApiVersions", 0, {}, 1)))
            return stranger.recv(4) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True


def check_served(connection):
    assert connection.call("ApiVersions", 0).ErrorCode == 0


def hold(broker):
    """A connection that is served. A place is free a moment after its connection was closed."""
    def attempt():
        connection = broker.connect()
        try:
            check_served(connection)
        except wire.Closed:
            connection.close()
            return None
        return connection

    return wait_until(attempt, "a connection that is served")


# ---- strangers -------------------------------------------------------------------------------------

def test_http_is_named(broker):
    """Goal: a browser's request ends with a report that says what it was."""
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        client = http.client.HTTPConnection(*broker.address, timeout=20)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            client.request(method, "/")
            client.getresponse()
        client.close()
        broker.wait_report("closed: it speaks HTTP")


def test_tls_is_named(broker):
    """Goal: so does a client that is set to TLS."""
    context = ssl.create_default_context()
    with socket.create_connection(broker.address, 20) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost")
    broker.wait_report("closed: it speaks TLS.*security.protocol=PLAINTEXT")


def test_a_flood_of_faults_fills_no_report(broker):
    """Goal: thousands of connections with the same fault are told of in a few lines, which say how
    many there were."""
    count = 3000
    for _ in range(count):
        with socket.create_connection(broker.address, 20) as stranger:
            stranger.sendall(struct.pack(">i", -5))
    broker.wait_report("more connections closed for such reasons")
    with broker.connect() as connection:
        check_served(connection)
    lines = re.findall("frame length -5 is negative", broker.report())
    assert 0 < len(lines) < count / 5


# ---- limits ----------------------------------------------------------------------------------------

def test_limit_of_an_address(make_broker):
    """Goal: max.connections.per.ip closes one connection too many of an address, with a report; other
    addresses and those with a limit of their own are served; a place that is free is taken."""
    broker = make_broker({"max.connections.per.ip": "3",
                          "max.connections.per.ip.overrides": "127.0.0.7:1,127.0.0.8:5"})
    held = [hold(broker) for _ in range(3)]
    assert is_refused(broker)
    broker.wait_report("127.0.0.1:[0-9]+ refused: .* 3 already.*max.connections.per.ip")
    assert not is_refused(broker, "127.0.0.9")
    first = socket.create_connection(broker.address, 20, ("127.0.0.7", 0))
    assert is_refused(broker, "127.0.0.7")
    first.close()
    held[0].close()
    wait_until(lambda: not is_refused(broker), "the place that became free")
    wait_until(lambda: not is_refused(broker, "127.0.0.7"), "the other address's place")
    for connection in held[1:]:
        check_served(connection)
        connection.close()


def test_limit_of_all(make_broker):
    """Goal: max.connections makes new connections wait, as in Kafka, until others close; those that
    are there are served meanwhile."""
    broker = make_broker({"max.connections": "5"})
    held = [hold(broker) for _ in range(5)]
    waiting = [broker.connect() for _ in range(10)]
    for connection in waiting:
        connection.send("ApiVersions", 0)
    broker.wait_report(r"max.connections \(5\) is reached")
    for connection in held:
        check_served(connection)
    waiting[0].socket.settimeout(0.2)
    with pytest.raises(socket.timeout):
        waiting[0].receive()
    waiting[0].close()
    for connection in held:
        connection.close()
    for connection in waiting[1:6]:
        assert connection.receive().ErrorCode == 0
    for connection in waiting[1:]:
        connection.close()
    assert len(re.findall("is reached", broker.report())) < 20
    wait_until(lambda: not is_refused(broker), "an answer")


def test_limit_that_changes(make_broker):
    """Goal: the limits can be changed while the broker runs."""
    broker = make_broker()
    with broker.connect() as connection:
        answer = connection.call("IncrementalAlterConfigs", 1, Resources=[
            {"ResourceType": 4, "ResourceName": "", "Configs": [
                {"Name": "max.connections.per.ip", "ConfigOperation": 0, "Value": "1"}]}])
        assert answer.Responses[0].ErrorCode == 0
        assert is_refused(broker)
        check_served(connection)


# ---- descriptors -----------------------------------------------------------------------------------

LIMIT = 800


@pytest.fixture
def small(make_broker):
    """A broker that may open few files."""
    return make_broker(command=["sh", "-c", f'ulimit -n {LIMIT} && exec "$0" "$@"'])


def cpu_seconds(broker):
    with open(f"/proc/{broker.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_more_connections_than_descriptors(small):
    """Goal: connections that use up the descriptors are refused with a report that says what to do;
    logs can still be opened and rolled, nobody who is there notices, no thread spins, and when they
    go the broker takes new ones.
    Method: three times as many connections as descriptors, held; then topics with small segments are
    made and written to."""
    with small.connect() as connection:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held = []
        for _ in range(LIMIT * 3):
            held.append(socket.create_connection(small.address, 20))
        small.wait_report("refused: the process has too many files and connections open.*ulimit -n")
        before, start = cpu_seconds(small), time.monotonic()
        for i in range(5):
            row = wire.create_topic(connection, f"t{i}", 1, {"segment.bytes": 2000})
            assert row.ErrorCode == 0
            for _ in range(20):
                row = wire.produce(connection, f"t{i}", 0, wire.batch([bytes(500)]))
                assert row.ErrorCode == 0
            assert len(wire.fetch_all(connection, f"t{i}", 0)) == 20
        time.sleep(max(0, start + 1 - time.monotonic()))
        spent = (cpu_seconds(small) - before) / (time.monotonic() - start)
        assert spent < 0.8, f"{spent:.2f} of a processor for a little work"
        for stranger in held:
            stranger.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_until(lambda: not is_refused(small), "an answer to a new connection")


def test_a_limit_that_is_too_low_to_start(tmp_path):
    """Goal: with hardly a descriptor the broker says what is missing and ends."""
    path = tmp_path / "server.properties"
    path.write_text(f"log.dirs={tmp_path}/data\nlisteners=PLAINTEXT://127.0.0.1:0\n")
    with Program("sh", "-c", f'ulimit -n 12 && exec {harness.OTTLA} server {path}') as program:
        program.process.wait(60)
        assert program.process.returncode == 1
        program.readers[1].join(60)
        assert re.search("ulimit -n", "".join(program.errors)), program.errors
