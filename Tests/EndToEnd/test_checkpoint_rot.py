"""Checkpoints whose files rot, as hard links and as copies on another file system; and rot that a look-up meets first."""

import contextlib
import subprocess
import time

import pytest
from disks import small_disk

EVENTS = 20_000
FAST = {"checkpoint": {"interval": "300ms", "location": "checkpoints"}}


@pytest.fixture
def ready(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    return lab.pipeline(topic, lab.table(), more=FAST)


@contextlib.contextmanager
def checkpoints_elsewhere(pipeline):
    with small_disk(pipeline.directory / "checkpoints", 64):
        yield


def checkpoints(pipeline):
    """Their directories, oldest first."""
    found = (pipeline.directory / "checkpoints").glob("*-*/MANIFEST")
    return sorted((path.parent for path in found), key=lambda path: int(path.name.rpartition("-")[2]))


def three_checkpoints(lab, pipeline):
    """A life that leaves three checkpoints with the same sorted files, and is killed."""
    life = lab.engine(pipeline).start()
    seen, deadline = set(), time.monotonic() + 120
    while len(seen) < 5 or len(checkpoints(pipeline)) < 3:
        lab.produce_events(pipeline.topic, range(EVENTS - 50, EVENTS))  # duplicates: nothing new in the state
        seen.update(checkpoints(pipeline))
        assert not life.ended() and time.monotonic() < deadline, life.tail()
    life.kill()


def rot(*directories) -> set[int]:
    """Turns the first half of each sorted file's bytes over, in place; what is linked twice once. Returns the files' inodes."""
    files = {path.stat().st_ino: path for directory in directories for path in directory.rglob("*.sst")}
    assert files, directories
    for path in files.values():
        size = path.stat().st_size
        with path.open("r+b") as file:
            content = bytes(byte ^ 0x40 for byte in file.read(size // 2))
            file.seek(0)
            file.write(content)
    return set(files)


def verified(lab, pipeline) -> list[bool]:
    """Whether `checkpoint verify` calls each whole, oldest first."""
    done = subprocess.run([lab.binary, "checkpoint", "verify", pipeline.file], capture_output=True, text=True, timeout=60)
    states = ["whole" in line for line in done.stdout.splitlines() if "whole" in line or "damaged" in line]
    assert done.returncode == (0 if all(states) else 1), done.stdout + done.stderr
    return states


@pytest.mark.parametrize("which", [-1, -2, 0])
def test_a_rotten_copy_on_another_file_system_is_told_from_whole_ones(lab, ready, which):
    with checkpoints_elsewhere(ready):
        three_checkpoints(lab, ready)
        kept = checkpoints(ready)
        rot(kept[which])
        states = verified(lab, ready)
        assert len(states) == len(kept) and states.count(False) == 1, states
        log = lab.run_to_end(ready).said()
        assert f"checkpoint {kept[which].name} does not verify" in log, log
        lab.assert_exact(ready, unique=EVENTS)


@pytest.mark.parametrize("elsewhere", [True, False], ids=["copies", "links"])
def test_with_no_whole_checkpoint_left_nothing_starts(lab, ready, elsewhere):
    with checkpoints_elsewhere(ready) if elsewhere else contextlib.nullcontext():
        three_checkpoints(lab, ready)
        rot(*checkpoints(ready))
        for _ in range(2):
            log = lab.run_to_end(ready, code=4).said()
            assert "no checkpoint can be recovered from" in log and "rule=R17" in log, log


@pytest.mark.parametrize("elsewhere", [True, False], ids=["copies", "links"])
def test_rot_that_a_look_up_meets_stops_with_the_rule_and_the_next_start_knows(lab, ready, elsewhere):
    with checkpoints_elsewhere(ready) if elsewhere else contextlib.nullcontext():
        three_checkpoints(lab, ready)
        life = lab.engine(ready).start()
        lab.until(life.look, life)
        spoiled = rot(ready.state / "live")
        lab.produce_events(ready.topic, range(EVENTS))
        assert life.wait(60) == 4, life.tail()
        assert "the state is damaged" in life.tail() and "rule=R17" in life.tail(), life.tail()
        # Copies have bytes of their own; of links those are whole that have no file of the spoiled ones.
        kept = checkpoints(ready)
        whole = [path for path in kept if not spoiled & {file.stat().st_ino for file in path.rglob("*.sst")}]
        assert whole == kept or not elsewhere
        log = lab.run_to_end(ready, code=0 if whole else 4).said()
        if whole:
            assert ("does not verify" in log) == (whole[-1] != kept[-1]), log
            lab.assert_exact(ready, unique=EVENTS)
        else:
            assert "no checkpoint can be recovered from" in log and "rule=R17" in log, log
