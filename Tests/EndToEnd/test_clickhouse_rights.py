"""The rights that README lists are those that are needed: with exactly these a pipeline runs, through doubts too, in each mode; each one
that is missing is named with the GRANT that gives it."""

import signal

import pytest

from laboratory import Lab
from moods import MoodyServer
from test_clickhouse_errors import Trial, both_modes, sink

EVENTS = 3_000
DATABASE = "granted"
# As README has them, for user `narrow` and every table of the database.
RIGHTS = {
    "insert": "GRANT INSERT ON {table} TO narrow",
    "rows": "GRANT SELECT ON {table} TO narrow",
    "processes": "GRANT SELECT ON system.processes TO narrow",
    "settings": "GRANT SELECT ON system.merge_tree_settings TO narrow",
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    server = MoodyServer(tmp_path_factory.mktemp("strict"))
    server.start()
    server.client.execute(f"CREATE DATABASE {DATABASE} ENGINE = Atomic")
    yield server
    server.end()


@pytest.fixture
def guarded(millrace, strict, lab_broker, tmp_path):
    laboratory = Lab(millrace, strict, lab_broker, tmp_path)
    yield laboratory
    for engine in laboratory.engines:
        engine.end()


def give(server, table: str, *without: str, columns: str = ""):
    """The server's user `narrow` gets all of RIGHTS save these; reading only of `columns` where some are given."""
    grants = [grant.format(table=table).removesuffix(" TO narrow") for name, grant in RIGHTS.items() if name not in without]
    grants = [grant.replace("SELECT ON " + table, f"SELECT{columns} ON {table}") for grant in grants]
    server.user("narrow", password="narrow", grants=grants)
    server.restart()


def narrow_trial(lab, **more) -> Trial:
    trial = Trial(lab, database=DATABASE, keys={"user": "narrow", "password": "narrow"}, **more)
    give(lab.server, trial.table)
    return trial


@both_modes
@pytest.mark.parametrize("columns", ["", "(_millrace_batch, user_id)"], ids=["table", "columns"])
def test_exactly_the_listed_rights_run_a_pipeline_through_doubts(guarded, window, columns):
    trial = narrow_trial(guarded, window=window)
    give(guarded.server, trial.table, columns=columns)
    life = trial.engine.run("--until-end", MILLRACE_FAULT="after_insert_before_ack:1")
    assert life.code == -signal.SIGKILL, life.tail()
    # The rows are lost though the token is known: counted, and filled in by a guarded insert.
    trial.sql("ALTER TABLE {t} DELETE WHERE 1", mutations_sync=2)
    life = trial.engine.run("--until-end", seconds=180)
    assert life.code == 0 and life.recovery.unacked_batches > 0, life.tail()
    guarded.assert_exact(trial.pipeline, unique=EVENTS)


def test_at_least_once_runs_with_the_listed_rights(guarded):
    trial = narrow_trial(guarded)
    trial.pipeline.more = sink(user="narrow", password="narrow", delivery="at_least_once")
    trial.pipeline.write()
    trial.runs_to_the_end_exact(EVENTS)


@pytest.mark.parametrize("name", RIGHTS)
def test_each_right_that_is_missing_is_named_with_its_grant(guarded, name):
    trial = narrow_trial(guarded)
    give(guarded.server, trial.table, name)
    wanted = RIGHTS[name].format(table="`" + trial.table.replace(".", "`.`") + "`").replace("TO narrow", "TO `narrow`")
    done = guarded.check(trial.pipeline)
    assert done.returncode == 3 and wanted in done.stdout + done.stderr, done.stdout + done.stderr
    life = trial.engine.run("--until-end", seconds=90)
    assert life.code == 3 and wanted in life.tail(), life.tail()
    assert guarded.count(trial.table) == 0
    # The printed statement is what was missing.
    give(guarded.server, trial.table)
    trial.runs_to_the_end_exact(EVENTS)


def test_all_missing_rights_are_named_at_once(guarded):
    trial = narrow_trial(guarded)
    give(guarded.server, trial.table, "processes", "settings")
    life = trial.engine.run("--until-end", seconds=90)
    assert life.code == 3 and life.tail().count("GRANT SELECT ON system.") == 2, life.tail()


@pytest.mark.parametrize("name, grant", [("insert", "GRANT INSERT"), ("rows", "GRANT SELECT")])
def test_a_right_that_is_lost_while_running_stops_with_the_grant(guarded, name, grant):
    trial = narrow_trial(guarded, window=0)
    trial.start()
    give(guarded.server, trial.table, name)
    trial.add()
    if name == "insert":
        trial.stops(1, "497", grant, "TO `narrow`")
    else:
        # Reading is asked for when something is in doubt, as the attempt that the restart of the server cut off.
        trial.life.signal(signal.SIGKILL)
        trial.life.wait(30)
        trial.life = trial.engine.run("--until-end", seconds=90)
        trial.stops(3, grant, "TO `narrow`")
    give(guarded.server, trial.table)
    trial.runs_to_the_end_exact()
