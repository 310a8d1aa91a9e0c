"""What the pages call by name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from exporter.exposition.own_metrics import OWN_METRICS
from exporter.model.measures import CATALOGUE
from tests.grafana.documents import selectors
from tests.grafana.recipes import recipes
from tools import links

PAGES = [*links.pages(links.ROOT)]
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(?<![\w:./-])(?:[a-z]\w*:)?media_[a-z0-9_]+(?::\w+)*(?![\w…*.]|_…|/)")
REMOTE_WRITTEN = re.compile(r"_(hourly|daily|monthly)$")
OTHERS = {
    "media_usage_exporter",  # the wheel
}


def series() -> set[str]:
    """The names of all series that the exporter or a recording rule has."""
    found: set[str] = set()
    for measure in CATALOGUE:
        found |= suffixed(measure.name, measure.type)
    for metric in OWN_METRICS:
        found |= suffixed(metric.name, metric.type)
    for path in (links.ROOT / "deploy/prometheus/rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            found |= {rule["record"] for rule in group["rules"] if "record" in rule}
    return found


def suffixed(name: str, kind: str) -> set[str]:
    return {name, *(f"{name}_{part}" for part in ("bucket", "sum", "count") if kind == "histogram")}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_series_that_a_page_names_exists(page: Path):
    known = series()
    text = (links.ROOT / page).read_text(encoding="utf-8")
    named = {name for code in CODE.findall(text) for name in NAME.findall(code)}
    pushed = {f"{name.removesuffix('_total')}" for name in known}
    unknown = {
        name
        for name in named - known - OTHERS
        if REMOTE_WRITTEN.sub("", name) == name or REMOTE_WRITTEN.sub("", name) not in pushed
    }
    assert not unknown


def test_the_names_of_series_are_found():
    """Or nothing could be wrong with them."""
    text = (links.ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    named = {name for code in CODE.findall(text) for name in NAME.findall(code)}
    assert {"account:media_jobs:increase1h", "media_exporter_poll_interval_seconds"} <= named


def test_there_are_twenty_recipes_of_series_that_exist():
    """Each is a question; whether it has an answer is asked of a Prometheus."""
    found = recipes()
    assert len(found) >= 20
    assert len({recipe.question for recipe in found}) == len(found)
    for recipe in found:
        assert recipe.question.endswith("?")
        names = {node.name for node, _ in selectors(recipe.query)}
        assert names
        assert names <= series(), recipe.question
