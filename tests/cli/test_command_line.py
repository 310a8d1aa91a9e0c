"""What a user types, and what comes back: codes, lines, and never a traceback."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import demo, flags
from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support.processes import Exporter, vendors

pytestmark = pytest.mark.sockets

SECRET = "planted-credential-3f9c"


@pytest.fixture(scope="module")
def emulators() -> Emulators:
    return Emulators(World())


@pytest.fixture(scope="module")
def address(emulators: Emulators) -> Iterator[str]:
    with vendors(emulators) as address:
        yield address


@pytest.fixture
def config(address: str, emulators: Emulators, tmp_path: Path) -> Path:
    """A configuration of all four emulated vendors."""
    (tmp_path / "credential").write_text("demo\n")
    path = tmp_path / "config.yaml"
    path.write_text(
        demo.configuration(address, tmp_path, emulators, cadence_seconds=60, every_feed=False)
    )
    return path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The only line that a failed command says."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_version_is_said() -> None:
    """`--version` names the program and its version."""
    said = run("--version").stdout
    assert said.startswith(f"media-usage-exporter, version {__version__} (revision: ")


def test_wrong_usage_is_exit_2() -> None:
    """A flag that does not exist is wrong usage: exit 2."""
    result = run("serve", "--no.such.flag")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_once_prints_metrics_and_succeeds(config: Path) -> None:
    """`once` polls every vendor and prints every account's metrics on stdout."""
    result = run("once", "--config.file", str(config))
    assert (result.returncode, result.stderr) == (0, "")
    for account in ("live", "processing", "vod", "studio"):
        assert f'account="{account}"' in result.stdout


def test_once_fails_when_a_feed_fails(config: Path, tmp_path: Path) -> None:
    """A wrong credential makes `once` exit 1, counts `auth`, and says so without showing it."""
    (tmp_path / "credential").write_text(SECRET)
    result = run("once", "--config.file", str(config))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for account, provider, feed in (
        ("live", "millicast", "account"),
        ("processing", "dolby_media", "usage"),
        ("vod", "wowza", "vod_streams"),
        ("studio", "livepeer", "usage"),
    ):
        labels = f'provider="{provider}",account="{account}",feed="{feed}",reason="auth"'
        assert f"media_exporter_poll_failures_total{{{labels}}} 1\n" in result.stdout
        assert f"{account}: {feed}: auth: " in result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_check_config_says_what_is_polled_and_what_it_costs(config: Path) -> None:
    """`check-config` lists every account with its feeds and its requests a day."""
    result = run("check-config", "--config.file", str(config))
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{config}: 4 accounts, polled every 1m\n" in result.stdout
    assert "live: millicast" in result.stdout
    assert "requests a poll" in result.stdout
    assert "warning" not in result.stdout


def test_check_config_warns_of_a_credential_that_cannot_be_read(
    config: Path, tmp_path: Path
) -> None:
    """The configuration is right without it, but `serve` would not start; so it is exit 0."""
    (tmp_path / "credential").unlink()
    result = run("check-config", "--config.file", str(config))
    assert (result.returncode, result.stderr) == (0, "")
    for account in ("live", "processing", "vod", "studio"):
        assert (
            f"warning: account {account}: credential file {tmp_path / 'credential'}: cannot be read:"
            " No such file or directory;" in result.stdout
        )


def test_strict_fails_on_all_that_serve_would_not_start_with(config: Path, tmp_path: Path) -> None:
    """Each is a line on stderr; without `--strict` it is a warning, as the file itself is right."""
    strict = ("check-config", "--strict", "--config.file", str(config))
    assert run(*strict).returncode == 0
    (tmp_path / "credential").unlink()
    ledger = str(tmp_path / "nowhere/usage.db")
    environment = {"MEDIA_USAGE_EXPORTER_LEDGER_PATH": ledger, "SSL_CERT_FILE": "/nowhere.pem"}
    result = run(*strict, **environment)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "account processing",
        "account studio",
        "account live",
        "account vod",
        "environment variable SSL_CERT_FILE",
        f"ledger {ledger}",
    ]
    assert all(line.endswith("; serve does not start like this") for line in lines)
    assert "4 accounts, polled every 1m" in result.stdout
    loose = run("check-config", "--config.file", str(config), **environment)
    assert (loose.returncode, loose.stderr) == (0, "")
    warned = [line for line in loose.stdout.splitlines() if line.startswith("warning: ")]
    assert [line.removeprefix("warning: ") for line in warned] == [
        line.removeprefix("media-usage-exporter: ") for line in lines
    ]


@pytest.mark.parametrize(
    ("cadence", "url", "warned"),
    [
        ("14m", "", True),
        ("15m", "", False),
        ("1m", "url: 'http://127.0.0.1:9',", False),
    ],
)
def test_a_cadence_shorter_than_the_vendors_is_warned_of(
    tmp_path: Path, cadence: str, url: str, warned: bool
) -> None:
    """It costs requests; at an emulator, nobody minds."""
    (tmp_path / "credential").write_text(SECRET)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"polling: {{cadence: {cadence}}}\naccounts:\n"
        f"  - {{name: a, provider: wowza, {url} credentials_file: credential}}\n"
    )
    said = run("check-config", "--config.file", str(path)).stdout
    line = f"warning: polling.cadence {cadence}: vendors publish usage every 15m; a shorter cadence"
    assert (line in said) is warned


def test_a_vendor_that_is_not_there_is_asked_once(tmp_path: Path) -> None:
    """Not once for each feed and account, each of them with retries."""
    (tmp_path / "credential").write_text(SECRET)
    path = tmp_path / "config.yaml"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        path.write_text(
            "accounts:\n"
            + "".join(
                f"  - {{name: {name}, provider: wowza, url: '{url}', credentials_file: credential}}\n"
                for name in "ab"
            )
        )
        result = run("check-config", "--online", "--config.file", str(path))
    assert (result.returncode, result.stderr) == (1, "")
    first, second = result.stdout.split(", asked online:\n")[1:]
    assert "    vod_streams (polled): " in first
    assert first.count("the connection was refused") == 1
    assert "attempt" not in first
    assert "    viewers (polled): not tried: nobody answers there\n" in first
    assert "the connection was refused" not in second
    assert "    viewers (polled): not tried: nobody answers there\n" in second


def test_a_credential_that_everybody_can_read_is_warned_of(config: Path) -> None:
    """`check-config` says so in a line for each file, and `serve` in its log."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed
        Path(name).chmod(0o755)
        credential = Path(name) / "credential"
        credential.write_text("demo")
        credential.chmod(0o644)
        config.write_text(
            config.read_text().replace(str(config.parent / "credential"), str(credential))
        )
        warning = f"credential file {credential}: every user of this machine can read it;"
        said = run("check-config", "--config.file", str(config)).stdout
        assert said.count(f"warning: {warning} expected mode 0600 or 0400\n") == 1
        with Exporter(config) as exporter:
            exporter.wait_until_ready()
            assert warning in exporter.log.read_text()
        credential.chmod(0o600)
        assert "warning" not in run("check-config", "--config.file", str(config)).stdout


def test_check_config_warns_of_feeds_that_ask_for_nothing(tmp_path: Path) -> None:
    """A feed that needs names or ids is silent without them; one that looks them up is not."""
    (tmp_path / "credential").write_text(SECRET)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""\
accounts:
  - {{name: a, provider: livepeer, feeds: [usage, creators], credentials_file: {tmp_path}/credential}}
  - {{name: b, provider: millicast, feeds: [streams], credentials_file: {tmp_path}/credential}}
  - name: c
    provider: millicast
    feeds: [account, streams]
    discover: false
    credentials_file: {tmp_path}/credential
"""
    )
    result = run("check-config", "--config.file", str(path))
    assert result.returncode == 0
    warned = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert [line.split(" asks for nothing")[0] for line in warned] == [
        "warning: account a: feed creators",
        "warning: account c: feed streams",
    ]


def test_ten_faults_are_ten_lines(tmp_path: Path) -> None:
    """A file with ten different faults is answered with all ten, each with file, line and key."""
    path = tmp_path / "config.yaml"
    path.write_text(
        """\
polling:
  cadnce: 15m
  timeout: fast
  concurrency: 0
ledger:
  retention: -1d
limits:
  streams: many
accounts:
  - name: a
    provider: milicast
    credentials_env: X
  - name: b
    provider: wowza
    api_version: v1.2
    credentials_env: X
  - name: b
    provider: livepeer
    feeds: [realtimes]
    credentials_env: X
  - name: c
    provider: livepeer
    url: ftp://example.org
    credentials_env: X
  - name: d
    provider: livepeer
"""
    )
    result = run("check-config", "--config.file", str(path))
    lines = result.stderr.splitlines()
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    faulty = [2, 3, 4, 6, 8, 11, 15, 17, 19, 23, 25]
    found = [int(line.split(f"{path}:")[1].split(":")[0]) for line in lines]
    assert found == faulty, result.stderr


@pytest.mark.parametrize("command", ["serve", "once"])
def test_unreadable_credentials_are_one_line(command: str, config: Path, tmp_path: Path) -> None:
    """A credentials file that is missing is one clear line that names the account and the file."""
    (tmp_path / "credential").unlink()
    line = one_line(
        run(
            command,
            *("--config.file", str(config)),
            MEDIA_USAGE_EXPORTER_WEB_LISTEN_ADDRESS="127.0.0.1:0",
        )
    )
    assert "account processing" in line
    assert str(tmp_path / "credential") in line


def test_the_first_line_says_where_it_listens_and_what_it_reads(
    config: Path, tmp_path: Path
) -> None:
    """Address, configuration and ledger are in the log, however they were chosen."""
    ledger = tmp_path / "elsewhere.db"
    with Exporter(config, "--ledger.path", str(ledger)) as exporter:
        exporter.wait_until_ready()
        (started,) = (
            line for line in exporter.log.read_text().splitlines() if "msg=started" in line
        )
        assert exporter.stop() == 0
    assert f" address={exporter.address} config={config} ledger={ledger} accounts=4" in started


def test_one_account_is_not_called_accounts(tmp_path: Path) -> None:
    """Numbers agree with their nouns."""
    (tmp_path / "credential").write_text(SECRET)
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts:\n  - {name: a, provider: millicast, feeds: [transcoders],"
        " discover: false, credentials_file: credential}\n"
    )
    said = run("check-config", "--config.file", str(path)).stdout
    assert f"{path}: 1 account, polled every 15m\n" in said
    assert "feeds transcoders; 1 request a poll" in said


def test_a_busy_port_is_one_line(config: Path) -> None:
    """A busy address is one clear line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = one_line(run("serve", "--config.file", str(config), "--web.listen-address", address))
    assert f"cannot listen on {address}: address already in use" in line


def test_a_file_that_is_no_ledger_is_one_line_and_is_kept(config: Path, tmp_path: Path) -> None:
    """A ledger path that holds something else is one clear line, and the file stays as it is."""
    other = tmp_path / "letter.txt"
    other.write_text("Dear Sir or Madam, " * 100)
    before = other.read_bytes()
    line = one_line(run("once", "--config.file", str(config), "--ledger.path", str(other)))
    assert str(other) in line
    assert "not a ledger" in line
    assert other.read_bytes() == before


def test_another_programs_database_is_one_line_and_is_kept(config: Path, tmp_path: Path) -> None:
    """An SQLite file of another program is refused, and stays as it is."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE letters (text)")
    connection.commit()
    connection.close()
    before = other.read_bytes()
    line = one_line(run("once", "--config.file", str(config), "--ledger.path", str(other)))
    assert "another program" in line
    assert other.read_bytes() == before


def test_a_missing_config_is_one_line(tmp_path: Path) -> None:
    """A configuration file that is not there is one clear line."""
    line = one_line(run("check-config", "--config.file", str(tmp_path / "none.yaml")))
    assert str(tmp_path / "none.yaml") in line


def test_who_names_no_config_is_told_what_to_do(tmp_path: Path) -> None:
    """In a folder without one."""
    result = subprocess.run(
        [sys.executable, "-m", "exporter"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    line = one_line(result)
    assert line.startswith("config.yaml: No such file or directory; ")
    assert "--config.file" in line
    assert "media-usage-exporter demo" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ["once", "--config.file", "CONFIG"],
        ["export", "--format", "csv", "--config.file", "CONFIG"],
        ["check-config", "--config.file", "CONFIG"],
        ["emulate", "--listen-address", "127.0.0.1:0"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_one_line(config: Path, words: list[str]) -> None:
    """A full disk behind a redirection is told, not shown as a traceback."""
    if words[0] == "export":
        run("once", "--config.file", str(config))
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "exporter",
                *(word.replace("CONFIG", str(config)) for word in words),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            # What is left in a buffer is written at the very end, where Python itself complains.
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 1
    assert result.stderr == (
        "media-usage-exporter: cannot write to standard output: No space left on device\n"
    )


@pytest.mark.parametrize(
    ("command", "variable", "value", "expected"),
    [
        ("serve", "HTTP_PROXY", "ftp://x", "expected the address of a proxy"),
        ("check-config --online", "NO_PROXY", "[::1", "expected names and addresses"),
        ("once", "SSL_CERT_FILE", "/nowhere/ca.pem", "expected a file with certificates"),
    ],
)
def test_an_environment_that_no_request_can_be_made_with_is_one_line(
    config: Path, command: str, variable: str, value: str, expected: str
) -> None:
    """Proxies and authorities that cannot be used are told before anything is asked."""
    result = run(
        *command.split(),
        *("--config.file", str(config)),
        **{variable: value, "MEDIA_USAGE_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0"},
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"media-usage-exporter: environment variable {variable}: ")
    assert expected in line


def test_flags_beat_variables_beat_defaults(config: Path) -> None:
    """Each flag is also an environment variable; the flag wins."""
    by_variable = run("check-config", MEDIA_USAGE_EXPORTER_CONFIG_FILE=str(config))
    assert by_variable.returncode == 0
    by_flag = run(
        "check-config", "--config.file", "none.yaml", MEDIA_USAGE_EXPORTER_CONFIG_FILE=str(config)
    )
    assert by_flag.returncode == 1


def test_every_flag_of_serve_has_its_variable() -> None:
    """`--help` has each flag of `serve`, no wider than a terminal, and says how variables are named."""
    text = run("--help", COLUMNS="80").stdout
    assert max(map(len, text.splitlines())) <= 80
    example = "MEDIA_USAGE_EXPORTER_CONFIG_FILE for --config.file"
    assert example in " ".join(text.split())
    for flag in (
        "--config.file",
        "--ledger.path",
        "--web.listen-address",
        "--web.telemetry-path",
        "--web.config.file",
        "--web.enable-lifecycle",
        "--web.max-requests",
        "--web.created-timestamps",
        "--log.level",
        "--log.format",
    ):
        assert flag in text
        name = flag.removeprefix("--").upper().replace(".", "_").replace("-", "_")
        assert flags.variable(flag) == f"MEDIA_USAGE_EXPORTER_{name}"


def test_emulate_prints_a_configuration_that_works(tmp_path: Path) -> None:
    """What `emulate` prints is a valid configuration that polls it with success."""
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "emulate", "--listen-address", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stderr.readline()
        lines = []
        for line in process.stdout:
            if not line.strip():
                break
            lines.append(line)
        path = tmp_path / "config.yaml"
        path.write_text("".join(lines))
        result = run(
            "once", "--config.file", str(path), "--ledger.path", str(tmp_path / "usage.db")
        )
        process.terminate()
    assert (result.returncode, result.stderr) == (0, "")
    assert process.returncode == 0
    (address,) = set(re.findall(r"http://[^/ ]+", "".join(lines)))
    assert address in said
    assert f"credential is {demo.CREDENTIAL!r}" in said
