import json
import re
from collections.abc import Iterator

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

import tools.dashboards  # noqa: F401  # silences what the package warns of when it is imported
from exporter.exposition.own_metrics import OWN_METRICS
from exporter.model.measures import BY_NAME, CATALOGUE
from tests.grafana.documents import (
    DASHBOARDS,
    FOLDER,
    ROOT,
    Json,
    events,
    expressions,
    panels,
    selectors,
    targets,
    variables,
)
from tools.dashboards.generated import FILES

pytestmark = pytest.mark.sockets

COLUMNS = 24
OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
OF_THE_PROCESS = {
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}
ALERTS = "ALERTS"
"""Prometheus' own series of alerts; one of them may lack each of the labels."""

OWN = {metric.name: metric for metric in OWN_METRICS}
SHARED_LABELS = {"job", "instance", "__name__"}

# What no dashboard shows, and why.
UNSEEN = {
    "media_account_delivered_bytes_total": "the sum over kinds is shown",
    "media_account_viewing_seconds_total": "the sum over kinds is shown",
    "media_account_egress_bytes_total": "the sum over kinds is shown",
    "media_account_egress_seconds_total": "the sum over kinds is shown",
    "media_charge_info": "for rules that compare a charge with a counter",
    "media_month_to_date_complete": "the time since when it is complete is shown",
    "media_previous_month_bytes": "to be compared with an invoice",
    "media_previous_month_viewing_seconds": "to be compared with an invoice",
    "media_previous_month_jobs": "to be compared with an invoice",
    "media_country_received_bytes_total": "the stream's countries are shown",
    "media_country_delivered_bytes_total": "countries are compared by time watched",
    "media_country_views_total": "countries are compared by time watched",
    "media_country_publishes_total": "the stream's countries are shown",
    "media_stream_component_delivered_bytes_total": "only with stream_components",
    "media_stream_restream_seconds_total": "only with stream_components",
    "media_creator_views_total": "the same views are shown by playback id",
    "media_creator_viewing_seconds_total": "the same time is shown by playback id",
    "media_browser_views_total": "only with browsers",
    "media_browser_viewing_seconds_total": "only with browsers",
}

each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def labels_of(metric: str) -> tuple[str, ...]:
    """The labels of a metric of the catalogue; KeyError when there is none of the name."""
    bare = metric
    for part in ("_bucket", "_sum", "_count"):
        found = BY_NAME.get(metric.removesuffix(part)) or OWN.get(metric.removesuffix(part))
        if found is not None and found.type == "histogram":
            bare = metric.removesuffix(part)
            break
    if bare in BY_NAME:
        return ("provider", "account", *BY_NAME[bare].labels)
    return OWN[bare].labels


def named_metrics(dashboard: Json) -> Iterator[tuple[str, set[str]]]:
    """Each metric that is asked for, and the labels that its selectors match."""
    for _, expression in expressions(dashboard):
        for selector, _ in selectors(expression):
            if selector.name is not None:
                yield selector.name, {one.name for one in selector.matchers.matchers}


def test_every_dashboard_is_generated_and_nothing_else_is_there():
    assert {f"grafana/dashboards/{name}.json" for name in DASHBOARDS} == set(FILES)
    assert {path.name for path in FOLDER.iterdir()} == {".lint", *(f"{n}.json" for n in DASHBOARDS)}


@each_dashboard
def test_it_is_what_the_schema_of_the_sdk_knows(name: str):
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(DASHBOARDS[name]), cls=JSONEncoder))
    assert {"id": None, **again} == DASHBOARDS[name]


@each_dashboard
def test_panels_neither_overlap_nor_leave_holes(name: str):
    cells: dict[tuple[int, int], str] = {}
    for panel in DASHBOARDS[name]["panels"]:
        box = panel["gridPos"]
        for x in range(box.get("x", 0), box.get("x", 0) + box["w"]):
            for y in range(box.get("y", 0), box.get("y", 0) + box["h"]):
                assert (x, y) not in cells, f"{panel['title']} lies on {cells[x, y]}"
                cells[x, y] = panel["title"]
    height = max(y for _, y in cells) + 1
    assert set(cells) == {(x, y) for x in range(COLUMNS) for y in range(height)}


@each_dashboard
def test_ids_and_titles_are_unique(name: str):
    dashboard = DASHBOARDS[name]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(panel["type"] != "row" or not panel["panels"] for panel in dashboard["panels"])
    for panel in panels(dashboard):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]


def test_uids_are_the_ones_that_links_and_bookmarks_hold():
    assert {name: dashboard["uid"] for name, dashboard in DASHBOARDS.items()} == {
        "overview": "media-usage-overview",
        "streams": "media-usage-streams",
        "jobs": "media-usage-jobs",
        "billing": "media-usage-billing",
        "exporter": "media-usage-exporter",
    }


@each_dashboard
def test_it_stands_in_utc_and_leads_to_the_others(name: str):
    dashboard = DASHBOARDS[name]
    assert dashboard["id"] is None
    assert dashboard["timezone"] == "utc"
    assert dashboard["tags"] == ["media-usage-exporter"]
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"]) == ("dashboards", dashboard["tags"])
    assert link["keepTime"]
    assert link["includeVars"]


@each_dashboard
def test_every_link_leads_to_a_dashboard_and_its_variables(name: str):
    by_uid = {dashboard["uid"]: dashboard for dashboard in DASHBOARDS.values()}
    for panel in panels(DASHBOARDS[name]):
        for override in panel["fieldConfig"].get("overrides") or []:
            for one in override["properties"]:
                for link in one["value"] if one["id"] == "links" else ():
                    path, _, query = link["url"].removeprefix("/d/").partition("?")
                    known = {variable["name"] for variable in variables(by_uid[path])}
                    given = [part for part in query.split("&") if part.startswith("var-")]
                    assert given
                    assert {part.split("=")[0].removeprefix("var-") for part in given} <= known


@each_dashboard
def test_variables_narrow_by_account_and_annotations_tell_failures_and_restarts(name: str):
    dashboard = DASHBOARDS[name]
    names = [variable["name"] for variable in variables(dashboard)]
    assert names[:5] == ["datasource", "job", "instance", "provider", "account"]
    assert {one["name"] for one in events(dashboard)} == {"Poll failures", "Restarts"}
    for one in events(dashboard):
        assert one["datasource"]["uid"] == "${datasource}"


@each_dashboard
def test_every_panel_has_a_title_and_what_it_says_more_is_its_own(name: str):
    helps = [*(one.help for one in CATALOGUE), *(one.help for one in OWN_METRICS)]
    for panel in panels(DASHBOARDS[name]):
        assert panel["title"]
        description = panel.get("description", "none")
        assert description
        assert not [text for text in helps if text in description]


def test_a_quantile_beyond_a_histograms_buckets_says_so():
    shown: dict[str, set[str]] = {}
    for dashboard in DASHBOARDS.values():
        for panel, target in targets(dashboard):
            if "histogram_quantile" not in target["expr"]:
                continue
            (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
            ((bound, text),) = mapping["options"].items()
            for selector, _ in selectors(target["expr"]):
                name = selector.name.removesuffix("_bucket")
                assert float(bound) == (BY_NAME.get(name) or OWN[name]).buckets[-1]
                shown.setdefault(text["text"], set()).add(name)
    assert shown == {
        "> 3 h": {"media_job_queue_seconds", "media_job_processing_seconds"},
        "> 30 s": {"media_exporter_request_duration_seconds"},
        "> 15 min": {"media_exporter_poll_duration_seconds"},
    }


BILLED = {"viewing": ("/ 3600", "hours"), "delivered": ("/ 60", "minutes")}
BILLED |= dict.fromkeys(("transcoded", "restream", "egress", "stored"), ("/ 60", "minutes"))


def test_time_that_is_billed_is_in_the_unit_of_the_bill():
    seen: set[str] = set()
    for dashboard in DASHBOARDS.values():
        for panel, target in targets(dashboard):
            for selector, _ in selectors(target["expr"]):
                found = re.search(rf"({'|'.join(BILLED)})_seconds", selector.name or "")
                if not found:
                    continue
                seen.add(found[1])
                divided, unit = BILLED[found[1]]
                assert divided in target["expr"], panel["title"]
                assert unit in json.dumps(panel).lower(), panel["title"]
                assert panel["fieldConfig"]["defaults"]["unit"] in ("locale", "short")
    assert seen == set(BILLED)


@each_dashboard
def test_every_panel_says_why_it_is_empty(name: str):
    for panel in panels(DASHBOARDS[name]):
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@each_dashboard
def test_what_goes_over_time_has_points_as_close_as_data_comes(name: str):
    for panel, target in targets(DASHBOARDS[name]):
        if target.get("range"):
            assert panel["interval"] in ("5m", "1h", "1d"), panel["title"]
        else:
            assert target["instant"], panel["title"]


@each_dashboard
def test_everything_asked_for_is_in_the_catalogue(name: str):
    for metric, matched in named_metrics(DASHBOARDS[name]):
        if metric in OF_PROMETHEUS | OF_THE_PROCESS:
            assert matched == {"job", "instance"}
            continue
        if metric == ALERTS:
            assert matched > {"job", "instance", "provider", "account"}
            continue
        assert matched - SHARED_LABELS <= set(labels_of(metric)), metric


@each_dashboard
def test_whatever_has_an_account_is_narrowed_to_the_chosen_ones(name: str):
    for metric, matched in named_metrics(DASHBOARDS[name]):
        if metric in OF_PROMETHEUS | OF_THE_PROCESS | {ALERTS}:
            continue
        if "account" in labels_of(metric):
            if metric == "media_exporter_poll_interval_seconds":
                continue  # the variables themselves are read from it
            assert {"provider", "account"} <= matched, metric


def test_every_metric_can_be_seen_or_there_is_a_reason():
    seen = {
        metric.removesuffix(part)
        for dashboard in DASHBOARDS.values()
        for metric, _ in named_metrics(dashboard)
        for part in ("", "_bucket", "_sum", "_count")
    }
    assert {*BY_NAME, *OWN} - seen == set(UNSEEN)


def test_maps_find_their_places_by_the_codes_in_the_label_country():
    maps = [one for one in panels(DASHBOARDS["overview"]) if one["type"] == "geomap"]
    assert len(maps) == 2
    for panel in maps:
        (target,) = panel["targets"]
        assert "sum by (country) (" in target["expr"]
        assert target["format"] == "table"
        (layer,) = panel["options"]["layers"]
        assert layer["location"] == {
            "mode": "lookup",
            "lookup": "country",
            "gazetteer": "public/gazetteer/countries.json",
        }
        assert layer["config"]["style"]["size"]["field"] == "Value"


def test_no_recording_rule_is_needed():
    for dashboard in DASHBOARDS.values():
        assert not [metric for metric, _ in named_metrics(dashboard) if ":" in metric]


def test_provisioning_finds_source_and_dashboards():
    folder = ROOT / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["access"]) == ("prometheus", "proxy")
    (provider,) = yaml.safe_load((folder / "dashboards/media-usage.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert "foldersFromFilesStructure" not in provider["options"]
