"""The engine's memory stays within what README states, however many keys it has seen."""

import re
import signal
import time
from pathlib import Path

import pytest

from engine import generate, generated
from forged import ZSTD, ForgedBroker, batch, record, zstd
from laboratory import letters, payload, resident

MIB = 1 << 20
SECURITY = Path(__file__).resolve().parents[2] / "docs" / "SECURITY.md"


def bound(prefetch: int, memory: int, batch: int) -> int:
    """MiB, as README's section on memory gives it."""
    return prefetch * 9 // 4 + memory + 8 * batch + 160


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


def of(value: str, count: int) -> bytes:
    """A record of so many items."""
    return b'{"v":[' + b",".join([value.encode()] * count) + b"]}"


# What a record holds that takes as little there, and as much as a row, as can be: fields, and the records.
HOSTILE = {
    "items of 64 bytes": ({"v": "Array(FixedString(64))"}, lambda: [of('""', 300_000)] * 60),
    "items of 32 bytes": ({"v": "Array(Int256)"}, lambda: [of("0", 500)] * 60_000),
    "many empty arrays": ({"v": "Array(Array(UInt8))"}, lambda: [of("[]", 300_000)] * 60),
    "maps": ({"v": "Map(String, FixedString(64))"}, lambda: [b'{"v":{' + b",".join(b'"%d":""' % key for key in range(40_000)) + b"}}"] * 60),
    "wide columns": ({f"c{number}": "Nullable(Decimal(76, 0))" for number in range(300)}, lambda: [b'{"c0":1}'] * 100_000),
    "a thousand columns": ({f"c{number}": "Nullable(Float64)" for number in range(1000)}, lambda: [b'{"c0":1}'] * 100_000),
    "long defaults": ({"v": {"type": "String", "default": "d" * 10_000}, "w": "Nullable(UInt8)"}, lambda: [b'{"w":1}'] * 50_000),
    "large texts, now in one column, now in another": (
        {f"c{number}": "Nullable(String)" for number in range(40)},
        lambda: [b'{"c%d":"%s"}' % (number % 40, b"x" * 900_000) for number in range(120)]),
    "letters of six bytes for each of the record": ({"v": "UInt8"}, lambda: [b"\x7f" * 400] * 100_000),
}


FIRST = {"UInt8": b'{"v":1}', "Map(String, FixedString(64))": b'{"v":{}}', **dict.fromkeys(
    ["Array(FixedString(64))", "Array(Int256)", "Array(Array(UInt8))"], b'{"v":[]}')}


@pytest.mark.parametrize("memory, prefetch, batch", [(16, 16, 16), pytest.param(32, 64, 64, marks=pytest.mark.long)])
@pytest.mark.parametrize("what", HOSTILE)
def test_memory_stays_within_the_stated_bound_whatever_stands_in_the_records(lab, what, memory, prefetch, batch):
    fields, records = HOSTILE[what]
    topic = lab.topic(1)
    # Where all others are refused as too large this one is a row: a new lineage without one ends at once.
    lab.produce(topic, ([FIRST[fields["v"]]] if isinstance(fields.get("v"), str) and fields["v"] in FIRST else []) + records())
    types = {name: field["type"] if isinstance(field, dict) else field for name, field in fields.items()}
    table = lab.table(engine="Null", window=0, fields=types)
    pipeline = lab.pipeline(topic, table, fields=fields, deduplicate=False, more={
        "sinks": {"table": {"clickhouse": {"delivery": "at_least_once", "batch": {"max_bytes": f"{batch}MiB"}}}},
        "state": {"memory": f"{memory}MiB"}, "prefetch": f"{prefetch}MiB"})
    life = lab.engine(pipeline).start("--until-end")
    most = 0
    while not life.ended():
        most = max(most, resident(life.process.pid, "VmHWM"))
        time.sleep(0.05)
    assert life.code == 0, life.tail()
    stated = bound(prefetch, memory, batch)
    assert most <= stated * MIB, f"{most // MIB} MiB, stated are {stated} MiB"


class GenerousBroker(ForgedBroker):
    """Answers with as many batches as there is room for, as brokers do."""

    def data_from(self, offset, room):
        answer = super().data_from(offset, room)
        for data in [data for _, last, data in self.batches if last >= offset][1:]:
            if len(answer) + len(data) > room:
                break
            answer += data
        return answer


@pytest.mark.parametrize("which, properties", [(0, {}), (1, {"fetch.message.max.bytes": "1"})], ids=["as it is", "a batch at a time"])
def test_records_that_were_packed_very_small_take_no_more_memory_than_was_said(lab, which, properties):
    """Ten zstd batches of some KB, each of a record of 60 MiB, which is a dead letter; of the first record comes a row."""
    stated = re.search(r"ten of them took\s+(\d+) MiB,\s+and\s+(\d+)\s+with", SECURITY.read_text()).groups()
    value = payload(1, text="A" * (60 << 20))
    body = zstd(record(0, value))
    batches = [(0, 0, batch(0, [payload(0)]))] + [(offset, offset, batch(offset, [value], ZSTD, body)) for offset in range(1, 11)]
    broker = GenerousBroker("packed", batches)
    try:
        pipeline = lab.pipeline("packed", lab.table(), more={"kafka": {"brokers": broker.address, "properties": properties}})
        life = lab.engine(pipeline).start("--until-end")
        most = 0
        while not life.ended():
            most = max(most, resident(life.process.pid, "VmHWM"))
            time.sleep(0.02)
    finally:
        broker.close()
    assert life.code == 0 and lab.count(pipeline.table) == 1, life.tail()
    assert [letter["reason"] for letter in letters(pipeline)] == ["too_large"] * 10
    # Another machine's allocator takes a little more.
    assert most <= int(stated[which]) * MIB * 1.1, f"{most // MIB} MiB, stated are {stated[which]}"


def letters_held(pipeline) -> list[bytes]:
    """The lines of the files of dead letters."""
    return [line for path in pipeline.dead_letters.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]


def test_past_the_bound_of_dead_letters_the_source_waits_until_some_are_removed(lab):
    """What is under way when the bound is reached comes too: so each time only a few are, until all of them are in their files."""
    topic, few = lab.topic(1), [b"no JSON " + b"x" * 1000] * 100
    # The row lets the new lineage go on.
    lab.produce(topic, [payload(0)])
    pipeline = lab.pipeline(topic, lab.table(), more={
        "dead_letters": {"max_bytes": "1MiB", "max_delay": "20ms", "payload_max": "1KiB"}, "epoch": {"max_rows": 200}})
    life = lab.engine(pipeline).start()
    said, produced = "waiting for dead letters", 0
    while said not in life.log.read_text():
        lab.produce(topic, few)
        produced += len(few)
        lab.until(lambda: len(letters_held(pipeline)) == produced, life)
        held = sum(map(len, letters_held(pipeline)))
        if held >= MIB:
            lab.until(lambda: said in life.log.read_text(), life)
    assert MIB <= held < MIB + held / produced * len(few), (held, produced)
    lab.produce(topic, few * 40)
    time.sleep(2)
    assert not life.ended() and life.log.read_text().count(said) == 1
    assert len(letters_held(pipeline)) == produced
    produced += 40 * len(few)
    removed = 0

    def remove():
        nonlocal removed
        for path in pipeline.dead_letters.glob("*.jsonl"):
            removed += path.read_bytes().count(b"\n")
            path.unlink()
        return removed == produced

    lab.until(remove, life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    assert not letters_held(pipeline) and lab.count(pipeline.table) == 1
