"""R11 on real servers: what the server takes of a batch is in the table once, what it refuses is in the dead letters once."""

import json
import signal

import pytest

from laboratory import Lab, event, letters
from pipeline import FIELDS
from servers import ClickHouseServer

EVENTS = 2_000
PARTITIONS = 3
REFUSED = {number for number in range(EVENTS) if event(number)["user_id"] % 331 == 7}
# Of the servers' words: the code, and what the text must say.
VIOLATED = (469, "violated")
DIVIDED = (153, "ivision by zero")
WINDOWS = pytest.mark.parametrize("window", [10_000, 0], ids=["token", "readback"])


@pytest.fixture
def topic(lab):
    name = lab.topic(PARTITIONS)
    lab.produce_events(name, range(EVENTS), PARTITIONS)
    return name


@pytest.fixture(scope="module")
def old_server(tmp_path_factory):
    server = ClickHouseServer("18.16", tmp_path_factory.mktemp("bisection-18"))
    server.start()
    yield server
    server.end()


def constrained(lab, window: int) -> str:
    table = lab.table(window=window)
    lab.server.client.execute(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK user_id % 331 != 7")
    return table


def place(number: int) -> tuple[int, int]:
    """Partition and offset of an event's first record, as ``Lab.produce_events`` writes them: every fifth twice."""
    before = range(number % PARTITIONS, number, PARTITIONS)
    return number % PARTITIONS, len(before) + sum(other % 5 == 0 for other in before)


def assert_parted(lab, pipeline, refusal: tuple[int, str]):
    """Every row that the server takes is there once, every other once in the dead letters with all that tells it."""
    rows = lab.server.client.rows(f"SELECT event_id, count() AS n FROM {pipeline.table} GROUP BY event_id")
    wrong = [row for row in rows if int(row["n"]) != 1]
    assert not wrong, f"doubled: {wrong[:5]}"
    wanted = {event(number)["event_id"] for number in range(EVENTS) if number not in REFUSED}
    found = {row["event_id"] for row in rows}
    assert found == wanted, f"missing {sorted(wanted - found)[:5]}, extra {sorted(found - wanted)[:5]}"
    told = letters(pipeline)
    assert len(told) == len(REFUSED), [letter.get("row") for letter in told]
    by_id = {letter["row"]["event_id"]: letter for letter in told}
    code, words = refusal
    for number in REFUSED:
        sent = event(number)
        letter = by_id[sent["event_id"]]
        assert (letter["partition"], letter["offset"]) == place(number), letter
        assert letter["topic"] == pipeline.topic and letter["table"] == pipeline.table and letter["reason"] == "refused", letter
        assert letter["code"] == code and words in letter["detail"], letter
        assert int(letter["row"]["user_id"]) == sent["user_id"] and letter["row"]["name"] == sent["name"], letter
        assert float(letter["row"]["amount"]) == sent["amount"] and "_millrace_batch" not in letter["row"], letter
    result = lab.verify(pipeline)
    assert result["proven"], result
    # Halves have a content of their own.
    assert result["batches"] == result["batches_with_content"] > 2, result


@WINDOWS
def test_rows_that_a_constraint_refuses_become_dead_letters_and_all_others_rows(lab, topic, window):
    pipeline = lab.pipeline(topic, constrained(lab, window))
    life = lab.run_to_end(pipeline, seconds=300)
    assert_parted(lab, pipeline, VIOLATED)
    said = [line for line in life.tail(10_000).splitlines() if "sending it in halves" in line]
    assert said and len(said) <= 20, "one line a batch that is bisected, none a half"


@WINDOWS
@pytest.mark.parametrize("faults", [
    ["before_retire_durable:1", "before_retire_durable:3"],
    ["after_retire_durable_before_send:1", "after_retire_durable_before_send:2", "after_retire_durable_before_send:6"],
    ["after_insert_before_ack:1", "after_insert_before_ack:2", "before_insert:4"],
], ids=["before", "after", "sent"])
def test_kill_9_amid_a_bisection_loses_and_doubles_nothing(lab, topic, window, faults):
    pipeline = lab.pipeline(topic, constrained(lab, window))
    engine = lab.engine(pipeline)
    for fault in faults:
        life = engine.run("--until-end", seconds=300, MILLRACE_FAULT=fault)
        assert life.code == -signal.SIGKILL, f"{fault} did not end the engine: {life.code}\n{life.tail()}"
    lab.run_to_end(pipeline, seconds=300)
    assert_parted(lab, pipeline, VIOLATED)


@WINDOWS
def test_a_batch_of_more_table_partitions_than_the_server_takes_is_cut_by_them(lab, topic, window):
    table = lab.table(window=window, partition_by="user_id % 150")
    pipeline = lab.pipeline(topic, table)
    life = lab.run_to_end(pipeline, seconds=300)
    assert "code 252" in life.tail(10_000), "the server was never asked for too many partitions"
    assert "sending it in 2 pieces (batch.partitions_max)" in life.tail(10_000), life.tail(10_000)
    lab.assert_exact(pipeline, unique=EVENTS)
    assert letters(pipeline) == []


def test_kill_9_amid_the_cutting_for_too_many_partitions_loses_and_doubles_nothing(lab, topic):
    pipeline = lab.pipeline(topic, lab.table(partition_by="user_id % 150"))
    life = lab.engine(pipeline).run("--until-end", seconds=300, MILLRACE_FAULT="after_retire_durable_before_send:1")
    assert life.code == -signal.SIGKILL, life.tail()
    lab.run_to_end(pipeline, seconds=300)
    lab.assert_exact(pipeline, unique=EVENTS)


def test_a_view_that_throws_is_never_bisected(lab, topic):
    """The table has the rows when the view is asked: no half may follow."""
    table = lab.table(window=0)
    view = table + "_view"
    lab.server.client.execute(f"CREATE MATERIALIZED VIEW {view} ENGINE = MergeTree ORDER BY n AS "
                              f"SELECT throwIf(user_id % 331 = 7) AS n FROM {table}")
    pipeline = lab.pipeline(topic, table)
    life = lab.engine(pipeline).run("--until-end", seconds=300)
    assert life.code == 4 and "R7" in life.tail(), life.tail()
    assert "sending it in halves" not in life.tail(10_000) and letters(pipeline) == []
    lab.server.client.execute(f"DROP TABLE {view}")
    lab.run_to_end(pipeline, seconds=300)
    lab.assert_exact(pipeline, unique=EVENTS)


def test_rows_that_an_expression_refuses_become_dead_letters_on_the_old_server(millrace, old_server, lab_broker, tmp_path):
    lab = Lab(millrace, old_server, lab_broker, tmp_path)
    try:
        topic = lab.topic(PARTITIONS)
        lab.produce_events(topic, range(EVENTS), PARTITIONS)
        table = lab.table(window=0)
        lab.server.client.execute(f"ALTER TABLE {table} ADD COLUMN inverse Int64 MATERIALIZED intDiv(100, user_id % 331 - 7)")
        pipeline = lab.pipeline(topic, table, fields=dict(FIELDS["18.16"]))
        engine = lab.engine(pipeline)
        life = engine.run("--until-end", seconds=300, MILLRACE_FAULT="after_retire_durable_before_send:3")
        assert life.code == -signal.SIGKILL, life.tail()
        lab.run_to_end(pipeline, seconds=300)
        assert_parted(lab, pipeline, DIVIDED)
    finally:
        for engine in lab.engines:
            engine.end()


# MARK: a few records that one expression, constraint or key of the table refuses one of

NOTES = {"id": "UInt64", "note": "String", "x": "Nullable(Int32)"}
NULLS = [{"id": number, "note": "n", "x": None if number == 3 else number} for number in range(6)]


def few(lab, records: list[dict], columns: str = "", order_by: str = "id", window: int = 0):
    """A pipeline of these records in one batch, each in a table partition of its own, into a table with more columns."""
    topic = lab.topic(1)
    lab.produce(topic, [json.dumps(record).encode() for record in records])
    table = lab.table(window=0)
    lab.server.client.execute(f"DROP TABLE {table}")
    if lab.server.version != "18.16":
        # A table with a uuid, which an ALTER doesn't make another one.
        lab.server.client.execute("CREATE DATABASE IF NOT EXISTS known ENGINE = Atomic")
        table = table.replace("default.", "known.")
    settings = f" SETTINGS non_replicated_deduplication_window = {window}" if window else ""
    lab.server.client.execute(f"CREATE TABLE {table} (id UInt64, note String, _millrace_batch String{columns}) ENGINE = MergeTree "
                              f"PARTITION BY id ORDER BY {order_by}{settings}")
    fields = {name: type for name, type in NOTES.items() if name in records[0]}
    return lab.pipeline(topic, table, fields=fields, deduplicate=False)


def rows(lab, pipeline, columns: str = "id, note") -> list[dict]:
    return lab.server.client.rows(f"SELECT {columns} FROM {pipeline.table} ORDER BY id, note")


def assert_one_refused(lab, pipeline, records: list[dict], refused: int, code: int):
    """All rows save `refused` are in the table once, and that one is the only dead letter."""
    assert rows(lab, pipeline) == [record for record in records if record["id"] != refused]
    told = letters(pipeline)
    assert [(letter["row"]["id"], letter["code"], letter["reason"], letter["offset"]) for letter in told] == [
        (str(refused), code, "refused", refused)], told


@WINDOWS
@pytest.mark.parametrize("index, order_by", [(", INDEX i CAST(x AS Int32) TYPE minmax", "id"), ("", "CAST(x AS Int32)")],
                         ids=["index", "key"])
def test_a_null_that_an_expression_of_a_part_refuses_stops_where_other_parts_are_in(lab, window, index, order_by):
    """Code 349 comes part by part, when those before are committed: halves would double them."""
    pipeline = few(lab, NULLS, ", x Nullable(Int32)" + index, order_by, window)
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 4 and "R11" in life.tail() and "code 349" in life.tail(), life.tail()
    found = [row["id"] for row in rows(lab, pipeline)]
    assert found and found == sorted(set(found) - {3}) and letters(pipeline) == [], found
    if index:
        lab.server.client.execute(f"ALTER TABLE {pipeline.table} DROP INDEX i")
        lab.run_to_end(pipeline, seconds=300)
        assert rows(lab, pipeline, "id, note, x") == NULLS and letters(pipeline) == []


def test_a_null_that_a_sorting_key_refuses_on_the_old_server_stops_where_other_parts_are_in(laboratory):
    lab = laboratory("readback18")
    pipeline = few(lab, NULLS, ", x Nullable(Int32)", order_by="CAST(x AS Int32)")
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 4 and "R11" in life.tail() and "code 349" in life.tail(), life.tail()
    found = [row["id"] for row in rows(lab, pipeline)]
    assert found and found == sorted(set(found) - {3}) and letters(pipeline) == [], found


REFUSING = {  # expression over `note` → (what it takes, what it refuses, the code)
    "toInt32(note)": ("7", "", 32),
    "CAST(note AS Array(UInt8))": ("[7]", "", 130),
    "CAST(note AS Array(String))": ("['a']", "['a", 26),
    "CAST(note AS JSON)": ("{}", "x" * 9000, 117),
    "base64Decode(note)": ("eA==", "x%", 117),
    "finalizeAggregation(CAST(note AS AggregateFunction(sum, UInt64)))": ("\0" * 8, "x", 33),
    "parseTimeDelta(note)": ("1 min", "soon, e.what() = y", 36),
    "match('text', note)": ("t.*", "t[(, e.what() = y", 427),
    "'text' LIKE note": ("t%", "t\\", 25),
    "toString(mapAdd((arrayResize([1], length(note)), [1]), ([1], [1])))": ("x", "xx", 42),
    "decrypt('aes-128-ecb', note, '1234567890123456')": ("", "x", 454),
    "bitTest(1, length(note))": ("x", "x" * 99, 12),
    "regexpExtract('text', '(t)', toInt32(length(note)))": ("x", "xxxxx", 353),
}


@pytest.mark.parametrize("expression", REFUSING)
def test_a_value_that_a_function_refuses_becomes_a_dead_letter(lab, expression):
    good, bad, code = REFUSING[expression]
    records = [{"id": number, "note": bad if number == 3 else good} for number in range(6)]
    pipeline = few(lab, records, f", n MATERIALIZED {expression}")
    lab.run_to_end(pipeline, seconds=300)
    assert_one_refused(lab, pipeline, records, 3, code)


@pytest.mark.parametrize("expression, good, bad, code", [
    ("toInt32(note)", "7", "", 32), ("CAST(note AS Array(UInt8))", "[7]", "[1,x]", 130),
    ("CAST(note AS Array(String))", "['a']", "['a", 26),
], ids=[32, 130, 26])
def test_a_value_that_a_function_refuses_becomes_a_dead_letter_on_the_old_server(laboratory, expression, good, bad, code):
    lab = laboratory("readback18")
    records = [{"id": number, "note": bad if number == 3 else good} for number in range(6)]
    pipeline = few(lab, records, f", n MATERIALIZED {expression}")
    lab.run_to_end(pipeline, seconds=300)
    assert_one_refused(lab, pipeline, records, 3, code)


@WINDOWS
@pytest.mark.parametrize("column, code", [(", CONSTRAINT c CHECK length(note) < 10", 469), (", n MATERIALIZED toInt32(note)", 6)],
                         ids=["constraint", "function"])
@pytest.mark.parametrize("note", ["it broke while pushing to view x", "millrace: the columns are not those of the batch"],
                         ids=["view", "altered"])
def test_a_record_that_speaks_like_the_server_is_refused_for_what_it_is(lab, window, column, code, note):
    records = [{"id": number, "note": note if number == 3 else "7"} for number in range(6)]
    pipeline = few(lab, records, column, window=window)
    life = lab.run_to_end(pipeline, seconds=300)
    assert "a view on the table failed" not in life.tail(10_000)
    assert_one_refused(lab, pipeline, records, 3, code)


@pytest.mark.parametrize("view", ["seen", "it's"])
def test_a_views_constraint_is_the_views_whatever_the_record_says(lab, view):
    """The table has the rows, of which none may be taken for refused."""
    records = [{"id": number, "note": "it broke while pushing to view x" if number == 3 else "7"} for number in range(6)]
    pipeline = few(lab, records)
    lab.server.client.execute(f"CREATE TABLE {pipeline.table}_v (note String, CONSTRAINT c CHECK length(note) < 10) "
                              "ENGINE = MergeTree ORDER BY note")
    name = f"{pipeline.table}_{view}".replace(".", ".`") + "`"
    lab.server.client.execute(f"CREATE MATERIALIZED VIEW {name} TO {pipeline.table}_v AS SELECT note FROM {pipeline.table}")
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 4 and "R7" in life.tail() and "sending it in halves" not in life.tail(10_000), life.tail()
    lab.server.client.execute(f"DROP TABLE {name}")
    lab.run_to_end(pipeline, seconds=300)
    assert rows(lab, pipeline) == records and letters(pipeline) == []


@pytest.mark.parametrize("call", [
    "dictGet('default.book', 'v', toUInt64(length(note)))", "if(id < 9, dictGet('default.book', 'v', toUInt64(length(note))), 0)",
    "arraySum(arrayMap(length -> dictGet('default.book', 'v', toUInt64(length)), [id]))",
], ids=["plain", "branch", "lambda"])
def test_a_dictionary_that_does_not_load_is_waited_for_and_no_row_is_blamed(lab, call):
    """Its error has the code of a value that can't be read, which isn't one of the batch's."""
    lab.server.client.execute("CREATE OR REPLACE TABLE default.words (id UInt64, v String) ENGINE = MergeTree ORDER BY id")
    lab.server.client.execute("INSERT INTO default.words VALUES (1, 'x')")
    lab.server.client.execute("CREATE OR REPLACE DICTIONARY default.book (id UInt64, v UInt64) PRIMARY KEY id LIFETIME(0) LAYOUT(FLAT()) "
                              "SOURCE(CLICKHOUSE(QUERY 'SELECT id, toUInt64(v) AS v FROM default.words'))")
    records = [{"id": number, "note": "7"} for number in range(6)]
    pipeline = few(lab, records, f", n UInt64 MATERIALIZED {call}")
    life = lab.engine(pipeline).start("--until-end")
    lab.until(lambda: "waiting for ClickHouse" in life.log.read_text(errors="replace"), life)
    lab.server.client.execute("TRUNCATE TABLE default.words")
    lab.server.client.execute("SYSTEM RELOAD DICTIONARY default.book")
    assert life.wait(120) == 0, life.tail()
    assert rows(lab, pipeline) == records and letters(pipeline) == []
