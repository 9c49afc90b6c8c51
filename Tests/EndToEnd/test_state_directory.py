"""Whose directories a start takes: not one that others write, and none that something else lies in."""

import os
import stat
import time

import pytest

from laboratory import manifests
from pipeline import merged

EVENTS = 3000
NOBODY = 65534


@pytest.fixture
def ready(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    return lab.pipeline(topic, lab.table(), more={"checkpoint": {"interval": "300ms"}})


def tree(directory) -> dict:
    """What lies below a directory: each file's bytes, each directory, each link's target."""
    return {str(path.relative_to(directory)): os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            for path in directory.rglob("*")}


def put(path, text="precious"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("files", [
    ["projects/thesis.tmp/chapter1.txt", "projects/notes.tmp"], ["log/app.log.tmp"], ["log/spare", "live/shard-0/film.mp4"], ["mail"],
    ["LOCK", "CURRENT", "000003.log"]])
def test_a_first_start_touches_nothing_of_a_directory_that_holds_other_things(lab, ready, files):
    for file in files:
        put(ready.state / file)
    before = tree(ready.directory / "state")
    log = lab.run_to_end(ready, code=1).said()
    assert "isn't empty" in log and "state.path" in log, log
    assert tree(ready.state) == before
    assert lab.count(ready.table) == 0


def test_checkpoints_aren_t_put_among_other_things_and_others_tmp_files_stay(lab, ready):
    ready.more = merged(ready.more, {"checkpoint": {"location": "shared"}})
    ready.write()
    shared = ready.directory / "shared"
    put(shared / "notes.tmp")
    log = lab.run_to_end(ready, code=1).said()
    assert "checkpoint.location" in log and "isn't empty" in log, log
    assert tree(shared) == {"notes.tmp": b"precious"} and not ready.state.exists()
    # Once the directory is the pipeline's, what else comes there is left alone.
    (shared / "notes.tmp").unlink()
    lab.run_to_end(ready)
    put(shared / "notes.tmp" / "chapter")
    put(ready.state / "log" / "app.log.tmp")
    lab.run_to_end(ready)
    assert (shared / "notes.tmp" / "chapter").exists() and (ready.state / "log" / "app.log.tmp").exists()
    lab.assert_exact(ready, unique=EVENTS)


def test_the_root_of_a_new_file_system_is_empty(lab, ready):
    (ready.state / "lost+found").mkdir(parents=True)
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("key, name", [("state.path", "state"), ("checkpoint.location", "checkpoints"),
                                       ("dead_letters.path", "dead-letters")])
def test_a_directory_of_another_user_is_refused(lab, ready, key, name):
    ready.more = merged(ready.more, {"checkpoint": {"location": "checkpoints"}})
    ready.write()
    directory = ready.directory / name
    directory.mkdir(mode=0o755)
    os.chown(directory, NOBODY, NOBODY)
    log = lab.run_to_end(ready, code=1).said()
    assert key in log and f"belongs to user id {NOBODY}" in log and f"chown 0 {directory}" in log, log
    os.chown(directory, 0, 0)
    lab.run_to_end(ready)


@pytest.mark.parametrize("name", ["state", "dead-letters"])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_may_write_is_refused_until_that_is_mended(lab, ready, name, mode):
    directory = ready.directory / name
    directory.mkdir()
    directory.chmod(mode)
    log = lab.run_to_end(ready, code=1).said()
    assert f"(mode {mode:o})" in log and f"chmod go-w {directory}" in log, log
    directory.chmod(mode & ~0o22)
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)


@pytest.mark.parametrize("name", ["log", "live", "ledger"])
def test_a_link_within_the_state_leads_nowhere(lab, ready, name):
    victims = ready.directory / "victims"
    for file in ["x.tmp", "shard-0/kept", "spare"]:
        put(victims / file)
    before = tree(victims)
    ready.state.mkdir()
    (ready.state / name).symlink_to(victims)
    log = lab.run_to_end(ready, code=1).said()
    assert f"{ready.state}/{name} is a symbolic link" in log, log
    assert tree(victims) == before


def test_a_lock_that_is_another_s_file_is_not_written_to(lab, ready):
    victim = ready.directory / "victim"
    put(victim)
    ready.state.mkdir()
    os.link(victim, ready.state / "LOCK")
    log = lab.run_to_end(ready, code=1).said()
    assert f"{ready.state}/LOCK has 2 names" in log and victim.read_text() == "precious", log


def test_all_files_are_for_their_owner_only_whatever_the_umask_and_older_ones_go_on(lab, ready):
    before = os.umask(0o022)
    try:
        lab.run_to_end(ready)
        places = [ready.state, ready.dead_letters]
        for place in places:
            for path in [place, *place.rglob("*")]:
                mode = stat.S_IMODE(path.lstat().st_mode)
                assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"
        # As an older release left it, within directories of mode 0700.
        for path in (ready.state / "live").rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o666)
        for path in manifests(ready)[-1].parent.rglob("*.sst"):
            path.chmod(0o644)
        lab.produce_events(ready.topic, range(EVENTS, EVENTS + 500))
        lab.run_to_end(ready)
    finally:
        os.umask(before)
    lab.assert_exact(ready, unique=EVENTS + 500)


def test_a_state_directory_behind_a_link_is_taken(lab, ready):
    """systemd's StateDirectory of a DynamicUser is one."""
    (ready.directory / "private").mkdir(mode=0o700)
    ready.state.symlink_to(ready.directory / "private")
    lab.run_to_end(ready)
    lab.assert_exact(ready, unique=EVENTS)


def test_a_second_instance_is_told_of_the_first_while_that_is_at_work(lab, ready):
    first = lab.engine(ready).start()
    lab.until(first.look, first)
    until = time.monotonic() + 5
    number = EVENTS
    while time.monotonic() < until:
        lab.produce_events(ready.topic, range(number, number + 300))
        number += 300
        life = lab.run_to_end(ready, code=5)
        assert str(first.process.pid) in life.tail(), life.tail()
    first.kill()
