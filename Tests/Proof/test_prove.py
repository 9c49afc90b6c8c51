"""What the proof must find, and what it must refuse to call proven. Each wrong row is planted by hand."""

import json
import os
import subprocess
from pathlib import Path

import pytest

PROVE = Path(__file__).with_name("prove")


def event(id, user=1, amount="1.10", at="2026-01-01 00:00:00"):
    return {"id": id, "user": user, "amount": amount, "at": at}


def payload(row) -> bytes:
    # The amount goes in as a bare number with its own digits, never by way of a double.
    return json.dumps(row).replace(f'"{row["amount"]}"', row["amount"]).encode()


def fill(server, table, rows):
    server.execute(f"INSERT INTO {table} FORMAT JSONEachRow", b"\n".join(map(payload, rows)))


def prove(server, broker, topic, table, *more, key="id", environment=None):
    command = [PROVE, "--brokers", broker.address, "--topic", topic, "--clickhouse", server.url, "--table", table, "--json"]
    done = subprocess.run([*command, *(["--key", key] if key else []), *more], capture_output=True, text=True,
                          env=os.environ | (environment or {}))
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def wrong(result):
    return {name: result[name] for name in ("missing", "extra", "double") if result[name]}


A, B, C = event("a"), event("b", user=None), event("c", user=2**53 + 1, amount="9007199254740993.01")


def test_a_table_with_each_key_once_is_proven(server, broker, table):
    fill(server, table, [A, B, C])
    code, result, _ = prove(server, broker, broker.topic([payload(A), payload(B), payload(A)], [payload(C), payload(B)]), table)
    assert (code, wrong(result)) == (0, {})
    assert (result["records"], result["keys"], result["rows"]) == (5, 3, 3)


@pytest.mark.parametrize("rows, found", [
    ([A, C], {"missing": 1}),
    ([], {"missing": 3}),
    ([A, B, C, C], {"double": 1}),
    ([A, A, A, B, C], {"double": 2}),
    ([A, B, C, event("d")], {"extra": 1}),
    ([A, event("b", user=0), C], {"extra": 1}),
    ([A, B, event("c", user=2**53, amount=C["amount"])], {"extra": 1}),
    ([A, B, event("c", user=C["user"], amount="9007199254740993.02")], {"extra": 1}),
    ([A, A, C, event("d")], {"missing": 1, "double": 1, "extra": 1}),
], ids=["one missing", "all missing", "one double", "triple", "foreign key", "NULL became 0", "an integer through a double",
        "a decimal off by its last digit", "counts agree but rows don't"])
def test_each_kind_of_wrong_row_is_found(server, broker, table, rows, found):
    if rows:
        fill(server, table, rows)
    topic = broker.topic([payload(A), payload(B), payload(A)], [payload(C), payload(B)])
    code, result, _ = prove(server, broker, topic, table)
    assert (code, wrong(result)) == (1, found)
    assert set(result["samples"]) == set(found)


def test_only_the_first_record_of_a_key_in_a_partition_can_have_been_kept(server, broker, table):
    later, other = event("a", user=2), event("a", user=3)
    topic = broker.topic([payload(A), payload(later)], [payload(other)])
    for kept, found in [(A, {}), (other, {}), (later, {"extra": 1})]:
        server.execute(f"TRUNCATE TABLE {table}")
        fill(server, table, [kept])
        _, result, _ = prove(server, broker, topic, table)
        assert wrong(result) == found


@pytest.mark.parametrize("rows, found", [
    ([A, A, B], {}), ([A, B], {"missing": 1}), ([A, A, A, B], {"double": 1}), ([A, A, B, C], {"extra": 1}),
])
def test_without_a_key_the_multisets_must_agree(server, broker, table, rows, found):
    fill(server, table, rows)
    _, result, _ = prove(server, broker, broker.topic([payload(A), payload(B)], [payload(A)]), table, key=None)
    assert wrong(result) == found


def test_an_ignored_column_takes_no_part(server, broker, table):
    fill(server, table, [event("a", at="2027-07-07 07:07:07")])
    topic = broker.topic([payload(A)])
    assert prove(server, broker, topic, table)[0] == 1
    assert prove(server, broker, topic, table, "--ignore", "at")[0] == 0


def test_records_that_are_no_json_object_are_counted_apart(server, broker, table):
    fill(server, table, [A])
    garbage = [b"not json", b"[1]", b'{"id": NaN}', b'{"id": "\xff"}', b'{"id": "a"} x', None]
    code, result, _ = prove(server, broker, broker.topic([payload(A), *garbage]), table)
    assert (code, result["records"], result["not_objects"], result["keys"]) == (0, 7, 6, 1)


def test_records_of_an_aborted_transaction_are_not_expected(server, kafka, table):
    broker = kafka
    fill(server, table, [A, B])
    topic = broker.topic([payload(A)])
    broker.abort(topic, [payload(C)] * 3)
    everything = subprocess.run(["kcat", "-C", "-q", "-e", "-b", broker.address, "-t", topic, "-o", "beginning",
                                 "-X", "isolation.level=read_uncommitted"], capture_output=True, check=True).stdout
    assert everything.count(payload(C)) == 3
    subprocess.run(["kcat", "-P", "-b", broker.address, "-t", topic, "-p", "0"], input=payload(B), check=True)
    code, result, _ = prove(server, broker, topic, table)
    assert (code, result["records"], wrong(result)) == (0, 2, {})


def test_any_bytes_in_a_record_keep_the_dump_in_step(server, broker, table):
    odd = event("0 1 2\t\\n é😀 0 0 -1")
    fill(server, table, [odd, A])
    code, result, _ = prove(server, broker, broker.topic([payload(odd), b"0 99 5", payload(A)]), table)
    assert (code, result["records"], result["not_objects"]) == (0, 3, 1)


@pytest.mark.parametrize("topic, more, reason", [
    ([[]], [], "nothing to prove"),
    ([[b"junk"]], [], "nothing to prove"),
    ([[payload(A)]], ["--ignore", "nope"], "has no column nope"),
    ([[payload(A)]], ["--ignore", "id"], "is a key and ignored"),
    ([[payload(A)]], ["--table", "default.nowhere"], "nowhere"),
    ([[payload(A)]], ["--clickhouse", "http://127.0.0.1:1"], "no answer from http://127.0.0.1:1"),
    ([[b'{"id": "\\ud800", "user": 1, "amount": 1, "at": "2026-01-01 00:00:00"}']], [], "can't read a record"),
])
def test_what_proves_nothing_is_never_called_proven(server, broker, table, topic, more, reason):
    code, result, errors = prove(server, broker, broker.topic(*topic), table, *more)
    assert (code, result) == (2, None)
    assert reason in errors


@pytest.fixture
def typed(server):
    """A table of one column `v` of the given type beside its key, empty but for what the rows say."""
    yield from one_column(server)


@pytest.fixture
def typed26(server26):
    yield from one_column(server26, date_time_input_format="best_effort")


def one_column(server, **reading):
    name = "default.typed"

    def create(type, *rows):
        server.execute(f"DROP TABLE IF EXISTS {name}")
        server.execute(f"CREATE TABLE {name} (id String, v {type}) ENGINE = MergeTree ORDER BY id")
        if rows:
            server.execute(f"INSERT INTO {name} FORMAT JSONEachRow", b"\n".join(rows), **reading)
        return name
    yield create
    server.execute(f"DROP TABLE IF EXISTS {name}")


@pytest.mark.parametrize("type, source, misread", [
    ("UInt8", b"300", b"44"),
    ("Int64", b"9223372036854775808", b"-9223372036854775808"),
    ("Nullable(Int8)", b"128", b"-128"),
    ("UInt8", b"true", b"1"),
    ("UInt8", b"", b"0"),
    ("String", b"", b'""'),
    ("DateTime", b'"2026-02-30 00:00:00"', b'"2026-03-02 00:00:00"'),
    ("DateTime", b'"2026-13-45 99:00:00"', b'"1970-01-05 03:00:00"'),
    ("DateTime", b'"2200-01-01 00:00:00"', b'"0000-00-00 00:00:00"'),
    ("DateTime", b"5", b'"1970-01-01 00:00:05"'),
    ("DateTime", b'"2106-02-06 23:59:59"', b'"1970-01-01 23:59:59"'),
    ("Date", b'"1900-01-01"', b'"0000-00-00"'),
    ("Date", b'"2106-01-01"', b'"0000-00-00"'),
    ("UInt8", b"null", b"0"),
    ("Decimal(9, 2)", b"1.239", b"1.23"),
    ("UUID", b'"zz112233-4455-6677-8899-aabbccddeeff"', b'"ef112233-4455-6677-8899-aabbccddeeff"'),
    ("UUID", b'"0011223344-55-6677-8899-aabbccddeeff"', b'"00112233-3f55-6677-8899-aabbccddeeff"'),
    ("Array(UInt8)", b"[300]", b"[44]"),
])
def test_a_value_that_the_server_would_change_is_refused_and_not_judged_by_the_changed_one(
        server, mock, typed, type, source, misread):
    table = typed(type, b'{"id":"a","v":' + misread + b"}")
    topic = mock.topic([b'{"id":"a"' + (b',"v":' + source if source else b"") + b"}"])
    code, result, errors = prove(server, mock, topic, table)
    assert (code, result) == (2, None)
    assert "column v" in errors and ("offset 0" in errors or "Array" in errors)


@pytest.mark.parametrize("type, source", [
    ("UInt8", b"255"), ("Int64", b"-9223372036854775808"), ("UInt64", b'"18446744073709551615"'), ("Nullable(Int8)", b"null"),
    ("Nullable(Int8)", b""), ("Decimal(9, 2)", b"-9999999.99"), ("Nullable(Decimal(18, 4))", b"99999999999999.9999"),
    ("Decimal(9, 2)", b"-0.00"), ("Date", b'"2105-12-31"'), ("DateTime", b'"2024-02-29 23:59:59"'),
    ("DateTime", b'"2105-12-31 23:59:59"'), ("Date", b'"1970-01-02"'), ("LowCardinality(Nullable(String))", b"null"),
    ("LowCardinality(String)", b'"x"'), ("FixedString(3)", b'"ab"'), ("UUID", b'"00112233-4455-6677-8899-aabbccddeeff"'),
    ("UUID", b'"00112233-4455-6677-8899-AABBCCDDEEFF"'), ("Enum8('a' = 1)", b'"a"'),
])
def test_a_value_of_each_type_that_fits_is_proven(server, mock, typed, type, source):
    record = b'{"id":"a"' + (b',"v":' + source if source else b"") + b"}"
    assert prove(server, mock, mock.topic([record]), typed(type, record))[0] == 0


@pytest.mark.parametrize("type, source, other", [
    ("Bool", b"true", b"false"),
    ("DateTime64(3)", b'"2026-01-01 00:00:00.123"', b'"2026-01-01 00:00:00.124"'),
    ("DateTime64(9, 'UTC')", b'"2026-01-01 00:00:00.123456789"', b'"2026-01-01 00:00:00.123456788"'),
    ("DateTime64(6)", b'"1900-01-02 00:00:00"', b'"1900-01-02 00:00:00.000001"'),
    ("DateTime64(3)", b'"2026-01-31T12:00:00.250Z"', b'"2026-01-31 12:00:00.251"'),
    ("DateTime64(3, 'Asia/Tokyo')", b'"2026-01-31T12:00:00.250Z"', b'"2026-01-31 12:00:00.250"'),
    ("Nullable(DateTime64(0))", b"null", b'"2026-01-01 00:00:00"'),
    ("Date32", b'"1900-01-01"', b'"1900-01-02"'), ("Date32", b'"2299-12-31"', b'"2299-12-30"'),
    ("IPv4", b'"1.2.3.4"', b'"1.2.3.5"'), ("IPv6", b'"2001:db8::1"', b'"2001:db8::2"'),
    ("Int256", str(2**255 - 1).encode(), str(2**255 - 2).encode()), ("UInt128", str(2**128 - 1).encode(), str(2**128 - 2).encode()),
    ("Decimal(76, 2)", b"9" * 74 + b".99", b"9" * 74 + b".98"),
])
def test_values_of_newer_types_are_told_apart(server26, mock, typed26, type, source, other):
    topic = mock.topic([b'{"id":"a","v":' + source + b"}"])
    assert prove(server26, mock, topic, typed26(type, b'{"id":"a","v":' + source + b"}"))[0] == 0
    code, result, errors = prove(server26, mock, topic, typed26(type, b'{"id":"a","v":' + other + b"}"))
    assert (code, errors) == (1, "") and wrong(result) == {"extra": 1}


@pytest.mark.parametrize("type, source, misread", [
    ("DateTime64(3)", b'"2026-01-01 00:00:00.1234"', b'"2026-01-01 00:00:00.123"'),
    ("DateTime64(3)", b"5", b'"1970-01-01 00:00:05"'),
    ("DateTime64(0)", b'"2026-02-30 00:00:00"', b'"2026-03-02 00:00:00"'),
    ("Date32", b'"2026-02-30"', b'"2026-03-02"'),
    ("Date32", b'"2300-01-01"', b'"2299-12-31"'),
    ("Bool", b"1", b"true"),
    ("IPv4", b'"1.2.3"', b'"1.2.3.0"'),
])
def test_a_value_of_a_newer_type_that_could_be_changed_is_refused(server26, mock, typed26, type, source, misread):
    table = typed26(type, b'{"id":"a","v":' + misread + b"}")
    code, result, errors = prove(server26, mock, mock.topic([b'{"id":"a","v":' + source + b"}"]), table)
    assert (code, result) == (2, None) and "column v" in errors and "offset 0" in errors


def test_a_password_that_is_wrong_is_refused_and_not_printed(server, mock, table):
    # The default user of 26.9 here takes any password; that of 18.16 only none.
    user = "default" if server.execute("SELECT version()").startswith(b"18.") else "writer"
    code, result, errors = prove(server, mock, "t", table, "--user", user, environment={"CLICKHOUSE_PASSWORD": "canary-7316"})
    assert (code, result) == (2, None)
    assert "assword" in errors and "canary-7316" not in errors


def test_a_broker_that_is_down_proves_nothing(server, broker, table):
    code, result, errors = prove(server, broker, "t", table, "--brokers", "127.0.0.1:1")
    assert (code, result) == (2, None)
    assert "127.0.0.1:1" in errors


def test_a_float_column_is_refused_where_the_server_reads_floats_inexactly(server, broker):
    server.execute("DROP TABLE IF EXISTS default.floats")
    server.execute("CREATE TABLE default.floats (id String, x Float64) ENGINE = Memory")
    bits = server.row("SELECT reinterpretAsInt64(reinterpretAsString(toFloat64('1.84'))) AS n")["n"]
    inexact = bits != 0x3FFD70A3D70A3D71
    server.execute("INSERT INTO default.floats FORMAT JSONEachRow", b'{"id":"a","x":1.5}')
    topic = broker.topic([b'{"id":"a","x":1.5}'])
    code, _, errors = prove(server, broker, topic, "default.floats")
    assert (code, "inexactly" in errors) == ((2, True) if inexact else (0, False))
    assert prove(server, broker, topic, "default.floats", "--ignore", "x")[0] == 0


@pytest.mark.parametrize("type", ["Decimal(38, 10)", "Nullable(Decimal(38, 10))", "Decimal(19, 0)"])
def test_a_decimal_of_more_than_64_bits_is_refused_where_the_server_corrupts_it(server, mock, typed, type):
    source = [b'{"id":"%d","v":%d}' % (number, 10**18 + number) for number in range(8)]
    table = typed(type, *source[:7], source[7].replace(b"00007}", b"00008}"))
    topic = mock.topic(source)
    corrupts = server.row("SELECT version() AS v")["v"].startswith("18.")
    code, result, errors = prove(server, mock, topic, table)
    if corrupts:
        assert (code, result) == (2, None) and f"v {type}" in errors
    else:
        assert (code, wrong(result)) == (1, {"extra": 1})
    assert prove(server, mock, topic, table, "--ignore", "v")[0] == 0


def test_no_table_of_the_user_is_touched(server, broker, table):
    fill(server, table, [A])
    server.execute(f"CREATE TABLE {table}_proof (n UInt8) ENGINE = Memory")
    server.execute(f"INSERT INTO {table}_proof VALUES (7)")
    assert prove(server, broker, broker.topic([payload(A)]), table)[0] == 0
    assert server.rows(f"SELECT n FROM {table}_proof") == [{"n": 7}]
    server.execute(f"DROP TABLE {table}_proof")


def test_nothing_of_the_proof_stays_in_the_database(server, broker, table):
    fill(server, table, [A])
    prove(server, broker, broker.topic([payload(A)]), table)
    prove(server, broker, broker.topic([b"junk"]), table)
    names = [row["name"] for row in server.rows("SELECT name FROM system.tables WHERE name LIKE '%_proof_%'")]
    assert names == []
