"""Credentials: a type that does not print them, and the files and variables they come from.

A file may be rotated at any time; the environment of a process does not change.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_IROTH, S_IXOTH
from typing import TypeAlias

from exporter.model.errors import CredentialError

LONGEST_BYTES = 65536
"""A larger file is not a credential; servers refuse much shorter headers already."""


class Secret:
    """A credential. `str` and `repr` give `********`; only `reveal()` returns the value.

    Equality compares the content, so that a rotated credential can be noticed.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    def __str__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str | tuple[object, ...]:
        # A pickle would hold the value in plain text.
        raise TypeError("a Secret is not serialised")


FileVersion: TypeAlias = tuple[int, int, int] | None


def file_version(path: Path) -> FileVersion:
    """Changes whenever the file is written or replaced; None while it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


@dataclass(frozen=True, slots=True)
class FileCredential:
    """A file that holds the credential and nothing else; white space around it is ignored."""

    path: Path

    def read(self) -> Secret:
        """The file's content without white space around it.

        CredentialError if it cannot be read or cannot be a credential.
        """
        what = f"credential file {self.path}"
        try:
            with self.path.open("rb") as file:
                content = file.read(LONGEST_BYTES + 1)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CredentialError(
                f"{what}: cannot be read: {why}; expected a file with the credential alone in it"
            ) from error
        except ValueError as error:  # a NUL in the path
            raise CredentialError(f"{str(self.path)!r} is no path of a credential file") from error
        if len(content) > LONGEST_BYTES:
            raise CredentialError(
                f"{what}: larger than {LONGEST_BYTES} bytes; expected the credential alone"
            )
        try:
            # Some editors on Windows write a byte order mark first.
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            # From None: the original error carries the content.
            raise CredentialError(f"{what}: not text; expected the credential alone") from None
        return _secret(text, what)

    def exposed(self) -> bool:
        """Whether every user of this machine can read the file: its own mode, and its folders'."""
        try:
            path = self.path.resolve()
            reachable = all(folder.stat().st_mode & S_IXOTH for folder in path.parents)
            return reachable and bool(path.stat().st_mode & S_IROTH)
        except (OSError, ValueError, RuntimeError):  # absent, no path, a loop of links
            return False

    def version(self) -> object:
        """The file's version; None while it does not exist."""
        return file_version(self.path)


@dataclass(frozen=True, slots=True)
class EnvironmentCredential:
    """An environment variable that holds the credential."""

    name: str

    def read(self) -> Secret:
        """The variable's value; CredentialError if it is not set or not a credential."""
        what = f"environment variable {self.name}"
        value = os.environ.get(self.name)
        if value is None:
            raise CredentialError(f"{what}: not set; expected the credential in it")
        return _secret(value, what)

    def version(self) -> object:
        """Always the same: the environment of a running process does not change."""
        return self.name


CredentialSource: TypeAlias = FileCredential | EnvironmentCredential


class CurrentCredential:
    """A source's credential as it is now; the source is read again only after a change."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._version: object = None
        self._secret: Secret | None = None

    def __repr__(self) -> str:
        return f"CurrentCredential({self._source!r})"

    def secret(self) -> Secret:
        """The credential as it is now.

        During a rotation the file may be missing or incomplete for a moment: the credential read
        before stays in use until a new one can be read. CredentialError if none was ever read.
        """
        # The version is read before the content, so that a write in between is noticed next time.
        version = self._source.version()
        if self._secret is None or (version is not None and version != self._version):
            try:
                self._secret = self._source.read()
            except CredentialError:
                if self._secret is None:
                    raise
            else:
                self._version = version
        return self._secret


def _secret(text: str, what: str) -> Secret:
    """`text` as a credential that a header can carry, else CredentialError, which never shows it.

    `what` names the source at the beginning of the error.
    """
    value = text.strip()
    if not value:
        raise CredentialError(f"{what}: empty; expected the credential in it")
    if "\n" in value or "\r" in value:
        raise CredentialError(f"{what}: more than one line; expected the credential alone")
    if not is_header_text(value):
        raise CredentialError(
            f"{what}: holds characters that no HTTP header can carry; expected the credential alone"
        )
    return Secret(value)


def is_header_text(value: str) -> bool:
    """Whether `value` can be sent in a header: printable, and within Latin-1."""
    return value.isprintable() and all(character <= "\xff" for character in value)
