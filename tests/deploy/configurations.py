"""What a shipped configuration asks of the place that it is shipped to."""

from __future__ import annotations

from pathlib import Path

from exporter import providers
from exporter.config import AppCredential, load
from exporter.credentials import FileCredential


def credential_files(configuration: Path) -> set[Path]:
    """The files that a configuration, which has to be valid, reads its credentials from."""
    sources = []
    for account in load(configuration, providers.load()).accounts:
        credential = account.credential
        if isinstance(credential, AppCredential):
            sources += [credential.key, credential.secret]
        else:
            sources.append(credential.token)
    return {source.path for source in sources if isinstance(source, FileCredential)}
