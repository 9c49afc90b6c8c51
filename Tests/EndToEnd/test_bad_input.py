"""Records as a new user would get them wrong, against the table of README ("Records that are no rows"): each line of it is tried."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from laboratory import event, payload
from pipeline import FIELDS

README = Path(__file__).resolve().parents[2] / "README.md"
TYPES = FIELDS["26.9"] | {"level": "Enum8('low' = 1, 'high' = 2)", "share": "Float64", "note": "Nullable(String)"}


def record(**more) -> bytes:
    return payload(1, **({"level": "low", "share": 0.5, "note": None} | more))


def spliced(old: bytes, new: bytes) -> bytes:
    """A record with bytes that no encoder would write."""
    whole = record(note="here")
    assert old in whole
    return whole.replace(old, new)


# README's words for the record, and the record.
RECORDS = {
    "text that is no JSON": b"hello",
    "an array, a number, a text": b"[1]",
    "something after the object": record() + b" {}",
    "an empty value": None,
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
    "no value for a field without default": json.dumps({"event_id": "x"}).encode(),
}


def documented() -> dict[str, str]:
    """README's table: what a record is, and the reason it gets."""
    section = README.read_text().partition("## Records that are no rows")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (.+?) \| `(\w+)`", section, re.MULTILINE))


def test_the_table_of_bad_records_and_these_records_are_the_same():
    assert documented().keys() == RECORDS.keys()


@pytest.fixture(scope="module")
def letters(millrace, lab_server, lab_broker, tmp_path_factory):
    """Every bad record once, between two good ones; what `dead-letters list` says of each, by offset."""
    from laboratory import Lab
    lab = Lab(millrace, lab_server, lab_broker, tmp_path_factory.mktemp("bad"))
    topic = lab.topic(1)
    lab.produce(topic, [payload(0, level="high", share=1e308, note="first")])
    for value in RECORDS.values():
        lab.produce(topic, [value or b""], tombstones=value is None)
    lab.produce(topic, [payload(2, level=2, share=-0.0, note="last")])
    pipeline = lab.pipeline(topic, lab.table(fields=TYPES), fields=TYPES)
    life = lab.engine(pipeline).run("--until-end", seconds=90)
    assert life.code == 0, life.tail()
    listed = subprocess.run([millrace, "dead-letters", "list", pipeline.file, "--json", "--limit", "1000"], check=True, capture_output=True)
    ids = [row["event_id"] for row in lab.server.client.rows(f"SELECT event_id FROM {pipeline.table} ORDER BY event_id")]
    counted = subprocess.run([millrace, "dead-letters", "list", pipeline.file], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in listed.stdout.splitlines()], ids, counted


def test_good_records_between_bad_ones_become_rows(letters):
    assert letters[1] == [event(0)["event_id"], event(2)["event_id"]]


@pytest.mark.parametrize("number, words", enumerate(RECORDS, 1), ids=lambda value: str(value) if isinstance(value, str) else "")
def test_a_bad_record_is_a_dead_letter_with_the_documented_reason_and_its_place(letters, number, words):
    found = [letter for letter in letters[0] if letter["offset"] == number]
    assert len(found) == 1, letters[0]
    assert found[0]["reason"] == documented()[words], found[0]
    assert found[0]["partition"] == 0 and found[0]["topic"]
    value = RECORDS[words]
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
