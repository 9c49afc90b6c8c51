"""What happens to a process and its directory: stopped and continued, two at once, jumps of the clock, another disk, other formats."""

import os
import signal
import struct
import subprocess
import time
from datetime import datetime

import pytest
from disks import build, small_disk
from laboratory import manifests, segments
from pipeline import merged
from stream import SMALL, assert_same_rows, finish, kill_with_work, pipeline_of, strike


@pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", ["token", "readback"])
def test_a_process_that_is_stopped_keeps_its_lock_and_goes_on(laboratory, stream, mode, seconds):
    lab = laboratory(mode)
    # The time in which it is stopped makes no partition idle: else the first one fetched afterwards makes the others' rows late.
    pipeline = pipeline_of(lab, stream, mode)
    pipeline.more = merged(SMALL, {"sources": {"events": {"event_time": {"idle_after": "2s"}}}})
    life = lab.engine(pipeline).start("--until-end")
    lab.until(lambda: lab.count(pipeline.table) > 0, life)
    life.signal(signal.SIGSTOP)
    second = lab.engine(pipeline).run("--until-end", seconds=60)
    assert second.code == 5 and str(life.process.pid) in second.tail(), second.tail()
    time.sleep(seconds)
    life.signal(signal.SIGCONT)
    assert life.wait(180) == 0, life.tail()
    assert_same_rows(lab, stream, pipeline)


@pytest.fixture(scope="module")
def jumping_clock(tmp_path_factory):
    return build("clockjump", tmp_path_factory.mktemp("clockjump"))


@pytest.mark.parametrize("mode, jump", [
    ("token", "+86400"), ("token", "-3600"), ("readback", "+3600"), ("readback", "-86400"),
    *(pytest.param(mode, jump, marks=pytest.mark.long) for mode, jump in [
        ("token", "+3600"), ("token", "-86400"), ("readback", "+86400"), ("readback", "-3600")])])
def test_a_wall_clock_that_jumps_changes_no_row(laboratory, stream, tmp_path, jumping_clock, mode, jump):
    """By event time: what a record is compared with doesn't depend on the machine's clock, which is far beyond `max_ahead` here; deadlines
    are by the server's."""
    lab = laboratory(mode)
    pipeline = pipeline_of(lab, stream, mode)
    clock = tmp_path / "clock"
    clock.write_text("0")
    faked = {"LD_PRELOAD": str(jumping_clock), "CLOCK_FILE": str(clock)}
    engine = lab.engine(pipeline)
    life = engine.start("--until-end", **faked)
    lab.until(lambda: lab.count(pipeline.table) > 0, life)
    first = datetime.fromisoformat(life.tail().split()[0].rstrip("Z"))
    clock.write_text(jump)
    assert life.wait(180) == 0, life.tail()
    last = datetime.fromisoformat(life.tail(1).split()[0].rstrip("Z"))
    assert abs((last - first).total_seconds()) > 3000, "the clock has not jumped"
    # And over a crash: the next life has the right clock again.
    life = engine.start(**faked)
    lab.until(life.look, life)
    life.kill()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_checkpoints_on_another_file_system_than_the_state_are_copied_at_a_start(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    pipeline.more = merged(SMALL, {"checkpoint": {"location": "checkpoints"}})
    pipeline.write()
    with small_disk(pipeline.directory / "checkpoints", 64) as disk:
        assert os.stat(disk.path).st_dev != os.stat(pipeline.directory).st_dev
        engine = lab.engine(pipeline)
        strike(lab, stream, engine, "published", 3)
        for name in ("amid_restore", "restored"):
            strike(lab, stream, engine, name, 1)
        finish(engine)
        assert_same_rows(lab, stream, pipeline)


@pytest.mark.parametrize("files", [12, 20, 32, 48, 64])
def test_too_few_open_files_are_named_and_lose_nothing(lab, stream, tmp_path, files):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    kill_with_work(lab, stream, engine)
    log = tmp_path / "limited.log"
    with log.open("wb") as out:
        script = f'ulimit -n {files}; exec "$0" run "$1" --until-end'
        process = subprocess.Popen(["sh", "-c", script, lab.binary, pipeline.file], stderr=out)
    deadline = time.monotonic() + 60
    while process.poll() is None and "waiting for" not in log.read_text():  # what it can't open
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
        process.wait()
    else:
        code = process.returncode
        assert code == 0 or code == 1 and "Too many open files" in log.read_text(), (code, log.read_text())
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_a_checkpoint_of_a_newer_format_is_refused_by_its_name_and_number(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    finish(engine)
    newest = manifests(pipeline)[-1]
    whole = newest.read_bytes()
    changed = whole[:4] + struct.pack("<I", 99) + whole[8:-4]
    newest.write_bytes(changed + struct.pack("<I", crc32c(changed)))
    life = engine.run("--until-end")
    assert life.code == 4 and "format 99" in life.tail() and newest.parent.name in life.tail(), life.tail()
    newest.write_bytes(whole)
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_a_log_of_a_newer_format_is_refused_by_its_name_and_number(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    finish(engine)
    last = segments(pipeline)[-1]
    whole = last.read_bytes()
    header = whole[:4] + struct.pack("<I", 99) + whole[8:44]
    last.write_bytes(header + struct.pack("<I", crc32c(header)) + whole[48:])
    life = engine.run("--until-end")
    assert life.code == 4 and "format 99" in life.tail() and last.name in life.tail(), life.tail()
    last.write_bytes(whole)
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_a_file_that_was_edited_after_a_crash_is_refused_until_the_old_one_has_been_drained(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    kill_with_work(lab, stream, engine)
    pipeline.more = merged(SMALL, {"sources": {"events": {"fields": {"name": {"type": "String", "default": "x"}}}}})
    pipeline.write()
    life = engine.run("--until-end")
    assert life.code == 4 and "R4" in life.tail() and "old file" in life.tail(), life.tail()
    pipeline.more = SMALL
    pipeline.write()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)
    pipeline.more = merged(SMALL, {"sources": {"events": {"fields": {"name": {"type": "String", "default": "x"}}}}})
    pipeline.write()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_another_window_over_old_state_is_refused_with_both(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    finish(engine)
    pipeline.more = merged(SMALL, {"operators": {"unique_events": {"deduplicate": {"within": "3m"}}}})
    pipeline.write()
    life = engine.run("--until-end")
    assert life.code == 4 and "within" in life.tail(), life.tail()
    pipeline.more = SMALL
    pipeline.write()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_a_second_start_beside_a_running_one_is_refused_at_once_and_touches_nothing(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    life = lab.engine(pipeline).start()
    lab.until(life.look, life)
    began = time.monotonic()
    done = subprocess.run([lab.binary, "run", pipeline.file, "--new-lineage"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and f"pid {life.process.pid}" in done.stderr, (done, time.monotonic() - began)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    finish(lab.engine(pipeline))
    assert_same_rows(lab, stream, pipeline)
