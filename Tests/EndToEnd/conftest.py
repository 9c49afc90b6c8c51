"""The end-to-end tests' servers: one ClickHouse 26.9 and one Kafka that tests may kill, and a laboratory for each test."""

import shutil

import pytest

from laboratory import CANARY, SECRET, Lab
from servers import ClickHouseServer, new_broker
from stream import Stream


def holds(path, secret: bytes) -> bool:
    with path.open("rb") as file:
        end = b""
        while part := file.read(1 << 20):
            if secret in end + part:
                return True
            end = part[1 - len(secret):]
    return False


def assert_no_secret_is_left_behind(directory):
    """Logs, state, checkpoints, dead letters, a server's own files below a directory, once nothing works there any more. Each secret
    begins alike; links, sockets and the like are passed over."""
    found = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink() and holds(path, b"canary-")]
    leaks = [path for path in found if path.name != SECRET and holds(path, CANARY.encode())]
    assert not leaks, f"the password stands in {leaks}"
    # Other secrets, of Kafka, tokens and the like, may stand in the files of those who know them, and nowhere else beside a pipeline.
    pipelines = {file.parent for file in directory.rglob("pipeline.yaml")}
    leaks = [path for path in found if path.name not in ("pipeline.yaml", SECRET, "token") and pipelines & set(path.parents)]
    assert not leaks, f"a secret stands in {leaks}"


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left_behind(tmp_path_factory):
    """Made first, so it looks last, when all servers have ended: what belongs to more than one test."""
    yield
    assert_no_secret_is_left_behind(tmp_path_factory.getbasetemp())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed


@pytest.fixture(autouse=True)
def no_secret_is_left_behind_by_a_test(request, tmp_path):
    """Looks when the test's engines have ended. A directory holds some 70 MB, so only those of failed tests are kept."""
    yield
    assert_no_secret_is_left_behind(tmp_path)
    if not request.node.has_failed:
        shutil.rmtree(tmp_path)


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
    # Hundreds of tables would keep the server busy with itself.
    for table in laboratory.tables:
        lab_server.client.execute(f"DROP TABLE IF EXISTS {table}")
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
