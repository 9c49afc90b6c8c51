"""One topic into several tables: each row of each table worked out by Python, under kill -9, with one server down, with sinks that come,
go and change their names."""

import json
import signal

import pytest

from exposition import Client
from laboratory import Lab, event
from pipeline import create_table, merged
from test_admin import admin, free_port

EVENTS = 20_000
# Small: a run has many of each, however fast it is.
BATCH = {"max_delay": "200ms", "max_rows": 1000}
AUDIT = {"event_id": "String", "who": "String", "amount": "Decimal(18, 2)"}
# All unique events into one table, the large ones reshaped into another, the others into a third: a route by a field.
OPERATORS = {
    "unique_events": {"deduplicate": {"input": "events", "key": ["event_id"], "within": "24h"}},
    "large": {"filter": {"input": "unique_events", "where": "amount >= 100"}},
    "shaped": {"select": {"input": "large", "fields": {"event_id": "event_id", "who": "concat(name, '-', toString(user_id))",
                                                       "amount": "amount"}}},
    "rest": {"filter": {"input": "unique_events", "where": "not (amount >= 100)"}},
}


def sink(lab: Lab, table: str, name: str, **more) -> dict:
    database, _, short = table.rpartition(".")
    return {"clickhouse": {"input": name, "url": lab.server.url, "database": database, "table": short, "batch": BATCH,
                           "settle": "1s"} | more}


class Route:
    """A pipeline into three tables."""

    def __init__(self, lab: Lab, server18=None, **more):
        self.lab = lab
        self.topic = lab.topic()
        table, self.audit, self.small = lab.table(), lab.table(fields=AUDIT, partition_by="tuple()"), lab.table()
        self.old = server18
        if server18:
            # By read-back, on the oldest server, where it is called as another one is here.
            self.small = table
            create_table(server18, self.small, 0)
        sinks = {"table": {"clickhouse": {"batch": BATCH}}, "audit": sink(lab, self.audit, "shaped"), "small": sink(lab, self.small, "rest")}
        if server18:
            sinks["small"]["clickhouse"]["url"] = server18.url
            sinks["small"]["clickhouse"]["omit"] = ["created_at"]
        self.pipeline = lab.pipeline(self.topic, table, more=merged(
            {"operators": OPERATORS, "sinks": sinks, "checkpoint": {"interval": "300ms"}, "epoch": {"max_rows": 2000}}, more))

    def ids(self, table: str, server=None) -> list[str]:
        rows = (server or self.lab.server).client.execute(f"SELECT event_id FROM {table} ORDER BY event_id FORMAT JSONEachRow")
        return [json.loads(line)["event_id"] for line in rows.splitlines()]

    def assert_routed(self, numbers=range(EVENTS)):
        ids = {number: event(number)["event_id"] for number in numbers}
        assert self.ids(self.pipeline.table) == sorted(ids.values())
        assert self.ids(self.audit) == sorted(ids[n] for n in numbers if event(n)["amount"] >= 100)
        assert self.ids(self.small, self.old) == sorted(ids[n] for n in numbers if event(n)["amount"] < 100)
        who = self.lab.server.client.row(f"SELECT who FROM {self.audit} WHERE event_id = '{event(EVENTS - 1)['event_id']}'")["who"]
        assert who == f"flywheel-{event(EVENTS - 1)['user_id']}"
        report = self.lab.verify(self.pipeline)
        assert report["proven"] and report["rows_found"] == 2 * len(ids), report


@pytest.mark.parametrize("fault", [
    "", "processed:3", "before_seal:2", "seal_written:2", "before_insert:3", "after_insert_before_ack:2", "after_insert_before_ack:5",
    "ack_written:3"])
def test_each_table_gets_its_rows_once_also_when_the_engine_is_killed(lab, fault):
    route = Route(lab)
    lab.produce_events(route.topic, range(EVENTS))
    if fault:
        life = lab.engine(route.pipeline).run("--until-end", MILLRACE_FAULT=fault)
        assert life.code == -signal.SIGKILL, f"the fault point did not end the engine: {life.code}\n{life.tail()}"
    lab.run_to_end(route.pipeline)
    route.assert_routed()


def test_a_table_on_the_oldest_server_is_exact_beside_others_on_the_newest(lab, lab_server18):
    route = Route(lab, lab_server18)
    lab.produce_events(route.topic, range(EVENTS))
    for fault in ["after_insert_before_ack:2", "before_insert:4"]:
        life = lab.engine(route.pipeline).run("--until-end", MILLRACE_FAULT=fault)
        assert life.code == -signal.SIGKILL, life.tail()
    lab.run_to_end(route.pipeline)
    route.assert_routed()


def test_a_server_that_is_down_holds_up_no_other_table_and_is_named(lab, lab_server18):
    port = free_port()
    route, client = Route(lab, lab_server18, **admin(port)), Client(port)
    # These are large, the others small: for the server that is down.
    lab.produce_events(route.topic, range(EVENTS // 2, EVENTS))
    life = lab.engine(route.pipeline).start()
    lab.until(lambda: lab.count(route.pipeline.table) == EVENTS // 2, life)
    lab_server18.kill()
    try:
        lab.produce_events(route.topic, range(EVENTS // 2))
        lab.until(lambda: lab.count(route.pipeline.table) == EVENTS, life)
        lab.until(lambda: "sink small: waiting for ClickHouse" in life.tail(400), life)
        page = client.page()
        assert page.value("millrace_sink_waiting", sink="small") == 1 and page.sum("millrace_sink_waiting") == 1
        assert [(wait["for"], wait["sink"]) for wait in client.health()[1]["waiting"]] == [("clickhouse", "small")]
        assert page.value("millrace_unacked_rows", destination="table", sink="small") > 0
        # A kill amid it all: what is for the dead server waits in the log.
        life.kill()
        life = lab.engine(route.pipeline).start()
        lab.until(lambda: "sink small: waiting for ClickHouse" in life.tail(400), life)
    finally:
        lab_server18.start()
    life.signal(signal.SIGTERM)
    life.wait(60)
    lab.run_to_end(route.pipeline)
    route.assert_routed()


def test_sinks_come_go_and_change_their_order_and_names(lab):
    route = Route(lab)
    lab.produce_events(route.topic, range(EVENTS // 2))
    lab.run_to_end(route.pipeline)
    # Another order, and another name for the same table.
    more = route.pipeline.more
    sinks = more["sinks"]
    more["sinks"] = {"journal": sinks["audit"], "small": sinks["small"], "table": sinks["table"], "audit": ...}
    route.pipeline.write()
    lab.produce_events(route.topic, range(EVENTS // 2, EVENTS))
    lab.run_to_end(route.pipeline)
    route.assert_routed()
    # A new one gets what comes from here on; one that is gone gets no more.
    added = lab.table()
    more["sinks"] = {**more["sinks"], "added": sink(lab, added, "unique_events"), "small": ...}
    more["operators"] = {**OPERATORS, "rest": ...}
    route.pipeline.more = merged(more, {})
    route.pipeline.write()
    lab.produce_events(route.topic, range(EVENTS, EVENTS + 500))
    lab.run_to_end(route.pipeline)
    assert route.ids(added) == sorted(event(number)["event_id"] for number in range(EVENTS, EVENTS + 500))
    assert lab.count(route.pipeline.table) == EVENTS + 500


def test_a_sink_with_batches_on_their_way_can_t_go(lab, lab_server18):
    route = Route(lab, lab_server18)
    lab.produce_events(route.topic, range(EVENTS // 2, EVENTS))
    life = lab.engine(route.pipeline).start()
    lab.until(lambda: lab.count(route.pipeline.table) > 0, life)
    lab_server18.kill()
    try:
        lab.produce_events(route.topic, range(EVENTS // 2))
        lab.until(lambda: lab.count(route.pipeline.table) == EVENTS, life)
        life.signal(signal.SIGTERM)
        assert life.wait(60) == 0, life.tail()
        whole = dict(route.pipeline.more)
        route.pipeline.more = merged(whole, {"sinks": {"small": ...}, "operators": {"rest": ...}})
        route.pipeline.write()
        gone = lab.engine(route.pipeline).run("--until-end")
        assert gone.code == 4 and "sink small is gone from the pipeline file" in gone.tail(), gone.tail()
    finally:
        lab_server18.start()
    route.pipeline.more = whole
    route.pipeline.write()
    lab.run_to_end(route.pipeline)
    route.assert_routed()


@pytest.mark.parametrize("change, words", [
    (lambda route: {"sinks": {"small": {"clickhouse": {"table": route.audit.rpartition(".")[2]}}}}, "two sinks into one table"),
    (lambda route: {"sinks": {"Audit": sink(route.lab, route.small, "rest")}}, "Audit"),
    (lambda route: {"sinks": {"audit": {"clickhouse": {"input": "larg"}}}}, "did you mean large"),
    (lambda route: {"sinks": {"audit": {"clickhouse": {"input": "rest"}}}}, "nothing reads this operator"),
    (lambda route: {"sinks": {"audit": {"clickhouse": {"table": "not_there"}}}}, "not_there"),
])
def test_what_is_wrong_with_one_of_several_sinks_is_said_by_name(lab, change, words):
    route = Route(lab)
    route.pipeline.more = merged(route.pipeline.more, change(route))
    route.pipeline.write()
    done = lab.check(route.pipeline)
    assert done.returncode != 0 and words in done.stdout + done.stderr, done.stdout + done.stderr
