"""What `make install` leaves: a program that needs none of Swift's libraries, completion, and a unit that a manager of services can read."""

import configparser
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "config" / "systemd" / "millrace@.service"


@pytest.mark.long
def test_the_installed_program_runs_without_swifts_libraries(tmp_path):
    subprocess.run(["make", "-C", ROOT, "install-files", f"DESTDIR={tmp_path}", "PREFIX=/opt/millrace"], check=True, capture_output=True)
    binary = tmp_path / "opt/millrace/bin/millrace"
    libraries = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    assert "librdkafka" in libraries and "swift" not in libraries.lower() and "Foundation" not in libraries
    assert subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, env={}).stdout.startswith("millrace ")
    shared = tmp_path / "opt/millrace/share"
    assert (shared / "doc/millrace/reference.yaml").read_bytes() == (ROOT / "config/reference.yaml").read_bytes()
    subprocess.run(["bash", "-n", shared / "bash-completion/completions/millrace"], check=True)
    unit = (tmp_path / "lib/systemd/system/millrace@.service").read_text()
    assert "ExecStart=/opt/millrace/bin/millrace run /etc/millrace/%i.yaml" in unit and "/usr/local" not in unit
    subprocess.run(["make", "-C", ROOT, "uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/millrace"], check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_unit_is_not_restarted_where_a_person_is_needed():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    # 2 wrong usage, 3 invalid file, 4 stopped to keep the promise, 5 already running; 1 may pass by itself.
    assert service["RestartPreventExitStatus"].split() == ["2", "3", "4", "5"]
    # Only the main process's status counts for that: a check before it that fails would be repeated without end.
    assert "ExecStartPre" not in service and service["ExecStart"].split()[1:] == ["run", "/etc/millrace/%i.yaml"]
    assert service["KillSignal"] == "SIGTERM" and service["LimitCORE"] == "0"
