"""Somebody else who writes into the table of a trial: an INSERT a second, and bursts that use its deduplication window up."""

import contextlib
import random
import threading
import time

from clickhouse import ClickHouse, ClickHouseError

# Partitions that one of its INSERTs writes to, beside the pipeline's four.
PARTITIONS = 8
# Small, so that a burst is a few INSERTs: with hundreds of parts a second the server does nothing but merge, and no batch arrives.
WINDOW = 4 * PARTITIONS
FIRST_USER = 1_000_000_000
PARTITION_BY = f"if(user_id < {FIRST_USER}, user_id % 4, 4 + user_id % {PARTITIONS})"
# Bursts come at any time: nothing is assumed of others.
PIPELINE = {"sinks": {"table": {"clickhouse": {"window_reserve": "unlimited", "batch": {"partitions_max": PARTITIONS}}}}}
NAME = "other-"


class OtherWriter:
    """Writes from a thread of its own until `end`; its rows have keys of their own and no batch's name."""

    def __init__(self, server, table: str, seed: int):
        self._server, self._table, self._random = server, table, random.Random(seed)
        self._ending, self._number = threading.Event(), 0
        self.inserts = 0  # that the server took
        self.ended, self.is_writing = 0, False  # INSERTs that are over, and whether one is under way
        self.bursts = 0  # whose INSERTs it took all, so that nothing older is in the window
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def end(self):
        self._ending.set()
        self._thread.join()

    def remove_rows(self):
        """Takes its rows away, partition by partition, so that what is left can be proven."""
        client = ClickHouse(self._server.url)
        where = f"WHERE database || '.' || table = '{self._table}' AND active"
        for row in client.rows(f"SELECT DISTINCT partition AS name FROM system.parts {where}"):
            if int(row["name"]) >= 4:
                client.execute(f"ALTER TABLE {self._table} DROP PARTITION {row['name']}")
        keys = f"user_id >= {FIRST_USER}"
        client.execute(f"ALTER TABLE {self._table} DELETE WHERE {keys}")
        deadline = time.monotonic() + 120
        while int(client.row(f"SELECT count() AS n FROM {self._table} WHERE {keys}")["n"]):
            if time.monotonic() > deadline:
                raise ClickHouseError(f"rows of others are still in {self._table} after 120 s")
            time.sleep(0.1)

    def _write(self):
        burst_at = time.monotonic() + self._random.uniform(1, 4)
        while not self._ending.wait(self._random.uniform(0.5, 1.5)):
            # The server may be down: it is being killed.
            with contextlib.suppress(ClickHouseError, OSError):
                if time.monotonic() < burst_at:
                    self._insert()
                    continue
                burst_at = time.monotonic() + self._random.uniform(2, 8)
                for _ in range(WINDOW // PARTITIONS + 1):
                    self._insert()
                self.bursts += 1

    def _insert(self):
        self._number += 1
        self.is_writing = True
        client = ClickHouse(self._server.url)
        rows = "".join(f"{NAME}{self._number}-{number}\t{FIRST_USER + number}\n" for number in range(100))
        try:
            client.execute(f"INSERT INTO {self._table} (event_id, user_id) FORMAT TabSeparated", rows.encode())
            self.inserts += 1
        finally:
            self.ended, self.is_writing = self._number, False
