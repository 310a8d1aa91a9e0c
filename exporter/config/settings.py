"""The settings of a valid configuration, with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exporter.credentials import CredentialSource, EnvironmentCredential, FileCredential
from exporter.model import Options, Provider
from exporter.model.contracts import Contract


@dataclass(frozen=True, slots=True)
class BearerCredential:
    """A bearer token."""

    token: CredentialSource


@dataclass(frozen=True, slots=True)
class AppCredential:
    """An app's key and secret, which are exchanged for tokens."""

    key: CredentialSource
    secret: CredentialSource


History = int | Literal["month", "max"]


@dataclass(frozen=True, slots=True)
class Polling:
    """When and how vendors are asked. `delay_seconds` is less than `cadence_seconds`.

    `history` is how far back a first poll reaches, in seconds or as a word: to the beginning of the
    current month (UTC), or as far as the vendor keeps anything. `requests_per_second` is None where
    only `concurrency` limits the requests.
    """

    cadence_seconds: int
    delay_seconds: int
    history: History
    timeout_seconds: float
    concurrency: int
    requests_per_second: float | None


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where the totals are kept, and for how long in detail.

    Either `path`, which is absolute, or `url` is None. The URL has no password.
    """

    path: Path | None
    retention_seconds: int
    url: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    lease_seconds: int = 120

    @property
    def password(self) -> CredentialSource | None:
        """Where the database's password is."""
        return _source(self.password_file, self.password_env)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the series of an account."""

    streams: int
    labels: int


@dataclass(frozen=True, slots=True)
class RemoteWrite:
    """Where final buckets are pushed to. Credentials are None where they are not given."""

    url: str
    credentials_file: Path | None
    credentials_env: str | None
    username: str | None
    password_file: Path | None
    password_env: str | None
    labels: tuple[tuple[str, str], ...]
    timeout_seconds: float

    @property
    def token(self) -> CredentialSource | None:
        """Where the bearer token is."""
        return _source(self.credentials_file, self.credentials_env)

    @property
    def password(self) -> CredentialSource | None:
        """Where the password of `username` is."""
        return _source(self.password_file, self.password_env)


def _source(file: Path | None, variable: str | None) -> CredentialSource | None:
    if file is not None:
        return FileCredential(file)
    return None if variable is None else EnvironmentCredential(variable)


@dataclass(frozen=True, slots=True)
class Account:
    """One account with a vendor.

    URLs have no final slash. `auth_url` is None where the provider's is. `contracts` are its terms
    of `billing`, oldest first; no two hold on the same day.
    """

    name: str
    provider: Provider
    url: str
    auth_url: str | None
    credential: BearerCredential | AppCredential
    feeds: tuple[str, ...]
    options: Options
    contracts: tuple[Contract, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """A whole file. `warnings` are lines for the log, in the form of faults."""

    polling: Polling
    ledger: LedgerSettings
    limits: Limits
    accounts: tuple[Account, ...]
    path: Path
    warnings: tuple[str, ...] = ()
    remote_write: RemoteWrite | None = None
