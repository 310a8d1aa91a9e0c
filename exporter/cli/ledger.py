"""`ledger copy`: moves a ledger between a file and a database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import click

from exporter.config.kinds import DatabaseUrl, Unfit
from exporter.credentials import FileCredential
from exporter.ledger.copying import copy
from exporter.ledger.place import Place, Server
from exporter.model.errors import ExporterError


def command(chosen: SimpleNamespace) -> int:
    """Copy all of it, and say how much that was."""
    source = _place("--from", chosen.start, chosen.password_file)
    target = _place("--to", chosen.end, chosen.password_file)
    counted = copy(source, target)
    click.echo(
        f"copied {counted['account']} accounts, {counted['series']} series and"
        f" {counted['bucket']} buckets; let the exporter use {target} from now on"
    )
    return 0


def _place(flag: str, text: str, password_file: str | None) -> Place:
    if "://" not in text:
        return Path(text)
    try:
        url = DatabaseUrl().checked(text)
    except Unfit as error:
        raise ExporterError(f"{flag}: {error}") from None
    return Server(url, FileCredential(Path(password_file)) if password_file else None)
