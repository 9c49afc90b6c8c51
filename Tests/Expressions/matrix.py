"""Cases of the matrix: expressions that mean the same to Millrace and to ClickHouse, over functions, operators, types, NULLs and extremes."""

import itertools
import random

SIGNED = ["Int8", "Int16", "Int32", "Int64", "Int128", "Int256"]
INTEGERS = SIGNED + ["U" + name for name in SIGNED]
FLOATS = ["Float32", "Float64"]
DECIMALS = ["Decimal(9, 2)", "Decimal(18, 4)", "Decimal(38, 10)", "Decimal(76, 20)"]
TIMES = ["Date", "Date32", "DateTime('UTC')", "DateTime('Asia/Kolkata')", "DateTime('America/New_York')", "DateTime64(3, 'UTC')",
         "DateTime64(6, 'Europe/Berlin')"]
TEXTS = ["", "a", "abc", "Hello World", "äöü€x", "a,b,,c", "  x y ", "aXbXXc", "12", "-7", "1.5", "%_", "a\nb", "😀ab", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
         "it's", "\\d+", "AbC", "0", "{\"a\": {\"b\": [1, \"x\"]}, \"c\": 2.5}"]


def bounds(name):
    bits = int(name.lstrip("UInt"))
    return (0, 2**bits - 1) if name.startswith("U") else (-2**(bits - 1), 2**(bits - 1) - 1)


def integers(name):
    low, high = bounds(name)
    return sorted({low, low + 1, -1, 0, 1, 2, 7, high // 3, high - 1, high} & set(range(low, high + 1)) if high < 2**16 else
                  {v for v in (low, low + 1, -1, 0, 1, 2, 7, high // 3, high - 1, high) if low <= v <= high})


def text(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def ours_text(value):
    return "'" + value.replace("'", "''") + "'"


class Case:
    """One expression; `exact` is what it gives by arithmetic without bounds: a whole number, or None where that isn't worked out."""

    def __init__(self, group, ours, theirs=None, exact=None):
        self.group, self.ours, self.theirs, self.exact = group, ours, theirs or ours, exact


def value(type_name, number):
    return f"CAST('{number}' AS {type_name})"


def null(type_name):
    return f"CAST(NULL AS Nullable({type_name}))"


FLOAT_VALUES = ["0", "1.5", "-2.5", "0.1", "3", "-7", "1e30", "-1e-30", "16777217", "0.5", "2.675"]
DECIMAL_VALUES = {"Decimal(9, 2)": ["0", "1.5", "-2.55", "0.01", "9999999.99", "-9999999.99", "7"],
                  "Decimal(18, 4)": ["0", "1.5", "-2.5555", "0.0001", "99999999999999.9999", "3"],
                  "Decimal(38, 10)": ["0", "1.5", "-0.0000000001", "9999999999999999999999999999.9999999999", "3"],
                  "Decimal(76, 20)": ["0", "1.5", "-2.00000000000000000001", "12345678901234567890123456789012345678901234567890", "3"]}
TIME_VALUES = {"Date": ["1970-01-01", "2024-02-29", "2024-01-31", "2023-12-31", "2149-06-06"],
               "Date32": ["1900-01-01", "1969-12-31", "2024-02-29", "2299-12-31"],
               "DateTime": ["1970-01-02 00:00:00", "2024-02-29 23:59:59", "2024-03-31 00:30:00", "2024-12-30 05:45:10", "2100-01-01 12:00:00"],
               "DateTime64": ["1950-05-05 05:05:05.5", "1970-01-02 00:00:00", "2024-02-29 23:59:59.999", "2024-11-03 12:30:00.125",
                              "2200-07-08 09:10:11"]}


def times(type_name):
    return [value_of_time(type_name, v) for v in TIME_VALUES[type_name.split("(")[0]]]


def value_of_time(type_name, v):
    return f"CAST('{v}' AS {type_name})"


def values(type_name):
    if type_name in INTEGERS:
        return [value(type_name, v) for v in integers(type_name)]
    if type_name in FLOATS:
        return [value(type_name, v) for v in FLOAT_VALUES]
    if type_name in DECIMAL_VALUES:
        return [value(type_name, v) for v in DECIMAL_VALUES[type_name]]
    return times(type_name)


def arithmetic(draw):
    for left, right in itertools.product(INTEGERS, INTEGERS):
        for sign in ["+", "-", "*", "%", "intDiv"]:
            pairs = list(itertools.product(integers(left), integers(right)))
            for a, b in draw.sample(pairs, min(9, len(pairs))):
                x, y = value(left, a), value(right, b)
                exact = {"+": a + b, "-": a - b, "*": a * b}.get(sign)
                if sign in ("%", "intDiv"):
                    quotient = None if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
                    exact = "zero" if b == 0 else quotient if sign == "intDiv" else a - quotient * b
                yield Case("integers", f"intDiv({x}, {y})" if sign == "intDiv" else f"{x} {sign} {y}", exact=exact)
    for left, right in itertools.product(INTEGERS + FLOATS, INTEGERS + FLOATS):
        for a, b in draw.sample(list(itertools.product(values(left), values(right))), 4):
            yield Case("division", f"{a} / {b}")
            if left in FLOATS or right in FLOATS:
                if not ({left, right} & {"Int128", "Int256", "UInt128", "UInt256"}):
                    for sign in "+-*%":
                        yield Case("floats", f"{a} {sign} {b}")
    for left, right in itertools.product(DECIMALS, DECIMALS + ["Int8", "Int64", "UInt32"]):
        for a, b in draw.sample(list(itertools.product(values(left), values(right))), 12):
            for sign in "+-*/":
                yield Case("decimals", f"{a} {sign} {b}")


def comparisons(draw):
    types = INTEGERS + FLOATS + DECIMALS
    for left, right in itertools.product(types, types):
        pairs = list(itertools.product(values(left), values(right)))
        for a, b in draw.sample(pairs, min(6, len(pairs))):
            yield Case("comparisons", f"{a} {draw.choice(['=', '!=', '<', '<=', '>', '>='])} {b}")
    for a, b in itertools.product(TEXTS, TEXTS):
        sign = draw.choice(["=", "!=", "<", "<=", ">", ">="])
        yield Case("comparisons", f"{ours_text(a)} {sign} {ours_text(b)}", f"{text(a)} {sign} {text(b)}")
    for name in TIMES:
        for a, b in itertools.product(times(name), times(name)):
            yield Case("comparisons", f"{a} {draw.choice(['=', '<', '>='])} {b}")


def logic(draw):
    bools = ["true", "false", "CAST(NULL AS Nullable(Bool))"]
    for a, b in itertools.product(bools, bools):
        for expression in ["{} and {}", "{} or {}", "not ({} and {})", "if({0}, 1, if({1}, 2, 3))", "coalesce({}, {})", "{} = {}",
                           "nullIf({}, {})", "ifNull({}, {})", "multiIf({}, 'a', {}, 'b', 'c')"]:
            yield Case("logic", expression.format(a, b))
    for x, y, z in itertools.product(["1", "2", "CAST(NULL AS Nullable(UInt8))"], repeat=3):
        yield Case("membership", f"{x} in ({y}, {z})")
        yield Case("membership", f"{x} not in ({y}, {z})")
        yield Case("logic", f"{x} between {y} and {z}")
        yield Case("extremes with NULL" if "NULL" in x + y + z else "logic", f"greatest({x}, {y}, {z})")
        yield Case("extremes with NULL" if "NULL" in x + y + z else "logic", f"least({x}, {y}, {z})")
    for name in INTEGERS + DECIMALS + TIMES:
        for x in values(name):
            yield Case("logic", f"{x} in ({', '.join(draw.sample(values(name), 3))})")
    for s in TEXTS:
        chosen = draw.sample(TEXTS, 5)
        yield Case("logic", f"{ours_text(s)} in ({', '.join(map(ours_text, chosen))})", f"{text(s)} in ({', '.join(map(text, chosen))})")
    for name in INTEGERS + FLOATS + DECIMALS + ["String"] + TIMES:
        sample = [ours_text(v) for v in ["a", ""]] if name == "String" else values(name)[:3]
        for x in sample + [null(name)]:
            for expression in ["{} is null", "isNotNull({})", "coalesce({0}, {0})", "ifNull({0}, {1})", "nullIf({0}, {1})", "toString({0})"]:
                yield Case("NULL", expression.format(x, sample[0]))


def numbers(draw):
    for name in INTEGERS + FLOATS + DECIMALS:
        for x in values(name):
            for function in ["abs", "sign", "negate"]:
                yield Case("numbers", f"{function}({x})")
            for function in ["round", "floor", "ceil", "trunc", "roundBankers"]:
                yield Case("rounding", f"{function}({x})")
                for places in draw.sample([-3, -2, -1, 1, 2, 3, 5], 2):
                    yield Case("rounding", f"{function}({x}, {places})")
            yield Case("floats", f"sqrt({x})")
            yield Case("exp", f"exp({x})")
            yield Case("exp", f"log({x})")
            yield Case("exp", f"pow({x}, {draw.choice([2, -1, 3])})")
        for a, b in draw.sample(list(itertools.product(values(name), values(name))), 8):
            yield Case("numbers", f"greatest({a}, {b})")
            yield Case("numbers", f"least({a}, {b})")
    for left, right in itertools.product([n for n in INTEGERS if "256" not in n], repeat=2):
        pairs = list(itertools.product(values(left), values(right)))
        for a, b in draw.sample(pairs, min(4, len(pairs))):
            yield Case("bits", f"{draw.choice(['bitAnd', 'bitOr', 'bitXor'])}({a}, {b})")
        for count in [0, 1, 3, 7]:
            a = draw.choice(values(left))
            yield Case("bits", f"bitShiftLeft({a}, toUInt8({count}))")
            yield Case("bits", f"bitShiftRight({a}, toUInt8({count}))")


def strings(draw):
    parts = ["", "a", "b", "X", "ö", ",", "l", "world", " "]
    for s in TEXTS:
        o, t = ours_text(s), text(s)
        for function in ["length", "empty", "notEmpty", "lower", "upper", "trim", "trimLeft", "trimRight", "lengthUTF8", "reverseUTF8", "hex",
                         "base64Encode", "cityHash64", "sipHash64", "xxHash64"]:
            yield Case("strings", f"{function}({o})", f"{function}({t})")
        for function in ["MD5", "SHA256"]:
            yield Case("strings", f"hex({function}({o}))", f"hex({function}({t}))")
        for start in [-9, -2, -1, 0, 1, 2, 4, 99]:
            for function in ["substring", "substringUTF8"]:
                yield Case("strings", f"{function}({o}, {start})", f"{function}({t}, {start})")
                for length in [-2, 0, 1, 3, 100]:
                    yield Case("strings", f"{function}({o}, {start}, {length})", f"{function}({t}, {start}, {length})")
        for part in parts:
            p, q = ours_text(part), text(part)
            for function in ["position", "positionUTF8", "startsWith", "endsWith", "concat", "cityHash64", "sipHash64", "xxHash64"]:
                yield Case("strings", f"{function}({o}, {p})", f"{function}({t}, {q})")
            for start in [0, 1, 2, 5, 50]:
                yield Case("strings", f"position({o}, {p}, {start})", f"position({t}, {q}, {start})")
                yield Case("strings", f"positionUTF8({o}, {p}, {start})", f"positionUTF8({t}, {q}, {start})")
            for by in ["", "zz", "a"]:
                yield Case("strings", f"replaceAll({o}, {p}, {ours_text(by)})", f"replaceAll({t}, {q}, {text(by)})")
                yield Case("strings", f"replaceOne({o}, {p}, {ours_text(by)})", f"replaceOne({t}, {q}, {text(by)})")
            if len(part.encode()) == 1:
                yield Case("arrays", f"splitByChar({p}, {o})", f"splitByChar({q}, {t})")
            if part:
                yield Case("arrays", f"splitByString({p}, {o})", f"splitByString({q}, {t})")
            yield Case("strings", f"concatWithSeparator({p}, {o}, {o}, 'x')", f"concatWithSeparator({q}, {t}, {t}, 'x')")
        for count in [-1, 0, 1, 3]:
            yield Case("strings", f"repeat({o}, {count})", f"repeat({t}, {count})")
        yield Case("strings", f"unhex(hex({o}))", f"unhex(hex({t}))")
        yield Case("strings", f"base64Decode(base64Encode({o}))", f"base64Decode(base64Encode({t}))")
    for name in INTEGERS:
        for x in values(name):
            if "256" not in name and "128" not in name:
                yield Case("strings", f"hex({x})")
    for name in [n for n in INTEGERS if "256" not in n] + ["Date", "DateTime('UTC')", "DateTime64(3, 'UTC')", "Decimal(9, 2)", "Decimal(18, 4)",
                                                            "Decimal(38, 10)", "Float32", "Float64"]:
        for x in values(name)[:4]:
            for function in ["cityHash64", "sipHash64", "xxHash64"]:
                yield Case("hashes", f"{function}({x})")
                yield Case("hashes", f"{function}({x}, 'k', {x})")


def patterns(draw):
    likes = ["", "%", "a%", "%c", "%b%", "a_c", "_", "__", "%\\%%", "a\\_", "A%", "%ö%", "äö_€%", "%,%,%", "a\\b", "H%o_W%d"]
    regexes = ["", "a", "^a", "c$", "[a-z]+", "([a-z])([a-z])", "(\\d+)", "a*", "x|X", ".", "a.b", "(?i)ab", "\\b", "ö", "(a)|(b)", "\\s+", "$", "^"]
    for s in TEXTS:
        o, t = ours_text(s), text(s)
        for pattern in likes:
            for sign in ["like", "ilike", "not like"]:
                yield Case("patterns", f"{o} {sign} {ours_text(pattern)}", f"{t} {sign} {text(pattern)}")
        for regex in regexes:
            r, q = ours_text(regex), text(regex)
            yield Case("patterns", f"match({o}, {r})", f"match({t}, {q})")
            yield Case("patterns", f"extract({o}, {r})", f"extract({t}, {q})")
            for by in ["", "-", "<\\0>", "\\\\"] + (["\\1"] if "(" in regex and "?" not in regex else []):
                for function in ["replaceRegexpOne", "replaceRegexpAll"]:
                    yield Case("patterns", f"{function}({o}, {r}, {ours_text(by)})", f"{function}({t}, {q}, {text(by)})")


def conversions(draw):
    targets = INTEGERS + FLOATS + DECIMALS
    for left, right in itertools.product(INTEGERS + FLOATS + DECIMALS, targets):
        if left in FLOATS and right in DECIMALS or left == right:
            continue
        for x in values(left):
            ours = f"try_cast({x} AS {right})"
            if right in FLOATS:
                yield Case("to floats", f"CAST({x} AS {right})")
            elif left in INTEGERS and right in INTEGERS:
                yield Case("conversions", ours, f"accurateCastOrNull({x}, '{right}')")
            else:
                yield Case("exact conversions", ours, f"CAST({x} AS Nullable({right}))")
    for name in INTEGERS + FLOATS + DECIMALS + TIMES + ["Date32"]:
        for x in values(name):
            yield Case("texts", f"toString({x})")
    for name in INTEGERS:
        for x in ["0", "-1", "127", "128", "-129", "65536", "4294967296", "18446744073709551616", "x", "", "1e400", "12a"]:
            yield Case("reading", f"try_cast('{x}' AS {name})", f"accurateCastOrNull('{x}', '{name}')")
    for a, b in itertools.product(TIMES, ["Date", "Date32", "DateTime('UTC')", "DateTime('Asia/Kolkata')", "DateTime64(3, 'UTC')", "DateTime64(6, 'Europe/Berlin')"]):
        for x in times(a):
            yield Case("times", f"CAST({x} AS {b})")
    for x in times("Date") + times("DateTime('UTC')"):
        yield Case("times", f"toInt64({x})")


def clocks(draw):
    parts = ["toYear", "toQuarter", "toMonth", "toDayOfYear", "toDayOfMonth", "toDayOfWeek", "toISOWeek", "toISOYear"]
    clock = ["toHour", "toMinute", "toSecond", "toStartOfHour", "toStartOfMinute"]
    starts = ["toStartOfYear", "toStartOfQuarter", "toStartOfMonth", "toStartOfWeek", "toStartOfDay"]
    units = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
    for name in TIMES:
        for x in times(name):
            for function in parts + starts + ["toUnixTimestamp"] + ([] if name.startswith("Date3") or name == "Date" else clock):
                yield Case("clocks", f"{function}({x})")
            for mode in [1, 3]:
                yield Case("clocks", f"toStartOfWeek({x}, {mode})")
            for unit in units:
                if unit in ("second", "minute", "hour") and name in ("Date", "Date32"):
                    continue
                yield Case("clocks", f"dateTrunc('{unit}', {x})")
                for count in [-13, -1, 0, 1, 5, 40]:
                    yield Case("moves", f"add{unit.title()}s({x}, {count})")
                    yield Case("moves", f"{x} - interval {abs(count)} {unit}")
            for count, unit in [(5, "minute"), (15, "second"), (6, "hour"), (1, "day"), (1, "week"), (3, "month"), (2, "quarter"), (1, "year")]:
                if unit in ("second", "minute", "hour") and name in ("Date", "Date32"):
                    continue
                yield Case("intervals", f"toStartOfInterval({x}, interval {count} {unit})")
            for format in ["%Y-%m-%d %H:%i:%s", "%y|%e|%I|%p|%M|%b|%a|%W", "%j|%u|%w|%Q|%V|%G|%C|%k|%l|%h", "%T %F %D %R %% %z", "x%n%t"]:
                yield Case("formats", f"formatDateTime({x}, '{format}')")
            for unit in units:
                for y in draw.sample(times(name), 3):
                    yield Case("differences", f"dateDiff('{unit}', {x}, {y})")
            if name.startswith("DateTime"):
                yield Case("clocks", f"toTimeZone({x}, 'Asia/Tokyo')")
    for x, format in itertools.product(["2024-01-02", "2024-01-02 03:04:05", "02/01/2024", "2024-02-30", "", "20240102", "2024-13-01 00:00:00"],
                                       ["%Y-%m-%d", "%Y-%m-%d %H:%i:%s", "%d/%m/%Y", "%F %T", "%Y%m%d"]):
        yield Case("parsing", f"parseDateTime('{x}', '{format}')")
        yield Case("parsing", f"parseDateTime('{x}', '{format}', 'Asia/Kolkata')")
    for count in [0, 1, -1, 1234567890123, -62135596800]:
        for unit in ["Second", "Milli", "Micro", "Nano"]:
            yield Case("ticks", f"fromUnixTimestamp64{unit}(toInt64({count}))")
    for x in times("DateTime64(3, 'UTC')"):
        yield Case("ticks", f"toUnixTimestamp64Milli({x})")


def arrays(draw):
    lists = ["[1, 2, 3]", "[1, NULL, 3]", "['a', 'b', '']", "[1.5::Float64, 2::Float64]", "[[1, 2], [3]]", "['x', NULL]"]
    for a in lists:
        yield Case("arrays", f"length({a})")
        yield Case("arrays", f"{a}[1]")
        yield Case("arrays", f"{a}[-1]")
        for index in [0, 4, -4]:
            if "[[" not in a:
                yield Case("missing elements", f"{a}[{index}]")
                yield Case("arrays", f"arrayElementOrNull({a}, {index})") if index else Case("missing elements", f"{a}[{index}]")
        yield Case("arrays", f"empty({a})")
    for x in [1, 2, 9]:
        yield Case("arrays", f"has([1, 2, 3, 2], {x})")
        yield Case("arrays", f"indexOf([1, 2, 3, 2], {x})")
        yield Case("arrays", f"hasAny([1, 2, 3], [{x}, 8])")
        yield Case("arrays", f"hasAll([1, 2, 3], [{x}, 1])")
    for x in ["a", "", "zz"]:
        yield Case("arrays", f"has(['a', 'b', ''], '{x}')")
        yield Case("arrays", f"indexOf(['a', 'b', ''], '{x}')")


def documents(draw):
    sources = ['{"a":{"b":1}}', '{"a":[1,2,"x"]}', '{"a":null}', "x", '{"a":"x\\u00e4\\n"}', '{"a":5.0}', '{"a":5.5}', '{"a":"5"}', '{"a":true}', '{"a":-5}',
               '{"a":18446744073709551615}', '[1,2]', '{"b":1,"a":{"b":"c"}}', "5", '{"a" : [ {"b" : 1 } , 2 ] }']
    for s in sources:
        o, t = ours_text(s), text(s)
        for path in ["'a'", "'a', 'b'", "'a', 1", "'a', -1", "'b'", "1"]:
            yield Case("JSONHas", f"JSONHas({o}, {path})", f"JSONHas({t}, {path})")
            for function in ["String", "Int", "UInt", "Float", "Bool"]:
                yield Case("JSON", f"JSONExtract{function}({o}, {path})", f"JSONExtract{function}({t}, {path})")
        for path in ["$.a", "$.a.b", "$.a[0]", "$.b"]:
            yield Case("JSON", f"JSON_VALUE({o}, '{path}')", f"JSON_VALUE({t}, '{path}')")


def cases(seed=1):
    draw = random.Random(seed)
    for part in [arithmetic, comparisons, logic, numbers, strings, patterns, conversions, clocks, arrays, documents]:
        yield from part(draw)
