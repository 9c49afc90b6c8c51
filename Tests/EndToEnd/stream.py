"""One topic that takes a pipeline along each of its paths, and what must be in the table after it; for tests of crashes and faults."""

import base64
import itertools
import json
import random
import signal
import time

from laboratory import Lab, letters
from pipeline import MODES

PARTITIONS = 3
EVENTS = 12_000
GARBAGE = 400  # every so many records one that is none
FIELDS = {"event_id": "String", "user_id": "UInt64", "amount": "Decimal(18, 2)", "created_at": "DateTime", "name": "String",
          "text": "String"}
_numbers = itertools.count()
COLUMNS = ", ".join(FIELDS)
# Small enough that each path is taken in a second's work.
SMALL = {
    "sources": {"events": {"event_time": {"field": "created_at"}}},
    "operators": {"unique_events": {"deduplicate": {"within": "2m", "allowed_lateness": "1m"}}},
    "sinks": {"table": {"clickhouse": {"batch": {"max_rows": 400, "max_delay": "20ms"}}}},
    "epoch": {"max_rows": 150, "max_delay": "2ms"},
    "checkpoint": {"interval": "100ms", "retain": 1},
    "log": {"unacked_max": "16MiB"},
    "dead_letters": {"max_delay": "5ms"},
}


def later(second: int) -> str:
    """So long after that, within SMALL's window, and not so long that what comes after it is late."""
    second += 55
    return f"2026-01-31T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


class Stream:
    """What the topic holds, and what the table must hold after it.

    Duplicates, broken records, event times far enough apart that buckets of the state expire, and more bytes than three segments of
    the log take.
    """

    def __init__(self, lab: Lab, events: int = EVENTS):
        self.topic, self.events, self.rows, self.broken, self._expected = lab.topic(PARTITIONS), events, [], set(), {}
        self._number = next(_numbers)

    def fill(self, lab: Lab) -> "Stream":
        """Writes all of it into the topic."""
        draws = random.Random(9)
        noise = base64.b64encode(draws.randbytes(3 << 20)).decode()  # LZ4 finds nothing in it
        payloads = [[] for _ in range(PARTITIONS)]
        self.later = [b""] * PARTITIONS
        for number in range(self.events):
            partition = number % PARTITIONS
            start = draws.randrange(len(noise) - 1200)
            second = number // 8
            moment = f"2026-01-31T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
            event = {"event_id": f"{number:032x}", "user_id": number % 97, "amount": number / 100, "created_at": moment,
                     "name": f"name {number % 10}", "text": noise[start:start + 1200]}
            line = json.dumps(event, separators=(",", ":")).encode()
            # A duplicate by its id, whose time lets buckets expire.
            self.later[partition] = json.dumps(event | {"created_at": later(second)}, separators=(",", ":")).encode()
            payloads[partition] += [line, line] if number % 5 == 0 else [line]
            if number % GARBAGE == 0:
                self.broken.add((partition, len(payloads[partition])))
                payloads[partition].append(b'{"event_id": "x", "user_id": -1}')
            self.rows.append(event | {"created_at": moment.replace("T", " ").rstrip("Z")})
        for partition, lines in enumerate(payloads):
            lab.produce(self.topic, lines, partition)
        self.last = payloads[0][-1]
        return self

    def expected(self, server) -> str:
        """The table that holds what must be there, made once on a server; nothing of the engine's takes part."""
        if server.url not in self._expected:
            name = f"default.expected{self._number}"
            columns = ", ".join(f"{field} {type}" for field, type in FIELDS.items())
            server.client.execute(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY event_id")
            server.client.execute(f"INSERT INTO {name} FORMAT JSONEachRow", "\n".join(map(json.dumps, self.rows)).encode())
            self._expected[server.url] = name
        return self._expected[server.url]


def pipeline_of(lab, stream, mode: str):
    return lab.pipeline(stream.topic, lab.table(window=MODES[mode].window, fields=FIELDS), fields=FIELDS, more=SMALL)


def strike(lab, stream, engine, name: str, hit: int, seconds: float = 60):
    """One life that the fault point ends; fails when it did not. The engine is given another duplicate now and then, so that it has
    epochs to cut, checkpoints to take and buckets to drop until the point has come."""
    life = engine.start(MILLRACE_FAULT=f"{name}:{hit}")
    deadline, feed, expiry = time.monotonic() + seconds, time.monotonic() + 1, time.monotonic() + 3
    while not life.ended() and time.monotonic() < deadline:
        if time.monotonic() > feed:
            lab.produce(stream.topic, [stream.last])
            feed = time.monotonic() + 0.3
        if time.monotonic() > expiry:
            for partition, payload in enumerate(stream.later):
                lab.produce(stream.topic, [payload], partition)
            expiry = deadline
        time.sleep(0.01)
    if not life.ended():
        life.kill()
        raise AssertionError(f"fault point {name} was not hit {hit} times in {seconds:.0f} s:\n{life.tail()}")
    assert life.code == -signal.SIGKILL and f"fault point {name} hit {hit}\n" in life.log.read_text(errors="replace"), \
        f"fault point {name} was not hit {hit} times: the engine ended with {life.code}\n{life.tail()}"


def kill_with_work(lab, stream, engine):
    """A life that leaves a checkpoint, epochs after it, batches that the table has without an ack and such that it hasn't."""
    strike(lab, stream, engine, "ack_written", 10)


def finish(engine):
    life = engine.run("--until-end", seconds=120)
    assert life.code == 0, life.tail()


def assert_same_rows(lab, stream, pipeline):
    """As ``assert_rows``, and the engine's own `verify` proves it, from the ledger of the segments that have gone and the log of the
    rest."""
    assert_rows(lab, stream, pipeline)
    assert lab.verify(pipeline)["proven"]


def assert_rows(lab, stream, pipeline):
    """The multisets of whole rows are the same; each batch number went under one token; each broken record is one dead letter."""
    table, expected = pipeline.table, stream.expected(lab.server)
    found = lab.server.client.row(
        "SELECT sum(if(n < 0, -n, 0)) AS missing, sum(if(n > 0, n, 0)) AS extra FROM "
        f"(SELECT {COLUMNS}, sum(sign) AS n FROM (SELECT {COLUMNS}, toInt64(1) AS sign FROM {table} "
        f"UNION ALL SELECT {COLUMNS}, toInt64(-1) AS sign FROM {expected}) GROUP BY {COLUMNS})")
    assert found == {"missing": 0, "extra": 0}, found
    assert lab.count(table) == stream.events
    batches = lab.server.client.row(
        "SELECT uniqExact(toString(_millrace_batch)) AS tokens, uniqExact(splitByChar('-', toString(_millrace_batch))[4]) AS numbers "
        f"FROM {table}")
    assert batches["tokens"] == batches["numbers"] > 1, batches
    assert sorted((letter["partition"], letter["offset"]) for letter in letters(pipeline)) == sorted(stream.broken)
