"""What a shipped configuration asks of the place that it is shipped to."""

from __future__ import annotations

from pathlib import Path

from exporter import providers
from exporter.config import AppCredential, load
from exporter.credentials import EnvironmentCredential, FileCredential


def credential_files(configuration: Path) -> set[Path]:
    """The files that a configuration, which has to be valid, reads its credentials from."""
    sources = _credentials(configuration)
    return {source.path for source in sources if isinstance(source, FileCredential)}


def password_files(configuration: Path) -> set[Path]:
    """The file with the database's password, if there is one."""
    password = load(configuration, providers.load()).ledger.password
    return {password.path} if isinstance(password, FileCredential) else set()


def credential_variables(configuration: Path) -> set[str]:
    """The environment variables, likewise."""
    sources = _credentials(configuration)
    return {source.name for source in sources if isinstance(source, EnvironmentCredential)}


def _credentials(configuration: Path) -> list[FileCredential | EnvironmentCredential]:
    sources: list[FileCredential | EnvironmentCredential] = []
    for account in load(configuration, providers.load()).accounts:
        credential = account.credential
        if isinstance(credential, AppCredential):
            sources += [credential.key, credential.secret]
        else:
            sources.append(credential.token)
    return sources
