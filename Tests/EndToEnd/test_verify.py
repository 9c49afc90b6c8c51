"""`millrace verify`: what is planted in table, dead letters or ledger is found and named; what is whole is proven."""

import json
import shutil
import subprocess

import pytest

from laboratory import segments
from stream import assert_rows, finish, pipeline_of, strike

EVENTS = 30_000
# Small segments can't be had; small batches make many.
FAST = {"checkpoint": {"interval": "300ms", "retain": 1},
        "sinks": {"table": {"clickhouse": {"batch": {"max_rows": 5000, "max_delay": "100ms"}}}}}


@pytest.fixture
def whole(lab):
    """A pipeline whose EVENTS events and one dead letter are all where they belong."""
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    lab.produce(topic, [b"no JSON"])
    pipeline = lab.pipeline(topic, lab.table(), more=FAST)
    life = lab.engine(pipeline).run("--until-end", seconds=180)
    assert life.code == 0, life.tail()
    return pipeline


def counts(result: dict) -> tuple:
    return result["missing"], result["extra"], result["double"], result["altered_batches"], result["other_problems"]


def alter(lab, statement: str):
    lab.server.client.execute(statement, mutations_sync=2)


def kinds(result: dict, kind: str) -> list:
    return [finding for finding in result["findings"] if finding["kind"] == kind]


def test_a_whole_pipeline_is_proven_with_its_content_and_its_counters(lab, whole):
    result = lab.verify(whole, 0)
    assert result["proven"] and counts(result) == (0, 0, 0, 0, 0) and result["findings"] == []
    assert result["rows_sealed"] == result["rows_found"] == EVENTS
    assert result["batches"] == result["batches_with_content"] > 2, "the content sums were not compared"
    counters = result["counters"]
    assert counters["emitted"] == EVENTS and counters["duplicate"] == EVENTS // 5 and counters["dead_lettered"] == 1
    assert counters["records"] == EVENTS + EVENTS // 5 + 1 == sum(range_["next"] - range_["start"] for range_ in result["offsets"])
    text = subprocess.run([lab.binary, "verify", whole.file], capture_output=True, text=True)
    assert text.returncode == 0 and "proven: missing 0, extra 0, double 0" in text.stdout, text.stdout


def test_one_missing_row_is_named_with_its_batch_partition_and_offset(lab, whole):
    row = lab.server.client.row(f"SELECT event_id, _millrace_batch AS b FROM {whole.table} ORDER BY event_id LIMIT 1")
    alter(lab, f"ALTER TABLE {whole.table} DELETE WHERE event_id = '{row['event_id']}'")
    result = lab.verify(whole, 1)
    assert counts(result) == (1, 0, 0, 0, 0), result
    [finding] = kinds(result, "missing")
    assert finding["batch"] == row["b"] and finding["rows"] == 1 and finding["ranges"] and finding["first_epoch"] >= 1
    # The first event of all is number 0: partition 0, offset 0.
    assert finding["samples"] == [finding["samples"][0]] and finding["samples"][0].endswith("partition 0, offset 0"), finding


def test_one_doubled_row_is_named_with_its_columns(lab, whole):
    lab.server.client.execute(f"INSERT INTO {whole.table} SELECT * FROM {whole.table} ORDER BY event_id LIMIT 1")
    event_id = lab.server.client.row(f"SELECT min(event_id) AS e FROM {whole.table}")["e"]
    result = lab.verify(whole, 1)
    assert counts(result) == (0, 0, 1, 0, 0), result
    [finding] = kinds(result, "double")
    assert f"event_id={event_id}" in finding["samples"][0] and "2 times" in finding["samples"][0], finding


def test_a_row_gone_and_another_doubled_in_the_same_batch_are_both_found(lab, whole):
    batch = lab.server.client.row(f"SELECT _millrace_batch AS b FROM {whole.table} GROUP BY b HAVING count() > 1 ORDER BY b LIMIT 1")["b"]
    ids = [lab.server.client.row(f"SELECT {what}(event_id) AS e FROM {whole.table} WHERE _millrace_batch = '{batch}'")["e"]
           for what in ("min", "max")]
    lab.server.client.execute(f"INSERT INTO {whole.table} SELECT * FROM {whole.table} WHERE event_id = '{ids[0]}'")
    alter(lab, f"ALTER TABLE {whole.table} DELETE WHERE event_id = '{ids[1]}'")
    assert lab.count(whole.table) == EVENTS, "the counts must not show it"
    result = lab.verify(whole, 1)
    assert counts(result) == (1, 0, 1, 0, 0), result
    assert f"event_id={ids[0]}" in kinds(result, "double")[0]["samples"][0]


def test_columns_named_as_the_questions_own_words_are_asked_for_like_any_other(lab):
    topic, table = lab.topic(1), lab.table()
    lab.server.client.execute(f"DROP TABLE {table}")
    lab.server.client.execute(f"CREATE TABLE {table} (event_id String, n UInt64, copies UInt64, _millrace_batch LowCardinality(String)) "
                              "ENGINE = MergeTree ORDER BY event_id")
    lab.produce(topic, [json.dumps({"event_id": f"e{number}", "n": number + 3, "copies": 9}).encode() for number in range(6)])
    pipeline = lab.pipeline(topic, table, fields={"event_id": "String", "n": "UInt64", "copies": "UInt64"})
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 0, life.tail()
    lab.verify(pipeline, 0)
    lab.server.client.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE event_id = 'e1'")
    alter(lab, f"ALTER TABLE {table} DELETE WHERE event_id = 'e4'")
    result = lab.verify(pipeline, 1)
    assert counts(result) == (1, 0, 1, 0, 0), result
    [double], [missing] = kinds(result, "double"), kinds(result, "missing")
    assert double["samples"] == ["event_id=e1, n=4, copies=9 (2 times)"], double
    assert missing["samples"] == ["row 4: partition 0, offset 4"], missing


def test_a_row_with_another_value_is_found_by_its_content(lab, whole):
    batch = lab.server.client.row(f"SELECT max(_millrace_batch) AS b FROM {whole.table}")["b"]
    event_id = lab.server.client.row(f"SELECT min(event_id) AS e FROM {whole.table} WHERE _millrace_batch = '{batch}'")["e"]
    alter(lab, f"ALTER TABLE {whole.table} UPDATE name = 'forged' WHERE event_id = '{event_id}'")
    result = lab.verify(whole, 1)
    assert counts(result) == (0, 0, 0, 1, 0), result
    assert kinds(result, "altered")[0]["batch"] == batch


def test_a_whole_batch_that_is_gone_is_missing(lab, whole):
    row = lab.server.client.row(f"SELECT _millrace_batch AS b, count() AS n FROM {whole.table} GROUP BY b ORDER BY b LIMIT 1")
    alter(lab, f"ALTER TABLE {whole.table} DELETE WHERE _millrace_batch = '{row['b']}'")
    result = lab.verify(whole, 1)
    assert counts(result) == (int(row["n"]), 0, 0, 0, 0), result
    assert kinds(result, "missing")[0]["batch"] == row["b"]


def test_rows_under_a_token_that_nobody_sealed_are_extra_and_those_of_others_are_only_counted(lab, whole):
    row = lab.server.client.row(f"SELECT min(_millrace_batch) AS b FROM {whole.table}")["b"]
    prefix = row[:-53]
    forged = f"{prefix}{99:020}-{'ab' * 16}"
    columns = "event_id, user_id, amount, created_at, name, text"
    for token, limit in ((forged, 3), ("another-writer", 2)):
        lab.server.client.execute(
            f"INSERT INTO {whole.table} ({columns}, _millrace_batch) SELECT {columns}, '{token}' FROM {whole.table} LIMIT {limit}")
    result = lab.verify(whole, 1)
    assert counts(result) == (0, 3, 0, 0, 0) and result["other_rows"] == 2, result
    assert kinds(result, "extra")[0]["batch"] == forged


def test_a_dead_letter_file_that_is_gone_or_changed_is_found(lab, whole):
    [path] = (whole.directory / "dead-letters").glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"JSON", b"JSOM", 1))
    assert "other bytes" in kinds(lab.verify(whole, 1), "dead_letters")[0]["text"]
    path.unlink()
    assert "is not there" in kinds(lab.verify(whole, 1), "dead_letters")[0]["text"]
    path.write_bytes(content)
    lab.verify(whole, 0)
    forged = path.with_name(path.name.replace(f"{1:020}", f"{7:020}"))
    forged.write_bytes(content)
    assert "nobody sealed" in kinds(lab.verify(whole, 1), "dead_letters")[0]["text"]


def test_a_log_that_begins_behind_its_ledger_can_not_be_proven(lab, whole):
    """As after truncation without its ledger: the first segment is gone, and nothing tells of what stood in it."""
    life = lab.engine(whole).run("--until-end", seconds=60)
    assert life.code == 0, life.tail()
    first = segments(whole)[0]
    content = first.read_bytes()
    first.unlink()
    result = lab.verify(whole, 4)
    assert result["lost_history"] and not result["proven"], result
    first.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    assert not lab.verify(whole, 4)["proven"]


def test_without_its_ledger_the_pipeline_goes_on_and_says_so_and_what_the_log_has_lost_can_not_be_proven(lab, stream):
    pipeline = pipeline_of(lab, stream, "token")
    # Until the log's first segment has gone, of which the ledger alone knows then.
    strike(lab, stream, lab.engine(pipeline), "segment_removed", 1)
    finish(lab.engine(pipeline))
    assert lab.verify(pipeline, 0)["proven"]
    shutil.rmtree(pipeline.state / "ledger")
    result = lab.verify(pipeline, 4)
    assert result["lost_history"] and not result["proven"], result
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 0 and "the ledger has nothing of log positions 0 to " in life.log.read_text(errors="replace"), life.tail()
    result = lab.verify(pipeline, 4)
    assert result["lost_history"] and not result["proven"], result
    assert_rows(lab, stream, pipeline)


def test_while_the_pipeline_runs_nothing_is_called_missing_or_extra(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    pipeline = lab.pipeline(topic, lab.table(), more=FAST)
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(lambda: lab.count(pipeline.table) > 0, life)
    for step in range(1, 6):
        lab.produce_events(topic, range(EVENTS * step, EVENTS * step + 3000))
        result = lab.verify(pipeline, 0)
        assert counts(result) == (0, 0, 0, 0, 0), result
    life.kill()
    result = lab.verify(pipeline, 0)
    assert counts(result) == (0, 0, 0, 0, 0), result


def test_batches_that_were_sealed_under_another_column_are_not_called_missing(lab, whole):
    alter(lab, f"ALTER TABLE {whole.table} ADD COLUMN batch2 String, MODIFY COLUMN _millrace_batch DEFAULT ''")
    whole.more = FAST | {"sinks": {"table": {"clickhouse": FAST["sinks"]["table"]["clickhouse"] | {"provenance_column": "batch2"}}}}
    whole.write()
    lab.produce_events(whole.topic, range(EVENTS, EVENTS + 1000))
    # A database that isn't Atomic has no uuids: an ALTER makes another table of it (C8).
    life = lab.engine(whole).run("--until-end", "--new-lineage", seconds=60)
    assert life.code == 0, life.tail()
    result = lab.verify(whole, 1)
    assert counts(result) == (0, 0, 0, 0, 0) and not result["proven"], result
    assert "were sealed without column batch2" in result["unproven"][0] and str(EVENTS) in result["unproven"][0], result


def test_with_the_server_down_or_without_the_column_it_says_what_is_not_proven(lab, whole):
    lab.server.kill()
    try:
        assert "can't be asked" in lab.verify(whole, 1)["unproven"][0]
    finally:
        lab.server.start()
    lab.verify(whole, 0)
    lab.server.client.execute(f"ALTER TABLE {whole.table} DROP COLUMN _millrace_batch")
    assert "_millrace_batch" in lab.verify(whole, 1)["unproven"][0]
