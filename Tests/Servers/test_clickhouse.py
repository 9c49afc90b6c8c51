"""The server script: what it starts survives kill -9 with its data, and it stops nothing but what it started."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("clickhouse")


def run(*arguments):
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout.split(), done.stderr


def ask(url, sql):
    return urllib.request.urlopen(url, sql.encode(), timeout=10).read().decode().strip()


def ended(pid):
    """Whether the process is gone, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def open_files(pid):
    """What the process has open, less what it closes meanwhile."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(descriptor)


@pytest.fixture
def directory(tmp_path):
    yield tmp_path
    run("kill", tmp_path)


def test_rows_and_port_survive_kill_9(directory):
    _, (url, pid), _ = run("start", directory)
    ask(url, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    ask(url, "INSERT INTO t VALUES (42)")
    assert run("kill", directory)[0] == 0
    assert ended(pid)
    _, (again, new_pid), _ = run("start", directory)
    assert again == url and new_pid != pid
    assert ask(url, "SELECT n FROM t") == "42"
    assert run("stop", directory)[0] == 0


def test_it_listens_on_the_loopback_address_only(directory):
    _, (url, pid), _ = run("start", directory)
    assert url.startswith("http://127.0.0.1:")
    inodes = {target[8:-1] for target in open_files(pid) if target.startswith("socket:")}
    listening = [line.split()[1] for table in ("tcp", "tcp6") for line in open(f"/proc/{pid}/net/{table}").readlines()[1:]
                 if line.split()[3] == "0A" and line.split()[9] in inodes]
    assert listening and all(address.startswith("0100007F:") for address in listening)


def test_a_second_start_on_the_same_directory_is_refused(directory):
    _, (_, pid), _ = run("start", directory)
    code, output, errors = run("start", directory)
    assert (code, output) == (1, []) and f"pid {pid}" in errors


def test_a_taken_port_is_refused_by_number(directory, tmp_path_factory):
    _, (url, _), _ = run("start", directory)
    port = url.rsplit(":", 1)[1]
    code, _, errors = run("start", tmp_path_factory.mktemp("other"), port)
    assert code == 1 and f"port {port} is taken" in errors


def refused_by(server, directory):
    """What `start` says when the server is this shell script."""
    program = directory / "server"
    program.write_text(f"#!/bin/sh\n{server}\n")
    program.chmod(0o755)
    done = subprocess.run([SCRIPT, "start", directory], capture_output=True, text=True,
                          env=os.environ | {"CLICKHOUSE_SERVER": str(program)})
    assert done.returncode == 1
    return done.stderr


def test_what_a_server_says_before_it_ends_is_passed_on(tmp_path):
    assert "out of hats" in refused_by("echo out of hats; exit 70", tmp_path)


def test_its_ports_are_none_that_the_system_gives_to_outgoing_connections(tmp_path_factory):
    # A client's connection holds its port for a minute after it is closed, and a server can't listen there meanwhile.
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(20):
        directory = tmp_path_factory.mktemp("ports")
        refused_by("exit 1", directory)
        drawn = [int(port) for port in re.findall(r"_port>(\d+)<", (directory / "config.xml").read_text())]
        assert len(drawn) == 2 and max(drawn) < first_given


def test_a_process_that_got_the_recorded_pid_since_is_left_alone(directory):
    run("start", directory)
    recorded = directory / "pid"
    pid = recorded.read_text()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        recorded.write_text(str(stranger.pid))
        assert run("kill", directory)[0] == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        recorded.write_text(pid)


def test_a_server_that_was_never_started_cannot_be_stopped(directory):
    code, _, errors = run("stop", directory)
    assert code == 1 and "nothing runs" in errors


def test_a_missing_server_binary_is_named_with_the_remedy(directory):
    done = subprocess.run([SCRIPT, "start", directory], capture_output=True, text=True,
                          env=os.environ | {"CLICKHOUSE_SERVER": "no-such-server"})
    assert done.returncode == 2 and "no-such-server" in done.stderr and "make setup" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["start"], ["frobnicate", "x"]])
def test_wrong_usage_prints_the_commands(arguments):
    code, _, errors = run(*arguments)
    assert code == 2 and "clickhouse start DIR" in errors
