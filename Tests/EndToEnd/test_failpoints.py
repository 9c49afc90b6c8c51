"""The engine ends itself with SIGKILL at every step of the path of a record, is started again, and the table holds each row once."""

import pytest
from failpoints import POINTS
from pipeline import MODES
from stream import assert_same_rows, finish, kill_with_work, pipeline_of, strike


def trials():
    """Each point, both hits, in token and read-back mode; of 18.16 a sample. All but the first hit in one mode are for `make long`."""
    for mode in MODES:
        for name, point in POINTS.items():
            for hit in (1, 2):
                if mode not in point.modes or mode == "readback18" and not (point.sampled and hit == 1):
                    continue
                is_short = hit == 1 and mode == point.modes[0]
                yield pytest.param(mode, name, hit, id=f"{mode}-{name}-{hit}", marks=[] if is_short else pytest.mark.long)


@pytest.mark.parametrize("mode, name, hit", trials())
def test_rows_are_exact_after_a_kill_at_each_step(laboratory, stream, mode, name, hit):
    lab, point = laboratory(mode), POINTS[name]
    pipeline = pipeline_of(lab, stream, mode)
    engine = lab.engine(pipeline)
    if point.at_start:
        kill_with_work(lab, stream, engine)
    if point.at_start or point.once:
        for _ in range(hit):
            strike(lab, stream, engine, name, 1)
    else:
        strike(lab, stream, engine, name, hit)
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def tokens(lab, table) -> set:
    return {row["token"] for row in lab.server.client.rows(f"SELECT DISTINCT toString(_millrace_batch) AS token FROM {table}")}


def byte_count(directory) -> int:
    """Bytes of a directory; what is linked twice counts once."""
    return sum({status.st_ino: status.st_size for status in (path.lstat() for path in directory.rglob("*") if path.is_file())}.values())


@pytest.mark.parametrize("mode", ["token", pytest.param("readback", marks=pytest.mark.long)])
def test_ten_crashes_in_a_row_amid_the_replay_leave_no_new_bytes_and_no_new_batches(laboratory, stream, mode):
    lab = laboratory(mode)
    pipeline = pipeline_of(lab, stream, mode)
    engine = lab.engine(pipeline)
    kill_with_work(lab, stream, engine)
    strike(lab, stream, engine, "amid_replay", 1)
    before = byte_count(pipeline.state)
    for _ in range(10):
        strike(lab, stream, engine, "amid_replay", 1)
    # A start writes who it is and the plan, and moves the log's last segment; nothing else.
    assert abs(byte_count(pipeline.state) - before) < 64 << 10
    finish(engine)
    assert_same_rows(lab, stream, pipeline)


def test_a_log_that_is_ahead_of_every_ack_and_of_the_witness_is_caught_up_with(laboratory, stream):
    """W25 at its widest: ClickHouse takes no row, the log runs to the end of the topic, and the engine is killed."""
    lab = laboratory("token")
    pipeline = pipeline_of(lab, stream, "token")
    engine = lab.engine(pipeline)
    strike(lab, stream, engine, "before_insert", 1)
    assert lab.count(pipeline.table) == 0
    finish(engine)
    assert engine.lives[-1].recovery.unacked_batches > 0
    assert_same_rows(lab, stream, pipeline)


def test_a_fault_point_that_is_misspelt_is_refused_and_not_taken_for_survived(lab, stream):
    life = lab.engine(pipeline_of(lab, stream, "token")).run("--until-end", MILLRACE_FAULT="before_the_end:1")
    assert life.code == 2 and "before_insert" in life.tail()
