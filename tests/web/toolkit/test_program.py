"""The web configuration in the whole program: `serve`, `check-config`, `healthcheck`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support.processes import Exporter, eventually, vendors

pytestmark = pytest.mark.sockets


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    emulators = Emulators(World())
    with vendors(emulators) as address:
        (tmp_path / "credential").write_text("demo")
        path = tmp_path / "config.yaml"
        path.write_text(
            demo.configuration(address, tmp_path, emulators, cadence_seconds=60, every_feed=False)
        )
        yield path


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    path.write_text(f"basic_auth_users: {{alice: {hashed}}}\n")
    return path


def test_a_password_guards_everything_but_the_health_paths(config: Path, web_config: Path) -> None:
    """With a web configuration, pages need the password and supervisors do not."""
    with Exporter(config, "--web.config.file", str(web_config)) as exporter:
        eventually(lambda: exporter.answers("/-/healthy"), "it is healthy")
        for path in ("/", "/metrics", "/config", "/api/v1/status"):
            assert exporter.get(path).status_code == 401
            assert exporter.get(path, auth=("alice", "correct horse")).status_code == 200
        check = subprocess.run(
            [
                *(sys.executable, "-m", "exporter", "healthcheck"),
                *("--web.listen-address", exporter.address),
                *("--web.config.file", str(web_config)),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (check.returncode, check.stderr) == (0, "")


def test_healthcheck_fails_when_nobody_answers() -> None:
    """Without a running exporter `healthcheck` exits 1 and says so in one line."""
    check = subprocess.run(
        [
            *(sys.executable, "-m", "exporter", "healthcheck"),
            *("--web.listen-address", "127.0.0.1:9"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 1
    assert len(check.stderr.splitlines()) == 1


def test_check_config_tells_the_faults_of_both_files(config: Path, tmp_path: Path) -> None:
    """`check-config` lists the faults of the configuration and of the web configuration."""
    config.write_text(config.read_text().replace("cadence:", "cadnce:"))
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_user: {}\n")
    check = subprocess.run(
        [
            *(sys.executable, "-m", "exporter", "check-config"),
            *("--config.file", str(config), "--web.config.file", str(web)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 1
    assert f"{config}:2: polling.cadnce: " in check.stderr
    assert f"{web}:1: basic_auth_user: " in check.stderr


def test_a_bad_web_configuration_is_told_before_anything_starts(
    config: Path, tmp_path: Path
) -> None:
    """`serve` refuses a web configuration with a fault, naming file and line, with exit 1."""
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {alice: secret}\n")
    started = subprocess.run(
        [
            *(sys.executable, "-m", "exporter", "serve", "--config.file", str(config)),
            *("--web.config.file", str(web), "--web.listen-address", "127.0.0.1:0"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert started.returncode == 1
    assert f"{web}:1:" in started.stderr
    assert "Traceback" not in started.stderr
