"""Columns that the table empties by a TTL (R10): what names or places a batch's rows must stay, of the rest `verify` says what it can't tell."""

import signal

import pytest

from laboratory import Lab, payload
from pipeline import FIELDS, create_table

# All events are older than that: the server empties the column as it writes the part, or merges it.
LONG_AGO = "toDateTime(created_at) + INTERVAL 1 DAY"
EVENTS = 20
OLD = [payload(number, created_at="2020-01-01T00:00:00Z") for number in range(EVENTS)]


def check(lab, pipeline):
    done = lab.check(pipeline)
    return done.returncode, done.stdout + done.stderr


def alter(lab, table, what):
    lab.server.client.execute(f"ALTER TABLE {table} {what}")


@pytest.mark.parametrize("window", [1000, 0])
@pytest.mark.parametrize("key, column, type", [
    ("user_id % 4", "_millrace_batch", None),
    ("tuple()", "_millrace_batch", None),
    ("note.null", "note", "Nullable(String)"),
    ("(user_id % 2, tags.size0)", "tags", "Array(String)"),
    ("length(labels.keys)", "labels", "Map(String, String)"),
    ("`we ird`.`null`", "we ird", "Nullable(String)"),
    ("`n.a`.size0", "n.a", "Array(UInt8)"),
])
def test_a_ttl_by_which_rows_could_not_be_counted_is_refused_at_check_and_start(lab, key, column, type, window):
    more = {} if type is None else {f"`{column}`": type}
    table = lab.table(fields=FIELDS["26.9"] | more, partition_by=key, window=window)
    alter(lab, table, f"MODIFY COLUMN `{column}` {type or 'LowCardinality(String)'} TTL {LONG_AGO}")
    topic = lab.topic(1)
    empty = {"default": "[]"} if type and type.startswith("Array") else {"default": "{}"} if type and type.startswith("Map") else {}
    fields = FIELDS["26.9"] | ({} if type is None else {column: {"type": type} | empty})
    lab.produce(topic, OLD)
    pipeline = lab.pipeline(topic, table, fields=fields)
    remedy = f"MODIFY COLUMN `{column}` REMOVE TTL"
    code, said = check(lab, pipeline)
    assert code == 3 and remedy in said, said
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 3 and remedy in life.tail(), life.tail()
    assert lab.count(table) == 0
    # The remedy is one that works.
    alter(lab, table, remedy)
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 0 and lab.count(table) == EVENTS, life.tail()


@pytest.fixture(scope="module")
def changed(millrace, lab_server, lab_broker, tmp_path_factory):
    """By what comes into a table while a pipeline runs: the laboratory, the pipeline and its life. The engine looks at a table every
    30 s, so that both are waited for at once."""
    lab = Lab(millrace, lab_server, lab_broker, tmp_path_factory.mktemp("changed"))
    # Tables with a uuid: without one, any ALTER stops the next start (C8).
    lab.server.client.execute("CREATE DATABASE IF NOT EXISTS known ENGINE = Atomic")
    found = {}
    for what, statement in (("column", "ADD COLUMN country String"), (
            "ttl", "MODIFY COLUMN _millrace_batch LowCardinality(String) TTL toDateTime(created_at) + INTERVAL 50 YEAR")):
        topic, table = lab.topic(1), lab.table().replace("default.", "known.")
        create_table(lab.server, table, 10_000)
        pipeline = lab.pipeline(topic, table)
        life = lab.engine(pipeline).start()
        lab.produce(topic, [payload(number) for number in range(EVENTS)])
        lab.until(lambda: lab.count(table) == EVENTS, life)
        alter(lab, table, statement)
        found[what] = lab, pipeline, life
    yield found
    for engine in lab.engines:
        engine.end()


def test_such_a_ttl_that_appears_while_running_stops_the_pipeline(changed):
    _, _, life = changed["ttl"]
    assert life.wait(90) == 4, life.tail()
    assert "R6" in life.tail() and "MODIFY COLUMN `_millrace_batch` REMOVE TTL" in life.tail(), life.tail()


def test_a_column_that_appears_while_running_is_told_and_does_not_stop_the_next_start(changed):
    lab, pipeline, life = changed["column"]
    topic, table = pipeline.topic, pipeline.table
    told = "column `country` of " + table + " has no field and no DEFAULT"
    lab.until(lambda: told in life.said(), life, seconds=90)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    lab.produce(topic, [payload(number) for number in range(EVENTS, 2 * EVENTS)])
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 0 and told in life.log.read_text(errors="replace"), life.tail()
    assert lab.count(table, "countIf(country = '')") == 2 * EVENTS
    code, said = check(lab, pipeline)
    assert code == 0 and told in said, said
    pipeline.more["sinks"]["table"]["clickhouse"]["strict_columns"] = True
    pipeline.write()
    code, said = check(lab, pipeline)
    assert code == 3 and "strict_columns" in said and "country" in said, said


@pytest.mark.parametrize("column, type, is_compared", [("text", "String", False), ("amount", "Decimal(18, 2)", True)])
def test_another_columns_ttl_is_told_and_verify_says_what_it_did_not_compare(lab, column, type, is_compared):
    topic = lab.topic(1)
    lab.produce(topic, OLD)
    pipeline = lab.pipeline(topic, lab.table())
    alter(lab, pipeline.table, f"MODIFY COLUMN {column} {type} TTL {LONG_AGO}")
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    told = f"column `{column}` of {pipeline.table} has TTL"
    assert life.code == 0 and told in life.log.read_text(errors="replace"), life.tail()
    lab.server.client.execute(f"OPTIMIZE TABLE {pipeline.table} FINAL")
    code, said = check(lab, pipeline)
    assert code == 0 and told in said, said
    result = lab.verify(pipeline)
    assert result["proven"] and result["altered_batches"] == 0, result
    assert (result["batches_with_content"] > 0) == is_compared, result
    assert any(column in note and "was not compared" in note for note in result["notes"]) == (not is_compared), result
    # Rows that are gone are still found.
    lab.server.client.execute(f"ALTER TABLE {pipeline.table} DELETE WHERE user_id = 1", mutations_sync=2)
    result = lab.verify(pipeline, code=1)
    assert result["missing"] == 1, result


@pytest.mark.parametrize("engine", ["ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree"])
def test_verify_says_that_a_table_merges_rows_away_instead_of_missing(lab, engine):
    topic = lab.topic(1)
    lab.produce(topic, [payload(1, amount=number) for number in range(EVENTS)])
    table = lab.table(engine=engine)
    pipeline = lab.pipeline(topic, table, deduplicate=False, more={"sinks": {"table": {"clickhouse": {"delivery": "at_least_once"}}}})
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 0, life.tail()
    lab.server.client.execute(f"OPTIMIZE TABLE {table} FINAL")
    assert lab.count(table) == 1
    result = lab.verify(pipeline, code=1)
    assert not result["proven"] and result["missing"] == 0 and result["findings"] == [], result
    assert [f"{table} is {engine}, which merges rows away" in reason for reason in result["unproven"]] == [True], result


def test_verify_says_that_a_ttl_takes_rows_away_instead_of_missing(lab):
    topic = lab.topic(1)
    lab.produce(topic, OLD)
    table = lab.table()
    pipeline = lab.pipeline(topic, table, more={"sinks": {"table": {"clickhouse": {"delivery": "at_least_once"}}}})
    assert lab.engine(pipeline).run("--until-end", seconds=60).code == 0
    alter(lab, table, f"MODIFY TTL {LONG_AGO}")
    lab.server.client.execute(f"OPTIMIZE TABLE {table} FINAL")
    assert lab.count(table) == 0
    result = lab.verify(pipeline, code=1)
    assert result["missing"] == 0 and any("which takes rows away" in reason for reason in result["unproven"]), result
