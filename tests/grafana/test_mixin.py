"""The mixin, evaluated by jsonnet as a project does that has it in its `vendor`."""

import json
from pathlib import Path

import _jsonnet
import pytest
import yaml

from tests.grafana.documents import DASHBOARDS, ROOT, Json

pytestmark = pytest.mark.sockets

RULES = ROOT / "deploy" / "prometheus" / "rules"


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    (tmp_path / "media-usage-exporter").symlink_to(ROOT)
    return tmp_path


def evaluated(vendor: Path, expression: str) -> Json:
    text = f"local mixin = import 'media-usage-exporter/mixin.libsonnet'; {expression}"
    found: Json = json.loads(
        _jsonnet.evaluate_snippet("main.jsonnet", text, jpathdir=[str(vendor)])
    )
    return found


def groups(kind: str) -> list[Json]:
    """The groups of all rule files whose rules are of this kind, `alert` or `record`."""
    found = [
        group
        for file in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    ]
    return [group for group in found if all(kind in rule for rule in group["rules"])]


def test_its_dashboards_are_the_committed_ones(vendor: Path):
    assert evaluated(vendor, "mixin.grafanaDashboards") == {
        f"media-usage-{name}.json": dashboard for name, dashboard in DASHBOARDS.items()
    }


def test_its_rules_are_those_of_the_rule_files(vendor: Path):
    alerts, records = groups("alert"), groups("record")
    assert alerts
    assert records
    assert evaluated(vendor, "mixin.prometheusAlerts") == {"groups": alerts}
    assert evaluated(vendor, "mixin.prometheusRules") == {"groups": records}


def test_it_adds_to_other_mixins(vendor: Path):
    other = "{ grafanaDashboards+:: {'a.json': {}}, prometheusAlerts+:: {groups+: [{name: 'a'}]} }"
    both = evaluated(
        vendor,
        f"local both = {other} + mixin;"
        " { dashboards: both.grafanaDashboards, groups: both.prometheusAlerts.groups }",
    )
    assert len(both["dashboards"]) == len(DASHBOARDS) + 1
    assert [group["name"] for group in both["groups"]] == [
        "a",
        *(group["name"] for group in groups("alert")),
    ]


def test_jsonnet_bundler_finds_a_package_without_dependencies():
    bundle = json.loads((ROOT / "jsonnetfile.json").read_text("utf-8"))
    assert (bundle["version"], bundle["dependencies"]) == (1, [])
