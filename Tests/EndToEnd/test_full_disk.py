"""A disk that is full: the engine waits, says so in one line, goes on when there is room, and the table holds each row once."""

import signal
import time

from disks import small_disk
from pipeline import merged
from stream import SMALL, Stream, assert_same_rows, finish, kill_with_work, pipeline_of

FULL = "waiting for room"
ROOM = "there is room again"


def lines(life, words: str) -> list[str]:
    return [line for line in life.log.read_text(errors="replace").splitlines() if words in line]


def full_then_grown(lab, make, place: str):
    """The disk that `make` mounts for a pipeline is full when the events come: the engine lives on with one line about it and one when
    the disk has grown, and comes to the end."""
    stream = Stream(lab, 4000)
    pipeline = pipeline_of(lab, stream, "token")
    with make(pipeline) as disk:
        engine = lab.engine(pipeline)
        life = engine.start()
        lab.until(life.look, life)
        disk.fill()
        stream.fill(lab)

        def told(words):
            return [line for line in lines(life, words) if place in line]
        lab.until(lambda: told(FULL), life)
        time.sleep(4)  # several tries
        assert not life.ended(), life.tail()
        assert len(told(FULL)) == 1 and str(disk.path) in told(FULL)[0] and not told(ROOM), lines(life, FULL)
        disk.grow(128)
        lab.until(lambda: told(ROOM), life)
        life.signal(signal.SIGTERM)
        assert life.wait(120) == 0, life.tail()
        assert len(told(FULL)) == len(told(ROOM)) == 1, life.tail()
        finish(engine)
        assert_same_rows(lab, stream, pipeline)


def elsewhere(pipeline):
    """A disk for the checkpoints alone."""
    pipeline.more = merged(SMALL, {"checkpoint": {"location": "checkpoints"}})
    pipeline.write()
    return small_disk(pipeline.directory / "checkpoints", 32)


def test_a_full_disk_of_the_log_is_waited_out(lab):
    full_then_grown(lab, lambda pipeline: small_disk(pipeline.state, 32), "the epoch log")


def test_a_full_disk_of_the_running_state_is_waited_out(lab):
    """The store's files have a disk of their own: what fails is the ingest."""
    full_then_grown(lab, lambda pipeline: small_disk(pipeline.state / "live", 32), "the running state")


def test_a_full_disk_of_the_checkpoints_is_waited_out(lab):
    full_then_grown(lab, elsewhere, "a checkpoint")


def test_a_full_disk_of_the_dead_letters_is_waited_out(lab):
    full_then_grown(lab, lambda pipeline: small_disk(pipeline.dead_letters, 1), "dead letters")


def test_a_start_on_a_full_disk_uses_the_spare_file_s_room_and_waits_for_the_rest(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    with small_disk(pipeline.state, 64) as disk:
        engine = lab.engine(pipeline)
        kill_with_work(lab, stream, engine)
        disk.fill()
        life = engine.start("--until-end")
        lab.until(lambda: lines(life, FULL), life)
        lab.until(life.look, life)  # the start itself needs no room but the spare file's
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
        assert not life.ended(), life.tail()
        # The log and the state's clone share the disk; each is told of once, and again only when there was room meanwhile.
        places = [line.partition("no space left for ")[2].partition(" (")[0] for line in lines(life, FULL)]
        assert len(places) - len(set(places)) <= len(lines(life, ROOM)), life.tail()
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
