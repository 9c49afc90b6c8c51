"""R11 on real servers: what the server takes of a batch is in the table once, what it refuses is in the dead letters once."""

import json
import signal

import pytest

from laboratory import Lab, event
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


def run_to_end(lab, pipeline):
    life = lab.engine(pipeline).run("--until-end", seconds=300)
    assert life.code == 0, life.tail()
    return life


def place(number: int) -> tuple[int, int]:
    """Partition and offset of an event's first record, as ``Lab.produce_events`` writes them: every fifth twice."""
    before = range(number % PARTITIONS, number, PARTITIONS)
    return number % PARTITIONS, len(before) + sum(other % 5 == 0 for other in before)


def letters(pipeline) -> list[dict]:
    return [json.loads(line) for path in sorted(pipeline.dead_letters.glob("*.jsonl")) for line in path.read_text().splitlines()]


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


@WINDOWS
def test_rows_that_a_constraint_refuses_become_dead_letters_and_all_others_rows(lab, topic, window):
    pipeline = lab.pipeline(topic, constrained(lab, window))
    life = run_to_end(lab, pipeline)
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
    run_to_end(lab, pipeline)
    assert_parted(lab, pipeline, VIOLATED)


@WINDOWS
def test_a_batch_of_more_table_partitions_than_the_server_takes_is_sent_in_halves(lab, topic, window):
    table = lab.table(window=window, partition_by="user_id % 150")
    pipeline = lab.pipeline(topic, table)
    life = run_to_end(lab, pipeline)
    assert "code 252" in life.tail(10_000), "the server was never asked for too many partitions"
    lab.assert_exact(pipeline, unique=EVENTS)
    assert letters(pipeline) == []


def test_kill_9_amid_the_halving_for_too_many_partitions_loses_and_doubles_nothing(lab, topic):
    pipeline = lab.pipeline(topic, lab.table(partition_by="user_id % 150"))
    life = lab.engine(pipeline).run("--until-end", seconds=300, MILLRACE_FAULT="after_retire_durable_before_send:2")
    assert life.code == -signal.SIGKILL, life.tail()
    run_to_end(lab, pipeline)
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
    run_to_end(lab, pipeline)
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
        run_to_end(lab, pipeline)
        assert_parted(lab, pipeline, DIVIDED)
    finally:
        for engine in lab.engines:
            engine.end()
