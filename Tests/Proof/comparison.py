"""Compares a topic with a table by SQL: which rows are missing, extra or double. Shares no code with the engine.

The topic's records are loaded beside the table, into columns of the table's own types, by the server's own JSON reader.
What must hold for a deduplicated table, whatever order the partitions were read in:

    missing   no key of the topic is without a row
    double    no key has a second row
    extra     every row equals, in all columns, a record that is the first of its key in its partition
              (in a partition the engine sees records in offset order, so no other record can have been kept)

Without a key the two multisets of rows must be the same. Records that are no JSON object belong to dead letters: they
are counted and not loaded. Expiry of keys is not modelled: the topic must span less than the deduplication window.
"""

import json
import random
import re
import secrets
import struct
from dataclasses import asdict, dataclass, field

from clickhouse import ClickHouse, ClickHouseError, quoted
from fitting import Number, fits
from topic import Record

BATCH_BYTES = 8 << 20
SAMPLES = 5
# Numbers of all magnitudes: 18.16 reads 22 in 100 such inexactly, but only 1 in 1000 of those below 1000 (1.84 is one).
FLOAT_PROBES = [struct.unpack("<d", struct.pack("<Q", exponent << 52 | random.Random(exponent).getrandbits(52)))[0]
                for exponent in range(20, 2047, 20)]


class CannotCompare(Exception):
    """The proof can't be made: it would pass or fail for a reason that is not the engine's."""


@dataclass
class Result:
    """What was read, and how many rows are wrong in which way. `keys` counts whole rows where there is no key."""

    records: int = 0
    not_objects: int = 0
    keys: int = 0
    rows: int = 0
    missing: int = 0
    extra: int = 0
    double: int = 0
    begins: dict[int, int] = field(default_factory=dict)
    samples: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        return self.missing == self.extra == self.double == 0

    def as_json(self) -> str:
        return json.dumps(asdict(self) | {"exact": self.exact})


class Comparison:
    """One proof of `table` ("database.table"); its records live in `table`_proof_RANDOM, a table of its own, until `close`."""

    def __init__(self, server: ClickHouse, table: str, key: list[str], ignore: list[str]):
        self.server = server
        database, _, name = table.rpartition(".")
        database = database or "default"
        self.table = f"{quoted(database)}.{quoted(name)}"
        self.copy = f"{quoted(database)}.{quoted(f'{name}_proof_{secrets.token_hex(8)}')}"
        described = {column["name"]: column["type"] for column in server.rows(f"DESCRIBE TABLE {self.table}")}
        for column in [*key, *ignore]:
            if column not in described:
                raise CannotCompare(f"{table} has no column {column}; it has {', '.join(described)}")
        self.columns = {name: type for name, type in described.items() if name not in ignore}
        for column in key:
            if column not in self.columns:
                raise CannotCompare(f"column {column} is a key and ignored")
        self.key = key
        self.fits = {name: fits(type) for name, type in self.columns.items()}
        if uncovered := [f"column {name} {self.columns[name]}" for name, fit in self.fits.items() if fit is None]:
            raise CannotCompare(f"{table}: what the server's reader does to values of {', '.join(uncovered)} is not known; "
                                "leave it out with --ignore")
        self.reading = {"input_format_skip_unknown_fields": 1}
        if any("DateTime64" in type for type in self.columns.values()):
            self.reading["date_time_input_format"] = "best_effort"  # takes ISO 8601 too; servers that have the type have the setting
        self._require_exact_floats()
        self._require_sound_decimals()
        definitions = ", ".join(f"{quoted(name)} {type}" for name, type in self.columns.items())
        server.execute(f"CREATE TABLE {self.copy} ({definitions}, `_proof_partition` Int32, `_proof_offset` Int64)"
                       " ENGINE = MergeTree ORDER BY (`_proof_partition`, `_proof_offset`)")

    def close(self):
        self.server.execute(f"DROP TABLE IF EXISTS {self.copy}")

    def load(self, records) -> Result:
        """Copies the records into the server; raises CannotCompare where its reader refuses one."""
        result = Result()
        batch, size = [], 0
        for record in records:
            result.records += 1
            result.begins.setdefault(record.partition, record.offset)
            if (value := read(record)) is None:
                result.not_objects += 1
                continue
            self._require_fit(record, value)
            row = spliced(record)
            batch.append(row)
            size += len(row)
            if size >= BATCH_BYTES:
                self._insert(batch)
                batch, size = [], 0
        self._insert(batch)
        if result.records == result.not_objects:
            raise CannotCompare(f"the topic holds {result.records} records and none is a JSON object: nothing to prove")
        loaded = self._count(self.copy)
        if loaded != result.records - result.not_objects:
            raise CannotCompare(f"{loaded} rows loaded of {result.records - result.not_objects} records")
        return result

    def compare(self, result: Result) -> Result:
        result.rows = self._count(self.table)
        (self._compare_keyed if self.key else self._compare_whole)(result)
        return result

    def _compare_keyed(self, result: Result):
        per_key = self._both(self.key, self.copy)
        self._count_into(result, per_key, keys="sum(in_topic > 0)", missing="sum(in_table = 0)",
                         double="sum(if(in_table > 1, in_table - 1, 0))")
        key, columns = (", ".join(map(quoted, names)) for names in (self.key, self.columns))
        firsts = (f"(SELECT {columns} FROM {self.copy} ORDER BY `_proof_partition`, `_proof_offset`"
                  f" LIMIT 1 BY `_proof_partition`, {key})")
        per_row = self._both(list(self.columns), firsts)
        self._count_into(result, per_row, extra="sum(if(in_topic = 0, in_table, 0))")
        self._sample(result, "missing", per_key, "in_table = 0")
        self._sample(result, "double", per_key, "in_table > 1")
        self._sample(result, "extra", per_row, "in_topic = 0")

    def _compare_whole(self, result: Result):
        per_row = self._both(list(self.columns), self.copy)
        self._count_into(result, per_row, keys="sum(in_topic > 0)", extra="sum(if(in_topic = 0, in_table, 0))",
                         missing="sum(if(in_topic > in_table, in_topic - in_table, 0))",
                         double="sum(if(in_topic > 0 AND in_table > in_topic, in_table - in_topic, 0))")
        self._sample(result, "missing", per_row, "in_table < in_topic")
        self._sample(result, "double", per_row, "in_topic > 0 AND in_table > in_topic")
        self._sample(result, "extra", per_row, "in_topic = 0")

    def _count_into(self, result: Result, groups: str, **counts: str):
        sums = ", ".join(f"{count} AS {quoted(name)}" for name, count in counts.items())
        for name, value in self.server.row(f"SELECT {sums} FROM ({groups})").items():
            setattr(result, name, value)

    def _require_fit(self, record: Record, value: dict):
        for name, fit in self.fits.items():
            if not fit(value.get(name)):
                found = f"the value {value[name]!r:.100}" if name in value else "no value"
                raise CannotCompare(f"{place(record)}: {found} for column {name} {self.columns[name]}, where the server's reader "
                                    "could put another in its place; such a topic can't be proven with this column: --ignore it")

    def _both(self, columns: list[str], topic_rows: str) -> str:
        """For each distinct `columns`, how many rows the topic and the table have of it; NULL is a value like another."""
        names = ", ".join(map(quoted, columns))
        return (f"SELECT {names}, toInt64(sum(topic_row)) AS in_topic, toInt64(sum(table_row)) AS in_table FROM ("
                f"SELECT {names}, 1 AS topic_row, 0 AS table_row FROM {topic_rows} UNION ALL "
                f"SELECT {names}, 0 AS topic_row, 1 AS table_row FROM {self.table}) GROUP BY {names}")

    def _sample(self, result: Result, name: str, groups: str, where: str):
        if getattr(result, name):
            result.samples[name] = self.server.rows(f"SELECT * FROM ({groups}) WHERE {where} LIMIT {SAMPLES}")

    def _insert(self, batch: list[bytes]):
        if not batch:
            return
        columns = ", ".join(map(quoted, [*self.columns, "_proof_partition", "_proof_offset"]))
        try:
            self.server.execute(f"INSERT INTO {self.copy} ({columns}) FORMAT JSONEachRow", b"\n".join(batch), **self.reading)
        except ClickHouseError as error:
            raise CannotCompare(f"the server can't read a record of the topic as a row of {self.table}: {error}") from None

    def _count(self, table: str) -> int:
        return self.server.row(f"SELECT count() AS n FROM {table}")["n"]

    def _require_exact_floats(self):
        floats = [name for name, type in self.columns.items() if "Float" in type]
        if not floats:
            return
        texts = ", ".join(f"'{number!r}'" for number in FLOAT_PROBES)
        parsed = self.server.rows("SELECT number, reinterpretAsInt64(reinterpretAsString(toFloat64(number))) AS bits"
                                  f" FROM (SELECT arrayJoin([{texts}]) AS number)")
        for row in parsed:
            if row["bits"] != struct.unpack("<q", struct.pack("<d", float(row["number"])))[0]:
                raise CannotCompare(f"this server reads the number {row['number']} inexactly, so a right row of "
                                    f"{', '.join(floats)} would look wrong; use a newer server, or leave the column out with --ignore")

    def _require_sound_decimals(self):
        # By version, since asking would do the damage: on 18.16 grouping by them can kill the server, and so can toString,
        # which also gives many values the same text, as if they were equal.
        wide = [f"{name} {type}" for name, type in self.columns.items()
                if (match := re.search(r"Decimal\((\d+)", type)) and int(match[1]) > 18]
        if not wide:
            return
        version = self.server.row("SELECT version() AS version")["version"]
        if int(version.split(".")[0]) < 20:
            raise CannotCompare(f"ClickHouse {version} can't be trusted to compare Decimals of more than 18 digits ({', '.join(wide)}): "
                                "18.16 corrupts its memory over them; use version 20 or newer, or leave the column out with --ignore")


def read(record: Record) -> dict | None:
    """The record's JSON object, numbers as their text; None where it is none."""
    try:
        value = json.loads((record.payload or b"").decode(), parse_int=Number, parse_float=Number, parse_constant=_not_json)
    except ValueError:
        return None
    except RecursionError:
        raise CannotCompare(f"{place(record)}: nested too deep to tell whether it is a JSON object") from None
    return value if isinstance(value, dict) else None


def spliced(record: Record) -> bytes:
    """The text of a record that is an object, with partition and offset put in front.

    It is not written anew, so every digit reaches the server as it stands in the topic.
    """
    body = record.payload.strip()[1:]
    separator = b"" if body.lstrip().startswith(b"}") else b","
    return b'{"_proof_partition":%d,"_proof_offset":%d%b%b' % (record.partition, record.offset, separator, body)


def place(record: Record) -> str:
    return f"partition {record.partition} offset {record.offset}"


def _not_json(name: str):
    raise ValueError(f"{name} is Python's, not JSON's")
