"""The recorded bytes are what ClickHouse writes, and it takes them back: an encoder that matches them is right."""

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from clickhouse import ClickHouseError

HERE = Path(__file__).resolve().parent
VERSIONS = ("18.16", "26.9")
NATIVE = {version: json.loads((HERE / f"native-{version}.json").read_text()) for version in VERSIONS}
FRAMES = json.loads((HERE / "frames-18.16.json").read_text())


def script(name):
    loader = SourceFileLoader(name, str(HERE / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def sink():
    made = []

    def create(server, type):
        made.append(server)
        server.execute("DROP TABLE IF EXISTS default.sink")
        more = {"allow_suspicious_low_cardinality_types": 1} if script("record").is_new(server) else {}
        server.execute(f"CREATE TABLE default.sink (v {type}) ENGINE = Memory", **more)
        return "default.sink"
    yield create
    for server in made:
        server.execute("DROP TABLE IF EXISTS default.sink")


def test_the_old_server_still_writes_the_recorded_bytes(server18, server18_directory):
    assert script("record").version(server18) == "18.16"
    again = script("record").recordings(server18, server18_directory / "data")
    assert again["native"] == NATIVE["18.16"]
    assert again["frames"] == FRAMES


def test_the_new_server_still_writes_the_recorded_bytes(server26, tmp_path):
    assert script("record").version(server26) == "26.9"
    assert script("record").recordings(server26, tmp_path)["native"] == NATIVE["26.9"]


@pytest.mark.parametrize("version, recorded", [(version, one) for version in VERSIONS for one in NATIVE[version]],
                         ids=lambda one: one["type"] if isinstance(one, dict) else one)
def test_the_server_reads_a_recorded_block_as_the_values_it_was_made_from(request, sink, version, recorded):
    server = request.getfixturevalue("server18" if version == "18.16" else "server26")

    def read_back(format, body):
        # Not by toString: 18.16 fails on the filler under a NULL in Nullable(Enum8), even its own.
        table = sink(server, recorded["type"])
        server.execute(f"INSERT INTO {table} FORMAT {format}", body)
        return server.execute(f"SELECT v FROM {table} FORMAT TSV")

    from_block = read_back("Native", bytes.fromhex(recorded["native"]))
    from_text = read_back("JSONEachRow", "\n".join(recorded["rows"]).encode())
    assert from_block == from_text
    assert from_block.count(b"\n") == len(recorded["rows"])


@pytest.mark.parametrize("recorded", FRAMES, ids=lambda recorded: f"{len(recorded['plain']) // 2} bytes")
def test_the_server_unpacks_a_recorded_frame_and_refuses_it_with_a_bit_changed(server18, sink, recorded):
    table, frame, plain = sink(server18, "UInt8"), bytearray.fromhex(recorded["frame"]), bytes.fromhex(recorded["plain"])
    insert = f"INSERT INTO {table} FORMAT RowBinary"
    for position in (0, 15, len(frame) - 1):
        frame[position] ^= 1
        with pytest.raises(ClickHouseError, match="Checksum doesn't match"):
            server18.execute(insert, bytes(frame), decompress=1)
        frame[position] ^= 1
    assert server18.row(f"SELECT count() AS n FROM {table}")["n"] == 0
    server18.execute(insert, bytes(frame), decompress=1)
    assert server18.execute(f"SELECT v FROM {table} FORMAT RowBinary") == plain
