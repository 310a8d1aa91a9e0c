"""A real Prometheus scrapes three replicas as deploy/prometheus/replicas.yml says.

Replicas are real processes on a real PostgreSQL; one is killed, another is stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.attack.rig import FEEDS, Key
from tests.deploy.relabelling import REPLICAS
from tests.grafana.documents import DASHBOARDS, Json, selectors, targets, variables
from tests.grafana.test_queries import Measured, options
from tests.support.components import prometheus
from tests.support.postgres import Server, postgres
from tests.support.processes import Prometheus, eventually

__all__ = ["postgres"]

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(240)]

ACCOUNTS = {account for account, _ in FEEDS.values()}
TARGET = {"job": "media-usage-exporter", "instance": "media-usage-exporter"}
REFUSED = (
    "prometheus_target_scrapes_sample_out_of_order_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_rule_evaluation_failures_total",
)
"""Prometheus' own counters of what it could not take or work out."""

BY_REPLICA = ("Accounts held, by replica", "Database reachable")
"""Panels with a line for each replica."""

WHOLE = "[1h]"  # the windows of the test's own queries: more than it takes

Samples = list[tuple[float, float]]


def configuration(folder: Path, addresses: list[str]) -> str:
    """The shipped configuration with these targets, at another pace and without Alertmanager.

    Its rules are below `folder`; but for how often they are evaluated they are the shipped ones.
    """
    shipped = yaml.safe_load(REPLICAS.read_text("utf-8"))
    (job,) = shipped["scrape_configs"]
    job["static_configs"] = [{"targets": addresses}]
    job["scrape_interval"] = "500ms"
    shipped["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    del shipped["alerting"]
    (folder / "rules").mkdir()
    for name in shipped["rule_files"]:
        document = yaml.safe_load((REPLICAS.parent / name).read_text("utf-8"))
        for group in document["groups"]:
            group.pop("interval", None)
        (folder / name).write_text(yaml.safe_dump(document))
    text: str = yaml.safe_dump(shipped, sort_keys=False)
    return text


def shown(server: Prometheus) -> set[str]:
    """The accounts that an instant query gives."""
    found = server.query(f'group by (account) ({{instance="{TARGET["instance"]}"}})')
    return {series["metric"]["account"] for series in found}


def key(metric: dict[str, str]) -> Key:
    """What the exporter showed: the name, and the labels without those of the scrape."""
    labels = {name: value for name, value in metric.items() if name not in (*TARGET, "__name__")}
    return metric["__name__"], tuple(sorted(labels.items()))


def history(server: Prometheus, truth: dict[Key, float]) -> dict[Key, Samples]:
    """Every sample of the series in `truth`; each is one series, with the common instance."""
    names = "|".join(sorted({name for name, _ in truth}))
    found: dict[Key, Samples] = {}
    for series in server.query(f'{{__name__=~"{names}"}}{WHOLE}'):
        metric = series["metric"]
        if key(metric) in truth:
            assert metric.items() >= TARGET.items()
            assert key(metric) not in found, "one series has become two"
            found[key(metric)] = [(float(at), float(value)) for at, value in series["values"]]
    return found


def increase(server: Prometheus, series: Key, samples: Samples) -> float:
    """Prometheus' increase() from the first sample to the last, so that it guesses nothing."""
    name, labels = series
    text = ",".join(f'{label}="{value}"' for label, value in (*labels, *TARGET.items()))
    (begin, _), (end, _) = samples[0], samples[-1]
    # A millisecond more: from 3.0 on a window does not hold the sample that it begins with.
    window = f"{round((end - begin) * 1000) + 1}ms"
    (found,) = server.query(f"increase({name}{{{text}}}[{window}] @ {end:.3f})")
    return float(found["value"][1])


def own(server: Prometheus) -> dict[str, float]:
    """Prometheus' counters of what it could not take, each summed up."""
    page = httpx.get(f"http://{server.address}/metrics", trust_env=False).text
    samples = chain.from_iterable(each.samples for each in text_string_to_metric_families(page))
    found: dict[str, float] = {}
    for sample in samples:
        if sample.name in REFUSED:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def rules(server: Prometheus) -> Iterator[dict[str, Any]]:
    answer = httpx.get(f"http://{server.address}/api/v1/rules", trust_env=False).json()
    for group in answer["data"]["groups"]:
        yield from group["rules"]


def all_of(asking: Measured, dashboard: Json) -> dict[str, str]:
    """What Grafana puts for each variable: *All*, or each value where there is no such choice."""
    values: dict[str, str] = {}
    for variable in variables(dashboard):
        if variable["type"] == "query":
            each = "|".join(map(re.escape, options(asking, variable, values)))
            values[variable["name"]] = variable.get("allValue", each.replace("\\", "\\\\"))
    return values


def unanswered(server: Prometheus, end: float) -> list[str]:
    """Queries of dashboards that give nothing although all that they look at is there.

    With the windows of tests/grafana/test_queries.py. What is filtered may have nothing to show.
    """
    base = f"http://{server.address}/api/v1/"
    faults = []
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        asking = Measured(client, {}, end - 60, end)
        there = set(asking.ask("label/__name__/values", {"start": end - 60, "end": end}))
        values = {name: all_of(asking, dashboard) for name, dashboard in DASHBOARDS.items()}
        measured = Measured(client, values, end - 60, end)
        asked = 0
        for name, dashboard in DASHBOARDS.items():
            for panel, target in targets(dashboard):
                found = measured.result(name, target["expr"], instant=bool(target.get("instant")))
                names = {selector.name for selector, _ in selectors(target["expr"])}
                if names <= there and "> 0" not in target["expr"]:
                    asked += 1
                    if not found:
                        faults.append(f"{name}, {panel['title']}: {target['expr']}")
                if panel["title"] in BY_REPLICA:
                    assert len({one["metric"]["instance"] for one in found}) == 3, panel["title"]
    assert asked > 60
    return faults


def test_increase_over_a_kill_and_over_a_stop_is_what_was_used(
    tmp_path: Path, postgres: Server
) -> None:
    """One series each, nothing refused, every rule evaluated, every dashboard filled."""
    with Replicas(tmp_path, postgres).serving() as rig:
        for name in ("one", "two", "three"):
            rig.start(name)
        eventually(rig.even, "each replica has its share")
        addresses = {one.address for one in rig.replicas.values()}
        with Prometheus(
            prometheus(), tmp_path, configuration(tmp_path, sorted(addresses))
        ) as server:
            eventually(lambda: shown(server) == ACCOUNTS, "every account is scraped")
            for leave in (rig.kill, rig.stop):
                rig.live(3)
                leave(next(name for name, held in rig.spread().items() if "live" in held))
                rig.wait()
                eventually(lambda: shown(server) == ACCOUNTS, "every account is scraped again")
            rig.live(3)
            rig.settle(Attack())
            truth = rig.truth()

            def scraped() -> dict[Key, Samples] | None:
                found = history(server, truth)
                right = {
                    series for series, samples in found.items() if samples[-1][1] == truth[series]
                }
                return found if right == found.keys() else None

            found = eventually(scraped, "Prometheus has the truth")
            assert {dict(labels)["account"] for _, labels in found} == ACCOUNTS
            for series, samples in found.items():
                values = [value for _, value in samples]
                assert values == sorted(values), "a fall would be taken for a reset"
                grown = truth[series] - values[0]
                assert increase(server, series, samples) == pytest.approx(grown, rel=1e-3), series

            polled = server.query(
                f'count_over_time(media_exporter_polls_total{{account="live"}}{WHOLE})'
            )
            assert {one["metric"]["instance"] for one in polled} == addresses, "each has its own"
            evaluated = list(rules(server))
            assert [one for one in evaluated if one["health"] != "ok"] == []
            assert {one["type"] for one in evaluated} == {"alerting", "recording"}
            assert own(server) == dict.fromkeys(REFUSED, 0)
            assert (
                unanswered(server, max(at for samples in found.values() for at, _ in samples)) == []
            )
    assert rig.judge.shown_twice() == []
