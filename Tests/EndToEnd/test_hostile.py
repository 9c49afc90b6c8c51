"""Who may produce, commit for the group, or stands in place of a broker or of ClickHouse: none of them crashes, stops or steers for good."""

import http.server
import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
import unicodedata

import pytest

from forged import GZIP, LZ4, SNAPPY, ZSTD, ForgedBroker, batch, record, zstd
from laboratory import payload

CODECS = {"gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
STEERING = "\x1b]0;owned\x07\x1b[2J\x1b[1;32m\x08\x7f\x9b31m\u202eall is well\u2028\n2026-01-01T00:00:00.000Z info forged line"


def assert_harmless(text: str):
    found = [hex(ord(character)) for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character != "\n"]
    assert not found, found
    assert not [line for line in text.splitlines() if line.startswith("2026-01-01T")], text


@pytest.fixture
def forged(lab):
    """Makes a pipeline over a forged broker; all are closed at the end."""
    brokers = []

    def make(*, properties=None, kind=ForgedBroker, **more):
        broker = kind("hostile", **more)
        brokers.append(broker)
        pipeline = lab.pipeline("hostile", lab.table())
        pipeline.brokers = broker.address
        if properties:
            pipeline.more = pipeline.more | {"kafka": {"properties": properties}}
        pipeline.write()
        return broker, pipeline

    yield make
    for broker in brokers:
        broker.close()


# MARK: A broker's numbers

@pytest.mark.parametrize("offset", [2**63 - 1, 2**63 - 2, 2**62, 2**62 + 1])
def test_an_offset_that_no_partition_has_stops_by_name(lab, forged, offset):
    _, pipeline = forged(batches=[(offset, offset, batch(offset, [payload(1)]))], high=10)
    life = lab.engine(pipeline).run("--until-end")
    assert life.code == 4 and "rule=K12" in life.tail() and str(offset) in life.tail(), life.tail()


@pytest.mark.parametrize("low,high", [(0, 2**63 - 1), (0, 2**62 + 1), (-7, 10), (0, -1), (10, 3)])
def test_bounds_that_no_partition_has_are_told_or_mended_and_a_stop_ends(lab, forged, low, high):
    """librdkafka itself mends some of them; what it hands on is told."""
    _, pipeline = forged(low=low, high=high)
    is_told = high > 2**62
    if is_told:
        checked = lab.check(pipeline)
        assert checked.returncode == 1 and "can't be" in checked.stderr, checked.stderr
    life = lab.engine(pipeline).start()
    lab.until(lambda: "can't be" in life.tail() if is_told else "live from" in life.tail() or "waiting" in life.tail(), life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()


@pytest.mark.parametrize("partitions", [(-1, -2), (0, -1), (5,), (0, 2)])
def test_partitions_with_other_numbers_are_waited_out_and_a_stop_ends(lab, forged, partitions):
    _, pipeline = forged(partitions=partitions)
    life = lab.engine(pipeline).start()
    lab.until(lambda: "lists" in life.tail() or "waiting for Kafka" in life.tail(), life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()


# MARK: Batches that can't be unpacked

def poisons() -> dict:
    """Batches of 3 records at offset 2 whose checksum is right, and what the stop says of them."""
    garbage = {name: batch(2, [b"", b"", b""], codec, b"\xff" * 64) for name, codec in CODECS.items()}
    return garbage | {"too large": batch(2, [b"", b"", b""], ZSTD, zstd(bytes(120 << 20)))}


@pytest.mark.parametrize("kind", [*CODECS, "too large"])
def test_a_batch_that_cannot_be_unpacked_is_named_and_given_up_exactly(lab, forged, kind):
    before = (0, 1, batch(0, [payload(0), payload(1)]))
    after = (5, 6, batch(5, [payload(5), payload(6)]))
    _, pipeline = forged(batches=[before, (2, 4, poisons()[kind]), after])
    engine = lab.engine(pipeline)
    for _ in range(2):
        life = engine.run("--until-end")
        assert life.code == 4 and "rule=K12" in life.tail(), life.tail()
        assert "offsets 2 to 4" in life.tail() and "--accept-loss 'hostile/0:2-4'" in life.tail(), life.tail()
        assert ("receive.message.max.bytes" in life.tail()) == (kind == "too large"), life.tail()
        assert lab.count(pipeline.table) == 2
    for other in ("0:2-3", "0:2-5", "0:0-4", "0:3-4"):
        life = engine.run("--until-end", "--accept-loss", f"hostile/{other}")
        assert life.code == 4 and "does nothing" in life.log.read_text() and lab.count(pipeline.table) == 2, life.tail()
    life = engine.run("--until-end", "--accept-loss", "hostile/0:2-4")
    assert life.code == 0 and lab.count(pipeline.table) == 4, life.tail()
    # It stays given up, without the option, also for verify.
    assert engine.run("--until-end").code == 0
    report = lab.verify(pipeline)
    assert report["proven"] and report["given_up"] == [{"source": "events", "partition": 0, "start": 2, "next": 5}], report


def test_a_batch_that_is_too_large_is_read_with_a_larger_limit(lab, forged):
    value = json.dumps({"event_id": "x", "user_id": 1, "amount": 1, "created_at": "2026-01-31T00:00:00.000Z", "name": "n",
                        "text": "A" * (4 << 20)}).encode()
    body = zstd(record(0, value))
    small = {"receive.message.max.bytes": "2000000", "fetch.max.bytes": "1000000"}
    _, pipeline = forged(batches=[(0, 0, batch(0, [value], ZSTD, body))], properties=small)
    engine = lab.engine(pipeline)
    life = engine.run("--until-end")
    assert life.code == 4 and "receive.message.max.bytes (2000000)" in life.tail(), life.tail()
    pipeline.more["kafka"]["properties"]["receive.message.max.bytes"] = "20000000"
    pipeline.write()
    life = engine.run("--until-end")
    assert life.code == 0 and lab.count(pipeline.table) == 1, life.tail()


# MARK: Texts

class Speaker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = self.server.words.encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def speaker():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Speaker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize("words", [STEERING, STEERING + "long " * 1_000])
def test_a_servers_words_steer_no_terminal_and_are_short(lab, speaker, words):
    speaker.words = "Code: 241. DB::Exception: " + words
    pipeline = lab.pipeline(lab.topic(1), "default.none")
    pipeline.url = f"http://127.0.0.1:{speaker.server_port}"
    pipeline.write()
    checked = lab.check(pipeline)
    assert checked.returncode == 1 and "\\u{1b}]0;owned\\u{7}" in checked.stderr and "\\u{202e}" in checked.stderr, checked.stderr
    assert_harmless(checked.stdout + checked.stderr)
    assert max(map(len, checked.stderr.splitlines())) < 1_200
    for format in ("text", "json"):
        life = lab.engine(pipeline).start("--log-format", format)
        lab.until(lambda: "owned" in life.log.read_text(), life)
        life.signal(signal.SIGTERM)
        life.wait(60)
        log = life.log.read_text()
        assert_harmless(log)
        if format == "json":
            assert any("\x1b]0;owned" in json.loads(line)["message"] for line in log.splitlines()), log


def test_the_live_line_steers_no_terminal_but_by_its_own_erasing(lab, speaker):
    speaker.words = "Code: 241. DB::Exception: " + STEERING
    pipeline = lab.pipeline(lab.topic(1), "default.none")
    pipeline.url = f"http://127.0.0.1:{speaker.server_port}"
    pipeline.write()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([lab.binary, "run", pipeline.file], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while b"waiting for clickhouse" not in shown or shown.count(b"\r\x1b[K") < 3:
            assert select.select([ours], [], [], 60)[0], shown
            shown += os.read(ours, 65_536)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"owned" in shown, shown
    assert_harmless(shown.decode().replace("\r\x1b[K", "").replace("\r\n", "\n"))


def test_a_refused_records_words_steer_no_terminal(lab):
    topic, table = lab.topic(1), lab.table()
    lab.server.client.execute(f"ALTER TABLE {table} ADD CONSTRAINT good CHECK name != '' AND position(name, 'owned') = 0")
    lab.produce(topic, [payload(1), payload(2, name=STEERING)])
    pipeline = lab.pipeline(topic, table)
    life = lab.engine(pipeline).run("--until-end")
    log = life.log.read_text()
    assert life.code == 0 and "good" in log and "owned" in log, log
    assert_harmless(log)
    for form in ([], ["--json"]):
        listed = subprocess.run([lab.binary, "dead-letters", "list", pipeline.file, *form], capture_output=True, text=True, timeout=60)
        assert listed.returncode == 0 and "owned" in listed.stdout
        assert_harmless(listed.stdout)


# MARK: The group

def test_metadata_of_another_program_are_told_by_check_and_noticed_while_nothing_comes(lab, forged):
    broker, pipeline = forged(batches=[(0, 0, batch(0, [payload(1)]))])
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(lambda: lab.count(pipeline.table) == 1 and broker.committed.get(0, (0, ""))[0] == 1, life)
    own = broker.committed[0]
    broker.committed[0] = (1, STEERING)
    assert life.wait(120) == 4 and "rule=R15" in life.tail() and "--delete-offsets" in life.tail(), life.tail()
    assert_harmless(life.log.read_text())
    checked = lab.check(pipeline)
    assert checked.returncode == 4 and "--delete-offsets" in checked.stderr, checked.stderr
    assert_harmless(checked.stdout + checked.stderr)
    assert engine.run("--until-end").code == 4
    # What the message proposes: the group forgets, and directory and table vouch for themselves.
    del broker.committed[0]
    assert engine.run("--until-end").code == 0 and lab.count(pipeline.table) == 1
    assert broker.committed[0][1].split(":")[:2] == own[1].split(":")[:2]


# MARK: Signals

@pytest.mark.parametrize("first,second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGHUP, signal.SIGHUP)])
def test_two_signals_at_once_are_one(lab, first, second):
    topic, table = lab.topic(1), lab.table()
    lab.produce(topic, [payload(number) for number in range(2_000)])
    life = lab.engine(lab.pipeline(topic, table)).start()
    lab.until(lambda: lab.count(table) > 0, life)
    life.signal(first)
    life.signal(second)
    assert life.wait(60) == 0 and "stopped after a checkpoint" in life.tail(), life.tail()


class SlowToCommit(ForgedBroker):
    """Holds a stop open once `is_slow`: the commit after its checkpoint gets no answer in time."""

    is_slow = False

    def _commit(self, request):
        if self.is_slow:
            time.sleep(30)
        return super()._commit(request)


def test_a_second_signal_that_comes_later_ends_at_once_and_the_next_start_recovers(lab, forged):
    broker, pipeline = forged(kind=SlowToCommit, batches=[(0, 0, batch(0, [payload(1)]))])
    engine = lab.engine(pipeline)
    life = engine.start()
    lab.until(lambda: lab.count(pipeline.table) == 1, life)
    broker.is_slow = True
    life.signal(signal.SIGTERM)
    time.sleep(1.2)
    assert not life.ended(), life.tail()
    life.signal(signal.SIGTERM)
    assert life.wait(10) == 1 and "second signal" in life.tail(), life.tail()
    broker.is_slow = False
    assert engine.run("--until-end").code == 0 and lab.count(pipeline.table) == 1


def test_sigquit_ends_at_once_and_the_next_start_recovers(lab):
    topic, table = lab.topic(1), lab.table()
    lab.produce(topic, [payload(1)])
    engine = lab.engine(lab.pipeline(topic, table))
    life = engine.start()
    lab.until(lambda: lab.count(table) == 1, life)
    life.signal(signal.SIGQUIT)
    assert life.wait(60) == 1 and "SIGQUIT: ending at once" in life.tail(), life.tail()
    assert engine.run("--until-end").code == 0 and lab.count(table) == 1


# MARK: Files and the environment

def test_a_pipe_is_no_pipeline_file_and_the_keys_of_connections_are_not_written(lab, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run([lab.binary, "check", tmp_path / "pipe"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "a pipe or a device" in done.stderr, done.stderr
    keys = tmp_path / "keys"
    done = subprocess.run([lab.binary, "--version"], env=os.environ | {"SSLKEYLOGFILE": str(keys)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "SSLKEYLOGFILE" in done.stderr and not keys.exists()


def test_a_drill_that_is_armed_is_told_at_the_start(lab):
    topic, table = lab.topic(1), lab.table()
    lab.produce(topic, [payload(1)])
    life = lab.engine(lab.pipeline(topic, table)).run("--until-end", MILLRACE_FAULT="amid_restore:999")
    assert life.code == 0 and "kills itself at amid_restore:999" in life.log.read_text(), life.tail()
