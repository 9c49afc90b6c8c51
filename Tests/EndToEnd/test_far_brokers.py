"""Brokers that are far: an answer takes longer than the engine waits for a record."""

import socket
import threading
import time

import pytest

from forged import ForgedBroker, batch
from laboratory import payload


class FarBroker(ForgedBroker):
    """Answers each question after `seconds`; can be away for a while, at the same address."""

    seconds = 0.0

    def _serve(self, connection):
        self.connections = [*getattr(self, "connections", []), connection]
        super()._serve(connection)

    def _metadata(self, request):
        time.sleep(self.seconds)
        return super()._metadata(request)

    def leave(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close() if connection.fileno() < 0 else connection.shutdown(socket.SHUT_RDWR)
        self.connections = []

    def return_(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_brokers_that_are_back_are_noticed_although_nothing_comes_however_far_they_are(lab, seconds):
    broker = FarBroker("far", [(0, 0, batch(0, [payload(1)]))])
    broker.seconds = seconds
    pipeline = lab.pipeline("far", lab.table())
    pipeline.brokers = broker.address
    pipeline.write()
    try:
        life = lab.engine(pipeline).start()
        lab.until(lambda: lab.count(pipeline.table) == 1, life)
        broker.leave()
        lab.until(lambda: "waiting for Kafka" in life.said(), life)
        time.sleep(3)
        broker.return_()
        lab.until(lambda: "Kafka answers again" in life.said(), life)
    finally:
        broker.close()
