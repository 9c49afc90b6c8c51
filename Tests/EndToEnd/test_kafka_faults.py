"""What can happen to topics and brokers while a pipeline reads them: it waits and goes on exact, or stops and says what is gone."""

import re
import signal
import subprocess
import time

import pytest
from servers import KAFKA_SCRIPT, KafkaBroker, command
from transaction import Transaction

from laboratory import payload

# Minutes of outages, and a Kafka of its own for many.
pytestmark = pytest.mark.long

EVENTS = 6000
FAST = {"checkpoint": {"interval": "500ms"}}


@pytest.fixture
def kafka_lab(lab):
    if not isinstance(lab.broker, KafkaBroker):
        pytest.skip("these need Apache Kafka (KAFKA_SCRIPT)")
    return lab


def tool(lab, name: str, *arguments) -> str:
    return command(KAFKA_SCRIPT, name, "--bootstrap-server", lab.broker.address, *arguments)


def run(lab, pipeline, *options, code=0, seconds=180):
    life = lab.engine(pipeline).run("--until-end", *options, seconds=seconds)
    assert life.code == code, life.tail()
    return life


def said(life, words: str) -> bool:
    return words in life.log.read_text(errors="replace")


def started(lab, pipeline, rows: int, *options):
    life = lab.engine(pipeline).start(*options)
    lab.until(lambda: lab.count(pipeline.table) >= rows, life, 120)
    return life


def delete_records(lab, topic: str, partition: int, before: int):
    """As retention does, and at once."""
    file = lab.directory / "delete.json"
    file.write_text(f'{{"partitions": [{{"topic": "{topic}", "partition": {partition}, "offset": {before}}}], "version": 1}}')
    tool(lab, "delete-records", "--offset-json-file", file)


def recreate(lab, topic: str, partitions: int):
    tool(lab, "topics", "--delete", "--topic", topic)
    for _ in range(100):
        done = subprocess.run([KAFKA_SCRIPT, "topics", "--bootstrap-server", lab.broker.address, "--create", "--topic", topic, "--partitions",
                               str(partitions)], capture_output=True, text=True)
        if done.returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(done.stderr)


@pytest.fixture
def ready(kafka_lab):
    lab = kafka_lab
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    return lab, lab.pipeline(topic, lab.table(), more=FAST)


# MARK: Brokers


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_broker_that_is_away_for_a_minute_is_waited_for_with_one_line_for_each_change(ready, how):
    lab, pipeline = ready
    life = started(lab, pipeline, EVENTS)
    if how == "killed":
        lab.broker.kill()
    else:
        command(KAFKA_SCRIPT, "stop", lab.broker.directory)
    lab.until(lambda: said(life, "waiting for Kafka"), life, 60)
    time.sleep(60)
    assert not life.ended(), life.tail()
    waits = [line for line in life.log.read_text().splitlines() if "waiting for Kafka" in line]
    assert len(waits) <= 3, "\n".join(waits)
    lab.broker.start()
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 1000))
    lab.until(lambda: lab.count(pipeline.table) >= EVENTS + 1000, life, 120)
    lab.until(lambda: said(life, "Kafka answers again"), life, 60)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0
    lab.assert_exact(pipeline, unique=EVENTS + 1000)


def test_a_group_whose_offsets_the_brokers_forgot_goes_on_with_a_warning(ready):
    lab, pipeline = ready
    run(lab, pipeline)
    tool(lab, "groups", "--delete", "--group", f"millrace-{pipeline.name}")
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 1000))
    life = run(lab, pipeline)
    assert said(life, "no witness any more"), life.tail()
    lab.assert_exact(pipeline, unique=EVENTS + 1000)


# MARK: Partitions and topics


def test_partitions_added_while_stopped_are_read_from_their_beginning(ready):
    lab, pipeline = ready
    run(lab, pipeline)
    tool(lab, "topics", "--alter", "--topic", pipeline.topic, "--partitions", "5")
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 1000), partitions=5)
    run(lab, pipeline)
    lab.assert_exact(pipeline, unique=EVENTS + 1000)


def test_partitions_added_while_running_are_read_from_their_beginning(ready):
    lab, pipeline = ready
    life = started(lab, pipeline, EVENTS)
    tool(lab, "topics", "--alter", "--topic", pipeline.topic, "--partitions", "5")
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 1000), partitions=5)
    lab.until(lambda: lab.count(pipeline.table) >= EVENTS + 1000, life, 120)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0
    lab.assert_exact(pipeline, unique=EVENTS + 1000)


@pytest.mark.parametrize("events", [EVENTS // 2, 2 * EVENTS], ids=["shorter", "longer"])
def test_a_topic_made_anew_while_stopped_is_refused_by_name(ready, events):
    lab, pipeline = ready
    run(lab, pipeline)
    recreate(lab, pipeline.topic, 3)
    lab.produce_events(pipeline.topic, range(10_000, 10_000 + events))
    life = run(lab, pipeline, code=4)
    assert pipeline.topic in life.tail() and "made anew" in life.tail(), life.tail()
    assert lab.count(pipeline.table) == EVENTS


def test_a_topic_too_short_for_what_has_to_be_replayed_is_refused_by_name(kafka_lab):
    """No checkpoint has what was read: the log alone knows how far that was."""
    lab = kafka_lab
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    pipeline = lab.pipeline(topic, lab.table(), more={"checkpoint": {"interval": "10m"}})
    life = started(lab, pipeline, EVENTS)
    life.kill()
    recreate(lab, topic, 3)
    lab.produce_events(topic, range(10_000, 10_000 + EVENTS // 2))
    tail = run(lab, pipeline, code=4).tail()
    assert "K4" in tail and topic in tail and "has to be replayed, was read up to" in tail, tail
    assert lab.count(pipeline.table) == EVENTS


def test_a_topic_with_fewer_partitions_than_were_read_is_refused_by_name(ready):
    lab, pipeline = ready
    run(lab, pipeline)
    recreate(lab, pipeline.topic, 2)
    lab.produce_events(pipeline.topic, range(10_000, 10_000 + 2 * EVENTS), partitions=2)
    life = run(lab, pipeline, code=4)
    assert "K8" in life.tail() and pipeline.topic in life.tail() and "2 partitions" in life.tail(), life.tail()
    assert lab.count(pipeline.table) == EVENTS


def test_a_shorter_topic_made_anew_while_running_stops_before_any_of_its_rows(ready):
    lab, pipeline = ready
    life = started(lab, pipeline, EVENTS)
    recreate(lab, pipeline.topic, 3)
    lab.produce_events(pipeline.topic, range(10_000, 10_000 + EVENTS // 2))
    assert life.wait(120) == 4, life.tail()
    assert pipeline.topic in life.tail() and "made anew" in life.tail(), life.tail()
    assert lab.count(pipeline.table) == EVENTS
    assert run(lab, pipeline, code=4)


def test_a_longer_topic_made_anew_while_running_is_found_out_by_a_record_that_was_read_before(ready):
    """Its brokers give it for the old one without a word, so that rows of it may come in until the next checkpoint asks."""
    lab, pipeline = ready
    life = started(lab, pipeline, EVENTS)
    # A checkpoint remembers a record of each partition.
    time.sleep(3)
    recreate(lab, pipeline.topic, 3)
    lab.produce_events(pipeline.topic, range(10_000, 10_000 + 2 * EVENTS))
    assert life.wait(120) == 4, life.tail()
    assert pipeline.topic in life.tail() and "made anew" in life.tail(), life.tail()
    # No checkpoint remembers a record of the new topic, so that no later start takes it for the old one.
    rows = lab.count(pipeline.table)
    for _ in range(2):
        assert "K6" in run(lab, pipeline, code=4).tail()
    assert lab.count(pipeline.table) == rows


def test_a_topic_deleted_while_running_stops_by_name_after_a_checkpoint(ready):
    lab, pipeline = ready
    life = started(lab, pipeline, EVENTS)
    tool(lab, "topics", "--delete", "--topic", pipeline.topic)
    assert life.wait(120) == 4, life.tail()
    assert pipeline.topic in life.tail() and "deleted" in life.tail(), life.tail()
    assert run(lab, pipeline, code=4)


def test_a_topic_that_was_never_there_is_named_with_the_nearest_one(kafka_lab):
    lab = kafka_lab
    topic = lab.topic()
    pipeline = lab.pipeline(topic + "x", lab.table())
    assert f"did you mean {topic}?" in run(lab, pipeline, code=1).tail()
    checked = lab.check(pipeline)
    assert checked.returncode == 1 and f"did you mean {topic}?" in checked.stderr


def test_a_compacted_topic_is_refused_for_exactly_once_and_taken_for_at_least_once(kafka_lab):
    lab = kafka_lab
    topic = lab.topic()
    # A compacted topic takes no records without keys.
    lab.produce_events(topic, range(100))
    tool(lab, "configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "cleanup.policy=compact")
    pipeline = lab.pipeline(topic, lab.table())
    life = run(lab, pipeline, code=3)
    assert "compacted" in life.tail() and "at_least_once" in life.tail(), life.tail()
    assert lab.count(pipeline.table) == 0
    pipeline.more = {"sinks": {"table": {"clickhouse": {"delivery": "at_least_once"}}}}
    pipeline.write()
    run(lab, pipeline)
    assert lab.count(pipeline.table, "uniqExact(event_id)") == 100


# MARK: Records that are gone


def lost(life) -> list[str]:
    """The options that the stop's message names."""
    text = life.log.read_text(errors="replace")
    assert "K3" in text, text
    found = re.findall(r"--accept-loss '([^']*)'", text)
    assert found, text
    return [word for value in found for word in ("--accept-loss", value)]


def test_records_deleted_while_stopped_are_named_and_only_exactly_they_can_be_given_up(ready):
    lab, pipeline = ready
    run(lab, pipeline)
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 3000))
    bounds = tool(lab, "get-offsets", "--topic", f"^{pipeline.topic}$").split()
    end = {int(line.split(":")[1]): int(line.split(":")[2]) for line in bounds}
    before = int(EVENTS // 3 * 1.2)
    delete_records(lab, pipeline.topic, 0, end[0] - 500)
    life = run(lab, pipeline, code=4)
    assert f"partition 0: offsets {before} to {end[0] - 501}" in life.tail(), life.tail()
    options = lost(life)
    assert options == ["--accept-loss", f"{pipeline.topic}/0:{before}-{end[0] - 501}"]
    # Neither less nor more is taken, nor another partition.
    for wrong in (f"{before}-{end[0] - 502}", f"{before + 1}-{end[0] - 501}", f"{before}-{end[0]}"):
        run(lab, pipeline, "--accept-loss", f"{pipeline.topic}/0:{wrong}", code=4)
    run(lab, pipeline, "--accept-loss", f"{pipeline.topic}/1:{before}-{end[0] - 501}", code=4)
    assert lab.count(pipeline.table) == EVENTS
    life = run(lab, pipeline, *options)
    assert said(life, "is given up")
    # What the topic still has: each key once, beside the rows of what was read before.
    kept = set(range(EVENTS)) | kept_numbers(lab, pipeline)
    assert rows(lab, pipeline) == sorted(kept)
    # What was given up is no gap in what is proven.
    assert lab.verify(pipeline)["proven"]
    # The option does no harm where it stays.
    life = run(lab, pipeline, *options)
    assert said(life, "does nothing") and rows(lab, pipeline) == sorted(kept)


def kept_numbers(lab, pipeline) -> set[int]:
    out = subprocess.run(["kcat", "-C", "-e", "-q", "-b", lab.broker.address, "-t", pipeline.topic, "-o", "beginning", "-f", "%s\n"],
                         capture_output=True, text=True, check=True).stdout
    return {int(found[1], 16) for found in re.finditer(r'"event_id":"[^"]*-([0-9a-f]{12})"', out)}


def rows(lab, pipeline) -> list[int]:
    found = lab.server.client.rows(f"SELECT event_id FROM {pipeline.table} ORDER BY event_id")
    return [int(row["event_id"].rpartition("-")[2], 16) for row in found]


def test_records_deleted_before_a_slow_pipeline_has_read_them_stop_it_after_a_checkpoint(ready):
    """ClickHouse is down, so that the source waits; meanwhile retention takes what is unread."""
    lab, pipeline = ready
    pipeline.more = FAST | {"log": {"unacked_max": "16MiB"}, "prefetch": "1MiB", "epoch": {"max_rows": 500},
                            "sinks": {"table": {"clickhouse": {"batch": {"max_rows": 1000, "max_delay": "50ms"}}}}}
    pipeline.write()
    life = started(lab, pipeline, EVENTS)
    life.signal(signal.SIGSTOP)
    lab.produce(pipeline.topic, [payload(n) for n in range(EVENTS, EVENTS + 40_000)])
    end = EVENTS // 3 * 1.2 + 40_000
    delete_records(lab, pipeline.topic, 0, int(end) - 100)
    life.signal(signal.SIGCONT)
    assert life.wait(120) == 4, life.tail()
    assert lab.count(pipeline.table) >= EVENTS
    life = run(lab, pipeline, code=4)
    assert "forgotten" not in life.log.read_text()
    life = run(lab, pipeline, *lost(life))
    assert "are forgotten" not in life.log.read_text(), life.tail()
    assert rows(lab, pipeline)[-100:] == list(range(EVENTS + 39_900, EVENTS + 40_000))
    assert lab.count(pipeline.table) == lab.count(pipeline.table, "uniqExact(event_id)")


def test_a_loss_that_reaches_into_what_must_be_replayed_is_accepted_too(ready):
    """Killed before a checkpoint, then left for longer than retention: what was sealed is sent as it is, and no row comes twice."""
    lab, pipeline = ready
    pipeline.more = {"checkpoint": {"interval": "10m"}}
    pipeline.write()
    life = started(lab, pipeline, EVENTS)
    life.kill()
    lab.produce_events(pipeline.topic, range(EVENTS, EVENTS + 3000))
    for partition in range(3):
        delete_records(lab, pipeline.topic, partition, int(EVENTS // 3 * 1.2) + 10)
    life = run(lab, pipeline, code=4)
    options = lost(life)
    assert len(options) == 6 and f"{pipeline.topic}/0:0-" in options[1], options
    life = lab.engine(pipeline).start(*options)
    lab.until(lambda: set(rows(lab, pipeline)) >= kept_numbers(lab, pipeline), life, 120)
    assert said(life, "are forgotten"), life.tail()
    # Killed again before a checkpoint: the gap is in the log, and needs no option any more.
    life.kill()
    run(lab, pipeline)
    found = rows(lab, pipeline)
    assert found == sorted(set(range(EVENTS)) | kept_numbers(lab, pipeline))


# MARK: Transactions


def test_records_of_aborted_transactions_are_no_rows_and_an_open_one_holds_those_behind_it_back(kafka_lab):
    lab = kafka_lab
    topic = lab.topic(1)
    lab.produce(topic, [payload(n) for n in range(100)])
    for first in range(1000, 2500, 500):
        with Transaction(lab.broker.address, topic, [payload(n) for n in range(first, first + 500)]) as transaction:
            transaction.abort()
    with Transaction(lab.broker.address, topic, [payload(n) for n in range(20_000, 50_000)]) as transaction:
        transaction.abort()
    lab.produce(topic, [payload(n) for n in range(100, 200)])
    pipeline = lab.pipeline(topic, lab.table(), more=FAST)
    life = started(lab, pipeline, 200)
    with Transaction(lab.broker.address, topic, [payload(n) for n in range(300, 400)]):
        lab.produce(topic, [payload(n) for n in range(200, 300)])
        lab.until(lambda: said(life, "LSO stuck"), life, 120)
        assert lab.count(pipeline.table) == 200
    lab.until(lambda: lab.count(pipeline.table) >= 400, life, 60)
    assert rows(lab, pipeline) == list(range(400))


# MARK: Addresses and sizes


@pytest.mark.parametrize("brokers", ["127.0.0.1:1", "no-such-host.invalid:9092"], ids=["wrong port", "wrong host"])
def test_brokers_that_are_not_there_are_waited_for_and_named(kafka_lab, brokers):
    lab = kafka_lab
    pipeline = lab.pipeline(lab.topic(), lab.table(), more={"kafka": {"brokers": brokers, "properties": {"security.protocol": "plaintext"}}})
    life = lab.engine(pipeline).start()
    lab.until(lambda: said(life, "waiting for Kafka"), life, 60)
    assert brokers.split(":")[0] in life.log.read_text(), life.tail()
    time.sleep(12)
    assert not life.ended() and life.log.read_text().count("waiting for Kafka") <= 3, life.tail()
    checked = lab.check(pipeline)
    assert checked.returncode == 1 and brokers.split(":")[0] in checked.stderr, checked.stderr


def test_records_of_ten_megabytes_come_through(kafka_lab):
    lab = kafka_lab
    topic = lab.topic(1)
    tool(lab, "configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "max.message.bytes=20000000")
    big = [payload(n, text=str(n) * (10_000_000 // len(str(n)))) for n in (10, 11, 12)]
    subprocess.run(["kcat", "-P", "-b", lab.broker.address, "-t", topic, "-p", "0", "-X", "message.max.bytes=20000000", "-X",
                    "compression.codec=none"], input=b"".join(line + b"\n" for line in [payload(1), *big, payload(2)]), check=True)
    pipeline = lab.pipeline(topic, lab.table(), more={"kafka": {"properties": {"fetch.message.max.bytes": 1000}}})
    run(lab, pipeline)
    found = lab.server.client.rows(f"SELECT event_id, length(text) AS n FROM {pipeline.table} ORDER BY event_id")
    assert sorted(int(row["n"]) for row in found)[-3:] == [10_000_000] * 3 and len(found) == 5
