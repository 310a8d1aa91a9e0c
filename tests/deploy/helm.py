"""The chart, rendered by Helm itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support import components

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy/helm/media-usage-exporter"
RELEASE = "media-usage-exporter"
KUBERNETES = "1.29"

Manifest = dict[str, Any]


class Refused(Exception):
    """What Helm says of values that it does not take."""


def render(*files: Path, **options: Any) -> list[Manifest]:
    """Every object of the chart; the arguments are those of `text`."""
    documents = yaml.load_all(text(*files, **options), yaml.CSafeLoader)
    return [one for one in documents if one is not None]


def text(
    *files: Path,
    values: dict[str, Any] | None = None,
    chart: Path = CHART,
    release: str = RELEASE,
    kubernetes: str = KUBERNETES,
) -> str:
    """The rendered chart with the files' values, and with `values` by their dotted keys."""
    given = [f"--values={file}" for file in files]
    given += [f"--set-json={key}={json.dumps(value)}" for key, value in (values or {}).items()]
    done = run("template", release, chart, f"--kube-version={kubernetes}", *given)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([components.helm(), *arguments], capture_output=True, text=True)
