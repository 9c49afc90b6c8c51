"""Reads a whole Kafka topic with kcat: every record byte for byte."""

import subprocess
from dataclasses import dataclass


class TopicError(Exception):
    """The topic could not be read to its end, so nothing can be proven from it."""


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    payload: bytes | None  # None: a tombstone


def records(brokers: str, topic: str, kcat: str = "kcat"):
    """Yields each committed record of `topic` from its first retained offset to the end it has now.

    Raises TopicError when kcat fails, when its output is cut short, or when offsets of a partition do not rise.
    """
    command = [kcat, "-C", "-q", "-e", "-b", brokers, "-t", topic, "-o", "beginning",
               "-X", "isolation.level=read_committed", "-X", "check.crcs=true",
               "-f", r"%p %o %S\n%s\n"]
    # The payload length comes first on each record, so any byte may stand in the payload itself.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    last: dict[int, int] = {}
    try:
        while header := process.stdout.readline():
            partition, offset, length = map(int, header.split())
            payload = process.stdout.read(max(length, 0))
            if len(payload) != max(length, 0) or process.stdout.read(1) != b"\n":
                raise TopicError(f"{topic}-{partition} offset {offset}: the dump ends inside the record")
            if offset <= last.get(partition, -1):
                raise TopicError(f"{topic}-{partition} offset {offset} came after {last[partition]}")
            last[partition] = offset
            yield Record(partition, offset, None if length < 0 else payload)
        errors = process.stderr.read().decode(errors="replace").strip()
        if process.wait() != 0:
            raise TopicError(f"kcat ended with {process.returncode} reading {topic} from {brokers}: {errors}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
