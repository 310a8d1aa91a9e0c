"""Credentials: values that will not print themselves, and where they come from.

That is a file, which may be rotated at any time, or the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from exporter.model.errors import CredentialError

LONGEST_BYTES = 65536
"""A file above this is not a credential; servers refuse headers long before."""


class Secret:
    """A credential. Every way of printing it shows `********`; only `reveal()` gives it away.

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
        # Pickles and deep copies are ways of printing, too.
        raise TypeError("a Secret is not serialised")


@dataclass(frozen=True, slots=True)
class FileCredential:
    """A file that holds the credential and nothing else; white space around it is ignored."""

    path: Path

    def read(self) -> Secret:
        """What the file holds now; CredentialError if that is not a credential."""
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
            # Editors on Windows like to begin a file with a byte order mark.
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            # From None: the original error carries the content.
            raise CredentialError(f"{what}: not text; expected the credential alone") from None
        return _secret(text, what)

    def version(self) -> object:
        """Changes whenever the file is written or replaced; None while it is not there."""
        try:
            status = self.path.stat()
        except (OSError, ValueError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


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
        """Always the same: nobody outside changes the environment of a running process."""
        return self.name


CredentialSource: TypeAlias = FileCredential | EnvironmentCredential


class Watched:
    """The newest credential of a source, read again only when the source has changed."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._version: object = None
        self._secret: Secret | None = None

    def __repr__(self) -> str:
        return f"Watched({self._source!r})"

    def secret(self) -> Secret:
        """The credential as it is now.

        A rotation may take the file away or leave it half written for a moment: the credential
        read before stays in use until there is a new one. CredentialError if there was none.
        """
        # The version comes before the content: a write in between is then noticed next time.
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
    """`text` as a credential that can be sent in a header; faults never show it."""
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
