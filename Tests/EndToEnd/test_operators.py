"""filter, select and omit from Kafka to ClickHouse: every row worked out by Python, under kill -9, and proven by verify."""

import json
import signal
import subprocess
from decimal import Decimal, ROUND_HALF_UP

import pytest

from laboratory import event, letters, payload

EVENTS = 30_000
FIELDS = {"event_id": "String", "who": "String", "cents": "Int64", "share": "Int64"}
OPERATORS = {
    "large": {"filter": {"input": "events", "where": "amount >= 10 and name != ''"}},
    "unique_events": {"deduplicate": {"input": "large", "key": ["event_id"], "within": "24h"}},
    "shaped": {"select": {"input": "unique_events", "on_error": "dead_letter", "fields": {
        "event_id": "event_id", "who": "concat(upper(name), '-', toString(user_id))", "cents": "cast(amount * 100 as Int64)",
        "share": "intDiv(cast(amount * 100 as Int64), user_id - 500)", "created_at": "created_at"}}},
    "odd": {"filter": {"input": "shaped", "where": "cents % 2 = 1"}},
}


def shaped(number: int):
    """A row as SQL shows it; None: filtered; 'failed': user 500."""
    one = event(number)
    amount = Decimal(str(one["amount"])).quantize(Decimal("0.01"), ROUND_HALF_UP)
    if amount < 10:
        return None
    cents = int(amount * 100)
    divisor = one["user_id"] - 500
    if divisor == 0:
        return "failed"
    share = abs(cents) // abs(divisor) * (1 if divisor > 0 else -1)
    return (one["event_id"], f"FLYWHEEL-{one['user_id']}", cents, share) if cents % 2 == 1 else None


def pipeline(lab, topic, operators=None, sink=None, **more):
    table = lab.table(fields=FIELDS, partition_by="cents % 4")
    sinks = {"table": {"clickhouse": sink or {"input": "odd", "omit": ["created_at"]}}}
    return lab.pipeline(topic, table, more={"operators": operators or OPERATORS, "sinks": sinks,
                                            "sources": {"events": {"event_time": {"field": "created_at"}}}, **more})


def rows(lab, table):
    found = lab.server.client.execute(f"SELECT event_id, who, cents, share FROM {table} FORMAT JSONCompactEachRow",
                                      output_format_json_quote_64bit_integers=0)
    return sorted(tuple(json.loads(line)) for line in found.splitlines())


@pytest.mark.parametrize("fault", ["", "processed:3", "after_insert_before_ack:1"])
def test_rows_are_filtered_and_reshaped_once_also_when_the_engine_is_killed(lab, fault):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    mine = pipeline(lab, topic, checkpoint={"interval": "300ms"}, epoch={"max_rows": 2000})
    if fault:
        life = lab.engine(mine).run("--until-end", MILLRACE_FAULT=fault)
        assert life.code == -signal.SIGKILL, f"the fault point did not end the engine: {life.code}\n{life.tail()}"
    lab.run_to_end(mine)
    expected = [shaped(number) for number in range(EVENTS)]
    assert rows(lab, mine.table) == sorted(row for row in expected if row not in (None, "failed"))
    refused = letters(mine)
    assert len(refused) == expected.count("failed") > 20
    for letter in refused:
        assert letter["reason"] == "expression" and letter["operator"] == "shaped"
        assert letter["expression"] == OPERATORS["shaped"]["select"]["fields"]["share"]
        assert letter["detail"].startswith("division by zero, at character 1; user_id = 500, amount = ")
        assert json.loads(letter["payload"])["user_id"] == 500
    report = lab.verify(mine)
    counters = report["counters"]
    # Every fifth event came twice; one that the first filter leaves out does so twice.
    records = sum(2 if number % 5 == 0 else 1 for number in range(EVENTS))
    small = sum(2 if number % 5 == 0 else 1 for number in range(EVENTS) if event(number)["amount"] < 10)
    assert report["proven"] and counters["records"] == records
    assert counters["dead_lettered"] == len(refused) and counters["emitted"] == len(rows(lab, mine.table))
    assert counters["filtered"] == small + sum(row is None and event(number)["amount"] >= 10 for number, row in enumerate(expected))


def test_a_row_that_fails_ends_the_run_where_the_file_says_so_and_the_mended_file_goes_on(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(2000))
    failing = {**OPERATORS, "shaped": {"select": {**OPERATORS["shaped"]["select"], "on_error": "fail"}}}
    mine = pipeline(lab, topic, failing)
    life = lab.engine(mine).run("--until-end")
    assert life.code == 1 and "operator 'shaped'" in life.tail() and "division by zero" in life.tail(), life.tail()
    assert "offset" in life.tail() and "user_id = 500" in life.tail(), life.tail()
    mine.more["operators"] = {**OPERATORS, "shaped": {"select": {**OPERATORS["shaped"]["select"], "on_error": "skip"}}}
    mine.write()
    lab.run_to_end(mine)
    expected = [shaped(number) for number in range(2000)]
    assert rows(lab, mine.table) == sorted(row for row in expected if row not in (None, "failed"))
    report = lab.verify(mine)
    assert report["proven"] and report["counters"]["skipped"] == expected.count("failed") and letters(mine) == []


def test_a_filter_that_nothing_passes_is_said(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(100))
    mine = pipeline(lab, topic, {**OPERATORS, "large": {"filter": {"input": "events", "where": "amount > 1000000"}}})
    life = lab.run_to_end(mine)
    assert "no row passed" in life.tail() and "of 120 records" in life.tail(), life.tail()
    assert lab.verify(mine)["counters"]["filtered"] == 120


def test_a_filter_in_front_may_change_and_a_key_that_is_made_otherwise_is_refused(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(1000))
    keyed = {"named": {"select": {"input": "large", "fields": {'"*"': "*", "event_id": "upper(event_id)"}}},
             "large": {"filter": {"input": "events", "where": "amount >= 1"}},
             "unique_events": {"deduplicate": {"input": "named", "key": ["event_id"], "within": "24h"}},
             "shaped": OPERATORS["shaped"], "odd": OPERATORS["odd"]}
    mine = pipeline(lab, topic, keyed)
    lab.run_to_end(mine)
    before = rows(lab, mine.table)
    # The same events again: those that passed are known, whatever the filter says now.
    lab.produce_events(topic, range(1000))
    mine.more["operators"] = {**keyed, "large": {"filter": {"input": "events", "where": "amount >= 2"}}}
    mine.write()
    assert "no row passed" not in lab.run_to_end(mine).tail()
    assert rows(lab, mine.table) == before
    mine.more["operators"] = {**keyed, "named": {"select": {"input": "large", "fields": {'"*"': "*", "event_id": "lower(event_id)"}}}}
    mine.write()
    life = lab.engine(mine).run("--until-end")
    assert life.code == 4 and '"event_id" is "upper(event_id)" is now "event_id" is "lower(event_id)"' in life.tail(), life.tail()


def test_a_field_without_a_column_is_refused_unless_it_is_omitted(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(10))
    mine = pipeline(lab, topic, sink={"input": "odd"})
    done = lab.check(mine)
    assert done.returncode == 3 and "created_at" in done.stdout + done.stderr, done
    mine.more["sinks"]["table"]["clickhouse"]["omit"] = ["created_at"]
    mine.write()
    assert lab.check(mine).returncode == 0, lab.check(mine)


def test_a_wrong_expression_is_shown_with_its_place(lab):
    mine = pipeline(lab, "none", {**OPERATORS, "large": {"filter": {"input": "events", "where": "amuont >= 10"}}})
    done = subprocess.run([lab.binary, "check", mine.file], capture_output=True, text=True)
    assert done.returncode == 3 and "did you mean amount" in done.stderr and "    ^\n" in done.stderr, done.stderr
