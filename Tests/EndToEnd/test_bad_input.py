"""Records as a new user would get them wrong, against the table of README ("Records that are no rows"): each line of it is tried."""

import ctypes
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from laboratory import event, payload
from pipeline import FIELDS
from transaction import pointer, producer

README = Path(__file__).resolve().parents[2] / "README.md"
TYPES = FIELDS["26.9"] | {"level": "Enum8('low' = 1, 'high' = 2)", "share": "Float64", "note": "Nullable(String)", "uuid": "UUID", "ip": "IPv4",
                          "tags": "Array(String)", "local": "DateTime('Europe/Berlin')"}
GOOD = {"level": "low", "share": 0.5, "note": None, "uuid": "00000000-0000-4000-8000-000000000000", "ip": "10.0.0.1", "tags": ["a"],
        "local": "2026-03-29 01:30:00"}


def record(**more) -> bytes:
    return payload(1, **(GOOD | more))


def spliced(old: bytes, new: bytes) -> bytes:
    """A record with bytes that no encoder would write."""
    whole = record(note="here")
    assert old in whole
    return whole.replace(old, new)


# README's words for the record, and the record; one is of the moment at which it is written.
RECORDS = {
    "text that is no JSON": b"hello",
    "an array, a number, a text": b"[1]",
    "something after the object": record() + b" {}",
    "no value (null)": None,
    "a value of zero bytes": b"",
    "more than 64 levels of brackets": spliced(b'"here"', b"[" * 10_000 + b"]" * 10_000),
    "bytes that are no UTF-8": spliced(b"here", b"\xff\xfe"),
    "half of an escaped surrogate pair": spliced(b"here", b"\\ud800"),
    "`NaN`, `Infinity` or another word that JSON hasn't": spliced(b"0.5", b"NaN"),
    "a number beyond the type's range, such as `1e400`": spliced(b"0.5", b"1e400"),
    "more digits than the type keeps": record(amount="1.239"),
    "a text where a number belongs": record(user_id="many"),
    "an object where a text belongs": record(name={"first": "a"}),
    "a name or number that the enum hasn't": record(level="medium"),
    "a date that isn't in the calendar": record(created_at="2026-02-30T00:00:00Z"),
    "a time that the zone's clocks left out": record(local="2026-03-29 02:30:00"),
    "no UUID of 36 characters": record(uuid="{00000000-0000-4000-8000-000000000000}"),
    "no IP address of the type's kind": record(ip="10.0.0.01"),
    "a `null` in an Array or Map whose values aren't Nullable": record(tags=["a", None]),
    "more bytes than `max_record_bytes` (16 MiB), or Arrays and Maps that take four times that as a row": record(note="x" * (33 << 10)),
    "a value for which an expression of a `filter` or `select` fails": record(user_id=0),
    "no value for a field without default": json.dumps({"event_id": "x"}).encode(),
    "an event time more than `max_ahead` after the record's timestamp": record(created_at="2099-01-01T00:00:00Z"),
    "an event time more than `max_ahead` after the clock of its epoch": lambda ahead: record(
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ahead // 1000))),
    "an event time, but its record has no timestamp": record(),
    "an event time further behind the watermark than `allowed_lateness`": record(created_at="2026-01-30T00:00:00Z"),
}
FAST, TIMELESS, LATE = list(RECORDS)[-3:]


def produce(address: str, topic: str, value: bytes, timestamp: int = 0):
    """Writes what kcat can't: a record of zero bytes, or (-1) without a timestamp."""
    class Part(ctypes.Structure):  # rd_kafka_vu_t: what it is, and 64 bytes for any of it
        _fields_ = [("kind", ctypes.c_int), ("text", ctypes.c_char_p), ("length", ctypes.c_size_t), ("rest", ctypes.c_char * 48)]

    class Number(ctypes.Structure):
        _fields_ = [("kind", ctypes.c_int), ("number", ctypes.c_int64), ("rest", ctypes.c_char * 56)]

    library, client = producer(bootstrap_servers=address, message_timeout_ms="60000")
    name = topic.encode()
    # Topic, partition, value, flags (copy), timestamp.
    parts = b"".join(map(bytes, (Part(1, name), Number(3, 0), Part(4, value, len(value)), Number(7, 2), Number(8, timestamp))))
    library.rd_kafka_produceva.restype = pointer
    assert library.rd_kafka_produceva(client, parts, 5) is None
    assert library.rd_kafka_flush(client, 60_000) == 0
    library.rd_kafka_destroy(client)


def section(title: str) -> str:
    """What README has under a heading, up to the next one."""
    return re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", README.read_text(), re.MULTILINE | re.DOTALL)[1]


def documented() -> dict[str, str]:
    """README's table, two of them in a line: what a record is, and the reason it gets."""
    return dict(re.findall(r"\| ([^|\n]+?) \| `(\w+)`[^|\n]*", section("Records that are no rows")))


def test_the_table_of_bad_records_and_these_records_are_the_same():
    assert documented().keys() == RECORDS.keys()


def test_every_reason_of_the_decoder_is_in_the_table():
    source = (README.parent / "Sources/MillFlow/DecodeFailure.swift").read_text()
    cases = re.findall(r"^  case (\w+)(?: = \"(\w+)\")?$", source, re.MULTILINE)
    assert len(cases) > 15
    assert {raw or name for name, raw in cases} | {"late", "expression"} == set(documented().values())


def test_every_rule_that_ends_the_program_is_in_the_table_of_stops():
    rules = {rule for path in (README.parent / "Sources").glob("*/**/*.swift") if "MillSim" not in path.parts
             for rule in re.findall(r'rule: "([A-Z]\d+)"', path.read_text())}
    assert len(rules) > 15
    told = set(re.findall(r"\b[A-Z]\d+\b", "".join(re.findall(r"^\| [1-5][1-5, ]* \| (.*?) \|", section("When it stops"), re.MULTILINE))))
    assert rules - told == set(), "README has no row on these"


@pytest.fixture(scope="module")
def letters(millrace, lab_server, lab_broker, tmp_path_factory):
    """Every bad record once, between two good ones; what `dead-letters list` says of each, by offset, and the records. The late one comes in
    a second run: by the watermark that the first has left."""
    from laboratory import Lab
    lab = Lab(millrace, lab_server, lab_broker, tmp_path_factory.mktemp("bad"))
    topic = lab.topic(1)
    lab.produce(topic, [payload(0, **(GOOD | {"level": "high", "share": 1e308, "note": "first"}))])
    pipeline = lab.pipeline(topic, lab.table(fields=TYPES), fields=TYPES,
                            more={"sources": {"events": {"event_time": {"field": "created_at"}, "max_record_bytes": "32KiB"}},
                                  "operators": {"divided": {"filter": {"input": "events", "where": "intDiv(1, user_id) >= 0"}},
                                                "unique_events": {"deduplicate": {"input": "divided"}}}})
    engine = lab.engine(pipeline)
    # A producer's clock that is ahead of the broker's by less than an hour, which it takes.
    ahead = time.time_ns() // 1_000_000 + 55 * 60_000
    records = {words: value(ahead) if callable(value) else value for words, value in RECORDS.items()}
    plain = []  # what kcat writes in one go
    for words, value in records.items():
        if value and words not in (FAST, TIMELESS, LATE):
            plain.append(value)
            continue
        if plain:
            lab.produce(topic, plain)
            plain = []
        if words == LATE:
            life = engine.run("--until-end", seconds=90)
            assert life.code == 0, life.tail()
        if value == b"" or words in (FAST, TIMELESS):
            produce(lab.broker.address, topic, value, {FAST: ahead, TIMELESS: -1}.get(words, 0))
        else:
            lab.produce(topic, [value or b""], tombstones=value is None)
    assert not plain
    lab.produce(topic, [payload(2, **(GOOD | {"level": 2, "share": -0.0, "note": "last"}))])
    life = engine.run("--until-end", seconds=90)
    assert life.code == 0, life.tail()
    listed = subprocess.run([millrace, "dead-letters", "list", pipeline.file, "--json", "--limit", "1000"], check=True, capture_output=True)
    ids = [row["event_id"] for row in lab.server.client.rows(f"SELECT event_id FROM {pipeline.table} ORDER BY event_id")]
    counted = subprocess.run([millrace, "dead-letters", "list", pipeline.file], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in listed.stdout.splitlines()], ids, counted, records


def test_good_records_between_bad_ones_become_rows(letters):
    assert letters[1] == [event(0)["event_id"], event(2)["event_id"]]


@pytest.mark.parametrize("number, words", enumerate(RECORDS, 1), ids=lambda value: str(value) if isinstance(value, str) else "")
def test_a_bad_record_is_a_dead_letter_with_the_documented_reason_and_its_place(letters, number, words):
    found = [letter for letter in letters[0] if letter["offset"] == number]
    assert len(found) == 1, letters[0]
    assert found[0]["reason"] == documented()[words], found[0]
    assert found[0]["partition"] == 0 and found[0]["topic"]
    value = letters[3][words]
    if value is not None and b"\xff" not in value:
        assert found[0]["payload"].encode() == value


def test_the_list_counts_every_reason(letters):
    for reason in set(documented().values()):
        count = list(documented().values()).count(reason)
        assert re.search(rf"^{reason} +{count}$", letters[2], re.MULTILINE), letters[2]


def test_of_a_repeated_key_the_last_one_counts_and_keys_of_no_field_are_passed_over(lab):
    topic = lab.topic(1)
    lab.produce(topic, [payload(0)[:-1] + b',"name":"second","nobody":{"asks":[1,2,{"for":"it"}]},"name":"last"}'])
    pipeline = lab.pipeline(topic, lab.table())
    assert lab.engine(pipeline).run("--until-end", seconds=90).code == 0
    assert [row["name"] for row in lab.server.client.rows(f"SELECT name FROM {pipeline.table}")] == ["last"]
