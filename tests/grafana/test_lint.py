import copy
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.grafana.documents import DASHBOARDS, FOLDER, Json
from tests.grafana.lint_rules import RULES, Finding

pytestmark = pytest.mark.sockets

EXCLUSIONS: Json = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]


def findings(rule: str, dashboard: Json) -> Iterator[Finding]:
    """What a rule says, without what `.lint` excludes."""
    excluded = EXCLUSIONS.get(rule)
    entries = (excluded or {}).get("entries") or ([{}] if excluded else [])
    for finding in RULES[rule](dashboard):
        context = {"dashboard": dashboard["title"], "panel": finding.panel}
        if not any(entry.items() <= context.items() for entry in entries):
            yield finding


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_linter_has_nothing_to_say(name: str, rule: str):
    assert list(findings(rule, DASHBOARDS[name])) == []


@pytest.mark.parametrize("rule", EXCLUSIONS)
def test_what_is_excluded_has_a_reason_and_is_there(rule: str):
    assert EXCLUSIONS[rule]["reason"]
    found = [
        {"dashboard": dashboard["title"], "panel": finding.panel}
        for dashboard in DASHBOARDS.values()
        for finding in RULES[rule](dashboard)
    ]
    assert found
    for entry in EXCLUSIONS[rule].get("entries", []):
        assert any(entry.items() <= one.items() for one in found), entry


def first(dashboard: Json, kind: str) -> Json:
    panel: Json = next(one for one in dashboard["panels"] if one["type"] == kind)
    return panel


def variable(dashboard: Json, name: str) -> Json:
    found: Json = next(one for one in dashboard["templating"]["list"] if one["name"] == name)
    return found


def set_expression(dashboard: Json, expression: str) -> None:
    first(dashboard, "stat")["targets"][0]["expr"] = expression


TARGET = 'job=~"$job", instance=~"$instance"'
FAULTS: dict[str, Callable[[Json], object]] = {
    "template-datasource-rule": lambda it: variable(it, "datasource").update(label="Source"),
    "template-job-rule": lambda it: variable(it, "job").update(allValue=".*"),
    "template-instance-rule": lambda it: variable(it, "instance").update(multi=False),
    "template-label-promql-rule": lambda it: variable(it, "job").update(
        query='label_values(up{job="}, job)'
    ),
    "template-on-time-change-reload-rule": lambda it: variable(it, "account").update(refresh=1),
    "panel-datasource-rule": lambda it: first(it, "stat")["datasource"].update(uid="abc"),
    "panel-title-description-rule": lambda it: first(it, "stat").update(title=""),
    "panel-units-rule": lambda it: first(it, "stat")["fieldConfig"]["defaults"].update(unit="B"),
    "panel-no-targets-rule": lambda it: first(it, "stat").update(targets=[]),
    "target-promql-rule": lambda it: set_expression(it, "sum(up"),
    "target-rate-interval-rule": lambda it: set_expression(
        it, f"increase(x_total{{{TARGET}}}[3h])"
    ),
    "target-job-rule": lambda it: set_expression(it, 'up{instance=~"$instance"}'),
    "target-instance-rule": lambda it: set_expression(it, 'up{job=~"$job", instance="$instance"}'),
    "target-counter-agg-rule": lambda it: set_expression(it, f"sum(x_total{{{TARGET}}})"),
    "uneditable-dashboard": lambda it: it.update(editable=True),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_sees_its_fault(rule: str):
    dashboard = copy.deepcopy(DASHBOARDS["overview"])
    before = len(list(RULES[rule](dashboard)))
    FAULTS[rule](dashboard)
    assert len(list(RULES[rule](dashboard))) > before
