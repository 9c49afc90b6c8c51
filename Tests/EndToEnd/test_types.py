"""Every type, from a record's JSON to the table: read back, the values are those that Python works out; what doesn't fit is a dead letter."""

import itertools
import json
from decimal import Decimal

import pytest

import every_type
from laboratory import Lab
from servers import ClickHouseServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def old_server(tmp_path_factory):
    server = ClickHouseServer("18.16", tmp_path_factory.mktemp("types-clickhouse18"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def old_lab(millrace, old_server, lab_broker, tmp_path):
    laboratory = Lab(millrace, old_server, lab_broker, tmp_path)
    yield laboratory
    for engine in laboratory.engines:
        engine.end()


def create(lab, cases, window, provenance, **settings) -> str:
    name = f"default.types{next(_numbers)}"
    columns = ", ".join(["event_id UInt32", *(f"c{number} {case.type}" for number, case in enumerate(cases)),
                         *(["_millrace_batch String"] if provenance else [])])
    more = f" SETTINGS non_replicated_deduplication_window = {window}" if window else ""
    lab.server.client.execute(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY event_id{more}", **settings)
    return name


def records(cases):
    """The payloads, how many of them are rows, and of the others which field is to blame."""
    def record(number, values):
        return ("{" + ", ".join([f'"event_id": {number}', *(f'"c{at}": {value}' for at, value in enumerate(values))]) + "}").encode()
    count = max(len(case.taken) for case in cases)
    good = [record(row, [case.taken[row % len(case.taken)][0] for case in cases]) for row in range(count)]
    bad, blamed = [], []
    for at, case in enumerate(cases):
        for value in case.refused:
            values = [min((value for value, _ in other.taken), key=len) for other in cases]
            values[at] = value
            bad.append(record(count + len(bad), values))
            blamed.append(f"c{at}")
    return good + bad, count, blamed


def read_back(lab, table, cases):
    shown = ", ".join(case.shown(f"c{number}") for number, case in enumerate(cases))
    settings = {"output_format_json_quote_64bit_integers": 0}
    if lab.server.version == "26.9":
        settings |= {"output_format_json_quote_decimals": 1, "output_format_json_named_tuples_as_objects": 1}
    answer = lab.server.client.execute(f"SELECT event_id, {shown} FROM {table} ORDER BY event_id FORMAT JSONCompact", **settings)
    # As text, so that no digit is lost here.
    return json.loads(answer, parse_int=str, parse_float=str)["data"]


def same(got, expected) -> bool:
    if isinstance(expected, Decimal):
        return got is not None and Decimal(got) == expected
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(same(got[key], expected[key]) for key in expected)
    return got == expected


def assert_every_value_arrives(lab, cases, window, sink, **settings):
    table = create(lab, cases, window, sink.get("provenance_column", True), **settings)
    payloads, count, blamed = records(cases)
    topic = lab.topic(partitions=1)
    lab.produce(topic, payloads)
    fields = {"event_id": "UInt32"} | {f"c{number}": case.type for number, case in enumerate(cases)}
    pipeline = lab.pipeline(topic, table, fields=fields, deduplicate=False,
                            more={"sinks": {"table": {"clickhouse": sink}}} if sink else {})
    life = lab.engine(pipeline).run("--until-end", seconds=180)
    assert life.code == 0, life.log.read_text(errors="replace")[-3000:]
    rows = read_back(lab, table, cases)
    assert [row[0] for row in rows] == [str(number) for number in range(count)]
    wrong = [(case.type, *case.taken[number % len(case.taken)], row[at + 1]) for number, row in enumerate(rows) for at, case in enumerate(cases)
             if not same(row[at + 1], case.taken[number % len(case.taken)][1])]
    assert not wrong, (sorted({type for type, *_ in wrong}), wrong[:2])
    letters = [json.loads(line) for file in sorted(pipeline.dead_letters.iterdir()) for line in file.read_text().splitlines()]
    assert [(letter["offset"], letter["field"]) for letter in letters] == [(count + at, field) for at, field in enumerate(blamed)]
    assert [letter["payload"].encode() for letter in letters] == payloads[count:]


@pytest.mark.parametrize("window", [10_000, 0], ids=["token", "read-back"])
def test_every_value_of_every_type_arrives_exactly_or_is_a_dead_letter(lab, window):
    cases = every_type.all_new(every_type.NEW)
    assert len(cases) > 300
    assert_every_value_arrives(lab, cases, window, {}, allow_suspicious_low_cardinality_types=1)


def test_every_value_arrives_at_an_old_server_too(old_lab):
    assert_every_value_arrives(old_lab, every_type.all_old(every_type.OLD), 0, {"user": "default"})


def test_enums_arrive_at_an_old_server_at_least_once(old_lab):
    cases = every_type.all_old(every_type.ENUMS)
    assert_every_value_arrives(old_lab, cases, 0, {"user": "default", "delivery": "at_least_once", "provenance_column": None})
