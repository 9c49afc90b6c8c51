"""The engine as others see it: /metrics and /health while it runs, waits and restarts; who may ask; and what no client can do to it."""

import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from engine import generate, generated
from exposition import Client, FormatError, Page
from laboratory import Lab, payload

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 20_000
GARBAGE = [b"not json", b"[1]", b"{}"]


def free_port() -> int:
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def admin(port: int, host: str = "127.0.0.1", **more) -> dict:
    return {"admin": {"listen": f"{host}:{port}", **more}}


@pytest.fixture
def port():
    return free_port()


WHOLE = """# HELP h_seconds Some \\\\ words.
# TYPE h_seconds histogram
h_seconds_bucket{pipeline="p",le="0.5"} 1
h_seconds_bucket{pipeline="p",le="+Inf"} 7
h_seconds_sum{pipeline="p"} 1025.7
h_seconds_count{pipeline="p"} 7
# HELP a_total What.
# TYPE a_total counter
a_total{pipeline="p",outcome="la\\"te\\\\"} 3
"""


@pytest.mark.parametrize("old, new", [
    (" 3\n", " 3"), ("le=\"+Inf\"} 7", "le=\"+Inf\"} 0"), ("h_seconds_count{pipeline=\"p\"} 7", "h_seconds_count{pipeline=\"p\"} 8"),
    ("le=\"+Inf\"", "le=\"0.1\""), ("a_total{", "b_total{"), (" 3\n", " x\n"), (" 3\n", " -3\n"), ("a_total counter", "a_total gauge"),
    ("\"p\",out", "\"p\" out"), ("outcome", "pipeline"), ("# TYPE a_total counter\n", ""), ("h_seconds_sum", "h_seconds_max"),
    ("# HELP a_total", "# HELP h_seconds"), ("te\\\\", "te\\x"),
])
def test_the_reader_of_these_tests_refuses_what_prometheus_would(old, new):
    assert Page(WHOLE).value("a_total", outcome='la"te\\') == 3
    assert old in WHOLE
    with pytest.raises(FormatError):
        Page(WHOLE.replace(old, new))


def settled(client: Client, records: int, again: int = 0):
    """Waits for a page on which `records` have been read and `again` replayed, and all that came of them is acked."""
    def look():
        if client.health()[0] != 200:
            return None
        page = client.page()
        done = page.value("millrace_read_records_total") >= records and page.value("millrace_replayed_records_total") >= again
        rest = page.sum("millrace_pending_rows") + page.sum("millrace_unacked_batches")
        sealed, acked = (page.sum(f"millrace_{what}_rows_total") for what in ("sealed", "inserted"))
        recovered = page.sum("millrace_recovered_rows_total")
        # Rows that are just being sealed are neither pending nor sealed.
        begun = acked > 0 or records == 0
        return page if done and begun and rest == 0 and sealed + recovered == acked else None
    return look


def outcome(page: Page, name: str) -> float:
    return page.value("millrace_records_total", outcome=name)


def test_the_counters_add_up_to_the_records_of_the_topic_and_to_the_rows_of_the_table(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    lab.produce_events(topic, range(EVENTS))
    lab.produce(topic, GARBAGE)
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port))
    life = lab.engine(pipeline).start()
    records, duplicates = EVENTS + EVENTS // 5 + len(GARBAGE), EVENTS // 5
    page = lab.until(settled(client, records), life)
    assert page.value("millrace_read_records_total") == page.sum("millrace_records_total") == records
    assert (outcome(page, "emitted"), outcome(page, "duplicate")) == (EVENTS, duplicates)
    assert (outcome(page, "dead_lettered"), outcome(page, "late"), outcome(page, "skipped")) == (len(GARBAGE), 0, 0)
    sent = sum(len(payload(n)) * (2 if n % 5 == 0 else 1) for n in range(EVENTS)) + sum(map(len, GARBAGE))
    assert page.value("millrace_read_bytes_total") == sent
    assert page.value("millrace_inserted_rows_total", destination="table") == EVENTS == lab.count(pipeline.table)
    assert page.value("millrace_inserted_rows_total", destination="dead_letters") == len(GARBAGE)
    assert page.value("millrace_batch_rows_sum") == EVENTS + len(GARBAGE)
    assert page.value("millrace_insert_attempts_total", result="committed") \
        == page.value("millrace_inserted_batches_total", destination="table") == page.value("millrace_insert_seconds_count", kind="plain")
    assert page.sum("millrace_lag_records") == 0 and len(page.values("millrace_lag_records")) == 3
    assert sum(page.values("millrace_next_offset")) == records
    assert page.sum("millrace_state_keys") >= EVENTS
    assert page.value("millrace_up") == 1 and page.sum("millrace_waiting") == page.sum("millrace_source_held") == 0
    for family in page.families.values():
        for _, labels in family.samples:
            assert family.name.startswith("process_") or dict(labels)["pipeline"] == pipeline.name, family.name
    status, health = client.health()
    assert (status, health["state"], health["ready"], health["waiting"], health["stopped"]) == (200, "running", True, [], None)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()


def test_a_record_that_was_counted_before_a_kill_is_replayed_and_not_counted_again(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    lab.produce_events(topic, range(EVENTS))
    # No checkpoint after the first: all of it is replayed.
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port) | {"checkpoint": {"interval": "1h"}})
    engine = lab.engine(pipeline)
    records = EVENTS + EVENTS // 5
    life = engine.start()
    first = lab.until(settled(client, records), life)
    life.kill()
    life = engine.start()
    page = lab.until(settled(client, 0, again=records), life)
    assert (page.value("millrace_replayed_records_total"), page.value("millrace_read_records_total")) == (records, 0)
    lab.produce_events(topic, range(EVENTS, EVENTS + 1000))
    page = lab.until(settled(client, 1200), life)
    assert page.value("millrace_replayed_records_total") == records
    assert page.value("millrace_read_records_total") == page.sum("millrace_records_total") == 1200
    assert first.value("millrace_inserted_rows_total", destination="table") == EVENTS
    assert page.value("millrace_inserted_rows_total", destination="table") == 1000 + page.sum("millrace_recovered_rows_total")
    lab.assert_exact(pipeline, unique=EVENTS + 1000)


def test_without_clickhouse_it_is_not_ready_says_so_and_leaves_the_source_alone_at_its_bound(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    lab.produce_events(topic, range(1000))
    bound = 16 << 20
    # Small epochs, as what has been read when the bound is reached is sealed all the same.
    more = admin(port) | {"log": {"unacked_max": "16MiB"}, "epoch": {"max_rows": 4096},
                          "sinks": {"table": {"clickhouse": {"batch": {"max_delay": "100ms", "max_bytes": "1MiB"}}}}}
    pipeline = lab.pipeline(topic, lab.table(), more=more)
    life = lab.engine(pipeline).start()
    lab.until(settled(client, 1200), life)
    lab.server.kill()
    events = generate(lab.binary, lab.broker.address, topic, 600_000, duplicates=0)
    page = lab.until(lambda: (page := client.page()).value("millrace_source_held", reason="unacked") == 1 and page, life, seconds=180)
    assert page.value("millrace_waiting", reason="clickhouse") == 1 and page.value("millrace_up") == 0
    assert page.value("millrace_waiting", reason="kafka") == page.value("millrace_waiting", reason="disk") == 0
    status, health = client.health()
    assert (status, health["state"], [wait["for"] for wait in health["waiting"]]) == (503, "waiting", ["clickhouse"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", health["waiting"][0]["since"])
    assert client.ask("/health/live")[0] == 200
    generated(events)
    time.sleep(2)
    held = client.page()
    # What is bounded is the log, which has intents as well.
    assert bound - (1 << 20) <= held.value("millrace_unacked_bytes", destination="table") < bound + (8 << 20)
    assert held.value("millrace_source_held", reason="unacked") == 1
    assert held.value("millrace_read_records_total") < 601_200
    assert held.sum("millrace_insert_attempts_total") > held.value("millrace_insert_attempts_total", result="committed")
    lab.server.start()
    page = lab.until(settled(client, 601_200), life, seconds=180)
    assert page.sum("millrace_waiting") == 0 and page.sum("millrace_source_held") == 0
    assert page.value("millrace_doubts_total") == page.sum("millrace_doubts_ended_total")
    # `generate` has events of its own beside the thousand.
    assert lab.count(pipeline.table) == outcome(page, "emitted")
    said = life.log.read_text()
    assert "waiting for ClickHouse" in said and "ClickHouse answers again" in said


def test_without_kafka_it_is_not_ready_and_says_so(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    lab.produce_events(topic, range(1000))
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port))
    life = lab.engine(pipeline).start()
    lab.until(settled(client, 1200), life)
    lab.broker.kill()
    health = lab.until(lambda: (answer := client.health())[0] == 503 and answer[1], life, seconds=90)
    assert (health["state"], [wait["for"] for wait in health["waiting"]]) == ("waiting", ["kafka"])
    page = client.page()
    assert page.value("millrace_waiting", reason="kafka") == 1 and page.value("millrace_waiting", reason="clickhouse") == 0
    lab.broker.start()
    lab.until(lambda: client.health()[0] == 200, life, seconds=90)
    lab.produce_events(topic, range(1000, 2000))
    page = lab.until(settled(client, 2400), life)
    assert page.sum("millrace_waiting") == 0 and page.value("millrace_waiting_seconds", reason="kafka") == 0
    lab.assert_exact(pipeline, unique=2000)


def test_an_engine_that_starts_without_its_servers_says_what_it_waits_for(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    lab.produce_events(topic, range(1000))
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port))
    lab.server.kill()
    life = lab.engine(pipeline).start()
    health = lab.until(lambda: (answer := client.health()[1]).get("waiting") and answer, life)
    assert (health["ready"], health["state"], health["waiting"][0]["for"]) == (False, "waiting", "clickhouse")
    # What is down doesn't show where it is.
    assert lab.server.url.split("//")[1] not in str(health) and pipeline.table not in str(health)
    lab.server.start()
    lab.until(settled(client, 1200), life)


@pytest.fixture
def few(lab: Lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(number) for number in range(3)])
    return topic


def test_an_address_beyond_this_machine_needs_a_token(lab: Lab, few, port):
    life = lab.engine(lab.pipeline(few, lab.table(), more=admin(port, "0.0.0.0"))).run(seconds=60)
    assert life.code == 3 and "admin.listen" in life.tail() and "admin.token" in life.tail(), life.tail()


def test_with_a_token_only_who_bears_it_is_answered_and_it_is_never_said(lab: Lab, few, port):
    pipeline = lab.pipeline(few, lab.table(), more=admin(port, "0.0.0.0", token="${file:token}"))
    (pipeline.directory / "token").write_text("canary-5521-token\n")
    life = lab.engine(pipeline).start("--log-level", "trace")
    client = Client(port, "canary-5521-token")
    page = lab.until(settled(client, 3), life)
    for path in ("/metrics", "/health", "/health/live", "/", "/none"):
        for wrong in (None, "canary-5522-token", "canary-5521-toke", "x" * 2000):
            status, text = Client(port, wrong).ask(path)
            assert status == 401 and "millrace" not in text, (path, wrong, status)
    assert client.ask("/none")[0] == 404 and client.ask("/health", "POST")[0] == 405
    assert "canary" not in client.ask("/metrics")[1] and page
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0
    assert "canary" not in life.log.read_text()


def test_a_port_that_is_taken_ends_the_start_and_is_named(lab: Lab, few, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        life = lab.engine(lab.pipeline(few, lab.table(), more=admin(port))).run(seconds=60)
    assert life.code == 1 and f"127.0.0.1:{port}" in life.tail() and "Address already in use" in life.tail(), life.tail()


def test_a_second_instance_is_told_of_the_first_and_not_of_its_port(lab: Lab, few, port):
    pipeline = lab.pipeline(few, lab.table(), more=admin(port))
    first = lab.engine(pipeline).start()
    lab.until(settled(Client(port), 3), first)
    second = lab.engine(pipeline).run(seconds=60)
    assert second.code == 5 and str(first.process.pid) in second.tail(), second.tail()
    assert Client(port).health()[0] == 200


def scrape(client: Client, stop: threading.Event, found: list):
    """Scrapes until told to stop; each page is whole, and what only grows has only grown."""
    before: dict = {}
    try:
        while not stop.is_set():
            now = client.page().counters()
            shrunk = {key: (before[key], now.get(key)) for key in before if now.get(key, -1) < before[key]}
            if shrunk:
                found.append(FormatError(f"counters that went back: {shrunk}"))
            before = now
            found.append(None)
    except Exception as error:  # a thread's error is the test's
        found.append(error)


def throw(port: int, stop: threading.Event, seed: int, found: list):
    """Sends garbage until told to stop."""
    dice = random.Random(seed)
    seeds = [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /health HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789",
             b"GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
             b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 5000, b"GET /\xff\xfe%00%ff HTTP/1.1\r\n\r\n"]
    try:
        while not stop.is_set():
            data = bytearray(dice.choice(seeds))
            for _ in range(dice.randrange(6)):
                at = dice.randrange(len(data))
                data[at:at + dice.randrange(3)] = dice.randbytes(dice.randrange(4))
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                if dice.random() < 0.3:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                try:
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    if dice.random() < 0.8:
                        client.recv(4096)
                except OSError:
                    pass  # turned away
            found.append(None)
    except Exception as error:  # a thread's error is the test's
        found.append(error)


def test_scrapes_and_garbage_under_load_neither_end_it_nor_change_a_row(lab: Lab, port):
    topic, client = lab.topic(), Client(port)
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port) | {"checkpoint": {"interval": "500ms"}})
    life = lab.engine(pipeline).start()
    lab.until(lambda: client.health()[0] == 200, life)
    stop, scraped, thrown = threading.Event(), [], []
    threads = [threading.Thread(target=scrape, args=(client, stop, scraped)),
               *(threading.Thread(target=throw, args=(port, stop, seed, thrown)) for seed in range(2))]
    for thread in threads:
        thread.start()
    try:
        generated(generate(lab.binary, lab.broker.address, topic, 300_000))
        lab.until(lambda: len(scraped) > 20 and len(thrown) > 15, life, seconds=120)
        page = lab.until(settled(client, 300_000), life, seconds=120)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [error for error in scraped + thrown if error] == []
    assert page.sum("millrace_records_total") == 300_000 and page.value("process_open_fds") < 200
    assert page.value("millrace_checkpoint_seconds_count") == page.value("millrace_checkpoints_total") > 0
    assert page.value("millrace_fsync_seconds_count") > page.value("millrace_checkpoints_total")
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    lab.assert_exact(pipeline)


def named_series() -> dict[str, str]:
    """Every series that README or the alert rules name, and where."""
    found = {}
    for path in (ROOT / "README.md", ROOT / "config" / "alerts.yaml"):
        for name in re.findall(r"\b(?:millrace|process)_[a-z_]+\b", path.read_text()):
            found[name] = path.name
    return found


def alerts() -> list[dict]:
    """The rules of config/alerts.yaml, which has one key a line."""
    rules = []
    for line in (ROOT / "config" / "alerts.yaml").read_text().splitlines():
        if found := re.fullmatch(r" +(- )?(alert|expr|for|summary): (.+)", line):
            if found[2] == "alert":
                rules.append({})
            rules[-1][found[2]] = found[3]
    return rules


def test_every_series_of_the_readme_and_of_the_alert_rules_is_there(lab: Lab, port):
    topic, client = lab.topic(1), Client(port)
    lab.produce(topic, [payload(number) for number in range(100)])
    more = {"sources": {"events": {"event_time": {"field": "created_at"}}}}
    life = lab.engine(lab.pipeline(topic, lab.table(), more=admin(port) | more)).start()
    lab.until(settled(client, 100), life)
    # The watermark is there from the second epoch on.
    lab.produce(topic, [payload(number) for number in range(100, 200)])
    lab.until(settled(client, 200), life)
    page = lab.until(lambda: (page := client.page()).value("millrace_checkpoints_total") > 0 and page, life)
    named = named_series()
    assert len(named) > 20
    # Only what ends has a reason for it.
    missing = {name: where for name, where in named.items() if name not in page and name != "millrace_stopped"}
    assert missing == {}
    rules = alerts()
    assert len(rules) >= 8
    for rule in rules:
        assert set(rule) >= {"alert", "expr", "for", "summary"}, rule
        assert re.search(r"\b(millrace|process)_[a-z_]+|up\{", rule["expr"]) and rule["expr"].count("(") == rule["expr"].count(")"), rule


def test_the_alert_for_no_checkpoint_has_a_series_before_a_process_has_taken_one(lab: Lab, port):
    topic, client = lab.topic(1), Client(port)
    lab.produce(topic, [payload(number) for number in range(100)])
    pipeline = lab.pipeline(topic, lab.table(), more=admin(port) | {"checkpoint": {"interval": "1h"}})
    assert lab.engine(pipeline).run("--until-end").code == 0
    lab.produce(topic, [payload(number) for number in range(100, 200)])
    life = lab.engine(pipeline).start()
    page = lab.until(settled(client, 100), life)
    rule, = [rule for rule in alerts() if rule["alert"] == "MillraceNoCheckpoint"]
    age, fallback = re.fullmatch(r"\((\w+) or on \(instance\) time\(\) - (.+)\) > 600 and .+", rule["expr"]).groups()
    assert age not in page
    assert all(name in page for name in re.findall(r"\b(?:millrace|process)_[a-z_]+\b", fallback)), fallback
