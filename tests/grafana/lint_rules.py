"""The rules of grafana/dashboard-linter for dashboards on Prometheus, written anew.

https://github.com/grafana/dashboard-linter/blob/main/docs/index.md; its two LogQL rules have
nothing to look at here. Stricter than it where it leaves something out: every sort of panel is
looked at, `increase` is held to `$__rate_interval` as its documentation says, and a counter is
known by its name whatever its labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser
from grafana_foundation_sdk.models import units

from tests.grafana.documents import (
    Json,
    label_values,
    nodes,
    panels,
    parsed,
    selectors,
    targets,
    variables,
)

UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and name[0] != "_"}
RATE_INTERVAL = timedelta(minutes=53)  # which nobody writes
COUNTED = ("rate", "irate", "increase")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and in which panel."""

    text: str
    panel: str = ""


Rule = Callable[[Json], Iterator[Finding]]


def template_datasource(dashboard: Json) -> Iterator[Finding]:
    found = [one for one in variables(dashboard) if one["type"] == "datasource"]
    if len(found) != 1:
        yield Finding(f"{len(found)} variables are data sources")
    for one in found:
        if one["name"] not in ("datasource", "prometheus_datasource"):
            yield Finding(f"the data source is called {one['name']}")
        if one.get("label") not in ("Data source", "Prometheus data source"):
            yield Finding(f"the data source is labelled {one.get('label')}")


def template_job(dashboard: Json) -> Iterator[Finding]:
    yield from _target_variable(dashboard, "job")


def template_instance(dashboard: Json) -> Iterator[Finding]:
    yield from _target_variable(dashboard, "instance")


def _target_variable(dashboard: Json, name: str) -> Iterator[Finding]:
    one = next((one for one in variables(dashboard) if one["name"] == name), None)
    if one is None:
        yield Finding(f"there is no variable {name}")
        return
    for key, expected in (
        ("type", "query"),
        ("label", name.title()),
        ("multi", True),
        ("allValue", ".+"),
        ("datasource", {"type": "prometheus", "uid": "${datasource}"}),
    ):
        if one.get(key) != expected:
            yield Finding(f"{name}: {key} is {one.get(key)!r}, not {expected!r}")


def template_label_promql(dashboard: Json) -> Iterator[Finding]:
    for one in variables(dashboard):
        if one["type"] == "query":
            try:
                parsed(label_values(one)[0])
            except (AssertionError, ValueError) as error:
                yield Finding(f"{one['name']}: {error}")


def template_on_time_change_reload(dashboard: Json) -> Iterator[Finding]:
    for one in variables(dashboard):
        if one["type"] == "query" and one.get("refresh") != 2:
            yield Finding(f"{one['name']} is not read anew when the range changes")


def panel_datasource(dashboard: Json) -> Iterator[Finding]:
    for panel in panels(dashboard):
        for one in (panel, *panel.get("targets", [])):
            if one.get("datasource", {}).get("uid") != "${datasource}":
                yield Finding("the data source is not the variable", panel["title"])


def panel_title_description(dashboard: Json) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield Finding("title or description is missing", panel.get("title", ""))


def panel_units(dashboard: Json) -> Iterator[Finding]:
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        chosen = [config["defaults"].get("unit")]
        for override in config.get("overrides") or []:
            chosen += [one["value"] for one in override["properties"] if one["id"] == "unit"]
        for unit in chosen:
            if unit not in UNITS:
                yield Finding(f"{unit!r} is no unit", panel["title"])


def panel_no_targets(dashboard: Json) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if not panel.get("targets"):
            yield Finding("asks nothing", panel["title"])


def target_promql(dashboard: Json) -> Iterator[Finding]:
    for panel, target in targets(dashboard):
        try:
            parsed(target["expr"])
        except ValueError as error:
            yield Finding(f"{target['expr']}: {error}", panel["title"])


def target_rate_interval(dashboard: Json) -> Iterator[Finding]:
    for panel, target in targets(dashboard):
        tree = parsed(target["expr"], __rate_interval="53m")
        for node, above in nodes(tree):
            if not isinstance(node, promql_parser.MatrixSelector) or not above:
                continue
            call = getattr(above[-1], "func", None)
            if call is not None and call.name in COUNTED and node.range != RATE_INTERVAL:
                yield Finding(f"{call.name} over {node.range}", panel["title"])


def target_job(dashboard: Json) -> Iterator[Finding]:
    yield from _matched(dashboard, "job")


def target_instance(dashboard: Json) -> Iterator[Finding]:
    yield from _matched(dashboard, "instance")


def _matched(dashboard: Json, name: str) -> Iterator[Finding]:
    for panel, target in targets(dashboard):
        for selector, _ in selectors(target["expr"]):
            found = {(one.name, str(one.op), one.value) for one in _matchers(selector)}
            if (name, str(promql_parser.MatchOp.Re), f"${name}") not in found:
                yield Finding(f'{selector.name} without {name}=~"${name}"', panel["title"])


def target_counter_agg(dashboard: Json) -> Iterator[Finding]:
    for panel, target in targets(dashboard):
        for selector, above in selectors(target["expr"]):
            if not re.search(r"_total$", selector.name or ""):
                continue
            call = getattr(above[-2], "func", None) if len(above) > 1 else None
            if call is None or call.name not in COUNTED:
                yield Finding(f"{selector.name} is shown as it is", panel["title"])


def uneditable(dashboard: Json) -> Iterator[Finding]:
    if dashboard.get("editable"):
        yield Finding("can be edited, although the next provisioning overwrites it")


def _matchers(selector: Any) -> list[Any]:
    found: list[Any] = selector.matchers.matchers
    return found


RULES: dict[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}
