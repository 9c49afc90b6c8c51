"""Batches that touch many partitions of the table: cut by them, in few INSERTs, in each mode."""

import json
import subprocess

import pytest

from pipeline import MODES

DAYS = 365


def records(count: int) -> list[bytes]:
    """Rows of all days, mixed."""
    return [json.dumps({"event_id": f"e{number}", "day": number * 97 % DAYS, "tags": [f"t{number % 3}"] * (number % 4),
                        "note": None if number % 5 == 0 else f"n{number}"}).encode() for number in range(count)]


FIELDS = {"event_id": "String", "day": "UInt16", "tags": {"type": "Array(String)", "default": "[]"}, "note": "Nullable(String)"}


def inserts(server, table) -> int:
    """Parts that were written, each of one INSERT and one partition; none is merged here."""
    return int(server.client.row(f"SELECT uniqExact(_part) AS n FROM {table}")["n"])


@pytest.mark.parametrize("mode", ["token", "readback"])
@pytest.mark.parametrize("key", ["day", "(day % 5, intDiv(day, 5))", "isNull(note), day % 200"])
def test_a_batch_of_a_year_is_cut_by_its_days_into_few_inserts(laboratory, mode, key):
    lab = laboratory(mode)
    key = f"({key})" if "," in key and not key.startswith("(") else key
    topic, count = lab.topic(1), 5_000
    lab.produce(topic, records(count))
    name = lab.table(window=MODES[mode].window, partition_by=key,
                     fields={"event_id": "String", "day": "UInt16", "tags": "Array(String)", "note": "Nullable(String)"})
    lab.server.client.execute(f"SYSTEM STOP MERGES {name}")
    try:
        more = {"sinks": {"table": {"clickhouse": {"batch": {"max_delay": "1h"}}}}}
        pipeline = lab.pipeline(topic, name, fields=FIELDS, deduplicate=False, more=more)
        life = lab.engine(pipeline).run("--until-end", seconds=180)
        said = life.log.read_text(errors="replace")
        assert life.code == 0 and MODES[mode].words in said, said
        partitions = lab.count(name, f"uniqExact({key})" if "note" not in key else "uniqExact(tuple(isNull(note), day % 200))")
        pieces = -(-partitions // 100)
        assert f"sending it in {pieces} pieces (batch.partitions_max)" in said, said
        assert inserts(lab.server, name) == partitions, "a partition's rows came in several INSERTs"
        assert lab.count(name, "uniqExact(_millrace_batch)") == pieces
    finally:
        lab.server.client.execute(f"SYSTEM START MERGES {name}")
    assert lab.count(name) == lab.count(name, "uniqExact(event_id)") == count
    wrong = "day != toUInt32(substring(event_id, 2)) * 97 % 365 OR length(tags) != toUInt32(substring(event_id, 2)) % 4"
    assert lab.count(name, f"countIf({wrong})") == 0
    done = subprocess.run([lab.binary, "verify", pipeline.file], capture_output=True, text=True, timeout=120)
    assert "missing 0, extra 0, double 0 rows; altered 0 batches" in done.stdout and "NOT PROVEN" not in done.stdout, done.stdout
    assert not [path for path in pipeline.dead_letters.rglob("*") if path.is_file()]


def test_a_server_that_knows_no_limit_takes_them_at_once(laboratory):
    lab = laboratory("readback18")
    topic = lab.topic(1)
    lab.produce(topic, records(2_000))
    table = lab.table(window=0, partition_by="day", fields={"event_id": "String", "day": "UInt16", "tags": "Array(String)",
                                                            "note": "Nullable(String)"})
    more = {"sinks": {"table": {"clickhouse": {"batch": {"max_delay": "1h"}}}}}
    life = lab.engine(lab.pipeline(topic, table, fields=FIELDS, deduplicate=False, more=more)).run("--until-end", seconds=120)
    assert life.code == 0 and lab.count(table) == 2_000 and lab.count(table, "uniqExact(_millrace_batch)") == 1, life.tail()


def test_with_partitions_max_they_go_at_once_and_a_small_window_is_told_with_the_alter(lab):
    topic = lab.topic(1)
    lab.produce(topic, records(2_000))
    fields = {"event_id": "String", "day": "UInt16", "tags": "Array(String)", "note": "Nullable(String)"}
    table = lab.table(window=1000, partition_by="day", fields=fields)
    more = {"sinks": {"table": {"clickhouse": {"batch": {"max_delay": "1h", "partitions_max": 400}}}}}
    pipeline = lab.pipeline(topic, table, fields=FIELDS, deduplicate=False, more=more)
    done = lab.check(pipeline)
    alter = f"non_replicated_deduplication_window = {100 * 400}"
    assert done.returncode == 0 and "delivery will be read-back" in done.stdout and alter in done.stdout, done.stdout
    lab.server.client.execute(f"ALTER TABLE {table} MODIFY SETTING {alter}")
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    said = life.log.read_text(errors="replace")
    assert life.code == 0 and "token + provenance" in said and "pieces" not in said, said
    assert lab.count(table, "uniqExact(_millrace_batch)") == 1 and lab.count(table) == 2_000
