"""A topic, a table and a state directory that an earlier release has worked with, as they were when it was killed."""

import base64
import ctypes
import json
import subprocess
import tarfile
from pathlib import Path

import apache_kafka
from transaction import producer

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"
NAME = "earlier"
TABLE = f"default.{NAME}"
PARTITIONS = 2
# The latest clock of its epochs, rounded up.
RECORDED_AT = 1_795_992_000_000
# The engine knows the table by it.
TABLE_UUID = "6d696c6c-7261-4365-8000-000000000001"
COLUMNS = {"n": "UInt32", "id": "Nullable(String)", "at": "DateTime64(3)", "amount": "Decimal(18, 2)", "text": "String"}
FIELDS = COLUMNS | {"text": {"type": "String", "default": "-", "coerce": True}}
PIPELINE = {
    "pipeline": NAME,
    "kafka": {"brokers": "${EARLIER_BROKERS}"},
    "sources": {"events": {"topic": NAME, "fields": FIELDS, "event_time": {"field": "at"}}},
    "operators": {"unique": {"deduplicate": {"input": "events", "key": ["id"], "within": "24h"}}},
    "sinks": {"table": {"clickhouse": {
        "input": "unique", "url": "${EARLIER_URL}", "database": "default", "table": NAME, "batch": {"max_delay": "100ms"}, "settle": "1s"}}},
    "checkpoint": {"interval": "1h"},
    "state": {"path": "state", "memory": "16MiB"},
    "log": {"unacked_max": "16MiB"},
    "dead_letters": {"path": "dead-letters/", "max_delay": "100ms"},
}


def start_kafka(script: Path, new_directory, cluster_id: str | None) -> tuple[str, Path]:
    """An Apache Kafka, with this cluster id where one is given: its address and directory."""
    address, directory = apache_kafka.start(script, new_directory)
    if cluster_id is not None:
        subprocess.run([script, "stop", directory], check=True)
        properties = directory / "data" / "meta.properties"
        lines = [f"cluster.id={cluster_id}" if line.startswith("cluster.id=") else line for line in properties.read_text().splitlines()]
        properties.write_text("\n".join(lines) + "\n")
        subprocess.run([script, "start", directory], check=True, capture_output=True)
    return address, directory


def create_topic(script: Path, address: str):
    """One that keeps records of any time, however long ago or ahead of the broker's clock."""
    settings = ["retention.ms=-1", "message.timestamp.before.max.ms=9223372036854775807",
                "message.timestamp.after.max.ms=9223372036854775807"]
    subprocess.run([script, "topics", "--bootstrap-server", address, "--create", "--topic", NAME, "--partitions", str(PARTITIONS),
                    *[word for setting in settings for word in ("--config", setting)]], check=True, capture_output=True)


def produce(address: str, records: list[dict]):
    """Writes records in their order; each has partition, timestamp, and its value as base64 (null: a tombstone)."""
    library, client = producer(bootstrap_servers=address, linger_ms="0", enable_idempotence="true")
    for record in records:
        value = None if record["value"] is None else base64.b64decode(record["value"])
        # RD_KAFKA_V_TOPIC, _PARTITION, _VALUE, _KEY, _MSGFLAGS (a copy), _TIMESTAMP, _END
        code = library.rd_kafka_producev(
            client, 1, ctypes.c_char_p(NAME.encode()), 3, ctypes.c_int32(record["partition"]), 4, ctypes.c_char_p(value),
            ctypes.c_size_t(len(value or b"")), 5, ctypes.c_char_p(b"k"), ctypes.c_size_t(1), 7, ctypes.c_int(2), 8,
            ctypes.c_int64(record["timestamp"]), 0)
        assert code == 0, code
        assert library.rd_kafka_flush(client, 60_000) == 0
    library.rd_kafka_destroy(client)


def create_table(server):
    columns = ", ".join(f"{name} {type}" for name, type in COLUMNS.items())
    server.client.execute(
        f"CREATE TABLE {TABLE} UUID '{TABLE_UUID}' ({columns}, _millrace_batch LowCardinality(String)) ENGINE = MergeTree"
        " PARTITION BY n % 2 ORDER BY n SETTINGS non_replicated_deduplication_window = 1000")


def rows(server, columns: str = "*") -> list[dict]:
    return server.client.rows(f"SELECT {columns} FROM {TABLE} ORDER BY n, at")


def dead_letters(directory: Path) -> list[dict]:
    """All of them, in the order of their records."""
    lines = [json.loads(line) for path in directory.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(lines, key=lambda line: (line["partition"], line["offset"]))


def unpack(archive: Path, directory: Path):
    with tarfile.open(archive) as tar:
        tar.extractall(directory)


