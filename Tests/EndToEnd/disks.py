"""Disks that fail: a small one (tmpfs) that fills and grows, and one whose n-th call fails (diskfault.c, preloaded)."""

import contextlib
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def build(name: str, directory: Path) -> Path:
    """A library to be preloaded, made of `name`.c: diskfault or clockjump."""
    library = directory / f"{name}.so"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, HERE / f"{name}.c", "-ldl"], check=True)
    return library


class SmallDisk:
    """A tmpfs of so many MiB at `path`."""

    def __init__(self, path: Path, megabytes: int):
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", path], check=True)

    @property
    def ballast(self) -> Path:
        return self.path / "lost+found" / "ballast"

    def grow(self, megabytes: int):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self.path], check=True)

    def fill(self):
        """Takes all its room, where a first start looks for nothing."""
        self.ballast.parent.mkdir(exist_ok=True)
        with self.ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(1 << 16)):
                pass

    def empty(self):
        self.ballast.unlink()

    def end(self):
        subprocess.run(["umount", "-l", self.path], check=True)


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int):
    """A SmallDisk for a block; the test is skipped, with the reason, where this user may not mount."""
    try:
        disk = SmallDisk(path, megabytes)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no tmpfs can be mounted here: {error}")
    try:
        yield disk
    finally:
        disk.end()
