"""What the engine refuses before it writes anything, with the exit code of the contract and the name of what is wrong."""

import subprocess
from pathlib import Path

import pytest

from laboratory import event, payload
from pipeline import FIELDS, create_table
from servers import create_topic
from tls import Authority

FIELDS26 = FIELDS["26.9"]


@pytest.fixture(scope="module")
def few(lab_broker):
    """A topic of three events that no test adds to."""
    create_topic(lab_broker.address, "few", 1)
    subprocess.run(["kcat", "-P", "-b", lab_broker.address, "-t", "few", "-p", "0"], check=True,
                   input=b"".join(payload(number) + b"\n" for number in range(3)))
    return "few"


def run(lab, pipeline, code, *words):
    """Runs to the end and asserts the exit code, that every word is said, and (refused) that no row came into the table."""
    life = lab.engine(pipeline).run("--until-end", seconds=90)
    said = life.log.read_text(errors="replace")
    assert life.code == code, said
    for word in words:
        assert word in said, said
    return life


def sink(**keys):
    return {"sinks": {"table": {"clickhouse": keys}}}


def test_a_missing_topic_is_named(lab):
    pipeline = lab.pipeline("no-such-topic", lab.table())
    run(lab, pipeline, 1, "no-such-topic")


def test_a_missing_table_is_named(lab, few):
    run(lab, lab.pipeline(few, "default.no_such_table"), 3, "no_such_table")


def test_a_field_without_a_column_is_named(lab, few):
    table = lab.table(fields={name: type for name, type in FIELDS26.items() if name != "amount"})
    run(lab, lab.pipeline(few, table), 3, "amount")
    assert lab.count(table) == 0


def test_a_column_that_nothing_feeds_is_named_where_the_file_is_strict(lab, few):
    table = lab.table(fields=FIELDS26 | {"country": "String"})
    run(lab, lab.pipeline(few, table, more=sink(strict_columns=True)), 3, "country", "strict_columns")
    assert lab.count(table) == 0


def test_a_field_of_another_type_than_its_column_is_refused_with_both_types(lab, few):
    table = lab.table(fields=FIELDS26 | {"amount": "Decimal(9, 4)"})
    run(lab, lab.pipeline(few, table), 3, "amount", "Decimal(18, 2)", "Decimal(9, 4)")
    assert lab.count(table) == 0


@pytest.mark.parametrize("engine", ["ReplacingMergeTree", "SummingMergeTree", "Null", "Log", "Memory",
                                    "Distributed('one', 'default', 'behind')", "Buffer(default, behind, 1, 1, 2, 1, 2, 1, 2)"])
def test_a_table_engine_that_can_not_keep_the_promise_is_refused_by_name(lab, few, engine):
    if "behind" in engine:
        lab.server.client.execute("CREATE TABLE IF NOT EXISTS default.behind (event_id String) ENGINE = MergeTree ORDER BY event_id")
    table = lab.table(engine=engine)
    run(lab, lab.pipeline(few, table), 3, engine.partition("(")[0])


def test_a_table_engine_that_can_not_keep_the_promise_is_taken_for_at_least_once(lab, few):
    table = lab.table(engine="ReplacingMergeTree")
    run(lab, lab.pipeline(few, table, more=sink(delivery="at_least_once")), 0)
    assert lab.count(table, "uniqExact(event_id)") == 3


def test_a_table_with_delete_by_ttl_is_refused(lab, few):
    table = lab.table()
    lab.server.client.execute(f"ALTER TABLE {table} MODIFY TTL toDateTime(created_at) + INTERVAL 100 YEAR")
    run(lab, lab.pipeline(few, table), 3, "TTL")


def test_a_table_without_provenance_column_is_refused_with_the_alter(lab, few):
    table = lab.table(provenance=None)
    run(lab, lab.pipeline(few, table), 3, "_millrace_batch", "ALTER TABLE")
    assert lab.count(table) == 0


def test_a_table_without_window_is_read_back(lab, few):
    pipeline = lab.pipeline(few, lab.table(window=0))
    run(lab, pipeline, 0, "read-back")
    lab.assert_exact(pipeline, unique=3)


def test_a_user_who_may_not_look_at_what_runs_is_refused_with_the_grant(lab, few):
    table = lab.table()
    life = lab.engine(lab.pipeline(few, table, more=sink(user="narrow"))).run("--until-end", seconds=90)
    assert life.code in (1, 3), life.tail()
    assert "GRANT" in life.tail() and "system.processes" in life.tail(), life.tail()
    assert lab.count(table) == 0


def test_a_user_who_may_not_read_the_table_is_refused_with_the_grant(lab, few):
    table = lab.table()
    life = lab.engine(lab.pipeline(few, table, more=sink(user="writer"))).run("--until-end", seconds=90)
    assert life.code == 3, life.tail()
    assert "GRANT SELECT ON" in life.tail() and table.split(".")[-1] in life.tail(), life.tail()
    assert lab.count(table) == 0


@pytest.mark.parametrize("window", [10_000, 0])
def test_a_row_policy_that_hides_the_rows_from_the_count_stops_the_first_batch(lab, few, window):
    create_table(lab.server, "default.hidden", window)
    try:
        life = lab.engine(lab.pipeline(few, "default.hidden", more=sink(user="blind"))).run("--until-end", seconds=90)
        assert life.code == 4, life.tail()
        assert "shows 0 of 3 rows" in life.tail() and "row policy" in life.tail(), life.tail()
        assert lab.count("default.hidden") == 3
    finally:
        lab.server.client.execute("DROP TABLE default.hidden")


def test_a_wrong_password_is_refused_and_not_printed(lab, few):
    table = lab.table()
    life = lab.engine(lab.pipeline(few, table, more=sink(user="writer", password="canary-7316"))).run("--until-end", seconds=90)
    said = life.log.read_text(errors="replace")
    assert life.code in (1, 3) and "canary-7316" not in said, said


def test_the_state_of_another_pipeline_is_refused_with_both_names(lab, few):
    first = lab.pipeline(few, lab.table())
    run(lab, first, 0)
    second = lab.pipeline(few, lab.table(), more={"state": {"path": str(first.state)},
                                                  "checkpoint": {"location": str(first.state / "checkpoints")}})
    run(lab, second, 4, first.name, second.name)
    assert lab.count(second.table) == 0


def test_another_key_under_the_same_state_is_refused(lab, few):
    pipeline = lab.pipeline(few, lab.table())
    run(lab, pipeline, 0)
    pipeline.more = {"operators": {"unique_events": {"deduplicate": {"key": ["user_id"]}}}}
    pipeline.write()
    life = lab.engine(pipeline).run("--until-end", seconds=90)
    assert life.code == 4 and "user_id" in life.tail(), life.tail()
    assert lab.count(pipeline.table) == 3


def test_a_state_directory_that_can_not_be_written_is_named(lab, few):
    pipeline = lab.pipeline(few, lab.table())
    (pipeline.directory / "in-the-way").write_text("a file")
    pipeline.more = {"state": {"path": "in-the-way/state"}, "checkpoint": {"location": "in-the-way/state/checkpoints"}}
    pipeline.write()
    run(lab, pipeline, 1, "in-the-way")


@pytest.mark.parametrize("more, words", [
    ({"pipelin": "x"}, ["pipelin", "pipeline"]),
    ({"sources": {"events": {"fields": {"event_id": "Strng"}}}}, ["Strng", "String"]),
    ({"operators": {"unique_events": {"deduplicate": {"key": ["event"]}}}}, ["event", "event_id"]),
    ({"operators": {"unique_events": {"deduplicate": {"within": "soon"}}}}, ["within", "soon"]),
    ({"sinks": ...}, ["sinks"]),
], ids=["unknown key", "unknown type", "unknown field", "bad duration", "no sink"])
def test_a_bad_file_is_refused_with_value_and_nearest_name(lab, few, more, words):
    run(lab, lab.pipeline(few, lab.table(), more=more), 3, *words)


def test_all_problems_of_a_file_are_reported_at_once(lab, few):
    more = {"checkpoint": {"interval": "often"}, "state": {"memory": "much"}, "workers": -3}
    run(lab, lab.pipeline(few, lab.table(), more=more), 3, "often", "much", "-3")


def test_a_file_that_is_not_there_is_named(lab):
    done = subprocess.run([lab.binary, "run", lab.directory / "nowhere.yaml"], capture_output=True, text=True, timeout=30)
    assert done.returncode in (1, 3) and "nowhere.yaml" in done.stderr


@pytest.mark.parametrize("arguments", [["frobnicate"], ["run"], ["run", "a.yaml", "--frobnicate"], ["run", "a.yaml", "b.yaml"]])
def test_wrong_usage_is_told_from_failure(lab, arguments):
    done = subprocess.run([lab.binary, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stderr


GARBAGE = [b"not json", b"[1]", b'{"event_id": NaN}', b'{"event_id": "\xff"}', b'{"event_id": "x"} y', b"{", b"\x00\x01\x02"]


def test_records_that_can_not_be_decoded_become_dead_letters_and_the_others_rows(lab):
    topic = lab.topic(2)
    lab.produce(topic, [payload(0), *GARBAGE, payload(1), payload(0)])
    lab.produce(topic, [b""] * 2, partition=1, tombstones=True)
    lab.produce(topic, [payload(2)], partition=1)
    pipeline = lab.pipeline(topic, lab.table())
    run(lab, pipeline, 0)
    lab.assert_exact(pipeline, unique=3)
    letters = b"".join(path.read_bytes() for path in sorted(pipeline.dead_letters.rglob("*")) if path.is_file())
    assert len(letters.splitlines()) == len(GARBAGE) + 2, letters


def test_records_that_can_not_be_decoded_are_skipped_where_the_file_says_so(lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(0), *GARBAGE, payload(1)])
    pipeline = lab.pipeline(topic, lab.table(), more={"sources": {"events": {"on_error": "skip"}}})
    run(lab, pipeline, 0)
    lab.assert_exact(pipeline, unique=2)
    assert not [path for path in pipeline.dead_letters.rglob("*") if path.is_file()]


def test_a_record_that_can_not_be_decoded_ends_the_run_where_the_file_says_so(lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(0), b"not json", payload(1)])
    pipeline = lab.pipeline(topic, lab.table(), more={"sources": {"events": {"on_error": "fail"}}})
    run(lab, pipeline, 1, topic, "offset 1")


def test_a_file_that_takes_such_a_record_goes_on_where_the_old_one_has_ended(lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(number) for number in range(100)])
    more = {"checkpoint": {"interval": "1h"}, "sources": {"events": {"on_error": "fail"}}}
    pipeline = lab.pipeline(topic, lab.table(), more=more)
    life = lab.engine(pipeline).start()
    lab.until(lambda: lab.count(pipeline.table) == 100, life)
    lab.produce(topic, [b"not json", payload(100)])
    assert life.wait(60) == 1, life.tail()
    pipeline.more = more | {"sources": {"events": {"on_error": "dead_letter"}}}
    pipeline.write()
    # Sealed under the old file: with that it is replayed.
    run(lab, pipeline, 4, "R4", "start once with the old file")
    pipeline.more = more
    pipeline.write()
    run(lab, pipeline, 1, topic, "offset 100")
    pipeline.more = more | {"sources": {"events": {"on_error": "dead_letter"}}}
    pipeline.write()
    run(lab, pipeline, 0)
    lab.assert_exact(pipeline, unique=101)


@pytest.mark.parametrize("field, value", [
    ("user_id", -1), ("user_id", 2**64), ("user_id", 1.5), ("user_id", "x"), ("user_id", None), ("amount", "1.239"), ("amount", 1e17),
    ("created_at", "2026-02-30T00:00:00Z"), ("created_at", "2026-01-01T00:00:00.1234Z"), ("created_at", 5), ("name", 5),
])
def test_a_value_that_its_column_could_not_keep_is_never_changed_to_fit(lab, field, value):
    topic = lab.topic(1)
    lab.produce(topic, [payload(0), payload(1, **{field: value}), payload(2)])
    pipeline = lab.pipeline(topic, lab.table())
    run(lab, pipeline, 0)
    rows = lab.server.client.rows(f"SELECT event_id FROM {pipeline.table} ORDER BY event_id")
    assert [row["event_id"] for row in rows] == [event(0)["event_id"], event(2)["event_id"]]


def test_the_secured_example_is_valid_once_its_files_are_there_and_names_those_that_are_missing_or_wrong(millrace, tmp_path):
    file = tmp_path / "secured.yaml"
    file.write_text((Path(__file__).parents[2] / "config" / "examples" / "secured.yaml").read_text())
    authority, password = tmp_path / "tls/ca.pem", tmp_path / "secrets/kafka-password"

    def check() -> tuple[int, str]:
        done = subprocess.run([millrace, "check", file], capture_output=True, text=True, timeout=60)
        assert "canary-of" not in done.stdout + done.stderr
        return done.returncode, done.stderr

    code, said = check()
    assert code == 3 and "tls/ca.pem" in said and "secrets/kafka-password" in said, said
    for path in (authority, password):
        path.parent.mkdir()
        path.write_text("canary-of-the-example\n")
    code, said = check()
    assert code == 3 and f"ssl.ca.location: {authority}: failed: " in said and "no certificate" in said, said
    authority.write_text(Authority(tmp_path).pair.certificate.read_text())
    assert check() == (0, "")
