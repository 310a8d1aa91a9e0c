"""What `serve` would not start with, found without starting it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from exporter.client import environment
from exporter.config import Config, LedgerSettings, RemoteWrite
from exporter.history.write_request import encoder
from exporter.model import extras
from exporter.model.errors import ExporterError
from exporter.polling.accounts import authenticator_of


def obstacles(config: Config) -> list[str]:
    """A line for each: credentials, libraries, the environment's proxies, the ledger's place."""
    checks: list[Callable[[], object]] = [
        *(partial(authenticator_of, account) for account in config.accounts),
        environment.check,
        partial(_ledger, config.ledger),
    ]
    if config.remote_write is not None:
        checks += [encoder, partial(_receiver, config.remote_write)]
    found: list[str] = []
    for check in checks:
        try:
            check()
        except ExporterError as error:
            found.append(str(error))
    return found


def _receiver(settings: RemoteWrite) -> None:
    source = settings.token or settings.password
    if source is not None:
        source.read()


def _ledger(settings: LedgerSettings) -> None:
    """Look at the place without touching it: an exporter may be running on it."""
    if settings.path is not None:
        _file(settings.path)
        return
    try:
        import_module("psycopg")
    except ImportError:
        raise ExporterError(
            f"ledger {settings.url}: needs psycopg: {extras.install('postgres')}"
        ) from None
    if settings.password is not None:
        settings.password.read()


def _file(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ExporterError(f"ledger {path}: its folder does not exist; expected one to write into")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExporterError(f"ledger {path}: its folder is not writable for this user")
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        raise ExporterError(f"ledger {path}: expected a file that this user can read and write")
