"""Values of every type that a field can have: as a record's JSON, and as Python works out what the table must then hold."""

import ipaddress
import json
import struct
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Case:
    """A type; values that it takes, each with what `select` of the column must give (numbers as text); and values that are refused."""

    type: str
    taken: list  # of (JSON, expected)
    refused: list  # of JSON
    select: str = "{}"

    def shown(self, column: str) -> str:
        return self.select.format(column)


def integer(name: str, low: int, high: int) -> Case:
    odd = [2**53 + 1] if high > 2**53 else []
    return Case(name, [(str(value), str(value)) for value in [low, high, 0, *odd]] + [(f'"{high}"', str(high)), ("1e2", "100"), ("7.0", "7")],
                [str(low - 1), str(high + 1), f'"{high + 1}"', "0.5", "1e400", '"1 "', "true"])


def decimal(precision: int, scale: int) -> Case:
    most = ("9" * (precision - scale) or "0") + ("." + "9" * scale if scale else "")
    least = "0." + "0" * (scale - 1) + "1" if scale else "1"
    values = [most, "-" + most, least, "-" + least, "0", *(["0.1", "-0.10"] if scale else []), f'"{most}"']
    return Case(f"Decimal({precision}, {scale})", [(value, Decimal(value.strip('"'))) for value in values],
                [f"1e{precision - scale}", f"-1e{precision - scale}", f"1e-{scale + 1}", "1e400", '"x"'])


def real(name: str, code: str, values: list[str], refused: list[str]) -> Case:
    width = struct.calcsize(code)
    return Case(name, [(value, str(int.from_bytes(struct.pack("<" + code, float(value.strip('"'))), "little"))) for value in values],
                refused, f"reinterpretAsUInt{width * 8}(reinterpretAsString({{}}))")


def seconds(zone: str | None, text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone) if zone else timezone.utc)
    return (moment - EPOCH) // timedelta(seconds=1)


def date_time(zone: str | None, taken: list[str], refused: list[str]) -> Case:
    return Case(f"DateTime('{zone}')" if zone else "DateTime", [(f'"{text}"', str(seconds(zone, text))) for text in taken],
                [f'"{text}"' for text in refused], "toUInt32({})")


def date_time64(precision: int, zone: str | None, taken: list[str], refused: list[str]) -> Case:
    def ticks(text):
        # Python's times have microseconds only.
        whole, _, fraction = text.partition(".")
        return str(seconds(zone, whole) * 10**precision + int((fraction or "0").ljust(precision, "0")))
    name = f"DateTime64({precision}, '{zone}')" if zone else f"DateTime64({precision})"
    return Case(name, [(f'"{text}"', ticks(text)) for text in taken], [f'"{text}"' for text in refused], "reinterpretAsInt64({})")


def text(name: str, taken: list, refused: list, expected=lambda value: value) -> Case:
    return Case(name, [(json.dumps(value), expected(value)) for value in taken], [json.dumps(value) for value in refused])


def day(name: str, taken: list[str], refused: list) -> Case:
    return Case(name, [(f'"{value}"', str((date.fromisoformat(value) - EPOCH.date()).days)) for value in taken],
                [json.dumps(value) for value in refused], "toInt32({})")


def enum(name: str, numbers: dict[str, int], refused: list[str]) -> Case:
    listed = ", ".join("'" + key.replace("\\", "\\\\").replace("'", "\\'") + f"' = {number}" for key, number in numbers.items())
    return Case(f"{name}({listed})", [(json.dumps(key), key) for key in numbers] + [(str(number), key) for key, number in numbers.items()],
                refused)


INTEGERS = [integer(f"Int{bits}", -2 ** (bits - 1), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)] + \
    [integer(f"UInt{bits}", 0, 2**bits - 1) for bits in (8, 16, 32, 64)]
WIDE_INTEGERS = [integer(f"Int{bits}", -2 ** (bits - 1), 2 ** (bits - 1) - 1) for bits in (128, 256)] + \
    [integer(f"UInt{bits}", 0, 2**bits - 1) for bits in (128, 256)]
DECIMALS = [decimal(9, 2), decimal(9, 9), decimal(18, 4), decimal(38, 0), decimal(38, 10), decimal(38, 38)]
WIDE_DECIMALS = [decimal(76, 0), decimal(76, 38), decimal(76, 76)]
REALS = [
    real("Float32", "f", ["0.1", "-0", "3.4028234663852886e38", "1e-45", "16777217", '"1.5"'], ["1e39", '"NaN"', "true"]),
    real("Float64", "d", ["0.1", "-0", "1.7976931348623157e308", "5e-324", "9007199254740993", "1e-400", '"-2.5e-3"'], ["1e400", '"inf"']),
]
STRINGS = [
    text("String", ["", "é😀", "tab\tquote\"backslash\\ \u0000", "x" * 300], [1, None, ["a"]]),
    text("FixedString(3)", ["abc", "é", "", "a"], ["abcd", "éé", 1], lambda value: value + "\0" * (3 - len(value.encode()))),
]
UUIDS = [text("UUID", ["00000000-0000-0000-0000-000000000000", "61F0C404-5cb3-11e7-907b-a6006ad3dba0", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
              ["61f0c4045cb311e7907ba6006ad3dba0", 1], str.lower)]
DATES = [day("Date", ["1970-01-01", "2024-02-29", "2100-02-28"], ["1969-12-31", "2149-06-07", "2100-02-29", "2023-02-29", 0])]
NEW_DATES = [
    day("Date", ["2149-06-06", "2024-02-29"], ["2149-06-07"]),
    day("Date32", ["1900-01-01", "1969-12-31", "2024-02-29", "2299-12-31"], ["1899-12-31", "2300-01-01", "1900-02-29"]),
]
DATE_TIMES = [
    date_time(None, ["1970-01-01 00:00:01", "2024-02-29T23:59:59Z", "2024-02-29 12:00:00+05:30", "2106-02-07 06:28:15"],
              ["1969-12-31 23:59:59", "2106-02-07 06:28:16", "2024-02-29 00:00:00.5", "2023-02-29 00:00:00"]),
    # Clocks go forward at 2 in March: that hour isn't there. They go back in October, and the hour that is there twice is the first.
    date_time("Europe/Berlin", ["2024-03-31 01:59:59", "2024-03-31 03:00:00", "2024-10-27 02:30:00", "2024-10-27 03:00:00", "2060-07-01 00:00:00"],
              ["2024-03-31 02:30:00"]),
]
DATE_TIMES64 = [
    date_time64(0, None, ["1900-01-01 00:00:00", "2299-12-31 23:59:59"], ["1899-12-31 23:59:59", "2300-01-01 00:00:00"]),
    date_time64(3, None, ["1900-01-01 00:00:00.001", "1969-12-31 23:59:59.999", "2299-12-31 23:59:59.999"], ["2024-02-29 00:00:00.0001"]),
    date_time64(6, "America/New_York", ["2024-03-10 03:00:00.123456", "2024-11-03 01:30:00.000001"], ["2024-03-10 02:30:00"]),
    date_time64(9, None, ["1900-01-01 00:00:00.000000001", "2262-04-11 23:47:16.854775807"], ["2262-04-11 23:47:16.854775808"]),
]
ADDRESSES = [
    text("IPv4", ["0.0.0.0", "1.2.3.4", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4", "::1", 1]),
    text("IPv6", ["::", "2001:DB8::8a2e:370:7334", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1.2.3.4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
         ["1:2:3", "1::2::3", "fe80::1%eth0", "12345::"],
         lambda value: "::ffff:1.2.3.4" if "1.2.3.4" in value else str(ipaddress.IPv6Address(value))),
]
BOOLS = [Case("Bool", [("true", True), ("false", False)], ["1", '"true"'])]
ENUMS = [enum("Enum8", {"it's, \\": -128, "": 0, "é": 127}, ['"no"', "5", "128", "true"]), enum("Enum16", {"a": -32768, "b": 32767}, ['"c"', "0"])]

# 18.16 prints some Decimals of 38 digits as garbage, so nothing can be read back there.
OLD = INTEGERS + [case for case in DECIMALS if "(38" not in case.type] + REALS + STRINGS + UUIDS + DATES + DATE_TIMES
NEW = INTEGERS + WIDE_INTEGERS + DECIMALS + WIDE_DECIMALS + REALS + STRINGS + UUIDS + DATES + NEW_DATES + DATE_TIMES + DATE_TIMES64 + \
    ADDRESSES + BOOLS + ENUMS


def nullable(case: Case) -> Case:
    return Case(f"Nullable({case.type})", [("null", None), *case.taken, ("null", None)], [one for one in case.refused if one != "null"][:1],
                case.select)


def low_cardinality(case: Case) -> Case:
    # The server itself makes -0 a 0 there, however it comes.
    taken = [pair for pair in case.taken if pair[0] != "-0"]
    return Case(f"LowCardinality({case.type})", taken + taken[:1], case.refused[:1], case.select)


def may_be_low_cardinality(case: Case) -> bool:
    bare = case.type.removeprefix("Nullable(")
    return not bare.startswith(("Decimal", "Enum", "DateTime64", "Array", "Map"))


def array(case: Case) -> Case:
    whole = "[" + ", ".join(value for value, _ in case.taken) + "]"
    item = "x" + str(case.select.count("->"))
    select = "{}" if case.select == "{}" else f"arrayMap({item} -> {case.select.format(item)}, {{}})"
    return Case(f"Array({case.type})", [(whole, [expected for _, expected in case.taken]), ("[]", []), (f" [ {case.taken[0][0]} ] ", [case.taken[0][1]])],
                [f"[{case.taken[0][0]}, {case.refused[0]}]", "null", '"[]"', "{}"], select)


def map_of(case: Case, key: str = "String") -> Case:
    entries = {f"k{number} é\"": pair for number, pair in enumerate(case.taken)}
    whole = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, (value, _) in entries.items()) + "}"
    select = "{}" if case.select == "{}" else f"mapApply((k, v) -> (k, {case.select.format('v')}), {{}})"
    repeated = f'{{"a": {case.taken[0][0]}, "": {case.taken[0][0]}, "a": {case.taken[1][0]}}}'
    return Case(f"Map({key}, {case.type})", [(whole, {name: expected for name, (_, expected) in entries.items()}), ("{}", {}),
                                             (repeated, {"": case.taken[0][1], "a": case.taken[1][1]})],
                [f'{{"a": {case.refused[0]}}}', "[]"], select)


def all_old(cases: list[Case]) -> list[Case]:
    """The types of ClickHouse 18.16."""
    return cases + [nullable(case) for case in cases] + [array(case) for case in cases] + [array(nullable(case)) for case in cases] + \
        [array(array(case)) for case in cases]


def all_new(cases: list[Case]) -> list[Case]:
    dictionaries = [low_cardinality(one) for case in cases if may_be_low_cardinality(case) for one in (case, nullable(case))]
    return all_old(cases) + dictionaries + [array(case) for case in dictionaries] + [map_of(case) for case in cases] + \
        [map_of(nullable(case), "LowCardinality(String)") for case in cases] + [map_of(array(case)) for case in cases] + \
        [array(map_of(case)) for case in cases] + [map_of(case) for case in dictionaries]
