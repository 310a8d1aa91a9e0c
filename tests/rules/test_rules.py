"""What is true of every shipped rule by its text alone."""

import re
from datetime import timedelta

import promql_parser
import pytest

from exporter.exposition.own_metrics import LEDGER_REASON
from exporter.model.errors import REASONS
from exporter.model.measures import BY_NAME
from tests.rules.rulefiles import (
    COMPARISONS,
    Rule,
    alerts,
    counters,
    known,
    labels_of,
    rules,
    selectors,
    walk,
)

pytestmark = pytest.mark.sockets

TWO_POLLS = timedelta(minutes=30)
COUNTING = ("increase", "rate", "resets")
AS_READ = {
    # Their differences are exact, those of increase() are estimates.
    "account_kind:media_received_bytes:max",
    "account_kind:media_delivered_bytes:max",
    "account_kind:media_viewing_seconds:max",
    "account_path:media_jobs:max",
    "account_path:media_jobs_failed:max",
    # Polls since the start of the process are just what is asked for.
    "MediaUsageFeedFailing",
}
"""Rules that look at a counter's value, and why they may."""

EVERY_RULE = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
EVERY_ALERT = pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)


@EVERY_RULE
def test_every_metric_and_label_exists(rule: Rule):
    """Metrics are the exporter's or recorded; matchers, joins and aggregations name their labels."""
    labels_of(rule.tree, known())


@EVERY_RULE
def test_matchers_ask_for_values_that_occur(rule: Rule):
    """Closed sets of label values are spelt right."""
    closed = {
        "reason": {*REASONS, LEDGER_REASON},
        "status": {"pending", "running"},
        "job": {"media-usage-exporter"},
        "measure": set(BY_NAME),
    }
    for selector in selectors(rule.tree):
        for matcher in selector.matchers.matchers:
            assert set(matcher.value.split("|")) <= closed[matcher.name]


def test_a_quota_takes_the_place_of_those_that_count_the_same():
    """The counter that the quota is a share of, or the vendor's own total of it."""
    found = {
        rule.labels["measure"]: set(matcher.value.split("|"))
        for rule in rules()
        if rule.name == "account:media_included_units:group"
        for selector in selectors(rule.tree)
        for matcher in selector.matchers.matchers
    }
    used = {
        rule.labels["measure"] for rule in rules() if rule.name == "account:media_quota_used:ratio"
    }
    assert found == {
        measure: {f"media_{measure}_total", f"media_account_{measure}_total"} & BY_NAME.keys()
        for measure in used
    }


@EVERY_RULE
def test_counters_are_only_counted(rule: Rule):
    """A counter's value depends on when it began; only its growth says something."""
    read = set()
    for node, above in walk(rule.tree):
        if isinstance(node, promql_parser.VectorSelector) and node.name in counters():
            function = above[1].func.name if len(above) > 1 and _call(above[1]) else None
            if function not in COUNTING:
                read.add(node.name)
    assert bool(read) == (rule.name in AS_READ), read


@EVERY_RULE
def test_kinds_are_the_only_totals(rule: Rule):
    """Wowza's account feed is a family of its own, which may lack a kind."""
    for selector in selectors(rule.tree):
        assert not selector.name.startswith("media_account_")


@EVERY_RULE
def test_windows_hold_two_polls(rule: Rule):
    """Data steps once per poll; a shorter window would mostly see no step or just one."""
    for node, above in walk(rule.tree):
        if isinstance(node, promql_parser.MatrixSelector):
            assert node.range >= TWO_POLLS, f"{above[0].func.name} over {node.range}"


@EVERY_RULE
def test_nothing_depends_on_an_order(rule: Rule):
    """The members of topk() and its like change from one evaluation to the next."""
    for node, _ in walk(rule.tree):
        if isinstance(node, promql_parser.AggregateExpr):
            assert str(node.op) in {"sum", "max", "count", "group"}


@EVERY_ALERT
def test_alerts_compare(rule: Rule):
    """An alert without a comparison fires as soon as there is data."""
    operators = {
        str(node.op) for node, _ in walk(rule.tree) if isinstance(node, promql_parser.BinaryExpr)
    }
    assert operators & COMPARISONS


@EVERY_ALERT
def test_alerts_are_labelled_and_described(rule: Rule):
    """A name with the common prefix, a severity, a static sentence and a description."""
    assert re.fullmatch(r"MediaUsage([A-Z][a-z]+)+", rule.name)
    assert rule.labels.keys() == {"severity"}
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.annotations.keys() == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{}]+[^.]\.", rule.annotations["summary"])
    assert rule.annotations["description"].endswith(".")
    assert rule.hold is None or re.fullmatch(r"[1-9]\d*[mh]", rule.hold)


@EVERY_ALERT
def test_descriptions_name_labels_that_the_alert_has(rule: Rule):
    """A template prints nothing for a label that was aggregated away."""
    has = labels_of(rule.tree, known())
    description = rule.annotations["description"]
    named = set(re.findall(r"\$labels\.(\w+)", description))
    assert named <= has
    assert {"account", "feed", "path", "provider"} & has <= named


def test_thresholds_stand_in_one_place():
    """No alert compares with a number that people might want to change."""
    numbers = {
        rule.name: sorted(
            node.val
            for node, _ in walk(rule.tree)
            if isinstance(node, promql_parser.NumberLiteral)
            and node.val not in (0, 1, 3, 4, 86400)  # states, polls, a day
        )
        for rule in alerts()
    }
    assert {name: found for name, found in numbers.items() if found} == {}


def test_every_threshold_is_used():
    """A number that changes nothing when it is changed misleads."""
    used = {selector.name for rule in rules() for selector in selectors(rule.tree)}
    thresholds = {rule.name for rule in rules() if rule.group == "media-usage-thresholds"}
    assert thresholds <= used
    assert all(name.startswith(("media_threshold:", "media_quota:")) for name in thresholds)


def test_names_are_unique():
    """Equal records differ by their labels, alerts by their names."""
    identities = [(rule.name, tuple(sorted(rule.labels.items()))) for rule in rules()]
    assert len(set(identities)) == len(identities)
    assert len({rule.name for rule in alerts()}) == len(alerts())


def test_measures_are_treated_alike():
    """The rules of one usage measure are those of another with the names changed."""

    def of(measure: str, level: str) -> list[tuple[str, str]]:
        return [
            (
                rule.name.replace(measure, "MEASURE"),
                "".join(rule.expr.split()).replace(measure, "MEASURE").replace(level, "LEVEL"),
            )
            for rule in rules()
            if f":media_{measure}:" in rule.name and rule.name.startswith("account:")
        ]

    assert len(of("jobs", "path")) == 3
    for measure in ("received_bytes", "delivered_bytes", "viewing_seconds"):
        assert of(measure, "kind") == of("jobs", "path"), measure


def _call(node: object) -> bool:
    return isinstance(node, promql_parser.Call)
