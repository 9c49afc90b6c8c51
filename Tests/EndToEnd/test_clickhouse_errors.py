"""What ClickHouse can answer and what can be done to the table, the user and the server while the engine runs, on a real 26.9:
the engine waits or stops as the README says, goes on, and the rows are exact."""

import signal
import threading
import time

import pytest

from laboratory import Lab
from moods import MoodyServer
from pipeline import FIELDS, create_table

FIELDS26 = FIELDS["26.9"]
FEW, MORE = 3_000, 6_000
MODES = {"token": 10_000, "readback": 0}
both_modes = pytest.mark.parametrize("window", MODES.values(), ids=MODES.keys())


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    server = MoodyServer(tmp_path_factory.mktemp("moody"))
    server.start()
    # Tables with a uuid, which the default database of this server doesn't give.
    server.client.execute("CREATE DATABASE known ENGINE = Atomic")
    yield server
    server.end()


@pytest.fixture
def sick(millrace, moody, lab_broker, tmp_path):
    """A laboratory over the server that this module may make ill."""
    laboratory = Lab(millrace, moody, lab_broker, tmp_path)
    yield laboratory
    for engine in laboratory.engines:
        engine.end()
    if moody.pid == 0:
        moody.start()


class Trial:
    """A pipeline with FEW events in its table; what happens to it is the test's."""

    def __init__(self, lab, *, database="known", keys=None, **table):
        self.lab, self.topic = lab, lab.topic()
        lab.produce_events(self.topic, range(FEW))
        self.table = lab.table(**table)
        if database != "default":
            name = f"{database}.{self.table.partition('.')[2]}"
            lab.server.client.execute(f"DROP TABLE {self.table}")
            create_table(lab.server, name, **{"window": 10_000, **table})
            self.table = name
        self.pipeline = lab.pipeline(self.topic, self.table, more=sink(**(keys or {})))
        self.engine = lab.engine(self.pipeline)

    def sql(self, statement: str, **settings):
        return self.lab.server.client.execute(statement.format(t=self.table), **settings)

    def start(self, rows: int = FEW):
        self.life = self.engine.start()
        self.lab.until(lambda: self.lab.count(self.table) == rows, self.life)
        time.sleep(1)  # the first batch of a life is counted before it is acked
        return self.life

    def add(self):
        self.lab.produce_events(self.topic, range(FEW, MORE))

    def says(self, *words: str):
        """Waits for a line of the log that has all of these words: a number alone may stand in any line."""
        self.lab.until(lambda: any(all(word in line for word in words) for line in self.said().splitlines()), self.life)

    def said(self) -> str:
        return self.life.log.read_text(errors="replace")

    def stops(self, code: int, *words: str):
        assert self.life.wait(90) == code, self.life.tail()
        for word in words:
            assert word in self.said(), self.life.tail()

    def ends(self, rows: int = MORE):
        """Goes on by itself until all rows are there, ends when asked to, and has nothing left to do."""
        self.ends_running(rows)
        self.runs_to_the_end()

    def ends_running(self, rows: int = MORE):
        self.lab.until(lambda: self.lab.count(self.table) >= rows, self.life, seconds=120)
        self.life.signal(signal.SIGTERM)
        assert self.life.wait(60) == 0, self.life.tail()

    def ends_exact(self, rows: int = MORE):
        self.ends(rows)
        self.lab.assert_exact(self.pipeline, unique=rows)

    def runs_to_the_end(self):
        self.life = self.engine.run("--until-end", seconds=180)
        assert self.life.code == 0, self.life.tail()

    def runs_to_the_end_exact(self, rows: int = MORE):
        """Each row is there once."""
        self.runs_to_the_end()
        self.lab.assert_exact(self.pipeline, unique=rows)


def sink(**keys):
    return {"sinks": {"table": {"clickhouse": keys}}}


# MARK: overload

@both_modes
def test_too_many_parts_are_waited_for(sick, window):
    trial = Trial(sick, window=window)
    trial.start()
    trial.sql("SYSTEM STOP MERGES {t}")
    trial.sql("ALTER TABLE {t} MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1")
    trial.add()
    trial.says("waiting for ClickHouse", "code 252", "Too many parts")
    assert sick.count(trial.table) == FEW
    trial.sql("ALTER TABLE {t} RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
    trial.sql("SYSTEM START MERGES {t}")
    trial.ends_exact()
    assert trial.said().count("waiting for ClickHouse") <= 1


@both_modes
def test_a_memory_limit_is_waited_for(sick, moody, window):
    moody.profile("modest")
    moody.user("modest", profile="modest")
    moody.restart()
    trial = Trial(sick, window=window, keys={"user": "modest"})
    trial.start()
    # Otherwise each thread may take 4 MiB before anyone counts.
    moody.profile("modest", max_memory_usage=20_000, max_untracked_memory=1)
    moody.restart()
    trial.add()
    trial.says("code 241", "emory limit")
    moody.profile("modest")
    moody.restart()
    trial.ends_exact()


def test_verify_says_when_the_server_does_not_tell_which_rows_are_copies(sick, moody):
    moody.profile("modest")
    moody.user("modest", profile="modest")
    moody.restart()
    trial = Trial(sick, keys={"user": "modest"})
    trial.start()
    trial.ends_exact(rows=FEW)
    trial.sql("INSERT INTO {t} SELECT * FROM {t} ORDER BY event_id LIMIT 1")
    # Enough for counts by batch, too few for a batch's rows.
    moody.profile("modest", max_rows_to_group_by=100)
    moody.restart()
    result = sick.verify(trial.pipeline, code=1)
    assert not result["proven"], result
    assert any("can't be told" in reason and "code 158" in reason for reason in result["unproven"]), result["unproven"]
    [finding] = result["findings"]
    assert (finding["kind"], finding["rows"]) == ("extra", 1) and "copy" not in finding["text"], finding


@both_modes
def test_a_quota_that_is_used_up_is_waited_for(sick, moody, window):
    moody.quota("thrifty")
    moody.user("thrifty", quota="thrifty")
    moody.restart()
    trial = Trial(sick, window=window, keys={"user": "thrifty"})
    trial.start()
    moody.quota("thrifty", written_bytes=1)
    moody.restart()
    trial.add()
    trial.says("code 201", "Quota")
    moody.quota("thrifty")
    moody.restart()
    trial.ends_exact()


# MARK: users

def test_a_user_made_read_only_stops_the_engine_and_goes_on_when_it_may_write_again(sick, moody):
    moody.profile("changing")
    moody.user("changing", profile="changing")
    moody.restart()
    trial = Trial(sick, keys={"user": "changing"})
    trial.start()
    moody.profile("changing", readonly=1)
    moody.restart()
    trial.add()
    trial.stops(1, "164", "READONLY")
    moody.profile("changing")
    moody.restart()
    trial.runs_to_the_end_exact()


def test_a_password_changed_while_running_stops_the_engine_and_the_new_one_goes_on(sick, moody):
    moody.user("secretive", password="canary-one")
    moody.restart()
    trial = Trial(sick, keys={"user": "secretive", "password": "canary-one"})
    trial.start()
    moody.user("secretive", password="canary-two")
    moody.restart()
    trial.add()
    trial.stops(1, "516", "secretive")
    assert "canary" not in trial.said()
    wrong = trial.engine.run("--until-end", seconds=90)
    assert wrong.code in (1, 3) and "516" in wrong.tail() and "canary" not in wrong.tail(), wrong.tail()
    trial.pipeline.more = sink(user="secretive", password="canary-two")
    trial.pipeline.write()
    trial.runs_to_the_end_exact()
    assert "canary" not in trial.said()


# MARK: the insert itself

@both_modes
def test_inserts_that_are_killed_by_hand_are_settled(sick, window):
    trial = Trial(sick, window=window)
    trial.start()
    # Inserts of some 100 rows now take a while, so that they can be hit.
    trial.sql("ALTER TABLE {t} ADD COLUMN slow UInt8 MATERIALIZED sleepEachRow(0.002)")
    killed, over = [], threading.Event()

    def kill():
        while not over.is_set():
            found = trial.lab.server.client.execute("KILL QUERY WHERE startsWith(query_id, 'mr-') AND query ILIKE 'INSERT%' ASYNC")
            killed.extend(found.splitlines())
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        sick.produce_events(trial.topic, range(FEW, FEW + 100))
        sick.until(lambda: len(killed) >= 3, trial.life)
    finally:
        over.set()
        killer.join()
    trial.says("waiting for ClickHouse", "code 394")
    trial.sql("ALTER TABLE {t} DROP COLUMN slow")
    trial.add()
    trial.ends_exact()


# `once` ones are spent by what they hit; the others hit until they are disabled. What each does was seen on 26.9.2.1. Of the 367 in
# system.fail_points the 257 that pause nothing were enabled one by one before an INSERT: no others hit one, but for
# http_output_finalize_throw, which over HTTP is spent by the statement that enables it.
FAILPOINTS = {
    "http_push_delayed_results_throw": ("once", {}),  # all rows are in, the answer is 500/710
    "attach_to_group_failure": ("once", {}),  # a thread of the insert can't start: no rows
    "compact_part_writer_fail_in_add_streams": ("regular", {}),  # while a part is written
    "wide_part_writer_fail_in_add_streams": ("regular", {"wide": True}),
}


@both_modes
@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_failpoint_on_the_way_of_an_insert_costs_and_doubles_nothing(sick, name, window):
    kind, options = FAILPOINTS[name]
    trial = Trial(sick, window=window)
    if options:
        trial.sql("ALTER TABLE {t} MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0")
    trial.start()
    # Without wait_end_of_query: with it the answer to this very statement would be what it hits.
    trial.sql(f"SYSTEM ENABLE FAILPOINT {name}", wait_end_of_query=0)
    trial.add()
    if kind == "once":
        # Asking the server whether it was spent may be what spends it.
        trial.says("code 710", "FAULT_INJECTED")
    else:
        trial.says("waiting for ClickHouse", "code 710")
        trial.sql(f"SYSTEM DISABLE FAILPOINT {name}")
    trial.ends_exact()


# MARK: views

def with_refusing_view(trial):
    """A view on the table that was fed once and then takes nothing; events that it refuses are on their way."""
    settings = "non_replicated_deduplication_window = 10000"
    trial.sql(f"CREATE TABLE {{t}}_seen (event_id String) ENGINE = MergeTree ORDER BY event_id SETTINGS {settings}")
    trial.sql("CREATE MATERIALIZED VIEW {t}_view TO {t}_seen AS SELECT event_id FROM {t}")
    trial.start()
    trial.sql("ALTER TABLE {t}_seen ADD CONSTRAINT none CHECK event_id = ''")
    trial.add()


@both_modes
def test_a_view_that_refuses_rows_gets_them_once_it_takes_them(sick, window):
    trial = Trial(sick, window=window)
    with_refusing_view(trial)
    if window:
        trial.says("waiting for ClickHouse", "a view on the table failed", "469")
        assert sick.count(f"{trial.table}_seen") == FEW
        trial.sql("ALTER TABLE {t}_seen DROP CONSTRAINT none")
        # The table has had the rows since the first try.
        sick.until(lambda: sick.count(f"{trial.table}_seen", "uniqExact(event_id)") == MORE, trial.life)
        trial.says("ClickHouse answers again")
        trial.ends_exact()
        assert sick.count(f"{trial.table}_seen", "uniqExact(event_id)") == sick.count(f"{trial.table}_seen") == MORE
    else:
        # Without a token a second try would double the table's rows: what the view lacks is said.
        trial.stops(4, "R7", "a view on", "469")
        trial.sql("ALTER TABLE {t}_seen DROP CONSTRAINT none")
        trial.runs_to_the_end_exact()


def test_a_stop_while_a_view_refuses_a_batch_says_that_the_view_lacks_it(sick):
    trial = Trial(sick)
    with_refusing_view(trial)
    trial.says("waiting for ClickHouse", "a view on the table failed")
    trial.life.signal(signal.SIGTERM)
    trial.stops(4, "R7", "a view on", "Look whether the view has them")
    trial.sql("ALTER TABLE {t}_seen DROP CONSTRAINT none")
    trial.runs_to_the_end_exact()


# MARK: the table

def test_a_table_dropped_while_running_stops_and_its_successor_is_filled_only_when_that_is_accepted(sick):
    trial = Trial(sick)
    trial.start()
    trial.sql("DROP TABLE {t} SYNC")
    trial.add()
    trial.stops(4, "R6", "there is no table")
    create_table(sick.server, trial.table, 10_000)
    life = trial.engine.run("--until-end", seconds=90)
    assert life.code == 4 and "C8" in life.tail(), life.tail()
    assert sick.count(trial.table) == 0
    life = trial.engine.run("--until-end", "--new-lineage", seconds=120)
    assert life.code == 0, life.tail()
    # What was in the dropped table isn't sent again.
    assert sick.count(trial.table) == sick.count(trial.table, "uniqExact(event_id)") == MORE - FEW


def test_a_table_made_anew_while_running_is_told_at_the_next_start(sick):
    trial = Trial(sick)
    trial.start()
    trial.sql("DROP TABLE {t} SYNC")
    create_table(sick.server, trial.table, 10_000)
    trial.add()
    sick.until(lambda: sick.count(trial.table) == MORE - FEW, trial.life)
    trial.life.signal(signal.SIGTERM)
    assert trial.life.wait(60) == 0, trial.life.tail()
    life = trial.engine.run("--until-end", seconds=90)
    assert life.code == 4 and "C8" in life.tail(), life.tail()


def test_a_table_made_anew_with_other_columns_while_running_stops(sick):
    trial = Trial(sick)
    trial.start()
    trial.sql("DROP TABLE {t} SYNC")
    create_table(sick.server, trial.table, 10_000, fields={name: type for name, type in FIELDS26.items() if name != "text"})
    trial.add()
    assert trial.life.wait(90) == 4, trial.life.tail()
    assert "`text`" in trial.life.tail() or "C8" in trial.life.tail(), trial.life.tail()
    assert sick.count(trial.table) == 0


@both_modes
def test_a_column_added_with_a_default_while_running_and_between_runs_is_filled_by_the_server(sick, window):
    trial = Trial(sick, window=window)
    trial.start()
    trial.sql("ALTER TABLE {t} ADD COLUMN country String DEFAULT 'CH'")
    trial.add()
    trial.ends()
    trial.sql("ALTER TABLE {t} ADD COLUMN city String DEFAULT 'Zug'")
    sick.produce_events(trial.topic, range(MORE, MORE + 100))
    trial.runs_to_the_end()
    assert sick.count(trial.table, "countIf(country = 'CH' AND city = 'Zug')") == MORE + 100
    # The proof reads every column from the topic.
    trial.sql("ALTER TABLE {t} DROP COLUMN country, DROP COLUMN city")
    sick.assert_exact(trial.pipeline, unique=MORE + 100)


@both_modes
def test_a_column_added_without_a_default_is_filled_with_its_types_and_told_and_refused_where_the_file_is_strict(sick, window):
    trial = Trial(sick, window=window, keys={"strict_columns": False})
    trial.start()
    trial.sql("ALTER TABLE {t} ADD COLUMN country String")
    trial.add()
    trial.ends_running()
    assert sick.count(trial.table, "countIf(country = '')") == MORE
    sick.produce_events(trial.topic, range(MORE, MORE + 100))
    trial.pipeline.more["sinks"]["table"]["clickhouse"]["strict_columns"] = True
    trial.pipeline.write()
    refused = trial.engine.run("--until-end", seconds=90)
    assert refused.code == 3 and all(word in refused.tail() for word in ("country", "no DEFAULT", "strict_columns")), refused.tail()
    assert sick.count(trial.table) == MORE
    trial.pipeline.more["sinks"]["table"]["clickhouse"]["strict_columns"] = False
    trial.pipeline.write()
    trial.runs_to_the_end()
    assert "column `country`" in trial.said() and "no field and no DEFAULT" in trial.said(), trial.said()
    assert sick.count(trial.table, "countIf(country = '')") == MORE + 100
    # With a DEFAULT, as was told, a strict file takes it too.
    trial.sql("ALTER TABLE {t} MODIFY COLUMN country String DEFAULT ''")
    trial.pipeline.more["sinks"]["table"]["clickhouse"]["strict_columns"] = True
    trial.pipeline.write()
    sick.produce_events(trial.topic, range(MORE + 100, MORE + 200))
    trial.runs_to_the_end()
    assert "no field and no DEFAULT" not in trial.said(), trial.said()
    assert sick.count(trial.table, "countIf(country = '')") == MORE + 200
    trial.sql("ALTER TABLE {t} DROP COLUMN country")
    sick.assert_exact(trial.pipeline, unique=MORE + 200)


@both_modes
@pytest.mark.parametrize("alter, back, column", [
    ("MODIFY COLUMN user_id UInt32", "MODIFY COLUMN user_id UInt64", "user_id"),
    ("MODIFY COLUMN created_at DateTime64(6)", "MODIFY COLUMN created_at DateTime64(3)", "created_at"),
    ("DROP COLUMN name", "ADD COLUMN name String AFTER created_at", "name"),
    ("RENAME COLUMN name TO label", "RENAME COLUMN label TO name", "name"),
], ids=["narrowed", "finer", "dropped", "renamed"])
def test_a_column_altered_while_running_stops_with_its_name_and_goes_on_when_it_is_back(sick, window, alter, back, column):
    trial = Trial(sick, window=window, partition_by="length(text) % 4")
    trial.start()
    trial.sql(f"ALTER TABLE {{t}} {alter}", alter_sync=2)
    trial.add()
    trial.stops(4, "R6", f"`{column}`")
    assert sick.count(trial.table) == FEW
    trial.sql(f"ALTER TABLE {{t}} {back}", alter_sync=2)
    if alter.startswith("DROP"):
        # The rows that were there have lost what was in it.
        trial.life = trial.engine.run("--until-end", seconds=120)
        assert trial.life.code == 0, trial.life.tail()
        assert sick.count(trial.table) == sick.count(trial.table, "uniqExact(event_id)") == MORE
    else:
        trial.runs_to_the_end_exact()


def test_a_column_that_becomes_low_cardinality_while_running_takes_the_same_values(sick):
    trial = Trial(sick)
    trial.start()
    trial.sql("ALTER TABLE {t} MODIFY COLUMN text LowCardinality(String)", alter_sync=2)
    trial.add()
    trial.ends_exact()


def test_a_column_narrowed_between_runs_is_refused_before_anything_is_sent(sick):
    trial = Trial(sick)
    trial.runs_to_the_end_exact(FEW)
    trial.sql("ALTER TABLE {t} MODIFY COLUMN text LowCardinality(String), MODIFY COLUMN amount Decimal(9, 2)")
    trial.add()
    life = trial.engine.run("--until-end", seconds=90)
    assert life.code == 3 and "`amount`" in life.tail() and "Decimal(9, 2)" in life.tail(), life.tail()
    assert sick.count(trial.table) == FEW
    trial.sql("ALTER TABLE {t} MODIFY COLUMN amount Decimal(18, 2)")
    # A LowCardinality takes the same values.
    trial.runs_to_the_end_exact()
