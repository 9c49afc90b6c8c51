"""The end-to-end tests' servers: one ClickHouse 26.9 and one Kafka that tests may kill, and a laboratory for each test."""

import mmap

import pytest

from laboratory import CANARY, SECRET, Lab
from servers import ClickHouseServer, new_broker
from stream import Stream


def holders(directory, secret: bytes) -> list:
    """The files below a directory that hold `secret`; unreadable ones are looked over, sockets and the like too."""
    found = []
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(secret) >= 0:
                    found.append(path)
    return found


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left_behind(tmp_path_factory):
    """Made first, so it looks last, when all tests and servers have ended: logs, state, checkpoints, dead letters, the server's own."""
    yield
    found = holders(tmp_path_factory.getbasetemp(), CANARY.encode())
    leaks = [path for path in found if path.name != SECRET]
    assert not leaks, f"the password stands in {leaks}"
    # Other secrets, of Kafka, tokens and the like, may stand in the files of those who know them, and nowhere else beside a pipeline.
    leaks = [path for file in tmp_path_factory.getbasetemp().rglob("pipeline.yaml") for path in holders(file.parent, b"canary-")
             if path.name not in (file.name, SECRET, "token")]
    assert not leaks, f"a secret stands in {leaks}"


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    server = ClickHouseServer("26.9", tmp_path_factory.mktemp("lab-clickhouse"))
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def lab_server18(tmp_path_factory):
    """ClickHouse 18.16 for those end-to-end tests that ask for it."""
    server = ClickHouseServer("18.16", tmp_path_factory.mktemp("lab-clickhouse18"))
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def lab_broker(tmp_path_factory):
    broker = new_broker(lambda: tmp_path_factory.mktemp("lab-kafka"))
    broker.start()
    yield broker
    broker.end()


@pytest.fixture
def lab(millrace, lab_server, lab_broker, tmp_path):
    laboratory = Lab(millrace, lab_server, lab_broker, tmp_path)
    yield laboratory
    for engine in laboratory.engines:
        engine.end()
    if lab_server.pid == 0:
        lab_server.start()
    if not (lab_broker.directory / "pid").exists():
        lab_broker.start()


@pytest.fixture(scope="session")
def stream(millrace, lab_server, lab_broker, tmp_path_factory):
    """A topic for many tests; each has a pipeline and a table of its own over it."""
    lab = Lab(millrace, lab_server, lab_broker, tmp_path_factory.mktemp("stream"))
    return Stream(lab).fill(lab)


@pytest.fixture
def laboratory(request, lab):
    """A laboratory by the mode's name: for 18.16 one over that server."""
    def of(mode: str) -> Lab:
        if mode != "readback18":
            return lab
        old = Lab(lab.binary, request.getfixturevalue("lab_server18"), lab.broker, lab.directory)
        old.engines = lab.engines
        return old
    return of
