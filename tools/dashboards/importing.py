"""Dashboards for *Import* in Grafana's menu, which asks for the data source.

Provisioning fills in no `__inputs`, and an import offers no choice without them; so each dashboard
has a second file, with the same panels.
"""

from __future__ import annotations

import json
from typing import Any

MINIMUM_GRAFANA = "10.0.0"
"""The oldest Grafana whose panels and queries are all that the dashboards use."""

INPUT = "DS_PROMETHEUS"
VARIABLE = "datasource"

_PANELS = {
    "bargauge": "Bar gauge",
    "geomap": "Geomap",
    "heatmap": "Heatmap",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "timeseries": "Time series",
}
"""Grafana's names of the panels in use, by type."""


def importable(text: str) -> str:
    """The dashboard `text` with its data source as an input in place of a variable.

    It can be edited, as nothing will overwrite it. KeyError for a type of panel without a name.
    """
    # Links between the dashboards hand the variable on.
    without = text.replace(f"${{{VARIABLE}:queryparam}}&", "")
    dashboard: dict[str, Any] = json.loads(without.replace(f"${{{VARIABLE}}}", f"${{{INPUT}}}"))
    listed = dashboard["templating"]["list"]
    dashboard["templating"]["list"] = [one for one in listed if one["name"] != VARIABLE]
    types = {panel["type"] for panel in dashboard["panels"]} - {"row"}
    asked = {
        "name": INPUT,
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the exporter.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }
    dashboard |= {
        "editable": True,
        "__inputs": [asked],
        "__elements": {},
        "__requires": [
            _needed("grafana", "grafana", "Grafana", MINIMUM_GRAFANA),
            _needed("datasource", "prometheus", "Prometheus", "1.0.0"),
            *(_needed("panel", kind, _PANELS[kind], "") for kind in sorted(types)),
        ],
    }
    return json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _needed(kind: str, id_: str, name: str, version: str) -> dict[str, str]:
    return {"type": kind, "id": id_, "name": name, "version": version}
