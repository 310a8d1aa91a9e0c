"""Where a ledger is: a file, or a database that replicas share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from exporter.credentials import CredentialSource


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database by its `postgresql://` URL, which holds no password.

    Without a `password` libpq finds one by itself, or needs none.
    """

    url: str
    password: CredentialSource | None = None

    def __str__(self) -> str:
        return self.url


Place: TypeAlias = Path | Server


def place_of(path: Path | None, url: str | None, password: CredentialSource | None) -> Place:
    """Where the configuration says the ledger is: of `path` and `url` one is None."""
    if url is not None:
        return Server(url, password)
    if path is None:
        raise ValueError("neither a path nor a URL")
    return path
