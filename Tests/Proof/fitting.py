"""Which JSON values a server's reader takes without changing them.

18.16 reads 300 into UInt8 as 44, 2^63 into Int64 as a negative number, the 30th of February as the 2nd of March, a UUID's "zz"
as "ef" and a missing field as the type's default, and newer servers cut digits off a Decimal. A row made from such a value would
be compared with another of the same mistake, so what is not known to be kept is refused.
"""

import re
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address

# DateTime's seconds last until February 2106, but 18.16's calendar ends here and it stores later days as its first one.
LAST_DAY = "2105-12-31"


class Number(str):
    """A JSON number, as the text it has in the record; a JSON string is a plain `str`."""


def fits(type: str):
    """For a ClickHouse type, a function that tells whether a value (`None`: null or missing) keeps its meaning in it.

    Returns None for a type that is not covered.
    """
    nullable = type
    for wrapper in ("LowCardinality", "Nullable"):
        if match := re.fullmatch(rf"{wrapper}\((.*)\)", type):
            type = match[1]
    name, _, arguments = type.partition("(")
    arguments = arguments.rstrip(")")
    inner = _not_null(type, name, arguments)
    if inner is None:
        return None
    takes_null = "Nullable(" in nullable
    return lambda value: takes_null if value is None else inner(value)


def _not_null(type: str, name: str, arguments: str):
    if match := re.fullmatch(r"(U?)Int(8|16|32|64|128|256)", type):
        unsigned, bits = bool(match[1]), int(match[2])
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return lambda value: _is_integer(value) and low <= int(value) <= high
    if name == "Decimal":
        precision, scale = map(int, arguments.split(","))
        return lambda value: isinstance(value, Number) and _digits_fit(value, precision, scale)
    if name == "Date":
        return lambda value: _is_time(value, r"\d{4}-\d\d-\d\d", "1970-01-01", LAST_DAY)
    if name == "DateTime":
        return lambda value: _is_time(value, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "1970-01-02", LAST_DAY)
    if name == "Date32":
        return lambda value: _is_time(value, r"\d{4}-\d\d-\d\d", "1900-01-01", "2299-12-31")
    if name == "DateTime64":
        digits = int(arguments.split(",")[0])
        form = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d" + (rf"(\.\d{{1,{digits}}})?" if digits else "") + "Z?"
        # Nanoseconds in 64 bits end in 2262.
        return lambda value: _is_time(value, form, "1900-01-02", LAST_DAY)
    if name == "IPv4":
        return lambda value: _is_text(value) and _is_address(value, IPv4Address)
    if name == "IPv6":
        return lambda value: _is_text(value) and _is_address(value, IPv6Address)
    if name in ("Float32", "Float64"):
        return lambda value: isinstance(value, Number)
    if name == "Bool":
        return lambda value: isinstance(value, bool)
    if name == "UUID":
        return lambda value: _is_text(value) and re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
    # The server refuses what doesn't fit in these by itself.
    if name in ("String", "FixedString", "Enum8", "Enum16"):
        return _is_text
    return None


def _is_text(value) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _is_integer(value) -> bool:
    # As a number or as a string of exactly one, as ClickHouse itself prints 64-bit integers.
    return isinstance(value, str) and re.fullmatch(r"-?(0|[1-9][0-9]{0,80})", value) is not None


def _digits_fit(number: str, precision: int, scale: int) -> bool:
    _, digits, exponent = Decimal(number).as_tuple()  # exact; arithmetic on it would round to the context's precision
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    exponent += len(text) - len(kept)
    return not kept or (-exponent <= scale and len(kept) + exponent <= precision - scale)


def _is_time(value, form: str, first_day: str, last_day: str) -> bool:
    if not isinstance(value, str) or not re.fullmatch(form, value, re.ASCII):
        return False
    try:
        datetime.fromisoformat(value[:19])  # Python takes no more than six digits of a second
    except ValueError:
        return False
    return first_day <= value[:10] <= last_day


def _is_address(value: str, form) -> bool:
    try:
        form(value)
    except ValueError:
        return False
    return "%" not in value  # an IPv6 zone, which is no part of the address
