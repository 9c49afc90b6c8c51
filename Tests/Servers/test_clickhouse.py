"""The server scripts: what they start survives kill -9 with its data, and they stop nothing but what they started."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

BINARY = {"clickhouse": "CLICKHOUSE_SERVER", "clickhouse26": "CLICKHOUSE26_PYTHON"}


@pytest.fixture(params=BINARY)
def script(request):
    return Path(__file__).with_name(request.param)


@pytest.fixture
def run(script):
    def run(*arguments, **environment):
        done = subprocess.run([script, *arguments], capture_output=True, text=True, env=os.environ | environment)
        return done.returncode, done.stdout.split(), done.stderr
    return run


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
def directory(run, tmp_path):
    yield tmp_path
    run("kill", tmp_path)


def test_rows_and_port_survive_kill_9(run, directory):
    _, (url, pid), _ = run("start", directory)
    ask(url, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    ask(url, "INSERT INTO t VALUES (42)")
    assert run("kill", directory)[0] == 0
    assert ended(pid)
    _, (again, new_pid), _ = run("start", directory)
    assert again == url and new_pid != pid
    assert ask(url, "SELECT n FROM t") == "42"
    assert run("stop", directory)[0] == 0


def test_it_listens_on_the_loopback_address_only(run, directory):
    _, (url, pid), _ = run("start", directory)
    assert url.startswith("http://127.0.0.1:")
    inodes = {target[8:-1] for target in open_files(pid) if target.startswith("socket:")}
    listening = [line.split()[1] for table in ("tcp", "tcp6") for line in open(f"/proc/{pid}/net/{table}").readlines()[1:]
                 if line.split()[3] == "0A" and line.split()[9] in inodes]
    assert listening and all(address.startswith("0100007F:") for address in listening)


def test_a_second_start_on_the_same_directory_is_refused(run, directory):
    _, (_, pid), _ = run("start", directory)
    code, output, errors = run("start", directory)
    assert (code, output) == (1, []) and f"pid {pid}" in errors


def test_a_taken_port_is_refused_by_number(run, directory, tmp_path_factory):
    _, (url, _), _ = run("start", directory)
    port = url.rsplit(":", 1)[1]
    code, _, errors = run("start", tmp_path_factory.mktemp("other"), port)
    assert code == 1 and f"port {port} is taken" in errors


def refused_by(run, script, server, directory):
    """What `start` says when the server is this shell script."""
    program = directory / "server"
    program.write_text(f"#!/bin/sh\n{server}\n")
    program.chmod(0o755)
    code, _, errors = run("start", directory, **{BINARY[script.name]: str(program)})
    assert code == 1
    return errors


def test_what_a_server_says_before_it_ends_is_passed_on(run, script, tmp_path):
    assert "out of hats" in refused_by(run, script, "echo out of hats; exit 70", tmp_path)


def test_a_second_server_on_data_in_use_is_refused_though_no_pid_is_recorded(run, directory):
    # The one of 26.9 says why and ends with 0, while the first goes on answering for it.
    _, (url, pid), _ = run("start", directory)
    (directory / "pid").unlink()
    try:
        code, output, errors = run("start", directory)
        assert (code, output) == (1, []) and "ended before it answered" in errors
        assert ask(url, "SELECT 1") == "1" and not ended(pid)
    finally:
        (directory / "pid").write_text(pid)


@pytest.mark.parametrize("script", [Path(__file__).with_name("clickhouse26")], ids=["clickhouse26"])  # 18.16 has no tokens
def test_a_deduplicated_insert_survives_kill_9_of_the_server(directory, run):
    _, (url, _), _ = run("start", directory)
    ask(url, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10")
    for _ in range(2):
        ask(url, "INSERT INTO t SETTINGS insert_deduplication_token = 'a', async_insert = 0 VALUES (42)")
        run("kill", directory)
        run("start", directory)
    assert ask(url, "SELECT count() FROM t") == "1"


def test_its_ports_are_none_that_the_system_gives_to_outgoing_connections(run, script, tmp_path_factory):
    # A client's connection holds its port for a minute after it is closed, and a server can't listen there meanwhile.
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(10):
        directory = tmp_path_factory.mktemp("ports")
        refused_by(run, script, "exit 1", directory)
        drawn = [int(port) for port in re.findall(r"_port>(\d+)<", (directory / "config.xml").read_text())]
        assert len(drawn) == 2 and max(drawn) < first_given


def test_a_process_that_got_the_recorded_pid_since_is_left_alone(run, directory):
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


def test_a_server_that_was_never_started_cannot_be_stopped(run, directory):
    code, _, errors = run("stop", directory)
    assert code == 1 and "nothing runs" in errors


def test_a_missing_server_binary_is_named_with_the_remedy(run, script, directory):
    code, _, errors = run("start", directory, **{BINARY[script.name]: "no-such-server"})
    assert code == 2 and "no-such-server" in errors and "make setup" in errors


@pytest.mark.parametrize("arguments", [[], ["start"], ["frobnicate", "x"]])
def test_wrong_usage_prints_the_commands(run, script, arguments):
    code, _, errors = run(*arguments)
    assert code == 2 and f"{script.name} start DIR" in errors
