"""The shipped rules as data, and what can be said of a PromQL expression without running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from exporter.exposition.own_metrics import OWN_METRICS
from exporter.model.measures import CATALOGUE

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
RULE_FILES = tuple(
    RULES / f"{name}.yml" for name in ("thresholds", "recording", "month_to_date", "alerts")
)
TARGET = frozenset({"job", "instance"})
COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `name` is what it records or alerts."""

    name: str
    expr: str
    alert: bool
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    hold: str | None = None
    group: str = ""

    @property
    def tree(self) -> Any:
        return promql_parser.parse(self.expr)


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the files."""
    return tuple(
        Rule(
            name=rule.get("alert") or rule["record"],
            expr=rule["expr"],
            alert="alert" in rule,
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
            hold=rule.get("for"),
            group=group["name"],
        )
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    )


def alerts() -> tuple[Rule, ...]:
    return tuple(rule for rule in rules() if rule.alert)


# What there is to ask for.


@cache
def known() -> dict[str, frozenset[str]]:
    """Labels by metric: the exporter's, Prometheus' own, node_exporter's one, the recorded ones."""
    series = {"up": TARGET, "node_filesystem_avail_bytes": TARGET | {"mountpoint"}}
    for measure in CATALOGUE:
        _add(series, measure.name, measure.type, {"provider", "account", *measure.labels})
    for metric in OWN_METRICS:
        _add(series, metric.name, metric.type, set(metric.labels))
    for rule in rules():
        if not rule.alert:
            labels = labels_of(rule.tree, series) | rule.labels.keys()
            series[rule.name] = series.get(rule.name, labels) & labels
    return series


def counters() -> set[str]:
    """Metrics that only rate(), increase() and resets() may look at."""
    return {measure.name for measure in CATALOGUE if measure.type == "counter"} | {
        metric.name for metric in OWN_METRICS if metric.type == "counter"
    }


def _add(series: dict[str, frozenset[str]], name: str, type: str, labels: set[str]) -> None:
    if type == "histogram":
        series[f"{name}_bucket"] = TARGET | labels | {"le"}
        series[f"{name}_count"] = series[f"{name}_sum"] = TARGET | labels
    else:
        series[name] = TARGET | labels


# Trees.


def children(node: Any) -> list[Any]:
    match node:
        case promql_parser.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql_parser.Call():
            return list(node.args)
        case promql_parser.MatrixSelector():
            return [node.vector_selector]
        case promql_parser.VectorSelector():
            return []
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return []
        case promql_parser.AggregateExpr():
            return [node.expr, *([] if node.param is None else [node.param])]
        case _:
            return [node.expr]


def walk(node: Any, *above: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node with those above it, the nearest first."""
    yield node, above
    for child in children(node):
        yield from walk(child, node, *above)


def selectors(node: Any) -> Iterator[Any]:
    for each, _ in walk(node):
        if isinstance(each, promql_parser.VectorSelector):
            yield each


def scalar(node: Any) -> bool:
    match node:
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return True
        case promql_parser.Call():
            return bool(node.func.name == "time")
        case promql_parser.BinaryExpr():
            return scalar(node.lhs) and scalar(node.rhs)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            return scalar(node.expr)
        case _:
            return False


def labels_of(node: Any, series: dict[str, frozenset[str]]) -> frozenset[str]:
    """The labels that a result can have. AssertionError where labels are used that are not there.

    KeyError names a metric that does not exist.
    """
    match node:
        case promql_parser.VectorSelector():
            labels = series[node.name or ""]
            used = {matcher.name for matcher in node.matchers.matchers}
            assert used <= labels, f"{node.name} has no {used - labels}"
            return labels
        case promql_parser.MatrixSelector():
            return labels_of(node.vector_selector, series)
        case promql_parser.Call():
            arguments = [each for each in node.args if not scalar(each)]
            if not arguments:
                return frozenset()
            labels = labels_of(arguments[0], series)
            if node.func.name != "label_replace":
                return labels
            assert node.args[3].val in labels, f"label_replace reads no {node.args[3].val}"
            return labels | {node.args[1].val}
        case promql_parser.AggregateExpr():
            return _aggregated(node, labels_of(node.expr, series))
        case promql_parser.BinaryExpr():
            return _joined(node, series)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return frozenset()
        case _:
            return labels_of(node.expr, series)


def _aggregated(node: Any, labels: frozenset[str]) -> frozenset[str]:
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    assert named <= labels, f"aggregates over {named - labels}, which is not there"
    return named if node.modifier.type == promql_parser.AggModifierType.By else labels - named


def _joined(node: Any, series: dict[str, frozenset[str]]) -> frozenset[str]:
    left, right = labels_of(node.lhs, series), labels_of(node.rhs, series)
    if scalar(node.lhs) or scalar(node.rhs):
        return right if scalar(node.lhs) else left
    modifier = node.modifier
    matching = None if modifier is None else modifier.matching
    if matching is None:
        common = left & right if str(node.op) == "or" else left
        assert str(node.op) == "or" or left == right, f"never match: {left ^ right} in {node}"
        return common
    on = frozenset(matching.labels)
    assert matching.type == promql_parser.LabelModifierType.Include, "on () says what is matched"
    assert on <= left & right, f"matches on {on - (left & right)}, which is not on both sides"
    if str(node.op) in ("and", "unless"):
        return left
    if modifier.card == promql_parser.VectorMatchCardinality.ManyToOne:
        return left | frozenset(modifier.group_labels or ())
    assert modifier.card == promql_parser.VectorMatchCardinality.OneToOne
    return on
