"""Starting, reloading, rotating and stopping, on the real program over real sockets."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support.processes import Exporter, eventually, vendors
from tests.support.simulation import Simulation

pytestmark = pytest.mark.sockets

MILLICAST = """\
  - name: live
    provider: millicast
    url: http://{address}/millicast
    credentials_file: {folder}/credential
"""
LIVEPEER = """\
  - name: studio
    provider: livepeer
    url: http://{address}/livepeer/api
    credentials_file: {folder}/credential
"""
DELIVERED = 'media_delivered_bytes_total{provider="millicast",account="live",kind="live"}'


@pytest.fixture
def emulators() -> Emulators:
    return Emulators(World())


@pytest.fixture
def address(emulators: Emulators) -> Iterator[str]:
    with vendors(emulators) as address:
        yield address


def write(folder: Path, address: str, *accounts: str, cadence: str = "30s") -> Path:
    (folder / "credential").write_text("demo")
    path = folder / "config.yaml"
    text = f"polling: {{cadence: {cadence}}}\nledger: {{path: {folder}/usage.db}}\naccounts:\n"
    path.write_text(text + "".join(accounts).format(address=address, folder=folder))
    return path


@pytest.fixture
def exporter(address: str, tmp_path: Path) -> Iterator[Exporter]:
    config = write(tmp_path, address, MILLICAST, LIVEPEER)
    with Exporter(config, "--web.enable-lifecycle") as exporter:
        exporter.wait_until_ready()
        yield exporter


def value(exporter: Exporter, series: str) -> float | None:
    for line in exporter.get("/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    return None


def reload(exporter: Exporter) -> httpx.Response:
    return httpx.post(f"{exporter.url}/-/reload", trust_env=False, timeout=30)


def test_removing_an_account_removes_its_series_and_adding_it_resumes_them(
    exporter: Exporter, address: str, tmp_path: Path
) -> None:
    """An account's series go with it, and come back at their old totals."""
    before = value(exporter, DELIVERED)
    assert before
    write(tmp_path, address, LIVEPEER)
    assert reload(exporter).status_code == 200
    assert 'account="live"' not in exporter.get("/metrics").text
    assert exporter.get("/metrics?account=live").status_code == 400
    write(tmp_path, address, LIVEPEER, MILLICAST)
    assert reload(exporter).status_code == 200
    after = value(exporter, DELIVERED)
    assert after is not None
    assert after >= before


def test_a_bad_file_leaves_the_old_configuration_running(
    exporter: Exporter, tmp_path: Path
) -> None:
    """A reload that cannot be done answers 500 with the reason, and changes nothing else."""
    (tmp_path / "config.yaml").write_text("acounts: []\n")  # codespell:ignore acounts
    answer = reload(exporter)
    assert answer.status_code == 500
    assert "config.yaml:1: acounts: " in answer.text  # codespell:ignore acounts
    assert value(exporter, "media_exporter_config_last_reload_successful") == 0
    assert value(exporter, DELIVERED)
    assert exporter.get("/-/healthy").status_code == 200


def test_an_unreadable_credential_leaves_the_old_configuration_running(
    exporter: Exporter, address: str, tmp_path: Path
) -> None:
    """A new account whose credential is missing makes the whole reload fail."""
    write(tmp_path, address, MILLICAST.replace("credential\n", "missing\n"), LIVEPEER)
    answer = reload(exporter)
    assert answer.status_code == 500
    assert "account live" in answer.text
    assert value(exporter, DELIVERED)


def test_sighup_reloads(exporter: Exporter, address: str, tmp_path: Path) -> None:
    """SIGHUP does what `/-/reload` does."""
    write(tmp_path, address, MILLICAST)
    assert exporter.process is not None
    exporter.process.send_signal(signal.SIGHUP)
    eventually(
        lambda: 'account="studio"' not in exporter.get("/metrics").text, "the account has gone"
    )


def test_an_unchanged_account_is_left_alone(
    exporter: Exporter, address: str, tmp_path: Path
) -> None:
    """Reloading does not touch accounts that stay the same: their own counters go on."""
    polls = 'media_exporter_polls_total{provider="millicast",account="live",feed="account"}'
    before = value(exporter, polls)
    write(tmp_path, address, MILLICAST)
    assert reload(exporter).status_code == 200
    after = value(exporter, polls)
    assert before is not None
    assert after is not None
    assert after >= before > 0


def test_a_changed_account_goes_on_counting_its_polls(
    exporter: Exporter, address: str, tmp_path: Path
) -> None:
    """What an account counts of itself begins anew with the process, not with a reload."""
    polls = 'media_exporter_polls_total{provider="millicast",account="live",feed="account"}'
    cadence = (
        'media_exporter_poll_interval_seconds{provider="millicast",account="live",feed="account"}'
    )
    before = value(exporter, polls)
    write(tmp_path, address, MILLICAST, LIVEPEER, cadence="3600s")
    assert reload(exporter).status_code == 200
    assert value(exporter, cadence) == 3600
    assert before
    eventually(lambda: (value(exporter, polls) or 0) > before, "the poll after the reload is added")


def test_a_rotated_credential_is_taken_up(address: str, tmp_path: Path) -> None:
    """A credential file that changes is read again at the next poll, without a reload."""
    config = write(tmp_path, address, MILLICAST, cadence="2s")
    (tmp_path / "credential").write_text("old")
    labels = 'provider="millicast",account="live",feed="account"'
    failures = f'media_exporter_poll_failures_total{{{labels},reason="auth"}}'
    with Exporter(config) as exporter:
        eventually(
            lambda: exporter.answers("/metrics") and value(exporter, failures), "it is refused"
        )
        (tmp_path / "credential").write_text("demo")
        eventually(
            lambda: value(exporter, f"media_exporter_poll_success{{{labels}}}"), "it is accepted"
        )


def test_the_configuration_is_shown_without_secrets(exporter: Exporter) -> None:
    """`/config` shows what is running; of a credential, only where it comes from."""
    text = exporter.get("/config").text
    assert "provider: millicast" in text
    assert "credentials_file:" in text


def test_sigterm_in_the_middle_of_a_poll_stops_cleanly(
    emulators: Emulators, address: str, tmp_path: Path
) -> None:
    """While vendors do not answer, SIGTERM still ends the program with exit 0."""
    emulators.faults.set("millicast", "stall")
    with Exporter(write(tmp_path, address, MILLICAST)) as exporter:
        eventually(lambda: exporter.answers("/metrics"), "it serves")
        eventually(lambda: emulators.log, "a request is stalled")
        assert exporter.stop() == 0
        assert "Traceback" not in exporter.log.read_text()


def test_the_service_manager_is_told(address: str, tmp_path: Path) -> None:
    """systemd hears of the start, is kept assured, and hears of a reload and of the end."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        config = write(tmp_path, address, MILLICAST)
        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        with Exporter(config, environment=environment) as exporter:
            assert manager.recv(4096).startswith(b"READY=1")
            assert manager.recv(4096) == b"WATCHDOG=1"
            eventually(lambda: exporter.answers("/-/healthy"), "it serves")
            assert exporter.process is not None
            exporter.process.send_signal(signal.SIGHUP)
            for message in (b"RELOADING=1", b"READY=1"):
                heard = b""
                while not heard.startswith(message):
                    heard = manager.recv(4096)
            assert exporter.stop() == 0
            heard = b""
            while b"STOPPING=1" not in heard:
                heard = manager.recv(4096)


async def test_a_poll_loop_that_does_not_move_is_noticed(tmp_path: Path) -> None:
    """Health is lost when no poll loop has moved for two cadences and five minutes."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        assert await simulation.poll()
        simulation.now += 2 * 900 + 299
        assert exporter.healthy() is None
        simulation.now += 2
        assert "live" in (exporter.healthy() or "")
        assert await simulation.poll()
        assert exporter.healthy() is None


async def test_leases_that_are_not_renewed_any_more_are_noticed(
    tmp_path: Path, monkeypatch
) -> None:
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        assert await simulation.poll()
        keeper = SimpleNamespace(stuck=lambda: True)
        with monkeypatch.context() as patched:
            patched.setattr(exporter, "leases", keeper)
            assert exporter.healthy() == "The leases of accounts are not renewed."
            keeper.stuck = lambda: False
            assert exporter.healthy() is None
