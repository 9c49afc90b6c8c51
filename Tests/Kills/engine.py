"""The engine as a process: started, watched through its log, killed, its CPU time and memory counted over all its lives."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

# One line after each start, once recovery knows what it found (agreed with the engine).
RECOVERED = re.compile(rb"recovered unacked_batches=(\d+) intents_replayed=(\d+) batches_resent=(\d+)")

# One line more when the last batch of the life before is in the table.
SETTLED = re.compile(rb"recovered batches are settled: (\d+) were found in the table")


class EngineError(Exception):
    """The engine ended when or how it should not have, or did not say what it must."""


@dataclass(frozen=True)
class Recovery:
    unacked_batches: int
    intents_replayed: int
    batches_resent: int
    seconds: float  # from the start of the process to the line

    @property
    def found_work(self) -> bool:
        return self.unacked_batches + self.intents_replayed + self.batches_resent > 0


@dataclass
class Life:
    """One process of the engine, from its start to its end."""

    process: subprocess.Popen
    log: Path
    began: float
    recovery: Recovery | None = None
    code: int | None = None  # as Popen's: negative for a signal
    cpu_seconds: float = 0
    peak_bytes: int = 0

    def look(self):
        """Reads the recovery line, if it is there by now."""
        if self.recovery is None and (found := RECOVERED.search(self.log.read_bytes())):
            self.recovery = Recovery(*map(int, found.groups()), seconds=time.monotonic() - self.began)
        return self.recovery

    def found_batches(self) -> int:
        """Batches of the life before that a count found in the table."""
        found = SETTLED.search(self.log.read_bytes())
        return int(found.group(1)) if found else 0

    def is_settled(self) -> bool:
        return SETTLED.search(self.log.read_bytes()) is not None

    def ended(self) -> bool:
        if self.code is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self._reap(status, usage)
        return self.code is not None

    def wait(self, seconds: float) -> int:
        """The exit code; EngineError when it takes longer."""
        deadline = time.monotonic() + seconds
        while not self.ended():
            self.look()
            if time.monotonic() > deadline:
                raise EngineError(f"the engine did not end within {seconds:.0f} s; its log ends:\n{self.tail()}")
            time.sleep(0.01)
        self.look()
        return self.code

    def signal(self, number: int):
        if not self.ended():
            os.kill(self.process.pid, number)

    def kill(self):
        """kill -9; EngineError when it had already ended by itself."""
        if self.ended():
            raise EngineError(f"the engine ended by itself with {self.code}:\n{self.tail()}")
        self.look()
        os.kill(self.process.pid, signal.SIGKILL)
        self.wait(30)

    def said(self) -> str:
        """The whole log."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.said().splitlines()[-lines:])

    def _reap(self, status, usage):
        self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024


@dataclass
class Engine:
    """The binary and every life it has had over one pipeline file."""

    binary: Path
    file: Path
    logs: Path
    lives: list[Life] = field(default_factory=list)

    def start(self, *options: str, **environment: str) -> Life:
        """`millrace run FILE OPTIONS`, its stderr in a log of its own."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"engine.{len(self.lives):03}.log"
        command = [self.binary, "run", self.file, "--log-format", "text", "--log-level", "info", *options]
        with log.open("wb") as out:
            # A session of its own: Ctrl-C ends the trial, which then ends the engine.
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                       env=os.environ | {"SWIFT_BACKTRACE": "enable=no"} | environment)
        self.lives.append(Life(process, log, time.monotonic()))
        return self.lives[-1]

    def run(self, *options: str, seconds: float = 120, **environment: str) -> Life:
        """Starts the engine and waits for its end."""
        life = self.start(*options, **environment)
        life.wait(seconds)
        return life

    def end(self):
        """Leaves nothing running."""
        for life in self.lives:
            if not life.ended():
                os.kill(life.process.pid, signal.SIGKILL)
                life.wait(30)

    @property
    def cpu_seconds(self) -> float:
        return sum(life.cpu_seconds for life in self.lives)

    @property
    def peak_bytes(self) -> int:
        return max((life.peak_bytes for life in self.lives), default=0)


def generate(binary: Path, brokers: str, topic: str, count: int, *, duplicates: int = 20, rate: int | None = None, seed: int = 1,
             more: tuple[str, ...] = ()) -> subprocess.Popen:
    """Starts `millrace generate`: `count` events, `duplicates` % of them with an earlier event's id, at most `rate` a second."""
    command = [binary, "generate", "--brokers", brokers, "--topic", topic, "--count", str(count), "--duplicates", str(duplicates),
               "--seed", str(seed), *(["--rate", str(rate)] if rate else []), *more]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            start_new_session=True)


def generated(process: subprocess.Popen, seconds: float = 900):
    """Waits for the generator; EngineError with its words when it failed."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise EngineError(f"millrace generate did not end within {seconds:.0f} s") from None
    if process.returncode != 0:
        raise EngineError(f"millrace generate ended with {process.returncode}: {errors.decode(errors='replace').strip()}")


class Feed:
    """Events for as long as they are needed: `count` of them at `rate` a second, then a quarter as many again with another seed, and so on.

    A machine that is slower than the rate was chosen for must not run out of events: an engine that is killed with nothing to do
    proves nothing.
    """

    def __init__(self, binary: Path, brokers: str, topic: str, count: int, *, rate: int, seed: int, duplicates: int):
        self._round, self._is_over = 0, False
        self._start = lambda: generate(binary, brokers, topic, max(1, count if self._round == 0 else count // 4), rate=rate,
                                       seed=seed + self._round, duplicates=duplicates)
        self._generator = self._start()

    def keep(self):
        """Starts the next round where one is over; EngineError when it has failed."""
        if not self._is_over and self._generator.poll() is not None:
            generated(self._generator)
            self._round += 1
            self._generator = self._start()

    def finish(self):
        """Waits for the first `count` events; a later round is broken off. Nothing more is written then."""
        self._is_over = True
        if self._round == 0:
            generated(self._generator)
        else:
            self.end()

    def end(self):
        """Leaves nothing running."""
        self._is_over = True
        if self._generator.poll() is None:
            self._generator.kill()
        self._generator.wait()
