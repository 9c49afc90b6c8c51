"""What a start finds after a crash, an outage, or someone's hands in the state directory: exact rows, or a stop that says why."""

import shutil
import signal
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from laboratory import manifests, segments
from proxy import Proxy

EVENTS = 30_000
MORE = 40_000  # with those that come while ClickHouse is down
FAST = {"checkpoint": {"interval": "300ms"}}


@pytest.fixture
def ready(lab):
    """A topic of EVENTS events, their table, and a pipeline with frequent checkpoints."""
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    return lab.pipeline(topic, lab.table(), more=FAST)


def test_a_topic_with_duplicates_becomes_a_table_with_each_key_once(lab, ready):
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)


def test_a_second_run_to_the_end_inserts_nothing_more_and_one_after_new_events_only_those(lab, ready):
    lab.run_to_end(ready)
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)
    lab.produce_events(ready.topic, range(EVENTS - 1000, EVENTS + 1000))
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS + 1000)


def test_a_burnt_token_is_healed(lab, ready):
    """The server knows the token and has lost the rows, as one killed between its deduplication log and the part's rename."""
    engine = lab.engine(ready)
    life = engine.run("--until-end", MILLRACE_FAULT="after_insert_before_ack:1")
    assert life.code == -signal.SIGKILL, f"the fault point did not end the engine: {life.code}\n{life.tail()}"
    assert lab.count(ready.table) > 0
    lab.server.client.execute(f"ALTER TABLE {ready.table} DELETE WHERE 1", mutations_sync=2)
    assert lab.count(ready.table) == 0
    lab.server.sample_duplicates()
    before = lab.server.duplicates
    life = engine.run("--until-end", seconds=180)
    assert life.code == 0, life.tail()
    assert life.recovery and life.recovery.unacked_batches > 0
    lab.server.sample_duplicates()
    assert lab.server.duplicates > before, "the token was not burnt: the server took the batch again"
    lab.assert_exact(ready, unique=EVENTS)


def test_an_insert_whose_ack_was_lost_is_not_repeated(lab, ready):
    engine = lab.engine(ready)
    assert engine.run("--until-end", MILLRACE_FAULT="after_insert_before_ack:1").code == -signal.SIGKILL
    assert lab.count(ready.table) > 0
    assert engine.run("--until-end", seconds=180).code == 0
    lab.assert_exact(ready, unique=EVENTS)


class Shared:
    """A table with a window of a hundred entries into which somebody else writes too, and a pipeline of three batches for it."""

    EVENTS, OTHERS = 300, 150

    def __init__(self, lab, reserve):
        self.lab, self.table, topic = lab, lab.table(window=100, partition_by="tuple()"), lab.topic(1)
        lab.produce_events(topic, range(self.EVENTS), 1)
        self.pipeline = lab.pipeline(topic, self.table, more={
            "sinks": {"table": {"clickhouse": {"window_reserve": reserve, "batch": {"max_rows": 100}}}}})

    def through(self, url: str):
        self.pipeline.url = url
        self.pipeline.write()

    def others_write(self):
        """More INSERTs than the window has entries, one row each."""
        for number in range(self.OTHERS):
            self.lab.server.client.execute(f"INSERT INTO {self.table} (event_id) FORMAT TabSeparated", f"other-{number}\n".encode())

    def assert_exact(self, life):
        """`verify` tells the others' rows, and the proof holds without them."""
        assert life.code == 0, life.tail()
        assert "token + provenance" in life.log.read_text(errors="replace"), life.tail()
        done = subprocess.run([self.lab.binary, "verify", self.pipeline.file], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "missing 0, extra 0, double 0" in done.stdout, done.stdout + done.stderr
        assert f"; {self.OTHERS} rows of other writers" in done.stdout, done.stdout
        assert self.lab.count(self.table) == self.EVENTS + self.OTHERS
        self.lab.server.client.execute(f"ALTER TABLE {self.table} DELETE WHERE _millrace_batch = ''", mutations_sync=2)
        self.lab.assert_exact(self.pipeline, unique=self.EVENTS)


RESERVES = pytest.mark.parametrize("reserve", ["auto", 80, "unlimited"])


@RESERVES
def test_other_writers_that_use_the_window_up_after_a_kill_double_nothing(lab, reserve):
    """The token of the batch in doubt is no longer in the window: sent again, it would be taken again."""
    shared = Shared(lab, reserve)
    engine = lab.engine(shared.pipeline)
    life = engine.run("--until-end", MILLRACE_FAULT="after_insert_before_ack:1")
    assert life.code == -signal.SIGKILL, f"the fault point did not end the engine: {life.code}\n{life.tail()}"
    assert lab.count(shared.table) > 0
    shared.others_write()
    life = engine.run("--until-end", seconds=180)
    assert life.found_batches() > 0, life.tail()
    shared.assert_exact(life)


@RESERVES
def test_other_writers_that_use_the_window_up_while_an_answer_is_lost_double_nothing(lab, reserve):
    shared, attempts = Shared(lab, reserve), []

    def is_lost(target: str) -> bool:
        asked = parse_qs(urlsplit(target).query)
        if not asked.get("query", [""])[0].startswith("INSERT"):
            return False
        attempts.append(asked["query_id"][0])
        if len(attempts) > 1:
            return False
        shared.others_write()
        return True

    with Proxy(lab.server.url, is_lost=is_lost) as proxy:
        shared.through(proxy.url)
        life = lab.engine(shared.pipeline).run("--until-end", seconds=180)
        assert proxy.lost == 1 and len(attempts) == len(set(attempts)) > 1, attempts
        shared.assert_exact(life)


def clickhouse_down(lab, pipeline):
    """Starts the engine, kills ClickHouse once rows have come, and adds events; the engine and its life."""
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(lambda: lab.count(pipeline.table) > 0, life)
    lab.server.kill()
    lab.produce_events(pipeline.topic, range(EVENTS, MORE))
    return engine, life


def published(pipeline, seen: set) -> set:
    """The checkpoints ever seen, with those there now; older ones are deleted meanwhile."""
    for path in manifests(pipeline):
        seen.add(path)
    return seen


def killed_with_work(lab, pipeline, checkpoints=1):
    """Kills the engine after so many checkpoints without ClickHouse, while batches wait in the log; the server is up again after."""
    engine, life = clickhouse_down(lab, pipeline)
    seen = set(manifests(pipeline))
    before, number = len(seen), MORE
    while len(published(pipeline, seen)) < before + checkpoints:
        # An engine with nothing to do may take none.
        lab.produce_events(pipeline.topic, range(number - 100, number))
        assert not life.ended(), life.tail()
        time.sleep(0.1)
        assert time.monotonic() - life.began < 60, f"no {checkpoints} checkpoints while ClickHouse was down:\n{life.tail()}"
    life.kill()
    lab.server.start()
    return engine


def test_an_outage_of_clickhouse_over_three_checkpoints_and_a_kill_loses_and_doubles_nothing(lab, ready):
    engine = killed_with_work(lab, ready, checkpoints=3)
    life = engine.run("--until-end", seconds=180)
    assert life.code == 0, life.tail()
    assert life.recovery.unacked_batches > 0
    lab.assert_exact(ready, unique=MORE)


def test_an_engine_started_while_clickhouse_is_down_waits_for_it(lab, ready):
    lab.server.kill()
    life = lab.engine(ready).start("--until-end")
    time.sleep(3)
    assert not life.ended(), life.tail()
    lab.server.start()
    assert life.wait(180) == 0, life.tail()
    lab.assert_exact(ready, unique=EVENTS)


def test_sigterm_ends_without_waiting_for_clickhouse_and_nothing_is_lost(lab, ready):
    _, life = clickhouse_down(lab, ready)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    lab.server.start()
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=MORE)


def test_a_second_instance_is_refused_while_the_first_lives(lab, ready):
    first = lab.engine(ready).start()
    lab.until(first.look, first)
    life = lab.engine(ready).run("--until-end", seconds=60)
    assert life.code == 5 and str(first.process.pid) in life.tail(), life.tail()
    first.signal(signal.SIGTERM)
    assert first.wait(60) == 0
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)


def test_a_lock_does_not_outlive_a_kill(lab, ready):
    engine = lab.engine(ready)
    for _ in range(3):
        life = engine.start()
        lab.until(life.look, life)
        life.kill()
    assert engine.run("--until-end", seconds=180).code == 0
    lab.assert_exact(ready, unique=EVENTS)


def test_a_state_directory_put_back_from_an_earlier_copy_is_refused_and_leaves_the_table_alone(lab, ready):
    lab.run_to_end(ready)
    copy = ready.directory / "copy"
    shutil.copytree(ready.state, copy)
    lab.produce_events(ready.topic, range(EVENTS, EVENTS + 5000))
    lab.run_to_end(ready)
    shutil.rmtree(ready.state)
    shutil.copytree(copy, ready.state)
    life = lab.run_to_end(ready, code=4)
    assert "--new-lineage" in life.tail()
    lab.assert_exact(ready, unique=EVENTS + 5000)


def test_a_deleted_state_directory_is_refused_and_a_new_lineage_goes_on(lab, ready):
    lab.run_to_end(ready)
    shutil.rmtree(ready.state)
    life = lab.run_to_end(ready, code=4)
    assert "--new-lineage" in life.tail()
    lab.assert_exact(ready, unique=EVENTS)
    lab.produce_events(ready.topic, range(EVENTS, EVENTS + 1000))
    lab.run_to_end(ready, "--new-lineage")
    # From the start of the topic under new tokens: what it had told before, rows of the old lineage are doubled, none is lost.
    assert lab.count(ready.table, "uniqExact(event_id)") == EVENTS + 1000
    assert lab.count(ready.table) == 2 * EVENTS + 1000
    lab.run_to_end(ready)
    assert lab.count(ready.table) == 2 * EVENTS + 1000


def test_bytes_after_the_end_of_the_log_are_dropped(lab, ready):
    engine = killed_with_work(lab, ready)
    with segments(ready)[-1].open("ab") as log:
        log.write(bytes(range(256)) * 3)
    life = engine.run("--until-end", seconds=180)
    assert life.code == 0, life.tail()
    lab.assert_exact(ready, unique=MORE)


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_log_whose_tail_is_cut_off_gives_exact_rows_or_stops(lab, ready, cut):
    # Cut inside what was durable and vouched for, the engine must stop; inside what wasn't, it makes the rows anew.
    engine = killed_with_work(lab, ready)
    segment = segments(ready)[-1]
    with segment.open("r+b") as log:
        log.truncate(max(0, segment.stat().st_size - cut))
    life = engine.run("--until-end", seconds=180)
    assert life.code in (0, 4), life.tail()
    if life.code == 0:
        lab.assert_exact(ready, unique=MORE)
    else:
        result = lab.proof(ready)
        assert (result["extra"], result["double"]) == (0, 0)


def test_a_checkpoint_beyond_the_end_of_the_log_is_refused_and_a_new_lineage_goes_on_from_the_one_before(lab, ready):
    lab.run_to_end(ready)
    copy = ready.directory / "log"
    shutil.copytree(ready.state / "log", copy)
    lab.produce_events(ready.topic, range(EVENTS, EVENTS + 5000))
    lab.run_to_end(ready)
    shutil.rmtree(ready.state / "log")
    shutil.copytree(copy, ready.state / "log")
    life = lab.run_to_end(ready, code=4)
    assert "R17" in life.tail() and "--new-lineage" in life.tail()
    lab.assert_exact(ready, unique=EVENTS + 5000)
    lab.run_to_end(ready, "--new-lineage")
    # What came after the older checkpoint is there again under a new token, as was told; nothing is lost, and nothing before it doubled.
    assert lab.count(ready.table, "uniqExact(event_id)") == EVENTS + 5000
    assert lab.count(ready.table) == EVENTS + 2 * 5000
    lab.produce_events(ready.topic, range(EVENTS + 5000, EVENTS + 6000))
    lab.run_to_end(ready)
    assert lab.count(ready.table) == EVENTS + 2 * 5000 + 1000


def test_a_corrupt_newest_manifest_falls_back_to_the_one_before(lab, ready):
    engine = killed_with_work(lab, ready)
    assert len(manifests(ready)) > 1
    newest = manifests(ready)[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 0x40]) + whole[len(whole) // 2 + 1:])
    life = engine.run("--until-end", seconds=180)
    assert life.code == 0, life.tail()
    assert f"{newest.parent.name} does not verify" in life.log.read_text(errors="replace"), life.tail()
    lab.assert_exact(ready, unique=MORE)


def test_a_corrupt_newest_manifest_is_replaced_when_recovery_comes_to_its_epoch_again(lab, ready):
    lab.run_to_end(ready)
    newest = manifests(ready)[-1]
    newest.write_bytes(bytes(100))
    lab.run_to_end(ready)
    assert newest.read_bytes() != bytes(100)
    assert "does not verify" not in lab.run_to_end(ready).log.read_text(errors="replace")
    lab.assert_exact(ready, unique=EVENTS)


def test_state_without_any_whole_manifest_is_refused_and_never_taken_for_empty(lab, ready):
    lab.run_to_end(ready)
    assert manifests(ready)
    for path in manifests(ready):
        path.write_bytes(b"\0" * path.stat().st_size)
    lab.run_to_end(ready, code=4)
    lab.assert_exact(ready, unique=EVENTS)


def test_a_run_waits_for_a_broker_that_is_down(lab, ready):
    engine = lab.engine(ready)
    life = engine.start()
    lab.until(life.look, life)
    lab.broker.kill()
    life.kill()
    life = engine.start("--until-end")
    lab.broker.start()
    assert life.wait(180) == 0, life.tail()
    lab.assert_exact(ready, unique=EVENTS)
