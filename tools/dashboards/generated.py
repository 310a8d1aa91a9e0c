"""The files that dashboards are written to, each with the function that makes its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tools.dashboards import billing, jobs, overview, own, streams

FOLDER = "grafana/dashboards"

FILES: Final[dict[str, Callable[[], str]]] = {
    f"{FOLDER}/overview.json": overview.text,
    f"{FOLDER}/streams.json": streams.text,
    f"{FOLDER}/jobs.json": jobs.text,
    f"{FOLDER}/billing.json": billing.text,
    f"{FOLDER}/exporter.json": own.text,
}
