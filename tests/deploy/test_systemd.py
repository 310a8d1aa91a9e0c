"""The unit, by systemd's own judgement."""

import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.cli import flags
from tests.deploy.configurations import credential_files
from tests.support import components

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parent.parent.parent
SYSTEMD = ROOT / "deploy/systemd"
UNIT = SYSTEMD / "media-usage-exporter.service"
SOCKET = SYSTEMD / "media-usage-exporter.socket"
PROGRAM = "/opt/media-usage-exporter/bin/media-usage-exporter"


def settings(key):
    """Every value that the unit gives to `key`."""
    lines = UNIT.read_text("utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


@pytest.fixture
def analyze():
    """Runs systemd-analyze."""
    program = components.systemd_analyze()

    def run(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, text=True)

    return run


def test_systemd_finds_no_fault(analyze, tmp_path):
    # It insists on a program that exists; which one, does not matter to it.
    text = UNIT.read_text("utf-8")
    program = tmp_path / "media-usage-exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert text.count(PROGRAM) == 1
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(PROGRAM, str(program)))
    verified = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_systemd_calls_its_exposure_two_of_ten_or_less(analyze):
    judged = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    assert judged.returncode == 0, judged.stdout


def test_the_command_is_one_that_the_exporter_takes():
    (command,) = settings("ExecStart")
    program, *words = command.split()
    chosen = flags.parse(words, {})
    assert program == PROGRAM
    assert chosen.command == "serve"
    assert chosen.config_file == Path("/etc/media-usage-exporter/config.yaml")
    assert chosen.ledger_path is None, "or other commands would look for the ledger elsewhere"


def test_the_example_keeps_its_ledger_where_the_unit_may_write():
    (state,) = settings("StateDirectory")
    example = yaml.safe_load((SYSTEMD / "config.yaml").read_text("utf-8"))
    assert Path(example["ledger"]["path"]).parent == Path("/var/lib", state)


def test_the_example_finds_each_of_its_credentials():
    loaded = {value.partition(":")[0] for value in settings("LoadCredential")}
    folder = Path("/run/credentials") / UNIT.name
    assert credential_files(SYSTEMD / "config.yaml") == {folder / name for name in loaded}


def test_the_metrics_of_the_process_are_not_hidden_from_it():
    assert settings("ProcSubset") == []


def test_the_socket_listens_where_the_exporter_would_and_says_how_to_have_it_used():
    text = SOCKET.read_text("utf-8")
    assert f"\nListenStream={flags.DEFAULT_PORT}\n" in text
    assert f"{flags.variable('--web.systemd-socket')}=true" in text
    assert SOCKET.stem == UNIT.stem, "or systemd starts another service"


def test_systemd_finds_no_fault_in_the_socket(analyze, tmp_path):
    (tmp_path / SOCKET.name).write_text(SOCKET.read_text("utf-8"))
    (tmp_path / UNIT.name).write_text("[Service]\nExecStart=/bin/true\n")
    verified = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / SOCKET.name))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
