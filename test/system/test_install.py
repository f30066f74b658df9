"""`make install`: what lands where, and the pages and completions made from the program's help.

Method: the built tree is installed into a temporary DESTDIR; help comes from a stand-in program, so
that these tests are about form, not about today's tools.
"""

import json
import os
import subprocess

import pytest

import harness

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAND_IN = """#!/bin/sh
case "$*" in
help)
	echo 'Ottla is a broker.'
	echo
	echo '  server  Run a broker.'
	echo '  topics  Create, list, describe and delete topics.'
	;;
'help --format json')
	cat <<-'END'
	[{"name": "server", "summary": "Run a broker.", "purpose": "Runs.", "rest": "[file]",
	  "options": [], "commands": []},
	 {"name": "topics", "summary": "Topics.", "purpose": "This tool helps with topics.",
	  "options": [
	   {"usage": "--topic <String: topic>", "description": "The topic. Not \\\\d.", "default": "t"},
	   {"usage": "* -h, --help", "description": "Print usage.", "required": true}],
	  "commands": []},
	 {"name": "cluster", "summary": "Tell.", "purpose": "Tells.", "options": [], "commands": [
	   {"name": "cluster-id", "purpose": "Prints the id.", "options": [
	    {"usage": "--id <Integer>", "description": "The id."}]}]}]
	END
	;;
cluster*--help)
	case "$*" in
	'cluster --help') printf 'Tells.\\nCommand     Description\\n-------     ---\\ncluster-id  Id.\\n\\nx\\n' ;;
	*) echo '* -i, --id <Integer>  The id.' ;;
	esac
	;;
*)
	echo 'This tool helps with topics.'
	echo 'Option                  Description'
	echo '------                  -----------'
	echo '--delete                Delete a topic'
	echo '--name, --topic <String: topic> The topic to create.'
	echo '                          Not --this.'
	echo '-h, --help              Print usage.'
	;;
esac
"""


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True, timeout=60, **options).stdout


@pytest.fixture
def ottla(tmp_path):
    program = tmp_path / "ottla"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def prefix():
    """The prefix that the build folder is configured for."""
    options = json.loads(run("meson", "introspect", "build", "--buildoptions", cwd=ROOT))
    return next(option["value"] for option in options if option["name"] == "prefix").lstrip("/")


@pytest.fixture(scope="module")
def installed(tmp_path_factory, prefix):
    """What the build folder installs, as seen below its prefix."""
    folder = tmp_path_factory.mktemp("install")
    run("meson", "install", "-C", "build", "--no-rebuild", "--destdir", str(folder), "--quiet",
        cwd=ROOT)
    return folder / prefix


def test_every_launcher_is_installed(installed):
    """Goal: dist/meson.build names all that bin/ has, links as links."""
    folder = installed / "bin"
    for name in os.listdir(os.path.join(ROOT, "bin")):
        source, place = os.path.join(ROOT, "bin", name), folder / name
        if os.path.islink(source):
            assert os.readlink(place) == os.readlink(source)
        else:
            assert os.access(place, os.X_OK)


def test_the_unit_names_what_was_installed(installed, prefix):
    unit = (installed / "lib/systemd/system/ottla.service").read_text()
    assert f"ExecStart=/{prefix}/bin/ottla server /" in unit
    assert "@" not in unit.replace("@system-service", "")


def test_what_was_installed_works(installed, tmp_path):
    """Goal: launchers find the program beside them, from anywhere. Method: a broker and a tool."""
    port = harness.free_port()
    settings = tmp_path / "server.properties"
    settings.write_text(f"listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={tmp_path}/data\n")
    start = ["env", "-u", "OTTLA", installed / "bin/kafka-server-start.sh", settings]
    topics = ["env", "-u", "OTTLA", installed / "bin/kafka-topics.sh", "--bootstrap-server",
              f"127.0.0.1:{port}"]
    with harness.Program(*start, cwd="/") as server:
        harness.wait_until(lambda: "is ready after" in "".join(server.errors), "the broker")
        assert harness.run(*topics, "--create", "--topic", "t", cwd="/") == b"Created topic t.\n"
        assert os.readlink(f"/proc/{server.process.pid}/exe") == str(installed / "bin/ottla")
        server.process.terminate()
        server.wait()


def test_edited_settings_are_kept(tmp_path):
    """Goal: a second install leaves a file alone and puts the new one beside it."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.properties").write_text("log.dirs=/tmp/kafka-logs\nx=1\n")
    script = os.path.join(ROOT, "dist", "install-config.sh")
    environment = {"PATH": os.environ["PATH"], "DESTDIR": str(tmp_path / "to"),
                   "MESON_SOURCE_ROOT": str(tmp_path)}
    run(script, "/etc/ottla", env=environment)
    place = tmp_path / "to/etc/ottla/a.properties"
    assert place.read_text() == "log.dirs=/var/lib/ottla\nx=1\n"
    place.write_text("x=2\n")
    run(script, "/etc/ottla", env=environment)
    assert place.read_text() == "x=2\n"
    assert (place.parent / "a.properties.new").read_text() == "log.dirs=/var/lib/ottla\nx=1\n"


def complete(ottla, *words):
    """What bash would offer for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ottla; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    output = run("bash", "-c", script, "bash", os.path.join(ROOT, "dist", "ottla.bash"),
                 str(ottla), *words)
    return output.split()


def test_completion_offers_tools_and_options(ottla):
    assert complete(ottla, "") == ["server", "topics"]
    assert complete(ottla, "to") == ["topics"]
    assert complete(ottla, "topics", "--") == ["--delete", "--help", "--name", "--topic"]
    assert complete(ottla, "topics", "--bootstrap-server", "") == ["localhost:9092"]


def test_completion_of_commands(ottla):
    """Goal: behind a tool that has commands stand these, behind a command its options."""
    assert complete(ottla, "cluster", "") == ["cluster-id"]
    assert complete(ottla, "cluster", "cluster-id", "--") == ["--id"]


def test_completion_of_launchers(ottla):
    launcher = ottla.parent / "kafka-topics.sh"
    launcher.write_text(f'#!/bin/sh\nexec {ottla} topics "$@"\n')
    launcher.chmod(0o755)
    assert complete(launcher, "--d") == ["--delete"]


def test_man_pages_come_from_the_help(ottla, tmp_path):
    """Goal: every tool and option is in the pages."""
    pages = tmp_path / "man1"
    pages.mkdir()
    run("/usr/bin/python3", os.path.join(ROOT, "tools/gen/man.py"), str(ottla), str(pages), "1.2")
    assert sorted(os.listdir(pages)) == [
        "kafka-cluster.sh.1", "kafka-topics.sh.1", "ottla-cluster.1", "ottla-server.1",
        "ottla-topics.1", "ottla.1"]
    text = (pages / "ottla-topics.1").read_text()
    assert ".B \\-\\-topic <String: topic>\nThe topic. Not \\ed. (default: t)\n" in text
    assert ".B \\-h, \\-\\-help\nPrint usage. Must be given.\n" in text
    assert ".SH COMMAND CLUSTER-ID\nPrints the id.\n.TP\n.B \\-\\-id <Integer>" in \
        (pages / "ottla-cluster.1").read_text()
    assert "[file] [" in (pages / "ottla-server.1").read_text()
    text = (pages / "ottla.1").read_text()
    assert "topics" in text and "Ottla is a broker." in text
    assert (pages / "kafka-topics.sh.1").read_text() == ".so man1/ottla-topics.1\n"
