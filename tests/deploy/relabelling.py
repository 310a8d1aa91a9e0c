"""What makes one series of an account's series on several replicas, as it is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
REPLICAS = ROOT / "deploy/prometheus/replicas.yml"


def shipped() -> list[dict[str, Any]]:
    """The one source: metric_relabel_configs in Prometheus' own form."""
    (job,) = yaml.safe_load(REPLICAS.read_text("utf-8"))["scrape_configs"]
    rules: list[dict[str, Any]] = job["metric_relabel_configs"]
    return rules


def for_operator() -> list[dict[str, Any]]:
    """The same as the Prometheus operator's objects write it."""
    names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    return [{names.get(key, key): value for key, value in rule.items()} for rule in shipped()]
