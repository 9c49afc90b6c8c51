"""Disks that fail a call: a failed sync or a bad block ends the process with a name and is never tried again; a full moment is waited out.

Whatever it was, the table holds each row once after the next start. Power cuts are the simulator's: a killed process loses no page.
"""

import signal

import pytest
from disks import build
from pipeline import merged
from stream import SMALL, assert_same_rows, finish, kill_with_work, pipeline_of


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory):
    return build("diskfault", tmp_path_factory.mktemp("diskfault"))


@pytest.fixture
def failing(lab, stream, fault_library):
    """Runs an engine to the end on a disk with this fault (see diskfault.c); the life. It fails when the fault has not come."""
    def run(engine, fault: str):
        life = engine.run("--until-end", seconds=120, LD_PRELOAD=str(fault_library), DISK_FAULT=fault)
        assert "disk fault " in life.log.read_text(errors="replace"), f"{fault} has not come:\n{life.tail()}"
        return life
    return run


@pytest.mark.parametrize("fault, named", [
    ("sync:.seg:1:EIO", "log/"),  # the first segment of all
    ("sync:.seg:5:EIO", "log/"),  # a seal
    ("sync:.seg:12:EIO", "log/"),
    ("sync:/state/log:2:EIO", "log"),
    ("write:.seg:3:EIO", "log/"),
    ("write:.seg:40:EIO", "log/"),
    ("sync:/MANIFEST.tmp:1:EIO", "MANIFEST"),  # at birth
    ("sync:/MANIFEST.tmp:2:EIO", "MANIFEST"),
    ("rename:/MANIFEST:2:EIO", "MANIFEST"),
    ("sync:/filters:2:EIO", "filters"),
    ("sync:.sst:3:EIO", ".sst"),
    ("write:/ingest.tmp:2:EIO", "ingest"),
    ("write:/filter-s:2:EIO", "filter"),
    ("sync:.jsonl.tmp:1:EIO", ".jsonl"),
    ("rename:.jsonl:2:EIO", ".jsonl"),
    ("write:.jsonl.tmp:1:EIO", ".jsonl"),
], ids=lambda value: value if value.count(":") else "")
def test_a_disk_that_fails_ends_the_process_with_its_name_and_the_next_start_is_exact(lab, stream, failing, fault, named):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    life = failing(engine, fault)
    assert life.code == 1 and named in life.tail(1), life.tail()
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


@pytest.mark.parametrize("fault", ["sync:.seg:1:EIO", "sync:/state/log:1:EIO", "write:.seg.tmp:2:EIO", "rename:.seg:1:EIO"])
def test_a_disk_that_fails_the_copy_of_a_start_leaves_the_old_segment_and_the_next_start_is_exact(lab, stream, failing, fault):
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    kill_with_work(lab, stream, engine)
    assert failing(engine, fault).code == 1
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


@pytest.mark.parametrize("fault", [
    "write:.seg:20:ENOSPC", "write:/ingest.tmp:2:ENOSPC", "write:/store/MANIFEST:3:ENOSPC", "link:/store.tmp/:3:ENOSPC",
    "write:/filter-s:2:ENOSPC", "write:/MANIFEST.tmp:2:ENOSPC", "write:.jsonl.tmp:1:ENOSPC", "write:.seg:2:ENOSPC",
])
def test_a_moment_without_room_is_waited_out_in_the_same_life(lab, stream, failing, fault):
    pipeline = pipeline_of(lab, stream, "token")
    life = failing(lab.engine(pipeline), fault)
    log = life.log.read_text(errors="replace")
    assert life.code == 0 and "waiting for room" in log and "there is room again" in log, life.tail()
    assert_same_rows(lab, stream, pipeline)


@pytest.mark.parametrize("fault", [
    "write:.seg:7+:short", "write:/MANIFEST.tmp:1+:short", "write:.jsonl.tmp:1+:short", "write:/ingest.tmp:2:short",
])
def test_a_write_that_takes_half_of_the_bytes_is_gone_on_with(lab, stream, failing, fault):
    pipeline = pipeline_of(lab, stream, "token")
    life = failing(lab.engine(pipeline), fault)
    assert life.code == 0, life.tail()
    assert_same_rows(lab, stream, pipeline)


@pytest.mark.parametrize("fault", [
    "link:/store.tmp/:1:kill", "link:/store.tmp/:4:kill", "rename:/shard-0/store:2:kill", "unlink:.sst:1:kill",
])
def test_a_kill_inside_of_a_library_s_own_steps_is_recovered_from(lab, stream, failing, fault):
    """W9 from within: amid the files of RocksDB's checkpoint; and as it deletes a dropped bucket's."""
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    assert failing(engine, fault).code == -signal.SIGKILL
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_a_store_whose_background_work_failed_goes_on_when_there_is_room(lab, stream, failing):
    """RocksDB stops all changes after an error in its own files; the engine resumes it."""
    pipeline = pipeline_of(lab, stream, "token")
    pipeline.more = merged(SMALL, {"operators": {"unique_events": {"deduplicate": {"within": "24h", "allowed_lateness": "1h"}}}})
    pipeline.write()
    life = failing(lab.engine(pipeline), "write:/live/shard-0/store/MANIFEST:4:ENOSPC")
    assert life.code == 0, life.tail()
    assert_same_rows(lab, stream, pipeline)
