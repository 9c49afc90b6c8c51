"""The end-to-end tests' servers: one ClickHouse 26.9 and one Kafka that tests may kill, and a laboratory for each test."""

import pytest

from laboratory import Lab
from servers import ClickHouseServer, new_broker


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    server = ClickHouseServer("26.9", tmp_path_factory.mktemp("lab-clickhouse"))
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
    if lab_server.pid == 0:
        lab_server.start()
    laboratory = Lab(millrace, lab_server, lab_broker, tmp_path)
    yield laboratory
    for engine in laboratory.engines:
        engine.end()
    if lab_server.pid == 0:
        lab_server.start()
