"""The log's disk while ClickHouse is down."""

import contextlib
import time

from stream import Stream, assert_same_rows, finish, pipeline_of


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
