"""The files that dashboards are written to, each with the function that makes its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tools.dashboards import billing, jobs, overview, own, streams
from tools.dashboards.importing import importable

FOLDER = "grafana/dashboards"
FOLDER_TO_IMPORT = "grafana/import"

_TEXTS: Final[dict[str, Callable[[], str]]] = {
    "overview": overview.text,
    "streams": streams.text,
    "jobs": jobs.text,
    "billing": billing.text,
    "exporter": own.text,
}


def _importable(text: Callable[[], str]) -> Callable[[], str]:
    return lambda: importable(text())


FILES: Final[dict[str, Callable[[], str]]] = {
    f"{FOLDER}/{name}.json": text for name, text in _TEXTS.items()
}
FILES_TO_IMPORT: Final[dict[str, Callable[[], str]]] = {
    f"{FOLDER_TO_IMPORT}/{name}.json": _importable(text) for name, text in _TEXTS.items()
}
