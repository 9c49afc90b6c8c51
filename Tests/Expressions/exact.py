"""What Decimals and roundings give by arithmetic without bounds, worked out from the text of a case."""

import re
from fractions import Fraction
from math import floor

DIGITS = {"Int8": 3, "UInt8": 3, "Int16": 5, "UInt16": 5, "Int32": 10, "UInt32": 10, "Int64": 19, "UInt64": 20}
VALUE = r"CAST\('([^']*)' AS (\w+(?:\([^)]*\))?)\)"


def shape(type_name):
    """Digits and places of a Decimal; an integer's are its own."""
    found = re.fullmatch(r"Decimal\((\d+), (\d+)\)", type_name)
    return (int(found[1]), int(found[2])) if found else (DIGITS[type_name], 0)


def width(digits):
    return next(width for width in (9, 18, 38, 76) if digits <= width)


def truncated(value, places):
    scaled = value * 10**places
    return Fraction(floor(abs(scaled)) * (1 if scaled >= 0 else -1), 10**places)


def decimal(case):
    """Exact value and digits of the result, or a failure's name."""
    a, left, sign, b, right = re.fullmatch(VALUE + r" ([-+*/]) " + VALUE, case.ours).groups()
    (p, s), (q, t) = shape(left), shape(right)
    x, y = Fraction(a), Fraction(b)
    if sign == "/" and y == 0:
        return "divisionByZero"
    places = s + t if sign == "*" else s if sign == "/" else max(s, t)
    both = "Decimal" in left and "Decimal" in right
    digits = max(width(p), width(q)) if both else width(min(76, max(p - s, q - t) + places))
    value = truncated({"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: x / y}[sign](), places)
    return value if abs(value) * 10**places < 10**digits else "overflow"


def rounding(case, bounds):
    """The same of a rounding of an integer or Decimal; None where it is of a Float."""
    function, a, kind, places = re.fullmatch(r"(\w+)\(" + VALUE + r"(?:, (-?\d+))?\)", case.ours).groups()
    if kind.startswith("Float"):
        return None
    x, unit = Fraction(a), Fraction(10) ** -int(places or 0)
    quotient = x / unit
    low = floor(quotient)
    rest = quotient - low
    up = {"floor": False, "ceil": rest > 0, "trunc": x < 0 and rest > 0, "round": rest > Fraction(1, 2) or rest == Fraction(1, 2) and x > 0,
          "roundBankers": rest > Fraction(1, 2) or rest == Fraction(1, 2) and low % 2 == 1}[function]
    value = (low + (1 if up else 0)) * unit
    if kind.startswith("Decimal"):
        digits, scale = shape(kind)
        return x if int(places or 0) >= scale else value if abs(value) * 10**scale < 10**digits else "overflow"
    low, high = bounds(kind)
    return x if int(places or 0) >= 0 else value if low <= value <= high else "overflow"


def agrees(expected, ours):
    return ours.get("failed") == expected if isinstance(expected, str) else "value" in ours and Fraction(ours["value"]) == expected
