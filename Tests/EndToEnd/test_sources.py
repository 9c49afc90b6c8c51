"""Several topics, of two clusters, united, without duplicates, in one table: exact under kill -9, with one cluster down, with sources that
come, go and change their names, and with a loss of one of them."""

import json
import signal
import subprocess
import time

import pytest

from exposition import Client
from laboratory import Lab, event, letters, manifests
from pipeline import FIELDS, merged
from servers import KafkaBroker, create_topic, new_broker
from test_admin import admin, free_port
from test_kafka_faults import delete_records

EVENTS = 20_000
# Another order than the first source's.
REVERSED = dict(reversed(FIELDS["26.9"].items()))
OPERATORS = {
    "all_events": {"union": {"inputs": ["events", "archive"]}},
    "unique_events": {"deduplicate": {"input": "all_events", "key": ["event_id"], "within": "24h"}},
}


@pytest.fixture(scope="module")
def second_broker(tmp_path_factory):
    broker = new_broker(lambda: tmp_path_factory.mktemp("second-kafka"))
    broker.start()
    yield broker
    broker.end()


class United:
    """A pipeline over a topic of either cluster. A third of the events are in both topics, and each of those is a duplicate."""

    def __init__(self, lab: Lab, second, *, archive: str = "archive", fields: dict = REVERSED, **more):
        self.lab, self.second, self.name = lab, second, archive
        self.topic = lab.topic()
        # The clusters' topics may have one name.
        self.other = f"{self.topic}-archive"
        create_topic(second.address, self.other, 2)
        table = lab.table()
        operators = {"all_events": {"union": {"inputs": ["events", archive]}}, "unique_events": OPERATORS["unique_events"]}
        self.pipeline = lab.pipeline(self.topic, table, more=merged({
            "sources": {archive: {"topic": self.other, "kafka": {"brokers": second.address}, "start": "earliest", "format": "json",
                                  "fields": fields, "on_error": "dead_letter"}},
            "operators": operators,
            "sinks": {"table": {"clickhouse": {"batch": {"max_delay": "200ms", "max_rows": 1000}}}},
            "checkpoint": {"interval": "300ms"}, "epoch": {"max_rows": 2000}}, more))

    def produce(self, numbers, others):
        self.lab.produce_events(self.topic, numbers)
        self.produce_other(others)

    def produce_other(self, numbers):
        elsewhere = Lab(self.lab.binary, self.lab.server, self.second, self.lab.directory)
        elsewhere.produce_events(self.other, numbers, partitions=2)

    def fill(self):
        self.produce(range(EVENTS * 2 // 3), range(EVENTS // 3, EVENTS))

    def ids(self) -> list[str]:
        return [row["event_id"] for row in self.lab.server.client.rows(f"SELECT event_id FROM {self.pipeline.table} ORDER BY event_id")]

    def assert_exact(self, numbers=range(EVENTS)) -> dict:
        assert self.ids() == sorted(event(number)["event_id"] for number in numbers)
        row = self.lab.server.client.row(f"SELECT * FROM {self.pipeline.table} WHERE event_id = '{event(numbers[-1])['event_id']}'")
        expected = event(numbers[-1])
        assert (int(row["user_id"]), row["name"], row["text"]) == (expected["user_id"], expected["name"], expected["text"])
        report = self.lab.verify(self.pipeline)
        assert report["proven"], report
        return report


@pytest.mark.parametrize("fault", [
    "", "log_begun:1", "intent_written:2", "processed:3", "before_seal:2", "seal_written:2", "after_insert_before_ack:2", "ack_written:3",
    "amid_replay:2", "manifest_written:2", "published:1", "witness_committed:1", "witness_committed:3"])
def test_records_of_two_clusters_are_united_once_also_when_the_engine_is_killed(lab, second_broker, fault):
    united = United(lab, second_broker)
    united.fill()
    if fault.startswith("amid_replay"):
        life = lab.engine(united.pipeline).run("--until-end", MILLRACE_FAULT="seal_written:4")
        assert life.code == -signal.SIGKILL, life.tail()
    if fault:
        life = lab.engine(united.pipeline).run("--until-end", MILLRACE_FAULT=fault)
        assert life.code == -signal.SIGKILL, f"the fault point did not end the engine: {life.code}\n{life.tail()}"
    lab.run_to_end(united.pipeline)
    report = united.assert_exact()
    sources = {(one["source"], one["partition"]) for one in report["offsets"]}
    assert sources == {("events", 0), ("events", 1), ("events", 2), ("archive", 0), ("archive", 1)}


def test_names_sorted_before_the_first_source_s_change_nothing_of_the_rows(lab, second_broker):
    united = United(lab, second_broker, archive="before")
    united.fill()
    life = lab.engine(united.pipeline).run("--until-end", MILLRACE_FAULT="after_insert_before_ack:3")
    assert life.code == -signal.SIGKILL, life.tail()
    lab.run_to_end(united.pipeline)
    united.assert_exact()


def test_a_cluster_that_is_down_holds_up_no_other_source_and_is_named(lab, tmp_path_factory):
    second = new_broker(lambda: tmp_path_factory.mktemp("killed-kafka"))
    second.start()
    try:
        port = free_port()
        united, client = United(lab, second, **admin(port)), Client(port)
        united.produce(range(1000), range(1000, 2000))
        life = lab.engine(united.pipeline).start()
        lab.until(lambda: lab.count(united.pipeline.table) == 2000, life)
        second.kill()
        lab.produce_events(united.topic, range(2000, 4000))
        lab.until(lambda: lab.count(united.pipeline.table) == 4000, life)
        lab.until(lambda: "source archive: waiting for Kafka" in life.tail(400), life)
        page = client.page()
        assert page.value("millrace_source_waiting", source="archive") == 1 and page.sum("millrace_source_waiting") == 1
        assert [(wait["for"], wait["source"]) for wait in client.health()[1]["waiting"]] == [("kafka", "archive")]
        # Checkpoints are taken meanwhile.
        newest = manifests(united.pipeline)[-1].parent.name
        lab.produce_events(united.topic, range(4000, 4500))
        lab.until(lambda: lab.count(united.pipeline.table) == 4500, life)
        lab.until(lambda: manifests(united.pipeline)[-1].parent.name != newest, life, 20)
        life.kill()
        second.start()
        united.produce_other(range(4500, 5000))
        lab.run_to_end(united.pipeline)
        united.assert_exact(range(5000))
    finally:
        second.end()


def test_sources_come_go_change_their_order_and_names(lab, second_broker):
    united = United(lab, second_broker)
    united.fill()
    whole = united.pipeline.more
    # At first there is one.
    united.pipeline.more = merged(whole, {"sources": {"archive": ...}, "operators": {
        "all_events": ..., "unique_events": {"deduplicate": {"input": "events"}}}})
    united.pipeline.write()
    lab.run_to_end(united.pipeline)
    assert lab.count(united.pipeline.table) == EVENTS * 2 // 3
    # The second one comes, and the process is killed before it has read any of it: it begins at its start all the same.
    united.pipeline.more = whole
    united.pipeline.write()
    life = lab.engine(united.pipeline).run("--until-end", MILLRACE_FAULT="log_begun:1")
    assert life.code == -signal.SIGKILL, life.tail()
    lab.run_to_end(united.pipeline)
    united.assert_exact()
    # Another name for the same topic, in another place of the file: nothing is read twice.
    archive = whole["sources"]["archive"]
    renamed = merged(whole, {"operators": {"all_events": {"union": {"inputs": ["history", "events"]}}}})
    renamed["sources"] = {"history": archive, **{name: one for name, one in whole["sources"].items() if name != "archive"}}
    united.pipeline.more = renamed
    united.pipeline.write()
    united.produce(range(EVENTS, EVENTS + 100), range(EVENTS + 100, EVENTS + 200))
    life = lab.run_to_end(united.pipeline)
    united.assert_exact(range(EVENTS + 200))
    assert "is new" not in life.tail(400)
    # It goes; what comes of it meanwhile isn't read.
    united.pipeline.more = merged(whole, {"sources": {"archive": ...}, "operators": {
        "all_events": ..., "unique_events": {"deduplicate": {"input": "events"}}}})
    united.pipeline.write()
    united.produce(range(EVENTS + 200, EVENTS + 300), range(EVENTS + 300, EVENTS + 400))
    lab.run_to_end(united.pipeline)
    united.assert_exact(range(EVENTS + 300))
    # It comes back, and begins anew at its start: the keys that are remembered keep its old rows out.
    united.pipeline.more = whole
    united.pipeline.write()
    life = lab.run_to_end(united.pipeline)
    assert "source archive is new" in life.tail(400)
    united.assert_exact(range(EVENTS + 400))


def test_records_that_are_lost_are_given_up_of_the_source_that_lost_them(lab, second_broker):
    if not isinstance(second_broker, KafkaBroker):
        pytest.skip("this needs Apache Kafka (KAFKA_SCRIPT), which can delete records")
    united = United(lab, second_broker)
    united.produce(range(500), range(500, 1000))
    lab.run_to_end(united.pipeline)
    united.produce(range(1000, 1100), range(1100, 1300))
    delete_records(Lab(lab.binary, lab.server, second_broker, lab.directory), united.other, 1, 350)
    life = lab.engine(united.pipeline).run("--until-end")
    assert life.code == 4 and f"source archive: topic {united.other}: records have been deleted" in life.tail(), life.tail()
    [option] = [line.split("--accept-loss '")[1].split("'")[0] for line in life.tail().splitlines() if "--accept-loss '" in line][-1:]
    assert option.startswith(f"{united.other}/1:")
    lab.run_to_end(united.pipeline, "--accept-loss", option)
    # Of partition 1 stand the odd numbers, and every fifth twice.
    kept = set(range(1000)) | set(range(1000, 1100)) | {n for n in range(1100, 1300) if n % 2 == 0}
    ids = set(united.ids())
    assert {event(n)["event_id"] for n in kept} <= ids and len(ids) < 1300
    report = lab.verify(united.pipeline)
    assert report["proven"] and [(one["source"], one["partition"]) for one in report["given_up"]] == [("archive", 1)], report


def test_a_dead_letter_names_its_source_and_topic(lab, second_broker):
    united = United(lab, second_broker)
    united.produce(range(10), range(10, 20))
    elsewhere = Lab(lab.binary, lab.server, second_broker, lab.directory)
    elsewhere.produce(united.other, [b"no event"])
    lab.produce(united.topic, [b"nor this"])
    lab.run_to_end(united.pipeline)
    found = {(letter["source"], letter["topic"]) for letter in letters(united.pipeline)}
    assert found == {("events", united.topic), ("archive", united.other)}
    listed = subprocess.run([lab.binary, "dead-letters", "list", united.pipeline.file], capture_output=True, text=True, check=True).stdout
    assert "SOURCE" in listed and "archive" in listed
    united.assert_exact(range(20))


def test_a_new_source_that_decodes_nothing_stops_before_anything_of_it_is_sealed(lab, second_broker):
    united = United(lab, second_broker, fields=FIELDS["26.9"] | {"nowhere": "UInt32"})
    united.pipeline.more = merged(united.pipeline.more, {
        "operators": {"fits": {"select": {"input": "archive", "fields": {name: name for name in FIELDS["26.9"]}}},
                      "all_events": {"union": {"inputs": ["events", "fits"]}}}})
    united.pipeline.write()
    united.fill()
    life = lab.engine(united.pipeline).run("--until-end")
    assert life.code == 3 and f"records of {united.other} can be decoded" in life.tail(), life.tail()
    # Of the other source rows may have been sealed before any record of this one came; of this one nothing is, not as a dead letter either.
    assert letters(united.pipeline) == []
    # The mended file begins with its first record; where the other source's epochs wait for a replay, the old one comes first (R4).
    def write(fields: dict):
        united.pipeline.more["sources"]["archive"]["fields"] = fields
        united.pipeline.write()

    mended = {name: type for name, type in united.pipeline.more["sources"]["archive"]["fields"].items() if name != "nowhere"}
    write(mended)
    life = lab.engine(united.pipeline).run("--until-end")
    if life.code == 4:
        assert "start once with the old file" in life.tail(), life.tail()
        write(mended | {"nowhere": "UInt32"})
        assert lab.engine(united.pipeline).run("--until-end").code == 3
        write(mended)
        life = lab.engine(united.pipeline).run("--until-end")
    assert life.code == 0, life.tail()
    united.assert_exact()


def test_a_new_source_whose_topic_was_wrong_begins_with_the_first_record_of_the_right_one(lab, second_broker):
    united = United(lab, second_broker)
    lab.produce_events(united.topic, range(500))
    united.produce_other(range(500, 1000))
    whole = united.pipeline.more
    alone = merged(whole, {"sources": {"archive": ...}, "operators": {
        "all_events": ..., "unique_events": {"deduplicate": {"input": "events"}}}})
    united.pipeline.more = alone
    united.pipeline.write()
    lab.run_to_end(united.pipeline)
    # A topic of other records, farther on than the right one will be.
    wrong = f"{united.topic}-wrong"
    create_topic(second_broker.address, wrong, 2)
    elsewhere = Lab(lab.binary, lab.server, second_broker, lab.directory)
    for partition in (0, 1):
        elsewhere.produce(wrong, [b"nothing of ours"] * 400, partition)
    united.pipeline.more = merged(whole, {"sources": {"archive": {"topic": wrong, "start": "latest"}}})
    united.pipeline.write()
    life = lab.engine(united.pipeline).run("--until-end", MILLRACE_FAULT="log_begun:1")
    assert life.code == -signal.SIGKILL, life.tail()
    united.pipeline.more = whole
    united.pipeline.write()
    life = lab.run_to_end(united.pipeline)
    assert "is another topic than it was" in life.tail(400)
    united.assert_exact(range(1000))
    # Of one that was read that would be wrong.
    united.pipeline.more = merged(whole, {"sources": {"archive": {"topic": wrong}}})
    united.pipeline.write()
    life = lab.engine(united.pipeline).run("--until-end")
    assert life.code == 4 and "give the source another name" in life.tail(), life.tail()


def test_check_connect_looks_at_every_source_and_state_get_names_the_topic(lab, second_broker):
    united = United(lab, second_broker)
    united.fill()
    done = lab.check(united.pipeline)
    assert done.returncode == 0 and f"topic   {united.topic}: 3 partitions" in done.stdout, done.stdout + done.stderr
    assert f"topic   {united.other}: 2 partitions" in done.stdout
    lab.run_to_end(united.pipeline)
    for number, topic in ((0, united.topic), (EVENTS - 1, united.other)):
        answer = subprocess.run([lab.binary, "state", "get", united.pipeline.file, f"event_id={event(number)['event_id']}", "--json"],
                                capture_output=True, text=True, check=True).stdout
        found = json.loads(answer)
        assert found["known"] and found["topic"] == topic, found
        assert [one["name"] for one in found["as_of"]["sources"]] == ["events", "archive"]


def test_one_topic_by_two_addresses_of_one_cluster_is_refused(lab):
    topic = lab.topic()
    other = lab.broker.address.replace("127.0.0.1", "localhost")
    if other == lab.broker.address:
        pytest.skip("the broker is not at 127.0.0.1")
    pipeline = lab.pipeline(topic, lab.table(), more={
        "sources": {"archive": {"topic": topic, "kafka": {"brokers": other}, "start": "earliest", "format": "json",
                                "fields": FIELDS["26.9"], "on_error": "dead_letter"}},
        "operators": OPERATORS})
    life = lab.engine(pipeline).run("--until-end")
    assert life.code == 3 and "read the same topic" in life.tail(), life.tail()


def test_a_source_that_is_quiet_for_long_holds_back_no_lateness(lab, second_broker):
    """Event time: the archive's first records are old, then it is silent; its partitions become idle, and the watermark goes on."""
    timed = {"event_time": {"field": "created_at", "out_of_orderness": "1s", "idle_after": "1s"}}
    united = United(lab, second_broker, sources={"events": timed, "archive": timed}, operators={
        "unique_events": {"deduplicate": {"allowed_lateness": "5s"}}})
    united.produce(range(0, 1000), range(1000, 1010))
    life = lab.engine(united.pipeline).start()
    lab.until(lambda: lab.count(united.pipeline.table) == 1010, life)
    time.sleep(4)
    # An hour later by the records' own time: the archive has told of no such time, and is idle.
    lab.produce_events(united.topic, range(3_600_000, 3_600_300))
    lab.until(lambda: lab.count(united.pipeline.table) == 1310, life)
    lab.produce_events(united.topic, range(3_600_300, 3_600_600))
    lab.until(lambda: lab.count(united.pipeline.table) == 1610, life)
    # Now its old records are late.
    united.produce_other(range(2000, 2010))
    lab.until(lambda: len(letters(united.pipeline)) == 10 + 2, life)
    assert {letter["reason"] for letter in letters(united.pipeline)} == {"late"}
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    assert lab.verify(united.pipeline)["proven"]
