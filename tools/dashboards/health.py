"""The panels that more than one dashboard shows: whether the exporter and its feeds are well."""

from __future__ import annotations

from exporter.exposition import own_metrics as t
from tools.dashboards.panels import SECONDS, Panel, Words, number
from tools.dashboards.queries import RANGE, grown, series, target


def exporter_up() -> Panel:
    """Whether the exporter answers."""
    return number(
        Words("Exporter", "Down when Prometheus cannot scrape one of the chosen exporters."),
        f"min({target('up')})",
        texts={"1": ("Up", "green"), "0": ("Down", "red")},
    )


def feeds_failing() -> Panel:
    """How many feeds fail now."""
    return number(
        Words("Feeds failing", "Feeds whose last poll failed."),
        f"sum(1 - {series(t.POLL_SUCCESS)})",
        steps={1: "red"},
    )


def lost() -> Panel:
    """What of the chosen range can never be asked for."""
    return number(
        Words(
            "Data lost",
            "Time in the chosen range whose data the vendor had purged before it could be polled.",
        ),
        grown(t.DATA_LOST, RANGE),
        SECONDS,
        steps={1: "red"},
    )
