"""Clocks that run ahead, keys that aren't there, and open transactions: what one producer does wrong takes no other's records away."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from servers import KafkaBroker
from transaction import Transaction

from laboratory import letters, payload
from pipeline import FIELDS

SMALL = {"checkpoint": {"interval": "500ms"}}


@pytest.fixture
def kafka_lab(lab):
    if not isinstance(lab.broker, KafkaBroker):
        pytest.skip("these need Apache Kafka (KAFKA_SCRIPT)")
    return lab


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now() -> datetime:
    return datetime.now(timezone.utc)


def numbers(lab, pipeline) -> list[int]:
    """Of the events whose rows are in the table."""
    rows = lab.server.client.rows(f"SELECT event_id FROM {pipeline.table} ORDER BY event_id")
    return [int(row["event_id"].rpartition("-")[2], 16) for row in rows]


def reasons(pipeline) -> list[str]:
    return sorted(letter["reason"] for letter in letters(pipeline))


def run(lab, pipeline, code=0):
    life = lab.engine(pipeline).run("--until-end")
    assert life.code == code, life.tail()
    return life


# MARK: Times and keys


def test_a_producer_whose_clock_is_hours_ahead_makes_nobody_late(lab):
    topic = lab.topic(1)
    pipeline = lab.pipeline(topic, lab.table(), more={"sources": {"events": {"event_time": {"field": "created_at"}}}})
    lab.produce(topic, [payload(0, created_at=iso(now()))])
    run(lab, pipeline)
    lab.produce(topic, [payload(1, created_at=iso(now() + timedelta(hours=8)))])
    run(lab, pipeline, code=1)  # no row came of it, which must not look like success
    lab.produce(topic, [payload(n, created_at=iso(now() + timedelta(seconds=n))) for n in range(2, 8)])
    run(lab, pipeline)
    assert numbers(lab, pipeline) == [0, *range(2, 8)] and reasons(pipeline) == ["ahead_of_timestamp"]
    # One that is ahead by less than lateness forgives is taken.
    lab.produce(topic, [payload(8, created_at=iso(now() + timedelta(minutes=9)))])
    run(lab, pipeline)
    lab.produce(topic, [payload(9, created_at=iso(now()))])
    run(lab, pipeline)
    assert numbers(lab, pipeline) == [0, *range(2, 10)]


@pytest.mark.parametrize("null_keys", ["pass", "equal"])
@pytest.mark.parametrize("exact", [False, True])
def test_records_whose_key_is_null_have_none(lab, null_keys, exact):
    fields = FIELDS["26.9"] | {"note": "Nullable(String)", "other": "Nullable(UInt8)"}
    topic = lab.topic(1)
    key = {"key": ["note", "other"], "null_keys": null_keys, "exact": exact}
    pipeline = lab.pipeline(topic, lab.table(fields=fields), fields=fields,
                            more={"operators": {"unique_events": {"deduplicate": key}}} | SMALL)
    keys = [{}, {"note": "a"}, {}, {"note": None}, {"note": "a"}, {"other": 1}, {"other": 1}, {"note": ""}, {"note": "", "other": None}]
    lab.produce(topic, [payload(n, **more) for n, more in enumerate(keys)])
    run(lab, pipeline)
    kept = [0, 1, 5, 7]
    assert numbers(lab, pipeline) == (sorted([*kept, 2, 3]) if null_keys == "pass" else kept)
    proof = lab.verify(pipeline)
    assert proof["proven"] and proof["counters"]["null_key"] == (3 if null_keys == "pass" else 0), proof
    assert proof["counters"]["emitted"] + proof["counters"]["duplicate"] == len(keys)


# MARK: Open transactions


def test_until_end_waits_for_a_transaction_that_is_open_below_the_end(kafka_lab):
    lab = kafka_lab
    topic = lab.topic(2)
    lab.produce(topic, [payload(0)])
    lab.produce(topic, [payload(100)], partition=1)
    pipeline = lab.pipeline(topic, lab.table(), more=SMALL)
    with Transaction(lab.broker.address, topic, [payload(1)]):
        lab.produce(topic, [payload(2), payload(3)])
        life = lab.engine(pipeline).start("--until-end")
        lab.until(lambda: f"partition 0 of {topic}: a transaction is open at offset 1" in life.log.read_text(), life)
        lab.until(lambda: numbers(lab, pipeline) == [0, 100], life)
        time.sleep(2)
        assert not life.ended(), life.tail()
    assert life.wait(60) == 0, life.tail()
    assert numbers(lab, pipeline) == [0, 1, 2, 3, 100]


def test_until_end_comes_to_its_end_through_what_an_abort_leaves(kafka_lab):
    lab = kafka_lab
    topic = lab.topic(1)
    lab.produce(topic, [payload(0)])
    pipeline = lab.pipeline(topic, lab.table(), more=SMALL)
    with Transaction(lab.broker.address, topic, [payload(n) for n in range(1, 50)]) as transaction:
        life = lab.engine(pipeline).start("--until-end")
        lab.until(lambda: "a transaction is open at offset 1" in life.log.read_text(), life)
        transaction.abort()
    assert life.wait(60) == 0, life.tail()
    assert numbers(lab, pipeline) == [0]
    # Right after an abort, and where nothing else was ever written.
    with Transaction(lab.broker.address, topic, [payload(n) for n in range(50, 60)]) as transaction:
        transaction.abort()
    run(lab, pipeline)
    empty = lab.topic(1)
    with Transaction(lab.broker.address, empty, [payload(0)]) as transaction:
        transaction.abort()
    other = lab.pipeline(empty, lab.table(), more=SMALL)
    run(lab, other)
    assert numbers(lab, pipeline) == [0] and numbers(lab, other) == []


def test_a_partition_behind_an_open_transaction_is_not_idle(kafka_lab):
    lab = kafka_lab
    topic = lab.topic(2)
    start = now()
    lab.produce(topic, [payload(0, created_at=iso(start))])
    pipeline = lab.pipeline(topic, lab.table(), more=SMALL | {
        "sources": {"events": {"event_time": {"field": "created_at", "idle_after": "1s", "out_of_orderness": "0s"}}},
        "operators": {"unique_events": {"deduplicate": {"allowed_lateness": "1s"}}}})
    with Transaction(lab.broker.address, topic, [payload(n, created_at=iso(start)) for n in range(1, 21)]):
        life = lab.engine(pipeline).start()
        for n in range(100, 120):
            lab.produce(topic, [payload(n, created_at=iso(now()))], partition=1)
            time.sleep(0.25)
        lab.until(lambda: lab.count(pipeline.table) == 21, life)
    lab.until(lambda: lab.count(pipeline.table) + len(reasons(pipeline)) == 41, life)
    assert reasons(pipeline) == [] and numbers(lab, pipeline) == [*range(21), *range(100, 120)]
