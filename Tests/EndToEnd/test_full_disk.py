"""A disk that is full: the engine waits, says so in one line, goes on when there is room, and the table holds each row once."""

import contextlib
import signal
import time

import pytest
from disks import small_disk
from pipeline import merged
from stream import SMALL, Stream, assert_same_rows, finish, kill_with_work, pipeline_of

FULL = "waiting for room"
ROOM = "there is room again"


def lines(life, words: str) -> list[str]:
    return [line for line in life.log.read_text(errors="replace").splitlines() if words in line]


def full_then_grown(lab, stream, pipeline, disk, place: str, megabytes: int):
    """The engine meets the full disk, lives on with one line about it, and comes to the end once the disk has grown."""
    life = lab.engine(pipeline).start("--until-end")
    lab.until(lambda: lines(life, FULL), life)
    time.sleep(4)  # several tries
    assert not life.ended(), life.tail()
    told = lines(life, FULL)
    assert len(told) == 1 and place in told[0] and str(disk.path) in told[0], told
    disk.grow(megabytes)
    assert life.wait(120) == 0, life.tail()
    assert len(lines(life, ROOM)) == 1, life.tail()
    assert_same_rows(lab, stream, pipeline)


def test_a_full_disk_of_the_log_is_waited_out(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    pipeline.more = merged(SMALL, {"checkpoint": {"location": "elsewhere"}, "log": {"unacked_max": "1GiB"}})
    pipeline.write()
    with small_disk(pipeline.state, 8) as disk:
        full_then_grown(lab, stream, pipeline, disk, "log", 256)


def test_a_full_disk_of_the_running_state_is_waited_out(lab, stream):
    """The tables' files have a disk of their own, too small for the keys: what fails is the ingest."""
    pipeline = pipeline_of(lab, stream, "token")
    pipeline.more = merged(SMALL, {"operators": {"unique_events": {"deduplicate": {"within": "24h", "exact": True}}}})
    pipeline.write()
    with small_disk(pipeline.state / "live", 1) as disk:
        full_then_grown(lab, stream, pipeline, disk, "state", 64)


def test_a_full_disk_of_the_checkpoints_is_waited_out(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    pipeline.more = merged(SMALL, {
        "checkpoint": {"location": "checkpoints"}, "operators": {"unique_events": {"deduplicate": {"within": "24h", "exact": True}}}})
    pipeline.write()
    with small_disk(pipeline.directory / "checkpoints", 1) as disk:
        full_then_grown(lab, stream, pipeline, disk, "checkpoint", 64)


def test_a_full_disk_of_the_dead_letters_is_waited_out(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.dead_letters, 1) as disk:
        disk.fill(but=8192)
        full_then_grown(lab, stream, pipeline, disk, "dead letters", 64)


def test_a_start_on_a_full_disk_uses_the_spare_file_s_room_and_waits_for_the_rest(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.state, 64) as disk:
        engine = lab.engine(pipeline)
        kill_with_work(lab, stream, engine)
        disk.fill()
        life = engine.start("--until-end")
        lab.until(lambda: lines(life, FULL), life)
        assert life.look(), "the start itself needs no room but the spare file's"
        disk.empty()
        assert life.wait(120) == 0, life.tail()
        assert_same_rows(lab, stream, pipeline)


def test_a_start_with_no_room_at_all_waits_for_some(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.state, 64) as disk:
        engine = lab.engine(pipeline)
        kill_with_work(lab, stream, engine)
        (pipeline.state / "log" / "spare").unlink()
        disk.fill()
        life = engine.start("--until-end")
        lab.until(lambda: lines(life, FULL), life)
        time.sleep(4)
        assert not life.ended() and len(lines(life, FULL)) == 1, life.tail()
        disk.empty()
        assert life.wait(120) == 0, life.tail()
        assert_same_rows(lab, stream, pipeline)


def test_a_first_start_with_no_room_waits_for_some_and_ends_when_asked_to(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.state, 1) as disk:
        disk.fill()
        engine = lab.engine(pipeline)
        life = engine.start("--until-end")
        lab.until(lambda: lines(life, FULL), life)
        life.signal(signal.SIGTERM)
        assert life.wait(60) == 0, life.tail()
        life = engine.start("--until-end")
        lab.until(lambda: lines(life, FULL), life)
        disk.empty()
        disk.grow(64)
        assert life.wait(120) == 0, life.tail()
        assert_same_rows(lab, stream, pipeline)


def test_an_engine_that_is_stopped_while_its_disk_is_full_goes_on_at_the_next_start(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.state, 12) as disk:
        engine = lab.engine(pipeline)
        life = engine.start()
        lab.until(lambda: lines(life, FULL), life)
        life.kill()
        disk.grow(128)
        finish(engine)
        assert_same_rows(lab, stream, pipeline)


def byte_count(directory) -> int:
    """Bytes that a directory takes on its disk; what is linked twice counts once."""
    found = {}
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def test_the_log_stays_below_its_bound_while_clickhouse_is_down_and_the_source_waits(lab):
    """README states the rest: two batches, two segments (a quarter of the bound each), the spare (another quarter), the state."""
    bound, batch, state = 16 << 20, 1 << 20, 4 << 20
    stream = Stream(lab, 36_000)
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(life.look, life)
    lab.server.kill()
    stream.fill(lab)  # 43 MB
    taken, since = 0, time.monotonic()
    while time.monotonic() - since < 5:
        now = byte_count(pipeline.state)
        if now > taken:
            taken, since = now, time.monotonic()
        assert not life.ended(), life.tail()
        time.sleep(0.1)
    assert bound * 3 // 4 < taken < bound + 2 * batch + 3 * bound // 4 + state, f"{taken:,} bytes"
    life.kill()
    lab.server.start()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)
