"""The pipeline of the trials: the events that `millrace generate` writes, the table for them on either server, the YAML file."""

import json
from dataclasses import dataclass, field
from pathlib import Path

# What `millrace generate` writes, as the table's types on either server; 18.16 has no DateTime64.
FIELDS = {
    "26.9": {"event_id": "String", "user_id": "UInt64", "amount": "Decimal(18, 2)", "created_at": "DateTime64(3)", "name": "String",
             "text": "String"},
    "18.16": {"event_id": "String", "user_id": "UInt64", "amount": "Decimal(18, 2)", "created_at": "String", "name": "String",
              "text": "String"},
}
KEY = "event_id"
PROVENANCE = "_millrace_batch"


@dataclass(frozen=True)
class Mode:
    """A way of delivery and the server it is tried on. `words` is what the engine calls it."""

    name: str
    version: str
    window: int
    words: str


MODES = {mode.name: mode for mode in (
    Mode("token", "26.9", 10_000, "token + provenance"),
    Mode("readback", "26.9", 0, "read-back"),
    Mode("readback18", "18.16", 0, "read-back"),
)}


def create_table(server, table: str, window: int, *, fields: dict | None = None, provenance: str | None = PROVENANCE,
                 engine: str = "MergeTree", partition_by: str = "user_id % 4"):
    """Creates `table` with a few partitions, so that an insert is not one atomic step for the server."""
    columns = [f"{name} {type}" for name, type in (fields or FIELDS[server.version]).items()]
    if provenance:
        columns.append(f"{provenance} {'String' if server.version == '18.16' else 'LowCardinality(String)'}")
    clauses = f"PARTITION BY {partition_by} ORDER BY {KEY}" if "MergeTree" in engine else ""
    settings = f"SETTINGS non_replicated_deduplication_window = {window}" if window and "MergeTree" in engine else ""
    server.client.execute(f"CREATE TABLE {table} ({', '.join(columns)}) ENGINE = {engine} {clauses} {settings}")


@dataclass
class Pipeline:
    """What a pipeline file says; `write` makes the file. Keys given in `more` are merged into the whole, deepest last."""

    directory: Path
    brokers: str
    topic: str
    url: str
    table: str
    name: str = "trial"
    fields: dict = field(default_factory=lambda: dict(FIELDS["26.9"]))
    deduplicate: bool = True
    more: dict = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.directory / "pipeline.yaml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def dead_letters(self) -> Path:
        return self.directory / "dead-letters"

    def document(self) -> dict:
        database, _, table = self.table.rpartition(".")
        document = {
            "pipeline": self.name,
            "kafka": {"brokers": self.brokers},
            "sources": {"events": {"topic": self.topic, "start": "earliest", "format": "json", "fields": self.fields,
                                   "on_error": "dead_letter"}},
            "sinks": {"table": {"clickhouse": {
                "input": "unique_events" if self.deduplicate else "events", "url": self.url, "database": database, "table": table,
                "batch": {"max_delay": "200ms"}, "settle": "1s"}}},
            "checkpoint": {"interval": "2s", "location": "state/checkpoints", "retain": 3},
            "state": {"path": "state", "memory": "256MiB"},
            "dead_letters": {"path": "dead-letters/", "max_delay": "200ms"},
        }
        if self.deduplicate:
            document["operators"] = {"unique_events": {"deduplicate": {"input": "events", "key": [KEY], "within": "24h"}}}
        return merged(document, self.more)

    def write(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file.write_text("\n".join(yaml(self.document())) + "\n")
        return self.file


def merged(document: dict, more: dict) -> dict:
    """`document` with the keys of `more` put in, level by level; a value of `...` takes the key away."""
    result = dict(document)
    for key, value in more.items():
        if value is ...:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def yaml(value: dict, indent: str = ""):
    """The lines of a mapping; scalars and lists as JSON, which is YAML too."""
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            yield f"{indent}{key}:"
            yield from yaml(entry, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(entry)}"
