"""The log's disk while ClickHouse is down."""

import contextlib
import os
import subprocess
import time

import pytest

from laboratory import payload, resident, segments
from stream import Stream, assert_same_rows, finish, pipeline_of


def byte_count(directory) -> int:
    """Bytes that a directory takes on its disk; what is linked twice counts once."""
    found = {}
    for place, _, files in os.walk(directory):  # passes over a directory that goes meanwhile, which rglob doesn't
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(place, file))
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


@pytest.mark.parametrize("seconds", [15, pytest.param(120, marks=pytest.mark.long), pytest.param(3600, marks=pytest.mark.long)])
def test_a_long_outage_with_many_partitions_fills_neither_the_disk_nor_the_memory_of_a_start(lab, seconds):
    """A trickle over 200 partitions, an epoch every few milliseconds: what was 0.4 MB a second of intents, 1 KB a record, which no bound
    counted. 120 s of that are more than the bound; in less it is seen what a record takes beside its row."""
    bound, batch, partitions = 16 << 20, 1 << 20, 200
    topic = lab.topic(partitions)
    pipeline = lab.pipeline(topic, lab.table(), more={
        "sinks": {"table": {"clickhouse": {"batch": {"max_bytes": "1MiB"}}}}, "log": {"unacked_max": "16MiB"},
        "epoch": {"max_delay": "2ms"}, "checkpoint": {"interval": "5s"}})
    lab.produce_events(topic, range(100), partitions)
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(lambda: lab.count(pipeline.table) == 100, life)
    lab.server.kill()
    log = pipeline.state / "log"
    producer = subprocess.Popen(["kcat", "-P", "-b", lab.broker.address, "-t", topic, "-p", "-1", "-X", "linger.ms=0"],
                                stdin=subprocess.PIPE)
    try:
        number, began, sizes = 100, time.monotonic(), []
        while (now := time.monotonic() - began) < seconds:
            for _ in range(8):
                producer.stdin.write(payload(number) + b"\n")
                number += 1
            producer.stdin.flush()
            time.sleep(0.02)
            if len(sizes) < now / 2:
                sizes.append(byte_count(log))
                assert not life.ended(), life.tail()
                assert sizes[-1] < bound + 2 * batch + 3 * bound // 4, sizes
    finally:
        producer.stdin.close()
        assert producer.wait(60) == 0
    written = sum(len(path.read_bytes().rstrip(b"\0")) for path in segments(pipeline))
    assert written < 500 * number, f"{written / number:.0f} bytes a record"
    before = resident(life.process.pid)
    life.kill()
    life = engine.start()
    lab.until(lambda: "waiting for ClickHouse" in life.log.read_text(errors="replace"), life)  # it has read the log
    assert 0 < resident(life.process.pid) < before + (64 << 20), (before, sizes)
    life.kill()
    lab.server.start()
    life = engine.run("--until-end", seconds=300)
    assert life.code == 0, life.tail()
    lab.assert_exact(pipeline, unique=number)
