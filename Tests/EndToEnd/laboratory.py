"""What an end-to-end test works with: topics, tables and pipelines of its own, engines over them, and the proof."""

import itertools
import json
import os
import subprocess
import time
from pathlib import Path

from engine import Engine, EngineError, Life
from pipeline import KEY, PROVENANCE, Pipeline, create_table, merged
from servers import Broker, ClickHouseServer, create_topic

PROVE = Path(__file__).resolve().parents[1] / "Proof" / "prove"
# The password of every pipeline here, out of a file beside the pipeline's. The server asks for none and takes any; nothing that a test
# leaves behind may hold it (conftest.py looks).
CANARY = "canary-5d0c1f7e-never-to-be-seen"
SECRET = "secret"
_numbers = itertools.count()


def event(number: int, **more) -> dict:
    """An event like those of `millrace generate`; the same number, the same event."""
    second = number // 1000
    return {"event_id": f"00000000-0000-4000-8000-{number:012x}", "user_id": number % 997 + 1, "amount": number % 10_000_000 / 100,
            "created_at": f"2026-01-31T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.{number % 1000:03}Z",
            "name": "flywheel", "text": "the wheel turns as long as the stream runs"} | more


def payload(number: int, **more) -> bytes:
    return json.dumps(event(number, **more), separators=(",", ":")).encode()


class Lab:
    """What one test has: the shared servers, a directory, the tables it has made and the engines it has started."""

    def __init__(self, binary: Path, server: ClickHouseServer, broker: Broker, directory: Path):
        self.binary, self.server, self.broker, self.directory = binary, server, broker, directory
        self.engines: list[Engine] = []
        self.tables: list[str] = []

    def topic(self, partitions: int = 3) -> str:
        name = f"e2e-{os.getpid()}-{next(_numbers)}"
        create_topic(self.broker.address, name, partitions)
        return name

    def produce(self, topic: str, payloads: list[bytes], partition: int = 0, tombstones: bool = False):
        """Writes the payloads in order; as records with a key and no value where `tombstones`."""
        lines = b"".join((b"k\t" if tombstones else value) + b"\n" for value in payloads)
        subprocess.run(["kcat", "-P", "-b", self.broker.address, "-t", topic, "-p", str(partition), "-X", "linger.ms=50",
                        *(["-Z", "-K", "\t"] if tombstones else [])], input=lines, check=True, capture_output=True)

    def produce_events(self, topic: str, numbers, partitions: int = 3):
        """An event for each number, spread over the partitions by it; every fifth twice."""
        for partition in range(partitions):
            mine = [number for number in numbers if number % partitions == partition]
            self.produce(topic, [payload(n) for number in mine for n in ([number, number] if number % 5 == 0 else [number])], partition)

    def table(self, **more) -> str:
        name = f"default.events{next(_numbers)}"
        create_table(self.server, name, **{"window": 10_000, **more})
        self.tables.append(name)
        return name

    def pipeline(self, topic: str, table: str, **keys) -> Pipeline:
        number = next(_numbers)
        sinks = keys.get("more", {}).get("sinks", {})
        sink = {} if sinks is ... else sinks.get("table", {}).get("clickhouse", {})
        # ClickHouse 18.16 takes no password from who has none.
        if sinks is not ... and self.server.version != "18.16" and not {"user", "password"} & sink.keys():
            keys["more"] = merged({"sinks": {"table": {"clickhouse": {"password": f"${{file:{SECRET}}}"}}}}, keys.get("more", {}))
        pipeline = Pipeline(self.directory / f"p{number}", self.broker.address, topic, self.server.url, table,
                            name=f"e2e-{os.getpid()}-{number}", **keys)
        pipeline.write()
        (pipeline.directory / SECRET).write_text(CANARY + "\n")
        return pipeline

    def engine(self, pipeline: Pipeline) -> Engine:
        self.engines.append(Engine(self.binary, pipeline.file, pipeline.directory / f"logs{len(self.engines)}"))
        return self.engines[-1]

    def run_to_end(self, pipeline: Pipeline, *options: str, code: int = 0, seconds: float = 180) -> Life:
        """A life up to the end of the topic; fails when it ends with another code."""
        life = self.engine(pipeline).run("--until-end", *options, seconds=seconds)
        assert life.code == code, life.tail()
        return life

    def check(self, pipeline: Pipeline) -> subprocess.CompletedProcess:
        """What `check --connect` says, and its code."""
        return subprocess.run([self.binary, "check", pipeline.file, "--connect"], capture_output=True, text=True, timeout=120)

    def verify(self, pipeline: Pipeline, code: int = 0) -> dict:
        """What `verify` says; fails when it ends with another code."""
        done = subprocess.run([self.binary, "verify", pipeline.file, "--json"], capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def proof(self, pipeline: Pipeline) -> dict:
        """What `prove` has found; fails when nothing could be proven."""
        done = subprocess.run([PROVE, "--json", "--brokers", self.broker.address, "--topic", pipeline.topic, "--clickhouse",
                               self.server.url, "--table", pipeline.table, "--ignore", PROVENANCE,
                               *(["--key", KEY] if pipeline.deduplicate else [])], capture_output=True, text=True)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def assert_exact(self, pipeline: Pipeline, unique: int | None = None):
        result = self.proof(pipeline)
        assert result["exact"], result
        if unique is not None:
            assert result["keys"] == result["rows"] == unique, result

    def count(self, table: str, what: str = "count()") -> int:
        return int(self.server.client.row(f"SELECT {what} AS n FROM {table}")["n"])

    def until(self, condition, life, seconds: float = 60):
        """Waits until `condition()` is true while the engine lives; its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if life.ended():
                raise EngineError(f"the engine ended by itself with {life.code}:\n{life.tail()}")
            if time.monotonic() > deadline:
                raise EngineError(f"not within {seconds:.0f} s; the log ends:\n{life.tail()}")
            time.sleep(0.01)
        return value


def letters(pipeline: Pipeline) -> list[dict]:
    """The dead letters, file by file."""
    return [json.loads(line) for path in sorted(pipeline.dead_letters.glob("*.jsonl")) for line in path.read_text().splitlines()]


def resident(pid: int, what: str = "VmRSS") -> int:
    """Bytes of a process that are in memory, or (VmHWM) the most that ever were; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)


def manifests(pipeline: Pipeline) -> list[Path]:
    """The manifests of the published checkpoints, oldest first; RocksDB's files of that name lie deeper."""
    return sorted(pipeline.state.glob("checkpoints/*-*/MANIFEST"), key=lambda path: int(path.parent.name.rpartition("-")[2]))


def segments(pipeline: Pipeline) -> list[Path]:
    """The segments of the epoch log, oldest first."""
    return sorted(pipeline.state.glob("log/*.seg"))
