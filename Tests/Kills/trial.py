"""One trial: events stream through the engine while it, ClickHouse and Kafka are killed with -9; then the table is proven.

Events are written for as long as the killing takes, at a rate chosen by what that should be: an engine that is killed while it has
nothing to do proves nothing, so a trial in which less than half of the kills found work in flight fails.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import others
from engine import Engine, EngineError, Feed, Life
from pipeline import FIELDS, KEY, MODES, PROVENANCE, Pipeline, create_table
from servers import ClickHouseServer, ServerError, create_topic, new_broker

PROVE = Path(__file__).resolve().parents[1] / "Proof" / "prove"
TABLE = "default.events"
TOPIC = "events"
# Seconds that a kill of each costs with the start after it, roughly: what the generator's rate is chosen by.
COST = {"engine": 1.3, "server": 3.0, "broker": 9.0}
UP_SECONDS = 60


@dataclass(frozen=True)
class Options:
    binary: Path
    events: int
    kills: int
    server_kills: int
    broker_kills: int
    mode: str
    seed: int
    partitions: int = 4
    duplicates: int = 20
    others: bool = False  # somebody else writes into the table too
    keep: bool = False


@dataclass
class Outcome:
    """What happened, and what is wrong with it (`problems`, one sentence each; none: the trial has passed)."""

    options: Options
    proof: dict = field(default_factory=dict)
    engine_kills: int = 0
    judged_kills: int = 0  # kills after which a life came far enough to say what it found
    kills_in_flight: int = 0
    server_kills: int = 0
    aimed_server_kills: int = 0
    broker_kills: int = 0
    duplicates_dropped: int = 0
    batches_found: int = 0  # by a start, in the table, which the life before had not acked
    others_inserts: int = 0
    others_bursts: int = 0
    slowest_recovery: float = 0
    seconds: float = 0
    cpu_seconds: float = 0
    peak_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def cells(self) -> dict[str, str]:
        """The trial as a table of one row."""
        proof = self.proof
        records = proof.get("records", 0)
        return {
            "delivery": MODES[self.options.mode].words, "ClickHouse": MODES[self.options.mode].version,
            "events": f"{records:,}", "unique": f"{proof.get('keys', 0):,}", "rows": f"{proof.get('rows', 0):,}",
            **{name: f"{proof[name]:,}" if name in proof else "?" for name in ("missing", "extra", "double")},
            "engine kills": f"{self.engine_kills}", "in flight": f"{self.kills_in_flight} of {self.judged_kills}",
            "server kills": f"{self.server_kills} ({self.aimed_server_kills} aimed)", "broker kills": f"{self.broker_kills}",
            "found after a kill": f"{self.batches_found:,}",
            **({"INSERTs of others": f"{self.others_inserts:,} ({self.others_bursts} bursts)"} if self.options.others else {}),
            "duplicates dropped": f"{self.duplicates_dropped:,}", "slowest recovery": f"{self.slowest_recovery:.2f} s",
            "events/s": f"{records / self.seconds:,.0f}" if self.seconds else "?",
            "CPU µs/event": f"{self.cpu_seconds * 1e6 / records:.2f}" if records else "?",
            "peak memory": f"{self.peak_bytes >> 20} MiB",
        }


class Trial:
    """The servers, the engine and the generator of one trial, and the killing of them."""

    def __init__(self, options: Options, directory: Path, say=lambda text: None):
        self.options, self.say, self.mode = options, say, MODES[options.mode]
        self.random = random.Random(options.seed)
        self.server = ClickHouseServer(self.mode.version, directory / "clickhouse")
        self.broker = new_broker(lambda: Path(tempfile.mkdtemp(prefix="kafka-", dir=directory)))
        self.directory = directory
        self.engine: Engine | None = None
        self.feed: Feed | None = None
        self.writer: others.OtherWriter | None = None
        self.outcome = Outcome(options)
        self._pending_kills = 0  # kills since the last life that said what it found
        self._is_aimed = False  # the last kill of the engine came just after an insert
        self._has_found = False  # a start has found a batch in the table that the life before had not acked
        self._sampling = threading.Event()

    def run(self) -> Outcome:
        """The whole trial; raises EngineError or ServerError where it can't go on."""
        outcome, options = self.outcome, self.options
        if options.broker_kills and not self.broker.survives_kills:
            raise ServerError(f"{self.broker.name} loses records it has just taken when it is killed: --broker-kills needs Apache Kafka")
        self.server.start()
        self.broker.start()
        create_topic(self.broker.address, TOPIC, options.partitions)
        # Others' rows fall into several table partitions: one INSERT of theirs is as many entries of the window.
        create_table(self.server, TABLE, self.mode.window and (others.WINDOW if options.others else self.mode.window),
                     partition_by=others.PARTITION_BY if options.others else "user_id % 4")
        pipeline = Pipeline(self.directory / "pipeline", self.broker.address, TOPIC, self.server.url, TABLE,
                            fields=FIELDS[self.mode.version], more=others.PIPELINE if options.others else {})
        self.engine = Engine(options.binary, pipeline.write(), self.directory / "logs")
        plan = ["engine"] * options.kills + ["server"] * options.server_kills + ["broker"] * options.broker_kills
        self.random.shuffle(plan)
        rate = max(1000, int(options.events / (sum(map(COST.get, plan)) + 1)))
        self.say(f"{self.mode.words} on ClickHouse {self.mode.version}: {options.events:,} events at {rate:,} a second, "
                 f"seed {options.seed}")
        self.feed = Feed(options.binary, self.broker.address, TOPIC, options.events, rate=rate, seed=options.seed,
                         duplicates=options.duplicates)
        began = time.monotonic()
        sampler = threading.Thread(target=self._sample, daemon=True)
        sampler.start()
        writer = self.writer = others.OtherWriter(self.server, TABLE, self.random.randrange(1 << 32)) if options.others else None
        try:
            life = self.engine.start()
            for number, target in enumerate(plan, 1):
                life = getattr(self, f"_kill_{target}")(life)
                self.say(f"{number}/{len(plan)} {target} killed")
            self.feed.finish()
            life = self._kill_engine(life, "--until-end")
            if (code := life.wait(600)) != 0:
                raise EngineError(f"the last run ended with {code}:\n{life.tail()}")
            self._note(life)
        finally:
            self._sampling.set()
            sampler.join()
            if writer:
                writer.end()
                outcome.others_inserts, outcome.others_bursts = writer.inserts, writer.bursts
        if writer:
            writer.remove_rows()
        outcome.seconds = time.monotonic() - began
        self.server.sample_duplicates()
        self._prove()
        self._verify()
        self._judge()
        return outcome

    def end(self):
        """Leaves nothing running."""
        self._sampling.set()
        if self.feed:
            self.feed.end()
        if self.engine:
            self.engine.end()
        self.broker.end()
        self.server.end()

    # What is killed

    def _kill_engine(self, life: Life, *options: str) -> Life:
        """Kills the engine and starts it again with `options`; the new life."""
        # Some are killed in their recovery, the others just after an insert reached the table or a while later. Until a start has found a
        # batch that the life before had not acked, all of these are aimed, and the next one waits until what they left is settled.
        if self._is_aimed and not self._has_found:
            self._wait_settled(life)
            self._has_found = life.found_batches() > 0
        kind = self.random.random()
        if kind < 0.2:
            self._is_aimed = False
            time.sleep(self.random.uniform(0.0, 0.3))
        else:
            self._wait_recovered(life)
            self._is_aimed = self._wait_insert(seconds=5) and (kind < 0.6 or not self._has_found)
            if not self._is_aimed:
                time.sleep(self.random.uniform(0.05, 1.2))
        return self._restart_engine(life, *options)

    def _restart_engine(self, life: Life, *options: str) -> Life:
        life.kill()
        self._note(life)
        self.outcome.engine_kills += 1
        self._pending_kills += 1
        return self.engine.start(*options)

    def _kill_server(self, life: Life) -> Life:
        """Kills ClickHouse at random or just after an insert reached its deduplication log; at times the engine too, while it is down."""
        self._wait_recovered(life)
        if self.outcome.aimed_server_kills * 2 <= self.outcome.server_kills:
            self.outcome.aimed_server_kills += self._wait_insert(seconds=30)
        else:
            time.sleep(self.random.uniform(0.1, 1.0))
        self.server.kill()
        self.outcome.server_kills += 1
        time.sleep(self.random.uniform(0.0, 1.0))
        if self.random.random() < 0.3:
            life = self._restart_engine(life)
            time.sleep(self.random.uniform(0.0, 0.5))
        self.server.start()
        self._check_alive(life)
        return life

    def _kill_broker(self, life: Life) -> Life:
        time.sleep(self.random.uniform(0.1, 1.0))
        self.broker.kill()
        self.outcome.broker_kills += 1
        time.sleep(self.random.uniform(0.0, 1.0))
        self.broker.start()
        self._check_alive(life)
        return life

    # What is watched

    def _wait_insert(self, seconds: float) -> bool:
        """Waits until an insert has just reached the table; false when none did in so many seconds (a broker that was killed, the end)."""
        before, deadline = self._inserts_seen(), time.monotonic() + seconds
        while (now := self._inserts_seen())[0] == before[0] or now[1:] != before[1:] or before[2]:
            if now[1:] != before[1:]:
                before = now  # what is new may be somebody else's
            self.feed.keep()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0002)
        return True

    def _inserts_seen(self) -> tuple:
        """What changes with an INSERT into the table, and how many of others' are over, and whether one is under way."""
        writer = self.writer
        is_writing = writer is not None and writer.is_writing
        return self.server.inserts_seen(TABLE), writer.ended if writer else 0, is_writing

    def _wait_recovered(self, life: Life):
        deadline = time.monotonic() + UP_SECONDS
        while life.look() is None:
            self._check_alive(life)
            if time.monotonic() > deadline:
                raise EngineError(f"no line `recovered …` within {UP_SECONDS} s of the start; the log ends:\n{life.tail()}")
            time.sleep(0.005)

    def _wait_settled(self, life: Life):
        """Waits until what the life before left is in the table, or not long."""
        self._wait_recovered(life)
        deadline = time.monotonic() + 10
        while life.recovery.unacked_batches and not life.is_settled() and time.monotonic() < deadline:
            self._check_alive(life)
            time.sleep(0.01)

    def _check_alive(self, life: Life):
        if life.ended():
            raise EngineError(f"the engine ended by itself with {life.code}:\n{life.tail()}")
        self.feed.keep()

    def _note(self, life: Life):
        """Takes what a finished life found: it judges the kill before it."""
        recovery = life.look()
        if recovery is None:
            return
        self.outcome.batches_found += life.found_batches()
        self.outcome.slowest_recovery = max(self.outcome.slowest_recovery, recovery.seconds)
        if self._pending_kills:
            self.outcome.judged_kills += 1
            self.outcome.kills_in_flight += recovery.found_work
            self._pending_kills = 0

    def _sample(self):
        """Notices a recovery when it happens, whatever the trial is waiting for, and samples the counter about once in 0.2 s."""
        turn = 0
        while not self._sampling.wait(0.02):
            if self.engine.lives:
                self.engine.lives[-1].look()
            turn += 1
            if turn % 10 == 0:
                self.server.sample_duplicates()

    def _prove(self):
        done = subprocess.run([PROVE, "--json", "--brokers", self.broker.address, "--topic", TOPIC, "--clickhouse", self.server.url,
                               "--table", TABLE, "--key", KEY, "--ignore", PROVENANCE], capture_output=True, text=True)
        if not done.stdout:
            raise EngineError(f"nothing could be proven: {done.stderr.strip()}")
        self.outcome.proof = json.loads(done.stdout)

    def _verify(self):
        """The engine's own `verify` must come to the same as the proof, which shares no code with it."""
        done = subprocess.run([self.options.binary, "verify", self.engine.file, "--json"], capture_output=True, text=True)
        result = json.loads(done.stdout) if done.stdout else {}
        proof = self.outcome.proof
        own = tuple(result.get(name) for name in ("missing", "extra", "double", "rows_found"))
        if own != tuple(proof[name] for name in ("missing", "extra", "double", "rows")):
            self.outcome.problems.append(f"millrace verify comes to {own}, exit code {done.returncode}, the proof to another: {done.stderr}")
        if (done.returncode == 0) != bool(result.get("proven")) or (done.returncode != 0 and proof["exact"]):
            self.outcome.problems.append(f"millrace verify ends with {done.returncode}: {result.get('findings')} "
                                         f"{result.get('unproven')} {result.get('lost_history')}")

    def _judge(self):
        outcome, options = self.outcome, self.options
        outcome.duplicates_dropped = self.server.duplicates
        outcome.cpu_seconds, outcome.peak_bytes = self.engine.cpu_seconds, self.engine.peak_bytes
        problems, proof = outcome.problems, outcome.proof
        for name in ("missing", "extra", "double"):
            if proof[name]:
                problems.append(f"{proof[name]} rows {name}: {proof['samples'].get(name)}")
        if proof["records"] < options.events:
            problems.append(f"the topic holds {proof['records']} records, {options.events} were asked for")
        if proof["keys"] >= proof["records"]:
            problems.append("the topic holds no duplicate, so nothing was removed")
        if outcome.kills_in_flight * 2 < outcome.judged_kills or outcome.judged_kills * 2 < outcome.engine_kills:
            problems.append(f"of {outcome.engine_kills} kills {outcome.judged_kills} were followed by a life that said what it found, "
                            f"and {outcome.kills_in_flight} found work in flight: less than half")
        if options.kills >= 5 and outcome.batches_found == 0:
            problems.append("no start found a batch in the table that the life before had not acked, so no doubt was tried")
        if options.others and outcome.others_bursts == 0:
            problems.append(f"no burst used the window up: of others the server took {outcome.others_inserts} INSERTs")
        if options.server_kills >= 2 and outcome.aimed_server_kills == 0:
            problems.append("no kill of the server could be aimed at an insert")


def carry_out(options: Options, say=lambda text: None) -> Outcome:
    """Runs a trial in a directory of its own and leaves nothing running, also when broken off.

    What stops it (an EngineError, a ServerError) becomes a problem of the outcome. The directory stays where there is a problem, and
    with `keep`.
    """
    directory = Path(tempfile.mkdtemp(prefix="millrace-kills-"))
    trial = Trial(options, directory, say)
    try:
        with contextlib.suppress(ValueError):  # not in the main thread: then nothing can be caught
            signal.signal(signal.SIGTERM, _interrupt)
        trial.run()
    except Exception as error:  # whatever it is, the table of what was seen so far is printed with it
        trial.outcome.problems.append(f"{type(error).__name__}: {error}")
    finally:
        _uninterrupted(trial.end)
        if trial.outcome.problems or options.keep:
            say(f"kept: {directory}")
        else:
            subprocess.run(["rm", "-rf", directory])
    return trial.outcome


def _interrupt(number, frame):
    raise KeyboardInterrupt


def _uninterrupted(work):
    """Runs `work` to its end whatever Ctrl-C says meanwhile."""
    handlers = {}
    with contextlib.suppress(ValueError):
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        work()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def binary() -> Path:
    """The release binary that `make build` leaves, or what MILLRACE names."""
    return Path(os.environ.get("MILLRACE", Path(__file__).resolve().parents[2] / ".build" / "release" / "millrace"))


def print_table(outcomes: list[Outcome]):
    """One table, a column for each outcome, then every problem."""
    columns = [outcome.cells() for outcome in outcomes]
    for name in columns[0]:
        print(f"{name:<20}" + "".join(f"{column[name]:>24}" for column in columns))
    for outcome in outcomes:
        for problem in outcome.problems:
            print(f"WRONG ({outcome.options.mode}, seed {outcome.options.seed}): {problem}")
