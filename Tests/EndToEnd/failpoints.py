"""Every fault point of the engine (Sources/MillBase/FaultPoints.swift), the fault of the catalogue that it is, and when it comes.

The catalogue is that of Benchmarks/RELIABILITY.md. TidyTests compares this table with the engine's own list.
"""

from dataclasses import dataclass

ALL = ("token", "readback", "readback18")


@dataclass(frozen=True)
class Point:
    """`fault`: its number in the catalogue, or a rule of the protocol. `at_start`: it comes once a start that finds work of a killed life.
    `once`: surely once a life, not twice. The second hit of either is in a second life. `modes`: those in which it comes. `sampled`: also
    tried on 18.16.
    """

    fault: str
    at_start: bool = False
    once: bool = False
    modes: tuple = ALL
    sampled: bool = False


POINTS = {
    # An epoch
    "before_intent": Point("W1"),
    "intent_torn": Point("W2"),
    "intent_written": Point("W3, W4"),
    "amid_process": Point("W5", sampled=True),
    "processed": Point("W5"),
    # A seal
    "chunk_torn": Point("W6"),
    "amid_chunks": Point("W6"),
    "before_seal": Point("W6"),
    "seal_torn": Point("W6", sampled=True),
    "seal_written": Point("W6"),
    "segment_begun": Point("W6"),
    # A batch
    "before_insert": Point("W7", sampled=True),
    "deadline_written": Point("W7", modes=("readback", "readback18"), sampled=True),
    "insert_half_sent": Point("W7", sampled=True),
    "insert_sent": Point("W7", sampled=True),
    "after_insert_before_ack": Point("W8, W25", sampled=True),
    "ack_torn": Point("W8"),
    "ack_written": Point("W8, W25", sampled=True),
    # Dead letters
    "letter_torn": Point("R12"),
    "letter_written": Point("R12"),
    "letter_renamed": Point("R12"),
    "letter_durable": Point("R12", sampled=True),
    # State
    "amid_flush": Point("W5, R18"),
    "flushed": Point("W5, R18"),
    "before_drop": Point("W5, R18", once=True),
    "dropped": Point("W5, R18", once=True),
    # A checkpoint
    "checkpoint_begun": Point("W9"),
    "amid_checkpoint_files": Point("W9", sampled=True),
    "checkpoint_files_made": Point("W9"),
    "checkpoint_files_synced": Point("W10"),
    "manifest_torn": Point("W10"),
    "manifest_written": Point("W10"),
    "manifest_renamed": Point("W10"),
    "published": Point("W14", sampled=True),
    "witness_committed": Point("W14"),
    "checkpoint_half_removed": Point("W15"),
    "segment_removed": Point("W15", sampled=True),
    # A start
    "start_copy_torn": Point("W17", at_start=True),
    "start_copied": Point("W17", at_start=True),
    "log_begun": Point("W17", at_start=True),
    "amid_restore": Point("W17", at_start=True),
    "restored": Point("W17", at_start=True, sampled=True),
    "amid_replay": Point("W18", at_start=True),
}
