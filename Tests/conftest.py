"""Servers for the tests: ClickHouse 18.16 and 26.9, librdkafka's mock cluster, Apache Kafka where it can be had; and the engine."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SERVERS = HERE / "Servers"
sys.path[:0] = [str(HERE / "Proof"), str(SERVERS), str(HERE / "Kills")]
import apache_kafka  # noqa: E402
from clickhouse import ClickHouse  # noqa: E402
from servers import create_topic  # noqa: E402
from transaction import Transaction, pointer, producer  # noqa: E402

MILLRACE = Path(os.environ.get("MILLRACE", HERE.parent / ".build" / "release" / "millrace"))
KAFKA = Path(os.environ.get("KAFKA_SCRIPT", HERE.parents[1] / "shared" / "kafka" / "kafka"))
_names = itertools.count()


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes too long for `make test`; `make long` runs it")


class Broker:
    def __init__(self, address, create):
        self.address, self._create = address, create

    def topic(self, *partitions: list[bytes]) -> str:
        """A new topic that holds these payloads; `None` stands for a tombstone."""
        name = f"t{next(_names)}"
        self._create(name, len(partitions))
        for number, payloads in enumerate(partitions):
            for empty, run in itertools.groupby(payloads, lambda payload: payload is None):
                # kcat sends no line that is empty; one with a key and nothing after it is a tombstone under -Z.
                lines = b"".join((b"k\t" if empty else payload) + b"\n" for payload in run)
                subprocess.run(["kcat", "-P", "-b", self.address, "-t", name, "-p", str(number),
                                *(["-Z", "-K", "\t"] if empty else [])], input=lines, check=True, capture_output=True)
        return name

    def abort(self, topic: str, payloads: list[bytes]):
        """Writes the payloads to partition 0 in a transaction and aborts it."""
        with Transaction(self.address, topic, payloads) as transaction:
            transaction.abort()


@pytest.fixture(scope="session")
def mock():
    """librdkafka's mock cluster: everywhere, but it hands out the records of aborted transactions like any other."""
    library, client = producer()
    cluster = pointer(library.rd_kafka_mock_cluster_new(client, 1))
    address = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    def create(name, partitions):
        assert library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1) == 0
    yield Broker(address, create)
    library.rd_kafka_mock_cluster_destroy(cluster)
    library.rd_kafka_destroy(client)


@pytest.fixture(scope="session")
def kafka_script():
    """The script that runs Apache Kafka; the tests that need it are skipped where it can't be had."""
    if not KAFKA.exists():
        pytest.skip(f"no Apache Kafka: {KAFKA} is not there (KAFKA_SCRIPT names another)")
    return KAFKA


@pytest.fixture(scope="session")
def kafka(kafka_script, tmp_path_factory):
    """Apache Kafka, one broker."""
    address, directory = apache_kafka.start(kafka_script, lambda: tmp_path_factory.mktemp("kafka"))

    yield Broker(address, lambda name, partitions: create_topic(address, name, partitions))
    subprocess.run([kafka_script, "kill", directory], check=True)


@pytest.fixture(scope="session", params=["mock", "kafka"])
def broker(request):
    return request.getfixturevalue(request.param)


def started(script, directory):
    done = subprocess.run([SERVERS / script, "start", directory], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield ClickHouse(done.stdout.split()[0])
    subprocess.run([SERVERS / script, "kill", directory], check=True)


@pytest.fixture(scope="session")
def server18_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="session")
def server18(server18_directory):
    """ClickHouse 18.16, of Debian."""
    yield from started("clickhouse", server18_directory)


@pytest.fixture(scope="session")
def server26(tmp_path_factory):
    """ClickHouse 26.9, out of chdb-core."""
    yield from started("clickhouse26", tmp_path_factory.mktemp("clickhouse26"))


@pytest.fixture(scope="session", params=["server18", "server26"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def millrace():
    """The engine as `make build` leaves it. It is never skipped: tests of an engine that isn't there have not passed."""
    if not os.access(MILLRACE, os.X_OK):
        pytest.fail(f"no engine: {MILLRACE} is not there; run: make build (MILLRACE names another binary)", pytrace=False)
    return MILLRACE


@pytest.fixture
def table(server):
    """A table of events; `fill` puts rows in as the engine would have."""
    name = f"default.events{next(_names)}"
    server.execute(f"CREATE TABLE {name} (id String, user Nullable(Int64), amount Decimal(18, 2), at DateTime)"
                   " ENGINE = MergeTree ORDER BY id")
    yield name
    server.execute(f"DROP TABLE {name}")
