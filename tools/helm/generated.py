"""The chart's files that are made, each with the function that makes its text.

Helm reads nothing outside a chart's folder, so rules and dashboards are there a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.dashboards.generated import FILES as DASHBOARDS
from tools.helm import schema, texts
from tools.kubernetes import rule_files

FOLDER = "deploy/helm/media-usage-exporter"


def _copy_of(file: Path) -> Callable[[], str]:
    return lambda: file.read_text("utf-8")


FILES: Final[dict[str, Callable[[], str]]] = {
    f"{FOLDER}/Chart.yaml": texts.chart,
    f"{FOLDER}/README.md": texts.readme,
    f"{FOLDER}/values.yaml": texts.values,
    f"{FOLDER}/values.schema.json": schema.text,
    **{f"{FOLDER}/rules/{file.name}": _copy_of(file) for file in rule_files()},
    **{f"{FOLDER}/dashboards/{Path(path).name}": make for path, make in DASHBOARDS.items()},
}
