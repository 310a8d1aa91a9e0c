"""What is written about the alerts, held against the rules."""

import re
from pathlib import Path

import pytest

from tests.rules.rulefiles import ROOT, Rule, alerts, known, rules
from tools.home import home

pytestmark = pytest.mark.sockets

DOCUMENT = ROOT / "docs" / "alerts.md"
RUNBOOKS = ROOT / "docs" / "runbooks"
BASE = f"{home()}/blob/main/docs/runbooks/"
SECTIONS = ["What it means", "How to check", "What to do"]
PROGRAMS = {"node_exporter", "media_usage_exporter"}

EVERY_ALERT = pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)


@EVERY_ALERT
def test_every_alert_has_its_runbook(rule: Rule):
    """The link leads to a page with the alert's name, which says what there is to say."""
    assert rule.annotations["runbook_url"] == f"{BASE}{rule.name}.md"
    text = (RUNBOOKS / f"{rule.name}.md").read_text()
    assert text.startswith(f"# {rule.name}\n")
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(part.strip() for part in parts[2::2])


def test_every_runbook_has_its_alert():
    """No page is left of an alert that is gone."""
    assert {path.stem for path in RUNBOOKS.iterdir()} == {rule.name for rule in alerts()}


@pytest.mark.parametrize(
    "path", [DOCUMENT, *sorted(RUNBOOKS.glob("*.md"))], ids=lambda path: path.stem
)
def test_every_metric_named_exists(path: Path):
    """Queries in the documents can be pasted."""
    named = set(re.findall(r"\b(?:\w+:)?(?:media|node)_\w+(?::\w+)*", path.read_text()))
    assert named - PROGRAMS <= known().keys()


def test_the_table_lists_every_alert():
    """Name, severity, how long, and the summary, in the order of the rules."""
    rows = re.findall(
        r"^\| \[(\w+)\]\((.*)\) \| (\w+) \| (.*) \| (.*) \|$", DOCUMENT.read_text(), re.M
    )
    assert rows == [
        (
            rule.name,
            f"runbooks/{rule.name}.md",
            rule.labels["severity"],
            rule.hold or "at once",
            rule.annotations["summary"],
        )
        for rule in alerts()
    ]


def test_every_recorded_series_is_described():
    """By its full name."""
    described = set(re.findall(r"`(\w+:\w+:\w+)`", DOCUMENT.read_text()))
    recorded = {
        rule.name for rule in rules() if not rule.alert and rule.group != "media-usage-thresholds"
    }
    assert described == recorded
