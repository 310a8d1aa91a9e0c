"""Every query of every dashboard and of docs/recipes.md, asked of a Prometheus with every feed.

The rule by which queries are changed for it: every window and range is WINDOW, which spans the
whole test; what is compared with a day before is compared with OFFSET before, which is the step of
subqueries, too; every variable has everything chosen. Nothing else is touched.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.dolby_media import DolbyMedia
from exporter.emulators.dolby_media.jobs import Job, Jobs
from exporter.emulators.world import World
from tests.grafana.documents import (
    DASHBOARDS,
    Json,
    events,
    label_values,
    legend_labels,
    replaced,
    targets,
    variables,
)
from tests.grafana.recipes import recipes
from tests.support.components import prometheus
from tests.support.processes import Exporter, Prometheus, eventually, vendors

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(180)]

WINDOW = "2m"
OFFSET = "2s"
WINDOW_SECONDS = 120
HOUR = 3600
CADENCE_SECONDS = 10
SCRAPES = 5
GROWING = 38
"""Of the queries for growth, those that show some at the quietest hour."""
JOB_SECONDS = 10
FEEDS = 22

# Panels that have nothing to show here: their queries are only known to be answered.
EMPTY = {
    "Difference from vendor totals": "needs a whole settled day of this month",
    "Remote-write samples per hour": "needs a receiver",
    "Rejected samples per hour, by reason": "needs a receiver",
    "Remote-write failures per hour": "needs a receiver",
    "Remote-write lag": "needs a receiver",
    "Accounts held, by replica": "needs a ledger on PostgreSQL",
    "Live replicas and free accounts": "needs a ledger on PostgreSQL",
    "Takeovers and lost leases per hour": "needs a ledger on PostgreSQL",
    "Database reachable": "needs a ledger on PostgreSQL",
    "Quotas E": "which quotas will be used up depends on the day of the month",
}
"""By title, or by title and letter where it is one query of the panel."""

EMPTY_RECIPES = {
    "How much of the whole month before is it already?": "the ledger begins in this month",
    "Has anything been lost?": "nothing has",
}
"""By question: the page says when they have no answer."""

ENOUGH = {
    "every feed is scraped several times": (
        f"count(count_over_time(media_exporter_poll_success[2m]) > {SCRAPES}) == {FEEDS}"
    ),
    "every feed has recovered": "min(media_exporter_poll_success) == 1",
    "jobs were seen to work": "count(increase(media_job_queue_seconds_count[2m]) > 0) == 4",
    "jobs were counted": "count(increase(media_jobs_total[2m]) > 0) == 4",
}
OUTCOMES = ("Success", "Success", "Failed", "Cancelled")


class BriskJobs(Jobs):
    """On each path a job every few seconds, so that some wait, work and end while one watches."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.begin = time.time() - 20 * JOB_SECONDS

    def _hour(self, path: str, hour: int) -> tuple[Job, ...]:
        return tuple(
            Job(
                id=f"{path}-{start}",
                path=path,
                submitted=start * 1000,
                started=(start + 1) * 1000,
                completed=(start + 4) * 1000,
                outcome=OUTCOMES[start // JOB_SECONDS % len(OUTCOMES)],
            )
            for start in range(hour, hour + HOUR, JOB_SECONDS)
            if start >= self.begin
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A Prometheus with data, and what Grafana would put in the place of each variable."""

    client: httpx.Client
    values: Mapping[str, Mapping[str, str]]
    begin: float
    end: float
    results: dict[tuple[str, bool], list[Json]] = field(default_factory=dict)

    def ask(self, path: str, parameters: Mapping[str, str | float]) -> Any:
        answer = self.client.get(path, params=dict(parameters)).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def result(self, dashboard: str, expression: str, *, instant: bool) -> list[Json]:
        """The series of a query that have a value."""
        query = shortened(expression, self.values[dashboard])
        if (query, instant) not in self.results:
            self.results[query, instant] = self._result(query, instant=instant)
        return self.results[query, instant]

    def query(self, expression: str) -> list[Json]:
        """The series of a query of no dashboard at the end of the test, that have a value."""
        return self._result(shortened(expression, {}), instant=True)

    def _result(self, query: str, *, instant: bool) -> list[Json]:
        if instant:
            data = self.ask("query", {"query": query, "time": self.end})
        else:
            data = self.ask(
                "query_range", {"query": query, "start": self.begin, "end": self.end, "step": 2}
            )
        found: list[Json] = data["result"]
        return [series for series in found if any(map(known, points(series)))]


def points(series: Json) -> list[float]:
    pairs = series.get("values") or [series["value"]]
    return [float(value) for _, value in pairs]


def known(value: float) -> bool:
    return not math.isnan(value)


def shortened(expression: str, values: Mapping[str, str]) -> str:
    """The rule of this module."""
    windowed = re.sub(r"\[[^\]:]+\]", f"[{WINDOW}]", expression)
    windowed = re.sub(r"\[[^\]]+:[^\]]+\]", f"[{WINDOW}:{OFFSET}]", windowed)
    windowed = re.sub(r"offset \w+", f"offset {OFFSET}", windowed)
    return replaced(windowed, values)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    folder = tmp_path_factory.mktemp("grafana")
    world = World(streams=3, publish_seconds=1)
    emulators = Emulators(world)
    dolby = emulators.vendors["dolby_media"]
    assert isinstance(dolby, DolbyMedia)
    dolby.jobs = BriskJobs(world)
    with vendors(emulators) as address:
        (folder / "credential").write_text("demo")
        config = folder / "config.yaml"
        text = demo.configuration(
            address, folder, emulators, cadence_seconds=CADENCE_SECONDS, every_feed=True
        )
        config.write_text(re.sub("history: .*", "history: 2h", text) + billing())
        with (
            Exporter(config, "--log.level", "warn") as exporter,
            Prometheus(prometheus(), folder, scraping(exporter)) as server,
        ):
            exporter.wait_until_ready()
            eventually(lambda: server.query("media_exporter_polls_total > 0"), "a poll is scraped")
            exporter.stop()  # the second process is what the annotation of restarts shows
            exporter.start()
            exporter.wait_until_ready()
            eventually(lambda: server.query("changes(process_start_time_seconds[2m]) > 0"), "both")
            emulators.faults.set("livepeer", "403", 1)
            eventually(
                lambda: server.query("increase(media_exporter_poll_failures_total[2m]) > 0"),
                "a failure is scraped",
            )
            for what, expression in ENOUGH.items():
                eventually(partial(server.query, expression), what)
            end = time.time()
            begin = end - WINDOW_SECONDS
            exporter.kill()  # all is scraped; the processor is for the queries
            base = f"http://{server.address}/api/v1/"
            with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
                asking = Measured(client, {}, begin, end)
                values = {name: chosen(asking, DASHBOARDS[name]) for name in DASHBOARDS}
                yield Measured(client, values, begin, end)


def billing() -> str:
    """Terms with everything in them, after a month before with a fee alone.

    A fee needs no usage, so that the month before is whole although the ledger begins in this one.
    """
    month = f"{datetime.now(UTC):%Y-%m}-01"
    return f"""
billing:
  - accounts: [live, vod]
    currency: EUR
    from: 2020-01-01
    charges: [{{name: plan, fee: "499"}}]
  - accounts: [live, vod]
    currency: EUR
    from: {month}
    until: 2100-01-01
    budget: "2500"
    commitment: "1000"
    charges:
      - name: delivery
        measure: media_delivered_bytes_total
        unit: GB
        included: "10"
        tiers: [{{to: "1000", price: "0.02"}}, {{price: "0.01"}}]
      - {{name: plan, fee: "499"}}
"""


def scraping(exporter: Exporter) -> str:
    return f"""
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: media-usage
    static_configs: [{{targets: ["{exporter.address}"]}}]
"""


def chosen(asking: Measured, dashboard: Json) -> dict[str, str]:
    """Each variable with all its values, escaped as Grafana escapes several; later ones narrowed."""
    values: dict[str, str] = {}
    for variable in variables(dashboard):
        if variable["type"] != "query":
            continue
        found = options(asking, variable, values)
        escaped = "|".join(re.escape(one).replace("\\", "\\\\") for one in found)
        values[variable["name"]] = f"({escaped})".replace('"', r"\"")
    return values


def options(asking: Measured, variable: Json, values: Mapping[str, str]) -> list[str]:
    selector, label = label_values(variable)
    found: list[str] = asking.ask(
        f"label/{label}/values",
        {"match[]": replaced(selector, values), "start": asking.begin, "end": asking.end},
    )
    return found


def test_every_query_variable_and_annotation_gives_what_is_shown(measured: Measured):
    """One test, so that however tests are spread over processes there is one Prometheus."""
    faults = [
        f"{name}: {fault}"
        for name, dashboard in DASHBOARDS.items()
        for fault in (
            *query_faults(measured, name, dashboard),
            *annotation_faults(measured, name, dashboard),
            *variable_faults(measured, name, dashboard),
        )
    ]
    faults += recipe_faults(measured)
    assert not faults, "\n".join(faults)
    assert growing(measured) > GROWING


def query_faults(measured: Measured, name: str, dashboard: Json) -> Iterator[str]:
    """Queries without data, and those whose results lack labels that are shown."""
    for panel, target in targets(dashboard):
        where = f"{panel['title']} {target['refId']}"
        found = measured.result(name, target["expr"], instant=bool(target.get("instant")))
        if not found and not {panel["title"], where} & EMPTY.keys():
            yield f"{where}: no data: {shortened(target['expr'], measured.values[name])}"
        shown = legend_labels(target.get("legendFormat", ""))
        for series in found:
            labels = set(series["metric"])
            if panel["type"] == "table" and labels != headed(panel):
                # One more label would be a column without a heading.
                yield f"{where}: columns {headed(panel)}, labels {labels}"
            if not shown <= labels:
                yield f"{where}: legend {shown}, labels {labels}"


def recipe_faults(measured: Measured) -> Iterator[str]:
    """Recipes without an answer, and those whose rows are by other labels than the page says."""
    for recipe in recipes():
        found = measured.query(recipe.query)
        if bool(found) == (recipe.question in EMPTY_RECIPES):
            yield f"{recipe.question} {len(found)} rows: {shortened(recipe.query, {})}"
        for series in found:
            if series["metric"].keys() != recipe.labels:
                yield f"{recipe.question} {set(recipe.labels)}, labels {set(series['metric'])}"


def headed(panel: Json) -> set[str]:
    """The labels among a table's columns."""
    (order,) = (one for one in panel["transformations"] if one["id"] == "organize")
    return {name for name in order["options"]["indexByName"] if not name.startswith("Value")}


def annotation_faults(measured: Measured, name: str, dashboard: Json) -> Iterator[str]:
    """Annotations that do not show the failure or the restart that there was."""
    for annotation in events(dashboard):
        found = measured.result(name, annotation["expr"], instant=False)
        if not found:
            yield f"{annotation['name']}: no data"
        shown = legend_labels(annotation["titleFormat"] + annotation["textFormat"])
        shown |= set(annotation["tagKeys"].split(","))
        for series in found:
            if not shown <= set(series["metric"]):
                yield f"{annotation['name']}: shows {shown}, labels {set(series['metric'])}"


def variable_faults(measured: Measured, name: str, dashboard: Json) -> Iterator[str]:
    """Variables with nothing to choose once everything is chosen for the others."""
    for variable in variables(dashboard):
        if variable["type"] == "query" and not options(measured, variable, measured.values[name]):
            yield f"{variable['name']}: nothing to choose"


def growing(measured: Measured) -> int:
    """How many queries show growth: few, if windows held one sample or variables matched little."""
    return sum(
        any(value > 0 for series in found for value in points(series))
        for name, dashboard in DASHBOARDS.items()
        for _, target in targets(dashboard)
        if "increase(" in target["expr"]
        for found in [measured.result(name, target["expr"], instant=bool(target.get("instant")))]
    )
