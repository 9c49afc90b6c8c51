"""A state directory of an earlier release, killed in mid-flight: this one goes on from it exactly (protocol R4)."""

import base64
import json
import shutil
import subprocess
import time

import pytest

import earlier
from engine import Engine
from pipeline import yaml

HOUR = 3_600_000


@pytest.fixture(scope="module")
def broker(kafka_script, tmp_path_factory):
    """A Kafka with the topic, made once and killed: its address, its directory, and a copy of its data for each test to begin with."""
    unpacked, copy = tmp_path_factory.mktemp("earlier"), tmp_path_factory.mktemp("earlier-data") / "data"
    earlier.unpack(earlier.FIXTURES / "state-0.1.tar.xz", unpacked)
    fixture = json.loads((unpacked / "fixture.json").read_text())
    address, directory = earlier.start_kafka(kafka_script, lambda: tmp_path_factory.mktemp("earlier-kafka"), fixture["cluster_id"])
    try:
        earlier.create_topic(kafka_script, address)
        earlier.produce(address, fixture["records"])
    finally:
        subprocess.run([kafka_script, "kill", directory], check=True)
    shutil.copytree(directory / "data", copy)
    return address, directory, copy


@pytest.fixture
def place(kafka_script, broker, lab_server, tmp_path, monkeypatch):
    """The directory as it was left, with the topic and the table that belong to it."""
    earlier.unpack(earlier.FIXTURES / "state-0.1.tar.xz", tmp_path)
    fixture = json.loads((tmp_path / "fixture.json").read_text())
    address, directory, data = broker
    shutil.rmtree(directory / "data")
    shutil.copytree(data, directory / "data")
    subprocess.run([kafka_script, "start", directory], check=True, capture_output=True)
    try:
        earlier.create_table(lab_server)
        lines = "\n".join(map(json.dumps, fixture["table"]))
        lab_server.client.execute(f"INSERT INTO {earlier.TABLE} FORMAT JSONEachRow", lines.encode())
        monkeypatch.setenv("EARLIER_BROKERS", address)
        monkeypatch.setenv("EARLIER_URL", lab_server.url)
        write(tmp_path, earlier.PIPELINE)
        yield tmp_path, fixture, address
    finally:
        lab_server.client.execute(f"DROP TABLE IF EXISTS {earlier.TABLE} SYNC")
        subprocess.run([kafka_script, "kill", directory], check=True)


def write(directory, pipeline):
    (directory / "pipeline.yaml").write_text("\n".join(yaml(pipeline)) + "\n")


def rows(server):
    return earlier.rows(server, ", ".join(earlier.COLUMNS))


def record(n, key, at, timestamp=None, partition=0):
    event = {"n": n, "id": key, "at": at, "amount": 1}
    return {"partition": partition, "timestamp": timestamp or at, "value": base64.b64encode(json.dumps(event).encode()).decode()}


def test_epochs_of_the_release_before_go_on_by_its_rules_and_what_comes_after_them_by_today_s(millrace, lab_server, place):
    directory, fixture, address = place
    engine = Engine(millrace, directory / "pipeline.yaml", directory / "logs")
    life = engine.run("--until-end")
    assert life.code == 0, life.tail()
    assert "were recorded by an older release (replay version 2)" in life.log.read_text()
    assert life.recovery.intents_replayed > 40 and life.recovery.unacked_batches > 5
    # What the older release itself made of it.
    assert rows(lab_server) == fixture["rows"]
    assert earlier.dead_letters(directory / "dead-letters") == fixture["dead_letters"]
    assert [row["n"] for row in fixture["rows"] if row["id"] is None] == [22]

    # Behind them: two without a key, and one whose producer's clock is 8 hours ahead, in the record's timestamp too.
    pipeline = earlier.PIPELINE | {"sources": {"events": earlier.PIPELINE["sources"]["events"] | {"fields": earlier.FIELDS | {
        "at": {"type": "DateTime64(3)", "format": "unix_ms"}}}}}
    write(directory, pipeline)
    now = max(time.time_ns() // 1_000_000, earlier.RECORDED_AT)
    earlier.produce(address, [record(1000, None, now), record(1001, None, now), record(1002, "fast", now + 8 * HOUR),
                              record(1003, "k0", now), record(1004, "k0", now)])
    life = engine.run("--until-end")
    assert life.code == 0, life.tail()
    new = [row for row in rows(lab_server) if row["n"] >= 1000]
    assert [(row["n"], row["id"]) for row in new] == [(1000, None), (1001, None), (1003, "k0")]
    letters = earlier.dead_letters(directory / "dead-letters")
    assert [letter["reason"] for letter in letters if letter not in fixture["dead_letters"]] == ["ahead_of_clock"]
    proof = subprocess.run([millrace, "verify", "pipeline.yaml"], cwd=directory, capture_output=True, text=True)
    assert proof.returncode == 0 and "2 of them without a key" in proof.stdout, proof.stdout + proof.stderr


def test_a_file_that_was_changed_as_well_stops_and_the_old_one_goes_on(millrace, lab_server, place):
    directory, fixture, _ = place
    event_time = {"field": "at", "out_of_orderness": "6s"}
    changed = earlier.PIPELINE | {"sources": {"events": earlier.PIPELINE["sources"]["events"] | {"event_time": event_time}}}
    write(directory, changed)
    engine = Engine(millrace, directory / "pipeline.yaml", directory / "logs")
    assert engine.run("--until-end").code == 4
    assert "R4" in engine.lives[-1].log.read_text()
    # What only today's release knows changes nothing of what was recorded.
    unique = {"deduplicate": earlier.PIPELINE["operators"]["unique"]["deduplicate"] | {"null_keys": "equal"}}
    write(directory, earlier.PIPELINE | {"operators": {"unique": unique}})
    life = engine.run("--until-end")
    assert life.code == 0, life.tail()
    assert rows(lab_server) == fixture["rows"]


def test_killed_again_amid_the_replay_and_behind_it(millrace, lab_server, place):
    directory, fixture, address = place
    engine = Engine(millrace, directory / "pipeline.yaml", directory / "logs")
    life = engine.run(MILLRACE_FAULT="amid_replay:20")
    assert life.code == -9, life.tail()
    life = engine.start()
    deadline = time.monotonic() + 60
    while "live from epoch" not in life.log.read_text():
        assert time.monotonic() < deadline and not life.ended(), life.tail()
        time.sleep(0.05)
    # Epochs of both rules are behind the same checkpoint.
    now = fixture["records"][-1]["timestamp"] + 10 * HOUR
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
    earlier.produce(address, [{**record(n, None, now), "value": base64.b64encode(json.dumps(
        {"n": n, "id": None, "at": stamp, "amount": 1}).encode()).decode()} for n in (1000, 1001)])
    while not any(row["n"] == 1001 for row in rows(lab_server)):
        assert time.monotonic() < deadline and not life.ended(), life.tail()
        time.sleep(0.05)
    life.kill()
    life = engine.run("--until-end")
    assert life.code == 0, life.tail()
    assert life.recovery.intents_replayed > 54
    found = rows(lab_server)
    assert [row for row in found if row["n"] < 1000] == fixture["rows"]
    assert [row["n"] for row in found if row["n"] >= 1000] == [1000, 1001]
