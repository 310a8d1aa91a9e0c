"""The dashboards for Grafana's import, beside those that are provisioned."""

import json
from collections.abc import Iterator

import pytest

from tests.grafana.documents import DASHBOARDS, FOLDER_TO_IMPORT, ROOT, TO_IMPORT, Json, panels
from tools.dashboards.importing import MINIMUM_GRAFANA

pytestmark = pytest.mark.sockets

each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def sources(value: object) -> Iterator[Json]:
    """Everything that names a data source, wherever it stands."""
    if isinstance(value, dict):
        if "datasource" in value:
            yield value["datasource"]
        for below in value.values():
            yield from sources(below)
    elif isinstance(value, list):
        for below in value:
            yield from sources(below)


def with_the_variable(panel: Json) -> Json:
    """The panel with the provisioned dashboards' variable in place of the input."""
    text = json.dumps(panel).replace("${DS_PROMETHEUS}", "${datasource}")
    again: Json = json.loads(
        text.replace("?${job:queryparam}", "?${datasource:queryparam}&${job:queryparam}")
    )
    return again


def test_every_dashboard_can_be_imported_and_nothing_else_is_there():
    assert set(TO_IMPORT) == set(DASHBOARDS)
    assert {path.name for path in FOLDER_TO_IMPORT.iterdir()} == {f"{n}.json" for n in DASHBOARDS}


@each_dashboard
def test_both_copies_have_the_same_panels(name: str):
    again = [with_the_variable(panel) for panel in TO_IMPORT[name]["panels"]]
    assert again == DASHBOARDS[name]["panels"]


@each_dashboard
def test_both_copies_differ_in_the_data_source_and_in_who_may_edit_alone(name: str):
    provisioned, imported = DASHBOARDS[name], TO_IMPORT[name]
    assert imported.keys() - provisioned.keys() == {"__inputs", "__requires", "__elements"}
    differing = {key for key in provisioned if provisioned[key] != imported[key]}
    assert differing == {"panels", "templating", "annotations", "editable"}
    names = [one["name"] for one in imported["templating"]["list"]]
    assert ["datasource", *names] == [one["name"] for one in provisioned["templating"]["list"]]


@each_dashboard
def test_every_data_source_is_the_one_that_the_import_asks_for(name: str):
    imported = TO_IMPORT[name]
    (asked,) = imported["__inputs"]
    assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
    found = list(sources({key: imported[key] for key in imported if key != "__inputs"}))
    assert len(found) > len(list(panels(imported)))
    wanted = {"type": asked["pluginId"], "uid": f"${{{asked['name']}}}"}
    assert [one for one in found if one != wanted] == []
    assert "${datasource" not in json.dumps(imported)


@each_dashboard
def test_what_an_import_requires_is_what_the_dashboard_uses(name: str):
    required: dict[str, dict[str, str]] = {}
    for one in TO_IMPORT[name]["__requires"]:
        assert one["name"]
        required.setdefault(one["type"], {})[one["id"]] = one["version"]
    used = {panel["type"] for panel in panels(DASHBOARDS[name])}
    assert required == {
        "grafana": {"grafana": MINIMUM_GRAFANA},
        "datasource": {"prometheus": "1.0.0"},
        "panel": dict.fromkeys(used, ""),
    }


def test_the_readme_names_the_oldest_grafana_that_will_do():
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"Grafana {MINIMUM_GRAFANA.removesuffix('.0')} or newer" in readme
