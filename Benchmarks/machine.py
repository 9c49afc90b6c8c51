"""What a benchmark says of itself: the machine, the commit, and what CPU time each thread of the engine has taken."""

import contextlib
import os
import platform
import re
import subprocess
from pathlib import Path


def commit(root: Path) -> str:
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "no commit"


def machine() -> str:
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} × {model[1].strip() if model else platform.machine()}"


def thread_seconds(pid: int) -> dict:
    """Name and CPU seconds so far of each of a process's threads, by its id; of one that has ended, nothing."""
    seconds = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                # "id (name) state ...": the name may hold spaces and brackets; user and system time are fields 14 and 15.
                text = (task / "stat").read_text()
                fields = text[text.rindex(")") + 2:].split()
                ticks = int(fields[11]) + int(fields[12])
                name = "flow" if task.name == str(pid) else text[text.index("(") + 1:text.rindex(")")]
                seconds[task.name] = (name, ticks / os.sysconf("SC_CLK_TCK"))
    return seconds
