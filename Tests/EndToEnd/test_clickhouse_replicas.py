"""Lists of servers, on two real ones. The server of these tests has no Replicated tables, so that what needs them is tested over a
simulated transport (ReplicaTests); here it is what is refused, and at least once, which takes servers with tables of their own."""

import signal
import subprocess

import pytest

from laboratory import Lab
from pipeline import create_table
from servers import ClickHouseServer, free_port

EVENTS = 3_000


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    server = ClickHouseServer("26.9", tmp_path_factory.mktemp("second"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def pair(lab: Lab, second):
    """A pipeline into the same table name on both servers, and that name."""
    if second.pid == 0:
        second.start()
    topic, table = lab.topic(), lab.table()
    lab.produce_events(topic, range(EVENTS))
    create_table(second, table, 10_000)

    def make(urls=(lab.server.url, second.url), **keys):
        return lab.pipeline(topic, table, more={"sinks": {"table": {"clickhouse": {"url": list(urls)} | keys}}})
    return make, topic, table


def count(server, table: str, what: str = "count()") -> int:
    return int(server.client.row(f"SELECT {what} AS n FROM {table}")["n"])


def test_two_servers_with_tables_of_their_own_are_refused_for_exactly_once(lab, pair, second):
    make, _, table = pair
    life = lab.engine(make()).run("--until-end", seconds=90)
    assert life.code == 3 and "MergeTree on 2 servers" in life.tail() and "at_least_once" in life.tail(), life.tail()
    assert lab.count(table) == count(second, table) == 0


def test_a_table_that_a_server_of_the_list_has_not_is_refused_with_the_servers_url(lab, pair, second):
    make, _, table = pair
    second.client.execute(f"DROP TABLE {table}")
    life = lab.engine(make(delivery="at_least_once")).run("--until-end", seconds=90)
    assert life.code == 3 and f"{second.url}: there is no table" in life.tail(), life.tail()


def test_columns_that_differ_between_the_servers_are_waited_for(lab, pair, second):
    make, _, table = pair
    second.client.execute(f"ALTER TABLE {table} ADD COLUMN country String DEFAULT 'CH'")
    life = lab.engine(make(delivery="at_least_once")).start("--until-end")
    lab.until(lambda: "columns differ" in life.log.read_text() and "country" in life.log.read_text(), life)
    second.client.execute(f"ALTER TABLE {table} DROP COLUMN country")
    assert life.wait(90) == 0, life.tail()


def test_the_second_server_is_tried_where_nobody_listens_at_the_first(lab, pair, second):
    make, _, table = pair
    nobody = f"http://127.0.0.1:{free_port()}"
    life = lab.engine(make((nobody, second.url), delivery="at_least_once")).run("--until-end", seconds=90)
    assert life.code == 0 and f"replica {nobody} doesn't answer" in life.log.read_text(), life.tail()
    assert count(second, table) == count(second, table, "uniqExact(event_id)") == EVENTS


def test_the_first_server_is_used_as_long_as_it_answers_then_the_second_takes_over(lab, pair, second):
    make, topic, table = pair
    life = lab.engine(make(delivery="at_least_once")).start()
    lab.until(lambda: lab.count(table) == EVENTS, life)
    assert count(second, table) == 0
    lab.server.kill()
    lab.produce_events(topic, range(EVENTS, 2 * EVENTS))
    lab.until(lambda: count(second, table, "uniqExact(event_id)") == EVENTS, life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    lab.server.start()
    assert lab.count(table) == EVENTS


def test_verify_does_not_call_rows_missing_that_another_server_has(lab, pair, second):
    make, _, table = pair
    pipeline = make(delivery="at_least_once")
    assert lab.engine(pipeline).run("--until-end", seconds=90).code == 0
    done = subprocess.run([lab.binary, "verify", pipeline.file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "missing 0, extra 0" in done.stdout, done.stdout + done.stderr
    assert "is a table of its own at each of 2 servers" in done.stdout, done.stdout


def test_with_both_servers_down_the_engine_waits_for_either(lab, pair, second):
    make, topic, table = pair
    life = lab.engine(make(delivery="at_least_once")).start()
    lab.until(lambda: lab.count(table) == EVENTS, life)
    lab.server.kill()
    second.kill()
    lab.produce_events(topic, range(EVENTS, 2 * EVENTS))
    lab.until(lambda: "waiting for ClickHouse" in life.log.read_text(), life)
    second.start()
    lab.until(lambda: count(second, table, "uniqExact(event_id)") == EVENTS, life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
