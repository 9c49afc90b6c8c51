"""The engine's memory stays within what README states, however many keys it has seen."""

import time
from pathlib import Path

import pytest

from engine import generate, generated

MIB = 1 << 20


def bound(prefetch: int, memory: int, batch: int) -> int:
    """MiB, as README's section on memory gives it."""
    return prefetch * 9 // 4 + memory + 8 * batch + 160


def resident(pid: int) -> int:
    """Bytes of a process that are in memory; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


# Of 1,000,000 keys tables, filters and runs are already many times the memory that they are given. The last line is what a pipeline has
# that says nothing of memory.
@pytest.mark.parametrize("keys, memory, prefetch, batch", [
    (1_000_000, 16, 16, 4),
    pytest.param(20_000_000, 128, 16, 4, marks=pytest.mark.long),
    pytest.param(20_000_000, 512, 64, 64, marks=pytest.mark.long)])
def test_memory_stays_within_the_stated_bound_at_any_number_of_keys(lab, keys, memory, prefetch, batch):
    topic = lab.topic(4)
    generated(generate(lab.binary, lab.broker.address, topic, keys, duplicates=0))
    table = lab.table(engine="Null", window=0)
    pipeline = lab.pipeline(topic, table, more={
        "sinks": {"table": {"clickhouse": {"delivery": "at_least_once", "batch": {"max_bytes": f"{batch}MiB"}}}},
        "state": {"memory": f"{memory}MiB"}, "prefetch": f"{prefetch}MiB", "checkpoint": {"interval": "1s"}})
    life = lab.engine(pipeline).start("--until-end")
    samples = []
    while not life.ended():
        samples.append(resident(life.process.pid))
        time.sleep(1 if keys > 10_000_000 else 0.1)
    assert life.code == 0, life.tail()
    assert len(samples) > 10
    most = bound(prefetch, memory, batch)
    assert max(samples) <= most * MIB, f"{max(samples) // MIB} MiB, stated are {most} MiB; sampled: {[s // MIB for s in samples]}"
