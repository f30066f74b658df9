"""Fixtures of the system tests: brokers that end with the test and must end well."""

import contextlib
import os

import pytest

import harness
import quick_starts
import terminal


@pytest.fixture
def make_broker(tmp_path):
    """make_broker(properties, ...) starts a broker, with a folder and a port of its own. At the end of
    the test it is stopped by SIGTERM, and must end cleanly, without a sign of a bug in its report."""
    brokers = []

    def make(properties=None, start=True, **options):
        broker = harness.Broker(tmp_path / f"broker-{len(brokers)}", properties, **options)
        brokers.append(broker)
        return broker.start() if start else broker

    yield make
    try:
        for broker in brokers:
            print(f"--- report of {broker.folder}\n{broker.tail()}")
            broker.stop()
    finally:
        for broker in brokers:
            broker.end()
            if "OTTLA_KEEP" not in os.environ:
                broker.remove()


@pytest.fixture
def broker(make_broker):
    """A broker with default settings, started."""
    return make_broker()


@pytest.fixture
def connection(broker):
    with broker.connect() as opened:
        yield opened


@pytest.fixture(scope="session")
def quick_start(tmp_path_factory):
    """quick_start(language) is the command of that program of clients/, built if it must be."""
    return quick_starts.Builder(tmp_path_factory.mktemp("clients")).command


@pytest.fixture
def open_terminal(tmp_path):
    """open_terminal() is a fresh one; all of a test's are in the same room."""
    with contextlib.ExitStack() as stack:
        room = terminal.Room(tmp_path)
        stack.callback(room.close)
        if not room.is_usable():
            pytest.skip("no network of its own to be had here, and ports or /tmp/kafka-logs are taken")

        def open_one():
            opened = terminal.Terminal(room.enter)
            stack.callback(opened.close)
            return opened

        yield open_one
