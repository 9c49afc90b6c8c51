"""The engine's memory stays within what README states, however many keys it has seen."""

import os
import time
from pathlib import Path

from engine import generate, generated

MIB = 1 << 20
# `make long` sees 20,000,000 new keys; the size here is enough for tables, filters and runs to be many times the memory they are given.
KEYS, MEMORY = (20_000_000, 128) if os.environ.get("MILLRACE_LONG") else (1_000_000, 16)
PREFETCH, BATCH = 16, 4


def bound(prefetch: int, memory: int, batch: int) -> int:
    """MiB, as README's section on memory gives it."""
    return prefetch * 9 // 4 + memory + 8 * batch + 128


def resident(pid: int) -> int:
    """Bytes of a process that are in memory; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def test_memory_stays_within_the_stated_bound_at_any_number_of_keys(lab):
    topic = lab.topic(4)
    generated(generate(lab.binary, lab.broker.address, topic, KEYS, duplicates=0))
    table = lab.table(engine="Null", window=0)
    pipeline = lab.pipeline(topic, table, more={
        "sinks": {"table": {"clickhouse": {"delivery": "at_least_once", "batch": {"max_bytes": f"{BATCH}MiB"}}}},
        "state": {"memory": f"{MEMORY}MiB"}, "prefetch": f"{PREFETCH}MiB", "checkpoint": {"interval": "1s"}})
    life = lab.engine(pipeline).start("--until-end")
    samples = []
    while not life.ended():
        samples.append(resident(life.process.pid))
        time.sleep(1 if KEYS > 10_000_000 else 0.1)
    assert life.code == 0, life.tail()
    assert len(samples) > 10
    most = bound(PREFETCH, MEMORY, BATCH)
    assert max(samples) <= most * MIB, f"{max(samples) // MIB} MiB, stated are {most} MiB; sampled: {[s // MIB for s in samples]}"
