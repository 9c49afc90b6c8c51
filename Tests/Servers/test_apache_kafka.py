"""A bad draw of the start script fails no test run; a Kafka that can't start is reported with its reasons."""

import os
import subprocess

import apache_kafka
import pytest


@pytest.fixture
def new_directory(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("kafka")


@pytest.fixture
def first_draw_is_bad(tmp_path, monkeypatch):
    """Puts a `base64` first in PATH whose first result begins with "-", as one in 64 does once made safe for a URL."""
    drawn = tmp_path / "drawn"
    fake = tmp_path / "base64"
    fake.write_text(f'#!/bin/sh\nif mkdir "{drawn}" 2>/dev/null; then cat >/dev/null; echo "+AAAAAAAAAAAAAAAAAAAAQ=="; exit; fi\n'
                    f'PATH="{os.environ["PATH"]}" exec base64\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return drawn


def test_a_cluster_id_that_looks_like_an_option_is_drawn_again(kafka_script, new_directory, first_draw_is_bad):
    address, directory = apache_kafka.start(kafka_script, new_directory)
    try:
        assert first_draw_is_bad.exists(), "the script no longer makes its cluster id this way"
        assert subprocess.run(["kcat", "-L", "-b", address], capture_output=True).returncode == 0
    finally:
        subprocess.run([kafka_script, "kill", directory], check=True)


def test_a_start_that_fails_is_tried_again_in_a_new_directory_and_leaves_nothing_behind(tmp_path, new_directory):
    script, calls = tmp_path / "kafka", tmp_path / "calls"
    script.write_text(f'#!/bin/sh\necho "$@" >>"{calls}"; [ "$1" = start ] || exit 0\n'
                      f'[ $(grep -c start "{calls}") -gt 2 ] && echo "127.0.0.1:9 1"\n')
    script.chmod(0o755)
    address, directory = apache_kafka.start(script, new_directory)
    (_, first), *others = commands = [line.split() for line in calls.read_text().splitlines()]
    second = others[1][1]
    assert commands == [["start", first], ["kill", first], ["start", second], ["kill", second], ["start", str(directory)]]
    assert address == "127.0.0.1:9" and len({first, second, str(directory)}) == 3


def test_a_kafka_that_never_starts_is_reported_with_every_reason(tmp_path, new_directory):
    script = tmp_path / "kafka"
    script.write_text('#!/bin/sh\n[ "$1" = kill ] || { echo "no disk left for $2" >&2; exit 1; }\n')
    script.chmod(0o755)
    with pytest.raises(RuntimeError) as failure:
        apache_kafka.start(script, new_directory)
    assert str(failure.value).count("no disk left for ") == apache_kafka.DRAWS
