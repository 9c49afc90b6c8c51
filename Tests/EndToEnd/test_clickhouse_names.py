"""Names of tables and columns are the user's: hundreds of random ones (`make long`: a thousand) go through the pipeline file, the engine's
quoting and the server, and come back the same; control characters are refused."""

import json
import random
import re
import subprocess

import pytest

from clickhouse import quoted
from pipeline import Pipeline

TABLES, COLUMNS = 9, 120  # over a thousand columns' names and the tables' own
ALTER = re.compile(r"(ALTER TABLE .* ADD COLUMN .*), or name it under omit in the sink$", re.M)
NASTY = "`'\"\\ .,:;()[]{}#!?*/+-=<>|&%@~^$\u00e9\u00df\u0416\u05d0\u3042\u4e2d\ud55c\u0301\u200d\U0001f600\U00020000aZ09_"


def name(random_: random.Random) -> str:
    # What begins so would be a variable of the pipeline file.
    return "".join(random_.choice(NASTY) for _ in range(random_.randint(1, 24))).replace("${", "$ {")


def names(random_: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        # Servers take "a.b" and "a" for two parts of one Nested column.
        if (candidate := name(random_)).strip() and "." not in candidate:
            found[candidate] = None
    return list(found)


def named(lab, topic: str, database: str, table: str, columns: list[str]) -> Pipeline:
    fields = {f"f{index}": "String" for index in range(len(columns))}
    mapping = {json.dumps(column, ensure_ascii=False): f"f{index}" for index, column in enumerate(columns)}
    keys = {"database": database, "table": table, "columns": mapping, "input": "events"}
    pipeline = lab.pipeline(topic, "default.unnamed", fields=fields, deduplicate=False, more={"sinks": {"table": {"clickhouse": keys}}})
    text = pipeline.file.read_text()
    # json.dumps escapes what YAML wants as UTF-16 halves; the file holds the characters themselves.
    for value in (database, table):
        text = text.replace(json.dumps(value), json.dumps(value, ensure_ascii=False))
    pipeline.file.write_text(text)
    return pipeline


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, TABLES))])
def test_random_names_come_back_as_they_were_given(lab, seed):
    random_ = random.Random(seed)
    client = lab.server.client
    database, table = f"d{seed} " + name(random_), name(random_) + f" {seed}"
    columns = names(random_, COLUMNS)
    client.execute(f"CREATE DATABASE {quoted(database)} ENGINE = Atomic")
    where = f"{quoted(database)}.{quoted(table)}"
    client.execute(f"CREATE TABLE {where} (_millrace_batch LowCardinality(String)) ENGINE = MergeTree ORDER BY tuple()"
                   " SETTINGS non_replicated_deduplication_window = 10000")
    topic = lab.topic(1)
    row = {f"f{index}": name(random_) for index in range(COLUMNS)}
    lab.produce(topic, [json.dumps(row).encode()])
    pipeline = named(lab, topic, database, table, columns)

    # The engine names each column that is missing, quoted by itself: the server gets them as printed.
    done = lab.check(pipeline)
    alters = ALTER.findall(done.stdout + done.stderr)
    assert len(alters) == COLUMNS, done.stderr
    for alter in alters:
        client.execute(alter)
    found = [described["name"] for described in client.rows(f"DESCRIBE TABLE {where}")]
    assert sorted(found) == sorted([*columns, "_millrace_batch"])

    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 0, life.tail()
    values = client.row(f"SELECT * FROM {where}")
    assert {column: values[column] for column in columns} == {column: row[f"f{index}"] for index, column in enumerate(columns)}
    assert values["_millrace_batch"].startswith("mr-")


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\r", "\x1b", "\x7f"])
@pytest.mark.parametrize("place", ["database", "table", "column"])
def test_a_control_character_in_a_name_is_refused(lab, character, place):
    bad = f"a{character}b"
    keys = {"column": {"columns": {json.dumps(bad): "event_id"}}}.get(place, {place: bad})
    pipeline = lab.pipeline("no-topic", "default.unnamed", more={"sinks": {"table": {"clickhouse": keys}}})
    done = subprocess.run([lab.binary, "check", pipeline.file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "control character" in done.stderr, done.stderr


def test_a_field_fills_every_column_that_names_it(lab):
    fields = {"event_id": "String", "user_id": "UInt64"}
    table = lab.table(fields={"event_id": "String", "twin": "String DEFAULT 'nobody'", "user_id": "UInt64", "wide": "Nullable(UInt128)"})
    topic = lab.topic()
    lab.produce_events(topic, range(50))
    columns = {"event_id": "event_id", "twin": "event_id", "user_id": "user_id", "wide": "user_id"}
    pipeline = lab.pipeline(topic, table, fields=fields, more={"sinks": {"table": {"clickhouse": {"columns": columns}}}})
    drawn = subprocess.run([lab.binary, "explain", pipeline.file, "--format", "json"], capture_output=True, text=True, check=True)
    assert [(path["field"], path["column"]) for path in json.loads(drawn.stdout)["fields"]] == [(f, c) for c, f in columns.items()]
    checked = lab.check(pipeline)
    assert checked.returncode == 0, checked.stderr
    life = lab.engine(pipeline).run("--until-end", seconds=90)
    assert life.code == 0, life.tail()
    assert lab.count(table) == 50
    assert lab.count(table, "countIf(twin = event_id AND wide = user_id AND user_id > 0)") == 50
