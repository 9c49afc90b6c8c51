"""Starts Apache Kafka for the tests with a script that draws the broker's ports and cluster id, and draws again if need be."""

import subprocess
from pathlib import Path
from typing import Callable

DRAWS = 4


def start(script: Path, new_directory: Callable[[], Path]) -> tuple[str, Path]:
    """The address of a broker that now runs, and its directory, for `script kill`.

    One cluster id in 64 begins with "-": Kafka takes it for an option, and the script fails. Each draw gets a directory of its
    own, since a failed one keeps its ports. Raises RuntimeError with every draw's reason when none works.
    """
    reasons = []
    for _ in range(DRAWS):
        directory = new_directory()
        done = subprocess.run([script, "start", directory], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.split()[0], directory
        reasons.append(done.stderr.strip() or f"{script} ended with {done.returncode} and said nothing")
        subprocess.run([script, "kill", directory], capture_output=True)  # it may have been given up on while starting
    raise RuntimeError(f"Apache Kafka did not start in {DRAWS} draws:\n" + "\n".join(reasons))
