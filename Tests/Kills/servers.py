"""The servers a trial kills and starts again: ClickHouse of either version and a Kafka broker, each in a directory of its own."""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import apache_kafka
from clickhouse import ClickHouse, ClickHouseError

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "Servers"
KAFKA_SCRIPT = Path(os.environ.get("KAFKA_SCRIPT", HERE.parents[2] / "shared" / "kafka" / "kafka"))


class ServerError(Exception):
    """A server did not start or end as it should."""


def command(*arguments) -> str:
    """The output of a server script; raises ServerError with what it said."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise ServerError(f"{' '.join(map(str, arguments))} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def kill_at_once(pid: int):
    """kill -9, returning when the process holds nothing any more."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    raise ServerError(f"pid {pid} did not end within 30 s of kill -9")


class ClickHouseServer:
    """One server of `version` ("26.9" or "18.16"); URL and data stay the same over its lives."""

    def __init__(self, version: str, directory: Path):
        self.version, self.directory = version, directory
        self.script = SCRIPTS / {"26.9": "clickhouse26", "18.16": "clickhouse"}[version]
        self.url, self.pid, self.kills = "", 0, 0
        self.duplicates = 0  # DuplicatedInsertedBlocks over all lives, as last sampled
        self._of_life = 0

    def start(self):
        self.url, pid = command(self.script, "start", self.directory).split()
        self.pid, self._of_life = int(pid), 0
        self.client = ClickHouse(self.url)

    def kill(self):
        """kill -9 by the pid that was started; nothing is asked before it, so that it can be aimed."""
        kill_at_once(self.pid)
        self.pid = 0
        self.kills += 1

    def end(self):
        """Leaves nothing running, whatever state the server is in."""
        subprocess.run([self.script, "kill", self.directory], capture_output=True)

    def sample_duplicates(self):
        """Adds what the counter has grown by; a server that doesn't answer is left for the next time."""
        try:
            rows = self.client.rows("SELECT value FROM system.events WHERE event = 'DuplicatedInsertedBlocks'")
        except ClickHouseError:
            return
        now = int(rows[0]["value"]) if rows else 0
        self.duplicates += max(0, now - self._of_life)
        self._of_life = now

    def inserts_seen(self, table: str) -> int:
        """A number that changes when an insert into `table` has just got as far as its deduplication log (its directory, without)."""
        folder = self._table_directory(table)
        logs = list((folder / "deduplication_logs").glob("*.txt"))
        if logs:
            return sum(log.stat().st_size for log in logs if log.exists())
        return folder.stat().st_mtime_ns

    def _table_directory(self, table: str) -> Path:
        if not hasattr(self, "_directories"):
            self._directories = {}
        if table not in self._directories:
            database, name = table.split(".")
            where = f"FROM system.tables WHERE database = '{database}' AND name = '{name}'"
            if self.version == "18.16":
                path = self.client.row(f"SELECT data_path AS path {where}")["path"]
            else:
                path = self.client.row(f"SELECT data_paths[1] AS path {where}")["path"]
            self._directories[table] = Path(path)
        return self._directories[table]


class KafkaBroker:
    """Apache Kafka by KAFKA_SCRIPT; address and data stay the same over its lives."""

    def __init__(self, directories):
        """`directories` gives a new directory at each call."""
        if not KAFKA_SCRIPT.exists():
            raise ServerError(f"no Apache Kafka: {KAFKA_SCRIPT} is not there (KAFKA_SCRIPT names another)")
        self.address, self.directory, self.kills, self._directories = "", None, 0, []
        self._new_directory = lambda: self._directories.append(directories()) or self._directories[-1]

    def start(self):
        if self.directory is None:
            self.address, self.directory = apache_kafka.start(KAFKA_SCRIPT, self._new_directory)
        else:
            command(KAFKA_SCRIPT, "start", self.directory)

    def kill(self):
        kill_at_once(int((self.directory / "pid").read_text()))
        (self.directory / "pid").unlink()
        self.kills += 1

    def end(self):
        for directory in self._directories:
            subprocess.run([KAFKA_SCRIPT, "kill", directory], capture_output=True)


def create_topic(address: str, name: str, partitions: int):
    """Creates a topic through librdkafka, on any broker that knows CreateTopics; raises ServerError with the broker's reason."""
    library = ctypes.CDLL("librdkafka.so.1")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for function in ("conf_new", "new", "NewTopic_new", "queue_new", "queue_poll", "event_CreateTopics_result"):
        getattr(library, f"rd_kafka_{function}").restype = pointer
    library.rd_kafka_CreateTopics_result_topics.restype = ctypes.POINTER(pointer)
    for function in ("topic_result_error_string", "event_error_string"):
        getattr(library, f"rd_kafka_{function}").restype = text
    reason = ctypes.create_string_buffer(512)
    conf = pointer(library.rd_kafka_conf_new())
    if library.rd_kafka_conf_set(conf, b"bootstrap.servers", address.encode(), reason, ctypes.c_size_t(len(reason))) != 0:
        raise ServerError(reason.value.decode())
    client = pointer(library.rd_kafka_new(0, conf, reason, ctypes.c_size_t(len(reason))))
    if not client:
        raise ServerError(reason.value.decode())
    queue = pointer(library.rd_kafka_queue_new(client))
    topic = pointer(library.rd_kafka_NewTopic_new(name.encode(), partitions, 1, reason, ctypes.c_size_t(len(reason))))
    if not topic:
        raise ServerError(f"topic {name}: {reason.value.decode()}")
    library.rd_kafka_CreateTopics(client, (pointer * 1)(topic), ctypes.c_size_t(1), None, queue)
    event = pointer(library.rd_kafka_queue_poll(queue, 30_000))
    try:
        if not event:
            raise ServerError(f"no answer from {address} within 30 s to the creation of topic {name}")
        if library.rd_kafka_event_error(event) != 0:
            raise ServerError(f"topic {name}: {library.rd_kafka_event_error_string(event).decode()}")
        result, count = pointer(library.rd_kafka_event_CreateTopics_result(event)), ctypes.c_size_t()
        topics = library.rd_kafka_CreateTopics_result_topics(result, ctypes.byref(count))
        if library.rd_kafka_topic_result_error(pointer(topics[0])) != 0:
            raise ServerError(f"topic {name}: {(library.rd_kafka_topic_result_error_string(pointer(topics[0])) or b'').decode()}")
    finally:
        if event:
            library.rd_kafka_event_destroy(event)
        library.rd_kafka_NewTopic_destroy(topic)
        library.rd_kafka_queue_destroy(queue)
        library.rd_kafka_destroy(client)
