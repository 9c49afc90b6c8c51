"""A file that is wrong for its topic or table must not look like success: what check, run, its pages and its exit codes say of it."""

import subprocess

import pytest

from exposition import Client
from laboratory import letters, manifests, payload
from pipeline import FIELDS, create_table
from test_admin import admin, free_port

FIELDS26 = FIELDS["26.9"]
# amount is a number in the topic, and the file takes none: each record is `wrong_type` to it.
WRONG = {"sources": {"events": {"fields": FIELDS26 | {"amount": "String"}}}}
# The key of the deduplication itself is declared wrongly, and the table with it.
WRONG_KEY = {"sources": {"events": {"fields": FIELDS26 | {"event_id": "UInt64"}}}}


def check(lab, pipeline, code):
    done = lab.check(pipeline)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def run(lab, pipeline, code, *options):
    return lab.run_to_end(pipeline, *options, code=code).said()


def mend(pipeline, more):
    pipeline.more = more
    pipeline.write()


# What the newest records are, the exit code of check, and words that it says.
SAMPLES = {
    "nothing": ([], 0, ["the topic is empty"]),
    "rows": ([payload(n) for n in range(300)], 0, ["each of the 200 newest records is a row"]),
    "some": ([payload(1), b"hello", payload(2), b"hello"], 0, ["2 of the 4 newest records are rows", "2 malformed_json", "offset 1"]),
    "no row": ([payload(n, amount="many") for n in range(3)], 3, ["not one of the 3 newest records is a row", "3 not_a_number", "remedy"]),
    "framed": ([b"\x00\x00\x00\x00\x2a" + payload(1)], 3, ["framed by a schema registry", "schema id 42"]),
    "only old ones": ([b"hello"] * 100 + [payload(n) for n in range(200)], 0, ["each of the 200 newest"]),
    "only new ones": ([payload(n) for n in range(100)] + [b"hello"] * 200, 3, ["200 malformed_json"]),
}


@pytest.mark.parametrize("records, code, words", SAMPLES.values(), ids=SAMPLES)
def test_check_tries_the_file_on_the_newest_records(lab, records, code, words):
    topic = lab.topic(1)
    if records:
        lab.produce(topic, records)
    pipeline = lab.pipeline(topic, lab.table())
    said = check(lab, pipeline, code)
    for word in words:
        assert word in said, said
    # No group was joined, and nothing committed.
    assert "nothing committed yet" in check(lab, pipeline, code)


def test_check_tries_every_partition_and_tells_a_tombstone(lab):
    topic = lab.topic(40)
    for partition in range(0, 40, 13):
        lab.produce(topic, [payload(partition)], partition)
    lab.produce(topic, [b""], 39, tombstones=True)
    said = check(lab, lab.pipeline(topic, lab.table()), 0)
    assert "4 of the 5 newest records are rows" in said and "1 tombstone: partition 39, offset 1" in said, said


@pytest.mark.parametrize("count, partitions, wrong", [(7, 1, WRONG), (2200, 3, WRONG), (40, 4, WRONG_KEY)])
def test_a_new_lineage_that_decodes_nothing_stops_before_it_seals_and_the_mended_file_gets_all(lab, count, partitions, wrong):
    topic, table = lab.topic(partitions), lab.table()
    if wrong is WRONG_KEY:
        # The table is wrong with the file, and made anew with it.
        lab.server.client.execute(f"DROP TABLE {table}")
        create_table(lab.server, table, fields=FIELDS26 | {"event_id": "UInt64"}, window=10_000)
    elif wrong is WRONG:
        lab.server.client.execute(f"ALTER TABLE {table} MODIFY COLUMN amount String")
    lab.produce_events(topic, range(count), partitions)
    pipeline = lab.pipeline(topic, table, more=wrong)
    for _ in range(2):
        said = run(lab, pipeline, 3)
        assert "can be decoded" in said and "offset 0" in said and "nothing was sealed" in said, said
        assert not letters(pipeline) and lab.count(table) == 0
        assert len(manifests(pipeline)) == 1 and manifests(pipeline)[0].parent.name.endswith("-00000000000000000000")
    if wrong is WRONG_KEY:
        lab.server.client.execute(f"DROP TABLE {table}")
        create_table(lab.server, table, window=10_000)
    else:
        lab.server.client.execute(f"ALTER TABLE {table} MODIFY COLUMN amount {FIELDS26['amount']}")
    mend(pipeline, {})
    run(lab, pipeline, 0)
    lab.assert_exact(pipeline, unique=count)
    assert not letters(pipeline)
    assert subprocess.run([lab.binary, "verify", pipeline.file], capture_output=True, timeout=120).returncode == 0


def test_it_stops_while_running_too_at_a_thousand_or_when_no_more_comes(lab):
    for count in (3, 3000):
        topic, table = lab.topic(2), lab.table()
        lab.produce(topic, [b"hello"] * count)
        pipeline = lab.pipeline(topic, table)
        life = lab.engine(pipeline).start()
        assert life.wait(60) == 3, life.tail()
        assert not letters(pipeline)


def test_asked_to_stop_before_it_is_decided_it_leaves_everything_to_the_next_start(lab):
    topic, table = lab.topic(1), lab.table()
    lab.produce(topic, [b"hello"] * 3)
    pipeline = lab.pipeline(topic, table, more={"dead_letters": {"max_delay": "1h"}})
    life = lab.engine(pipeline).start()
    lab.until(lambda: "first dead letter" in life.log.read_text(errors="replace"), life)
    life.signal(15)
    assert life.wait(60) == 0 and "before anything was sealed" in life.log.read_text(errors="replace")
    lab.produce(topic, [payload(1)])
    run(lab, pipeline, 0)
    assert len(letters(pipeline)) == 3 and lab.count(table) == 1


def test_who_accepts_them_gets_the_dead_letters_and_until_end_says_that_no_row_came(lab):
    topic, table = lab.topic(1), lab.table()
    lab.produce(topic, [b"hello"] * 3)
    pipeline = lab.pipeline(topic, table)
    run(lab, pipeline, 3)
    said = run(lab, pipeline, 1, "--accept-dead-letters")
    assert "no row came of the 3 records" in said and "malformed_json 3" in said, said
    assert len(letters(pipeline)) == 3
    # Nothing new is no error, and later ones need no option.
    run(lab, pipeline, 0)
    lab.produce(topic, [b"hello"] * 2)
    run(lab, pipeline, 1)
    assert len(letters(pipeline)) == 5
    lab.produce(topic, [b"hello", payload(1)])
    assert "of 2 records 1 gave none: malformed_json 1" in run(lab, pipeline, 0)
    # Duplicates of rows that are there were read rightly.
    lab.produce(topic, [b"hello", payload(1)])
    run(lab, pipeline, 0)
    assert lab.count(table) == 1 and len(letters(pipeline)) == 7


def test_skipped_records_are_no_success_either(lab):
    topic = lab.topic(1)
    lab.produce(topic, [b"hello"] * 3)
    pipeline = lab.pipeline(topic, lab.table(), more={"sources": {"events": {"on_error": "skip"}}})
    assert "malformed_json 3" in run(lab, pipeline, 3)


def test_dead_letters_are_told_at_once_and_again_in_log_metrics_and_health(lab):
    port = free_port()
    topic, client = lab.topic(1), Client(port)
    lab.produce(topic, [payload(1), b"hello", payload(2, amount="many"), payload(3)])
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port))
    life = lab.engine(pipeline).start()
    log = lambda: life.log.read_text(errors="replace")  # noqa: E731
    lab.until(lambda: "the first dead letter of reason malformed_json: partition 0, offset 1" in log(), life)
    lab.until(lambda: "the first dead letter of reason not_a_number: partition 0, offset 2" in log(), life)
    lab.until(lambda: lab.count(pipeline.table) == 2, life)
    lab.produce(topic, [b"hello"] * 5)
    lab.until(lambda: "5 more dead letters, 7 of 9 records" in log(), life)
    status, health = client.health()
    assert status == 200 and health["ready"], health
    assert health["records"] == {"rows": 2, "dead_letters": 7, "dead_letters_by_reason": {"malformed_json": 6, "not_a_number": 1},
                                 "skipped": 0, "filtered": 0}
    page = client.page()
    assert page.value("millrace_dead_letters_total", reason="malformed_json") == 6
    assert page.value("millrace_dead_letters_total", reason="not_a_number") == 1
    assert page.sum("millrace_dead_letters_total") == 7 and page.value("millrace_dead_letters_total", reason="late") == 0
    lab.until(lambda: " dead_letters=7 " in log() and " rows=2 " in log(), life)


def test_a_bounded_wait_ends_with_1_and_says_what_is_not_there(lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(1)])
    url = f"http://127.0.0.1:{free_port()}"
    pipeline = lab.pipeline(topic, lab.table(), more={"sinks": {"table": {"clickhouse": {"url": url}}}})
    said = run(lab, pipeline, 1, "--wait-at-most", "3s")
    assert "for ClickHouse" in said and "--wait-at-most" in said, said
    # So does a run that would otherwise go on for ever.
    life = lab.engine(pipeline).run("--wait-at-most", "3s", seconds=120)
    assert life.code == 1 and "for ClickHouse" in life.said() and "--wait-at-most" in life.said(), life.said()
