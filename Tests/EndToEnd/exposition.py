"""A strict reader of Prometheus' text format (version 0.0.4), and a client of the engine's HTTP interface."""

import http.client
import json
import math
import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=.)|$)')
NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN")


class FormatError(Exception):
    """A page that Prometheus, or its conventions, would not take."""


@dataclass
class Family:
    name: str
    help: str
    kind: str
    samples: dict = field(default_factory=dict)  # (name, labels as a frozenset of pairs) -> value


class Page:
    """All families of one scrape."""

    def __init__(self, text: str):
        self.families: dict[str, Family] = {}
        if text and not text.endswith("\n"):
            raise FormatError("the last line has no end")
        lines = text.split("\n")[:-1]
        current = None
        index = 0
        while index < len(lines):
            line = lines[index]
            if line.startswith("# HELP "):
                name, _, words = line[7:].partition(" ")
                kind = lines[index + 1].split(" ") if index + 1 < len(lines) else []
                if len(kind) != 4 or kind[:3] != ["#", "TYPE", name] or kind[3] not in ("counter", "gauge", "histogram"):
                    raise FormatError(f"{name}: HELP without TYPE: {kind}")
                if name in self.families or not re.fullmatch(NAME, name) or not re.fullmatch(r"(?:[^\\]|\\\\|\\n)+", words):
                    raise FormatError(f"family {name!r}: said twice, no name, or no help")
                current = self.families[name] = Family(name, words, kind[3])
                index += 2
                continue
            if line.startswith("#") or current is None:
                raise FormatError(f"line {index + 1}: {line!r}")
            self._sample(current, line)
            index += 1
        for family in self.families.values():
            self._check(family)

    @staticmethod
    def _sample(family: Family, line: str):
        found = SAMPLE.fullmatch(line)
        if not found:
            raise FormatError(f"no sample: {line!r}")
        name, inside, value = found.groups()
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        if name not in [family.name + suffix for suffix in suffixes]:
            raise FormatError(f"{name} stands among {family.name}'s samples")
        labels, rest = [], inside or ""
        while rest:
            label = LABEL.match(rest)
            if not label:
                raise FormatError(f"labels of {line!r} at {rest!r}")
            labels.append((label[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), label[2])))
            rest = rest[label.end():]
        if len({name for name, _ in labels}) != len(labels):
            raise FormatError(f"a label twice: {line!r}")
        if not NUMBER.fullmatch(value):
            raise FormatError(f"no number: {line!r}")
        key = (name, frozenset(labels))
        if key in family.samples:
            raise FormatError(f"sample twice: {line!r}")
        family.samples[key] = float(value.replace("Inf", "inf"))

    @staticmethod
    def _check(family: Family):
        if not family.samples:
            raise FormatError(f"{family.name} has no samples")
        if (family.kind == "counter") != family.name.endswith("_total"):
            raise FormatError(f"{family.kind} {family.name}: a counter's name ends with _total, and no other's does")
        if family.kind != "gauge" and any(value < 0 or math.isnan(value) for (_, _), value in family.samples.items()):
            raise FormatError(f"{family.name}: below zero")
        if family.kind != "histogram":
            return
        series: dict = {}
        for (name, labels), value in family.samples.items():
            bound = dict(labels).get("le")
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            entry = series.setdefault(rest, {"buckets": []})
            if name.endswith("_bucket"):
                entry["buckets"].append((float(bound.replace("Inf", "inf")), value))
            else:
                entry[name[len(family.name):]] = value
        for entry in series.values():
            bounds = [bound for bound, _ in entry["buckets"]]
            counts = [count for _, count in entry["buckets"]]
            if bounds != sorted(set(bounds)) or bounds[-1] != math.inf or counts != sorted(counts) or counts[-1] != entry["_count"] \
                    or "_sum" not in entry:
                raise FormatError(f"histogram {family.name}: {entry}")

    def __contains__(self, name: str) -> bool:
        """Whether there is a family or a series of this name; a histogram's series have suffixes."""
        return name in self.families or any(name == sample for family in self.families.values() for sample, _ in family.samples)

    def values(self, name: str, **labels: str) -> list[float]:
        return [value for family in self.families.values() for (sample, own), value in family.samples.items()
                if sample == name and set(labels.items()) <= own]

    def value(self, name: str, **labels: str) -> float:
        """The one value; KeyError where there is none or several."""
        found = self.values(name, **labels)
        if len(found) != 1:
            raise KeyError(f"{name}{labels}: {len(found)} values")
        return found[0]

    def sum(self, name: str, **labels: str) -> float:
        assert name in self, name
        return sum(self.values(name, **labels))

    def counters(self) -> dict:
        return {key: value for family in self.families.values() if family.kind != "gauge" for key, value in family.samples.items()}


class Client:
    """Asks an engine that listens on `port` of this machine."""

    def __init__(self, port: int, token: str | None = None):
        self.port, self.token = port, token

    def ask(self, path: str, method: str = "GET", headers: dict | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, headers=given | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def page(self) -> Page:
        status, text = self.ask("/metrics")
        assert status == 200, text
        return Page(text)

    def health(self) -> tuple[int, dict]:
        """(0, {}) while nobody listens yet."""
        try:
            status, text = self.ask("/health")
        except OSError:
            return 0, {}
        return status, json.loads(text)
