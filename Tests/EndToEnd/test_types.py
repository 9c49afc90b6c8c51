"""Every type, from a record's JSON to the table: read back, the values are those that Python works out; what doesn't fit is a dead letter."""

import itertools
import json
import subprocess
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


METADATA = {  # a column → its type, and where it is from
    "id": ("UInt32", {}),
    "place": ("UInt64", {"from": "$offset"}),
    "partition": ("Int32", {"from": "$partition"}),
    "topic": ("LowCardinality(String)", {"from": "$topic"}),
    "at": ("DateTime64(3, 'UTC')", {"from": "$timestamp"}),
    "key": ("Nullable(String)", {"from": "$key"}),
    "number": ("Int64", {"from": "$key", "default": "-1"}),
    "trace": ("Nullable(String)", {"from": "$headers.trace.id"}),
    "hops": ("UInt8", {"from": "$headers.hops", "default": "0"}),
    "seconds": ("DateTime('UTC')", {"format": "unix_s"}),
    "nanoseconds": ("DateTime64(9, 'UTC')", {"format": "unix_ns"}),
    "day": ("Date", {"truncate": True}),
    "whole": ("String", {"from": "nested.any", "coerce": True}),
}


@pytest.mark.parametrize("window", [10_000, 0], ids=["token", "read-back"])
def test_metadata_of_records_and_what_fields_ask_for_arrive_as_another_client_sees_them(lab, window):
    topic, table = lab.topic(partitions=2), f"default.types{next(_numbers)}"
    value = {"seconds": 951_782_400, "nanoseconds": 951_782_400_123_456_789, "day": "2000-02-29T23:59:59.9Z",
             "nested": {"any": [1, {"a": None}]}}
    # (partition, key, headers): a key that isn't there, one that is no number; a name twice, an empty value, one beyond its type.
    sent = [(0, b"12", ["trace.id=a", "trace.id=b", "hops=255"]), (1, b"-7", ["trace.id="]), (0, None, []), (1, None, ["other=x"]),
            (0, b"x", []), (1, b"13", ["hops=256"]), (0, "-9223372036854775808".encode(), ["trace.id=é ,\\", "hops=0"])]
    for number, (partition, key, headers) in enumerate(sent):
        record = json.dumps({"id": number} | value).encode()
        line = (b"" if key is None else key + b"\t") + record
        subprocess.run(["kcat", "-P", "-b", lab.broker.address, "-t", topic, "-p", str(partition), *([] if key is None else ["-K", "\t"]),
                        *(word for header in headers for word in ("-H", header))], input=line, check=True, capture_output=True)
    columns = ", ".join(f"`{name}` {type}" for name, (type, _) in METADATA.items())
    lab.server.client.execute(f"CREATE TABLE {table} ({columns}, _millrace_batch String) ENGINE = MergeTree ORDER BY id "
                              f"SETTINGS non_replicated_deduplication_window = {window}")
    pipeline = lab.pipeline(topic, table, deduplicate=False,
                            fields={name: {"type": type} | more for name, (type, more) in METADATA.items()})
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code == 0, life.tail()
    lines = subprocess.run(["kcat", "-C", "-b", lab.broker.address, "-t", topic, "-e", "-q", "-J"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    seen = {(record["partition"], record["offset"]): record for record in map(json.loads, lines)}
    found = lab.server.client.rows(
        f"SELECT id, place, partition, topic, toUnixTimestamp64Milli(at) AS at, key, toString(number) AS number, trace, hops, "
        f"toString(seconds) AS seconds, toString(nanoseconds) AS nanoseconds, toString(day) AS day, whole FROM {table} ORDER BY id")
    offsets = {0: itertools.count(), 1: itertools.count()}
    expected = []
    for number, (partition, key, headers) in enumerate(sent):
        offset = next(offsets[partition])
        named = dict(header.split("=", 1) for header in headers)  # of a name that comes twice the last counts
        record = seen[partition, offset]
        assert json.loads(record["payload"])["id"] == number and record["key"] == (key and key.decode()), record
        if number in (4, 5):
            continue
        expected.append({
            "id": number, "place": offset, "partition": partition, "topic": topic, "at": record["ts"], "key": key and key.decode(),
            "number": key.decode() if key else "-1", "trace": named.get("trace.id"), "hops": int(named.get("hops", 0)),
            "seconds": "2000-02-29 00:00:00", "nanoseconds": "2000-02-29 00:00:00.123456789", "day": "2000-02-29",
            "whole": '[1, {"a": null}]'})
    assert [{name: row[name] if isinstance(expected[0][name], str) or row[name] is None else type(expected[0][name])(row[name])
             for name in row} for row in found] == expected
    letters = [json.loads(line) for file in sorted(pipeline.dead_letters.iterdir()) for line in file.read_text().splitlines()]
    assert sorted((letter["partition"], letter["offset"], letter["field"]) for letter in letters) == [(0, 2, "number"), (1, 2, "hops")]
