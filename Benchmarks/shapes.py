"""Kinds of events that the benchmarks write, and the pipeline's fields for them: what `millrace generate` makes, large texts, wide rows."""

import json
import random
import subprocess
from dataclasses import dataclass, field

from engine import generate, generated
from pipeline import FIELDS


@dataclass(frozen=True)
class Shape:
    """How events look: the pipeline file's fields, and the table's columns where their types are written otherwise."""

    name: str
    words: str
    share: float  # of the number of events asked for: large ones would take hours to write
    fields: dict
    columns: dict = field(default_factory=dict)
    # Gives an event's text but for what makes each one of its own; None: `millrace generate` writes them.
    template: object = None


def _large(draw: random.Random) -> dict:
    return {"user_id": draw.randrange(10 ** 6), "amount": draw.randrange(10 ** 6) / 100, "created_at": "2026-01-31T12:34:56.789Z",
            "name": "flywheel", "text": " ".join(draw.choice(_WORDS) for _ in range(185))}


_WORDS = ["anvil", "bellows", "cartwheel", "dovetail", "endstone", "flywheel", "gristmill", "headrace", "sluice", "tailrace"]
_WIDE = {"text": ("String", 12), "count": ("UInt64", 8), "money": ("Decimal(18, 2)", 6), "ratio": ("Float64", 4),
         "at": ("DateTime64(3)", 4), "maybe": ("Nullable(Int32)", 3), "kind": ("LowCardinality(String)", 2)}


def _wide(draw: random.Random) -> dict:
    values = {"text": lambda: " ".join(draw.choice(_WORDS) for _ in range(2)), "count": lambda: draw.randrange(2 ** 40),
              "money": lambda: draw.randrange(10 ** 7) / 100, "ratio": lambda: draw.random(), "at": lambda: "2026-01-31T12:34:56.789Z",
              "maybe": lambda: draw.choice([None, 7]), "kind": lambda: draw.choice(_WORDS)}
    return {kind: {f"{kind}{number}": values[kind]() for number in range(count)} for kind, (_, count) in _WIDE.items()}


def _wide_fields() -> dict:
    nested = {f"{kind}{number}": {"type": type, "from": f"{kind}.{kind}{number}"} for kind, (type, count) in _WIDE.items()
              for number in range(count)}
    return {"event_id": "String"} | nested


SHAPES = {shape.name: shape for shape in (
    Shape("events", "195-byte events", 1, FIELDS["26.9"]),
    Shape("large", "1.5 KB events", 0.1, FIELDS["26.9"], template=_large),
    Shape("wide", "40 columns, nested, 1.2 KB", 0.1, _wide_fields(), template=_wide),
)}


def columns(shape: Shape, version: str) -> dict:
    """Name and type of each column of the table; 18.16 has no DateTime64."""
    if shape.name == "events":
        return FIELDS[version]
    return {name: given if isinstance(given, str) else given["type"] for name, given in shape.fields.items()}


def write(shape: Shape, binary, address: str, topic: str, count: int, duplicates: int = 10):
    """Writes `count` events into a topic that is there, `duplicates` % of them with the key of one among the last 1000."""
    if shape.template is None:
        return generated(generate(binary, address, topic, count, duplicates=duplicates))
    draw = random.Random(1)
    texts = [json.dumps(shape.template(draw), separators=(",", ":"))[1:] for _ in range(1000)]
    kcat = subprocess.Popen(["kcat", "-P", "-b", address, "-t", topic, "-z", "lz4", "-X", "linger.ms=50"], stdin=subprocess.PIPE)
    for start in range(0, count, 10_000):
        lines = []
        for number in range(start, min(count, start + 10_000)):
            key = max(0, number - draw.randrange(1, 1000)) if draw.randrange(100) < duplicates else number
            lines.append(f'{{"event_id":"00000000-0000-4000-8000-{key:012x}",{texts[key % 1000]}\n')
        kcat.stdin.write("".join(lines).encode())
    kcat.stdin.close()
    if kcat.wait() != 0:
        raise RuntimeError(f"kcat ended with {kcat.returncode}")
    return None
