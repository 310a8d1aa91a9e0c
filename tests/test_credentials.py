"""Credentials: read clearly, rotated without a restart, never shown."""

import os
import tempfile
from pathlib import Path

import pytest

from exporter.credentials import CurrentCredential, EnvironmentCredential, FileCredential
from exporter.model.errors import CredentialError

SECRET = "s3cr3t-value"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "credential"


@pytest.mark.parametrize(
    "content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n", f" {SECRET} \n\n", f"\ufeff{SECRET}\n"]
)
def test_white_space_around_a_credential_in_a_file_is_ignored(path, content):
    path.write_text(content, encoding="utf-8", newline="")
    assert FileCredential(path).read().reveal() == SECRET


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (f"{SECRET}\nmore".encode(), "more than one line"),
        (f"{SECRET}\x00".encode(), "no HTTP header"),
        (f"{SECRET}\x1b[0m".encode(), "no HTTP header"),
        (f"{SECRET}\u2014".encode(), "no HTTP header"),
        (SECRET.encode() + b"\xff\xfe", "not text"),
        (SECRET.encode() * 10000, "larger than 65536 bytes"),
    ],
)
def test_a_file_without_a_credential_is_named_and_its_content_is_not_shown(path, content, why):
    path.write_bytes(content)
    with pytest.raises(CredentialError) as caught:
        FileCredential(path).read()
    message = str(caught.value)
    assert why in message
    assert str(path) in message
    assert "expected" in message
    assert "\n" not in message
    assert SECRET not in message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(path, make):
    make(path)
    with pytest.raises(CredentialError, match=r"cannot be read: (No such file|Is a directory)"):
        FileCredential(path).read()


def test_a_credential_can_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("VENDOR_TOKEN", f"{SECRET}\n")
    assert CurrentCredential(EnvironmentCredential("VENDOR_TOKEN")).secret().reveal() == SECRET


@pytest.mark.parametrize(("value", "why"), [(None, "not set"), ("", "empty")])
def test_an_environment_variable_without_a_credential_is_named(monkeypatch, value, why):
    if value is None:
        monkeypatch.delenv("VENDOR_TOKEN", raising=False)
    else:
        monkeypatch.setenv("VENDOR_TOKEN", value)
    with pytest.raises(CredentialError, match=f"environment variable VENDOR_TOKEN: {why}"):
        EnvironmentCredential("VENDOR_TOKEN").read()


def test_a_rotated_file_is_noticed_even_if_size_and_time_are_the_same(path):
    path.write_text("old")
    watched = CurrentCredential(FileCredential(path))
    assert watched.secret().reveal() == "old"
    before = path.stat()
    fresh = path.with_name("fresh")
    fresh.write_text("new")
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.replace(path)
    assert watched.secret().reveal() == "new"


def test_an_unchanged_file_is_read_once(path):
    path.write_text(SECRET)
    watched = CurrentCredential(FileCredential(path))
    assert watched.secret() is watched.secret()


@pytest.mark.parametrize("disturb", [lambda path: path.unlink(), lambda path: path.write_text("")])
def test_a_file_in_the_middle_of_a_rotation_leaves_the_old_credential_in_use(path, disturb):
    path.write_text("old")
    watched = CurrentCredential(FileCredential(path))
    watched.secret()
    disturb(path)
    assert watched.secret().reveal() == "old"
    path.write_text("newer")
    assert watched.secret().reveal() == "newer"


def test_a_file_that_was_never_there_is_an_error_until_it_comes(path):
    watched = CurrentCredential(FileCredential(path))
    for _ in range(2):
        with pytest.raises(CredentialError):
            watched.secret()
    path.write_text(SECRET)
    assert watched.secret().reveal() == SECRET


def test_a_watched_credential_does_not_show_itself(path):
    path.write_text(SECRET)
    watched = CurrentCredential(FileCredential(path))
    watched.secret()
    assert SECRET not in repr(watched)
    assert SECRET not in str(vars(watched))


@pytest.mark.parametrize(
    ("folder", "file", "exposed"),
    [(0o755, 0o644, True), (0o755, 0o640, False), (0o750, 0o644, False), (0o711, 0o604, True)],
)
def test_a_file_is_exposed_if_every_user_can_reach_and_read_it(folder, file, exposed):
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed
        path = Path(name) / "credential"
        path.write_text(SECRET)
        path.chmod(file)
        Path(name).chmod(folder)
        assert FileCredential(path).exposed() is exposed
        assert not FileCredential(Path(name) / "none").exposed()
