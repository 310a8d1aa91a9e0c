"""What `serve` would not start with is found without starting it."""

import os
import sys

import pytest

from exporter import providers
from exporter.cli import startup
from exporter.config import load


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """The environment of the machine that tests run on does not matter."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path):
    def config(more=""):
        (tmp_path / "credential").write_text("x")
        (tmp_path / "config.yaml").write_text(
            f"{more}accounts: [{{name: a, provider: wowza, credentials_file: credential}}]\n"
        )
        return load(tmp_path / "config.yaml", providers.load())

    return config


def test_a_machine_that_has_everything_is_fine(config, tmp_path):
    assert startup.obstacles(config()) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml", "credential"]


def test_libraries_are_needed_where_the_configuration_needs_them(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    assert startup.obstacles(config()) == []
    (line,) = startup.obstacles(config("remote_write: {url: 'https://mimir.example.com/push'}\n"))
    assert line == (
        "remote_write needs cramjam and protobuf:"
        f" {sys.executable} -m pip install 'cramjam>=2.9' 'protobuf>=5.29'"
    )


def test_the_receivers_credential_is_needed_too(config, tmp_path):
    (line,) = startup.obstacles(
        config("remote_write: {url: 'https://mimir.example.com/push', credentials_file: none}\n")
    )
    assert line.startswith(f"credential file {tmp_path / 'none'}: cannot be read")


def test_a_proxy_of_no_use_is_found(config, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://x")
    (line,) = startup.obstacles(config())
    assert line.startswith("environment variable HTTPS_PROXY: ")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("none/usage.db", "its folder does not exist; expected one to write into"),
        ("credential/usage.db", "its folder does not exist; expected one to write into"),
        (".", "expected a file that this user can read and write"),
    ],
)
def test_the_ledger_needs_a_folder(config, tmp_path, place, said):
    found = startup.obstacles(config(f"ledger: {{path: {place}}}\n"))
    assert [line.rpartition(": ")[2] for line in found] == [said]


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        (".", "its folder is not writable for this user"),
        ("usage.db", "expected a file that this user can read and write"),
    ],
)
def test_the_ledger_and_its_folder_have_to_be_writable(config, tmp_path, monkeypatch, closed, said):
    (tmp_path / "usage.db").touch()
    # The mode would not keep root off, who runs tests in containers.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / closed)
    found = startup.obstacles(config("ledger: {path: usage.db}\n"))
    assert [line.rpartition(": ")[2] for line in found] == [said]


def test_a_database_needs_its_driver_and_a_password_that_can_be_read(config, tmp_path, monkeypatch):
    ledger = "ledger: {url: 'postgresql://usage@db.example.com/usage', password_file: none}\n"
    monkeypatch.setitem(sys.modules, "psycopg", sys)
    (line,) = startup.obstacles(config(ledger))
    assert line.startswith(f"credential file {tmp_path / 'none'}: cannot be read")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert startup.obstacles(config(ledger)) == [
        "ledger postgresql://usage@db.example.com/usage: needs psycopg:"
        f" {sys.executable} -m pip install 'psycopg[binary]>=3.2'"
    ]
