"""The servers a trial kills and starts again: ClickHouse of either version and a Kafka broker, each in a directory of its own."""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import apache_kafka
from clickhouse import ClickHouse, ClickHouseError

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "Servers"
KAFKA_SCRIPT = Path(os.environ.get("KAFKA_SCRIPT", HERE.parents[2] / "shared" / "kafka" / "kafka"))
KAFKA_HOME = os.environ.get("KAFKA_HOME", "")
CACHE = Path(os.environ.get("MILLRACE_CACHE") or Path.home() / ".cache" / "millrace")
NOIDA = next((CACHE / "noida-db-0.2.3").glob("lib/python3*/site-packages/noida_db/noida-db"), CACHE / "noida-db-0.2.3")


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
            # A process is a zombie as soon as its first thread is; files and ports are held until the last one is gone.
            is_zombie = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            if is_zombie and len(os.listdir(f"/proc/{pid}/task")) == 1:
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


class Broker:
    """A Kafka broker; address and data stay the same over its lives. Subclasses start it and know its pid."""

    name = ""
    survives_kills = True  # keeps every record it has acknowledged

    def __init__(self, new_directory):
        """`new_directory` gives a new directory at each call."""
        self.address, self.directory, self.kills, self._directories = "", None, 0, []
        self._new_directory = lambda: self._directories.append(new_directory()) or self._directories[-1]

    def kill(self):
        """kill -9 by the pid that was started."""
        kill_at_once(int((self.directory / "pid").read_text()))
        (self.directory / "pid").unlink()
        self.kills += 1


class KafkaBroker(Broker):
    """Apache Kafka by KAFKA_SCRIPT."""

    name = "Apache Kafka"

    def start(self):
        if self.directory is None:
            self.address, self.directory = apache_kafka.start(KAFKA_SCRIPT, self._new_directory)
        else:
            command(KAFKA_SCRIPT, "start", self.directory)

    def end(self):
        for directory in self._directories:
            subprocess.run([KAFKA_SCRIPT, "kill", directory], capture_output=True)


class SpawnedBroker(Broker):
    """A broker that is one command in the foreground, started on a port of ours."""

    def start(self):
        if self.directory is None:
            self.directory = self._new_directory()
            self.address = f"127.0.0.1:{free_port()}"
            self.prepare(self.directory, int(self.address.rsplit(":", 1)[1]))
        log = self.directory / "broker.log"
        with log.open("ab") as out:
            process = subprocess.Popen(self.foreground(self.directory, int(self.address.rsplit(":", 1)[1])), cwd=self.directory,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        (self.directory / "pid").write_text(str(process.pid))
        for _ in range(240):
            if process.poll() is not None:
                raise ServerError(f"{self.name} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
            if subprocess.run(["kcat", "-L", "-b", self.address, "-m", "1"], capture_output=True).returncode == 0:
                return
            time.sleep(0.25)
        raise ServerError(f"{self.name} did not answer at {self.address} within 60 s; see {log}")

    def prepare(self, directory: Path, port: int):
        """Makes a new directory ready for the first start."""

    def end(self):
        for directory in self._directories:
            if (directory / "pid").exists():
                with contextlib.suppress(ProcessLookupError):
                    kill_at_once(int((directory / "pid").read_text()))
                (directory / "pid").unlink()


class KafkaHomeBroker(SpawnedBroker):
    """An unpacked release of Apache Kafka, by KAFKA_HOME."""

    name = "Apache Kafka of KAFKA_HOME"

    def prepare(self, directory: Path, port: int):
        controller = free_port()
        (directory / "server.properties").write_text(f"""process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
""")
        # A cluster id of fixed first letter: one that begins with "-" would be read as an option.
        command(Path(KAFKA_HOME) / "bin" / "kafka-storage.sh", "format", "--standalone", "-t", "M" + secrets.token_urlsafe(16)[:21],
                "-c", directory / "server.properties")

    def foreground(self, directory: Path, port: int) -> list:
        # The script replaces itself by the server, so that the pid is the server's.
        return [Path(KAFKA_HOME) / "bin" / "kafka-server-start.sh", directory / "server.properties"]


class NoidaBroker(SpawnedBroker):
    """PyPI's noida-db, a broker in one file for machines without Java."""

    name = "noida-db"
    survives_kills = False

    def foreground(self, directory: Path, port: int) -> list:
        return [NOIDA, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", directory / "data"]


def new_broker(new_directory) -> Broker:
    """The broker that this machine has: KAFKA_SCRIPT's, KAFKA_HOME's or noida-db, in this order; ServerError where there is none."""
    if KAFKA_SCRIPT.exists() and shutil.which("java"):
        return KafkaBroker(new_directory)
    if KAFKA_HOME and shutil.which("java"):
        return KafkaHomeBroker(new_directory)
    if NOIDA.is_file():
        return NoidaBroker(new_directory)
    raise ServerError(f"no Kafka: neither {KAFKA_SCRIPT} (KAFKA_SCRIPT), nor a release that KAFKA_HOME names, nor {NOIDA}; run: make setup")


def free_port() -> int:
    """A port that nothing listens on, below those that Linux gives to outgoing connections."""
    for _ in range(50):
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise ServerError("no free port between 20000 and 31999")


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
