"""Expressions value by value against ClickHouse 26.9: some 38,000 cases over functions, operators, types, NULLs and extremes. Whole numbers
are also worked out here, without bounds. What differs must be one of the differences that docs/expressions.md lists."""

import collections
import json
import math
import os
import re
import struct
import subprocess
from pathlib import Path

import exact
import matrix
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MILLRACE = Path(os.environ.get("MILLRACE", ROOT / ".build" / "release" / "millrace"))
PYTHON = Path(os.environ.get("CLICKHOUSE26_PYTHON",
                             Path(os.environ.get("MILLRACE_CACHE", Path.home() / ".cache" / "millrace")) / "chdb-core-26.9.0" / "bin" / "python"))
NO_NUMBER = {"inf", "-inf", "nan", None}


def lines(command, expressions, **environment):
    done = subprocess.run(command, input="\n".join(expressions) + "\n", capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(expressions), done.stderr
    return answers


@pytest.fixture(scope="module")
def answers():
    """Cases with ours and theirs."""
    # A line is an expression: those with line ends in their texts can't be asked so.
    cases = [case for case in matrix.cases() if "\n" not in case.ours]
    ours = lines([MILLRACE, "eval", "-"], [case.ours for case in cases])
    theirs = lines([PYTHON, HERE / "answers.py"], [json.dumps(case.theirs) for case in cases], TZ="UTC")
    return list(zip(cases, ours, theirs))


def same(ours, theirs):
    """Values as texts; a Bool of ours is a UInt8 of theirs."""
    if "value" not in ours or "value" not in theirs:
        # Both have none.
        return "value" not in ours and "error" in theirs
    value = ours["value"]
    if "Bool" in ours["type"] and "Bool" not in theirs["type"]:
        value = {"true": "1", "false": "0"}.get(value, value)
    return value == theirs["value"]


def as_float(text, kind):
    return struct.unpack("f", struct.pack("f", float(text)))[0] if kind == "Float32" else float(text)


def float_as_integer(case, ours):
    found = re.fullmatch(r"try_cast\(CAST\('(.*?)' AS (Float\d+)\) AS U?Int(128|256)\)", case.ours)
    return found is not None and ours["value"] is not None and int(ours["value"]) == int(as_float(*found.groups()[:2]))


def rest_is_exact(case, ours, theirs):
    """`%` of Floats: C's fmod."""
    found = re.fullmatch(r"CAST\('(.*?)' AS (\w+)\) % CAST\('(.*?)' AS (\w+)\)", case.ours)
    if not found:
        return False
    return float(ours["value"]) == math.fmod(as_float(*found.groups()[:2]), as_float(*found.groups()[2:]))


# By the words of docs/expressions.md: which cases of which groups each difference covers.
DIFFERENCES = {
    # Decimals and roundings are worked out exactly by a test of their own.
    "a result that doesn't fit": lambda c, o, t: o.get("failed") == "overflow" and c.group in {"decimals", "numbers", "rounding"},
    "roundings of integers of 64 bits": lambda c, o, t: c.group == "rounding" and "value" in o and "Float" not in c.ours,
    "`1 / 0`, NaN, infinity": lambda c, o, t: o.get("failed") in {"divisionByZero", "notFinite"} and t.get("value") in NO_NUMBER,
    "`%` of Floats": lambda c, o, t: c.group == "floats" and "value" in o and rest_is_exact(c, o, t),
    "a Decimal with an integer": lambda c, o, t: c.group == "decimals" and "value" in o and o["type"] != t.get("type") and "Int" in c.ours,
    "quotients of Decimals of any scales": lambda c, o, t: "value" in o and (
        c.group == "decimals" and ("error" in t or " / " in c.ours) or c.group == "comparisons" and "Decimal" in c.ours and ("Int" in c.ours or "error" in t)),
    "conversions that lose digits": lambda c, o, t: c.group in {"exact conversions", "times"} and (
        o.get("failed") == "losesDigits" or "value" in o and o["value"] is None),
    "times beyond a type": lambda c, o, t: o.get("failed") in {"outOfRange", "overflow"} and c.group in {
        "clocks", "moves", "intervals", "times", "ticks"},
    "`dateDiff('week', …)` and times before 1970": lambda c, o, t: "value" in o and (
        c.group == "differences" and ("Date" in c.ours and re.search(r"'(19[0-6]\d|2149|2[2-9]\d\d|1970-01-01)", c.ours) is not None)
        or c.group in {"clocks", "formats"} and "CAST('2299-12-31'" in c.ours
        or c.group == "times" and "1970-01-01" in c.ours),
    "`in`, `not in` with NULL in the list": lambda c, o, t: c.group == "membership" and "NULL" in c.ours and o.get("value", "") is None,
    "`greatest`, `least` with NULL": lambda c, o, t: c.group == "extremes with NULL" and o.get("value", "") is None,
    "`[1, 2, 3][0]`": lambda c, o, t: c.group == "missing elements" and o.get("value", "") is None,
    "`JSONExtractRaw`, `JSON_VALUE` of a number": lambda c, o, t: c.ours.startswith("JSON_VALUE") and o.get("value") == "5.0",
    "JSON functions: a missing path": lambda c, o, t: c.group == "JSON" and o.get("value", "") is None,
    "`dateTrunc('second', t)`": lambda c, o, t: c.ours.startswith("dateTrunc('second'") and "1950" in c.ours,
    "`replaceRegexpAll` where": lambda c, o, t: c.ours.startswith("replaceRegexpAll") and "\ufffd" in t.get("value", ""),
    "Floats as integers of 128 bits": lambda c, o, t: c.group == "exact conversions" and "value" in o and float_as_integer(c, o),
    "pow, exp, conversions of integers of 128 bits and more": lambda c, o, t: "value" in o and "error" in t and (
        c.group in {"exp", "exact conversions"} and re.search("Int(128|256)", c.ours) is not None),
}


def test_whole_numbers_are_what_arithmetic_without_bounds_gives(answers):
    wrong = []
    for case, ours, theirs in answers:
        if case.group != "integers":
            continue
        low, high = matrix.bounds(ours["type"]) if "type" in ours else (None, None)
        if case.exact == "zero":
            right = ours.get("failed") == "divisionByZero"
        elif "value" in ours:
            right = int(ours["value"]) == case.exact and low <= case.exact <= high and ours["type"] == theirs.get("type", ours["type"])
        else:
            # Of theirs the type is known, whatever they made of the value.
            low, high = matrix.bounds(theirs["type"]) if "type" in theirs else (0, -1)
            right = ours.get("failed") == "overflow" and not low <= case.exact <= high
        if not right:
            wrong.append((case.ours, ours, case.exact))
    assert wrong == []


def test_decimals_and_roundings_are_what_arithmetic_without_bounds_gives(answers):
    wrong, count = [], 0
    for case, ours, _ in answers:
        expected = exact.decimal(case) if case.group == "decimals" else exact.rounding(case, matrix.bounds) if case.group == "rounding" else None
        # A product may have more places than any type of its width: that is refused before any row.
        if expected is None or "places, a Decimal" in ours.get("wrong", ""):
            continue
        count += 1
        if not exact.agrees(expected, ours):
            wrong.append((case.ours, ours, str(expected)))
    assert wrong == [] and count > 2000


def test_all_else_is_what_clickhouse_gives_but_for_the_listed_differences(answers):
    unlisted, listed = [], collections.Counter()
    for case, ours, theirs in answers:
        if case.group == "integers" or same(ours, theirs):
            continue
        name = next((name for name, covers in DIFFERENCES.items() if covers(case, ours, theirs)), None)
        listed[name] += 1
        if name is None:
            unlisted.append((case.group, case.ours, ours, theirs))
    assert unlisted == [], f"{len(unlisted)} unlisted"
    # A difference that no case shows any more leaves the list.
    assert set(DIFFERENCES) == set(listed), set(DIFFERENCES) - set(listed)
    assert sum(1 for case, ours, theirs in answers if "value" in ours) > 20_000


def test_the_documentation_names_each_difference():
    text = (ROOT / "docs" / "expressions.md").read_text()
    assert [name for name in DIFFERENCES if f"| {name}" not in text] == []
