"""deploy/prometheus/replicas.yml: which series get one instance, by the names in the code."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.exposition.own_metrics import OWN_METRICS
from exporter.exposition.publisher import FAMILIES
from tests.deploy.relabelling import REPLICAS, ROOT, shipped
from tests.support import components

SUFFIXES = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
}
NOT_OURS = ("up", "scrape_duration_seconds", "process_start_time_seconds", "python_info")


def samples(name, kind):
    return [name + suffix for suffix in SUFFIXES[kind]]


ACCOUNTS = [one for measure, _ in FAMILIES for one in samples(measure.name, measure.type)]
OWN = [one for metric in OWN_METRICS for one in samples(metric.name, metric.type)]


@pytest.mark.parametrize("name", ACCOUNTS)
def test_every_series_of_an_account_is_relabelled(name):
    assert all(re.fullmatch(rule["regex"], name) for rule in shipped())


@pytest.mark.parametrize("name", [*OWN, *NOT_OURS])
def test_what_one_process_counts_keeps_its_instance(name):
    assert not [rule for rule in shipped() if re.fullmatch(rule["regex"], name)]


def test_the_names_that_are_looked_at_are_some_of_each_sort():
    assert {"media_delivered_bytes_total", "media_budget", "media_job_queue_seconds_sum"} <= set(
        ACCOUNTS
    )
    assert {"media_exporter_polls_total", "media_exporter_leases"} <= set(OWN)


def test_a_rule_looks_at_names_alone_and_puts_what_is_the_same_for_all_replicas():
    """A reference in `replacement` could give each replica another value."""
    for rule in shipped():
        assert rule.keys() == {"source_labels", "regex", "target_label", "replacement"}
        assert rule["source_labels"] == ["__name__"]
        assert "$" not in rule["replacement"]
    assert {rule["target_label"] for rule in shipped()} == {"instance", "pod"}


def test_a_removed_label_stays_removed_where_an_empty_replacement_is_left_out():
    """Older operators leave it out; Prometheus then puts the first group, of which there is none."""
    (rule,) = (rule for rule in shipped() if not rule["replacement"])
    assert re.compile(rule["regex"]).groups == 0


def test_but_for_targets_and_relabelling_it_is_the_configuration_of_one_exporter():
    replicas, one = (
        yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text("utf-8"))
        for name in ("replicas.yml", "prometheus.yml")
    )
    (job,) = replicas["scrape_configs"]
    del job["metric_relabel_configs"]
    (targets,) = (group.pop("targets") for group in job["static_configs"])
    assert len(targets) == 3
    one["scrape_configs"][0]["static_configs"][0].pop("targets")
    assert replicas == one


@pytest.mark.sockets
def test_prometheus_takes_the_configuration_with_every_rule():
    checked = subprocess.run(
        [components.promtool(), "check", "config", REPLICAS], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    named = yaml.safe_load(REPLICAS.read_text("utf-8"))["rule_files"]
    found = sorted((REPLICAS.parent / "rules").iterdir())
    assert sorted(REPLICAS.parent / Path(name) for name in named) == found
