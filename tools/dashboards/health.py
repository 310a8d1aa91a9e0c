"""The panels that more than one dashboard shows: whether the exporter and its feeds are well."""

from __future__ import annotations

from exporter.exposition import own_metrics as t
from tools.dashboards.panels import SECONDS, Panel, Words, number
from tools.dashboards.queries import RANGE, grown, series, target


def exporter_up() -> Panel:
    """Whether the exporter answers."""
    return number(
        Words("Exporter", "Whether Prometheus could scrape every chosen exporter."),
        f"min({target('up')})",
        texts={"1": ("Up", "green"), "0": ("Down", "red")},
    )


def feeds_failing() -> Panel:
    """How many feeds fail now."""
    return number(
        Words("Feeds failing", "Feeds whose newest poll failed."),
        f"sum(1 - {series(t.POLL_SUCCESS)})",
        steps={1: "red"},
    )


def lost() -> Panel:
    """What of the chosen range can never be asked for."""
    return number(
        Words(
            "Lost",
            "Time in the chosen range for which the vendor had purged its data before it could be"
            " asked for.",
        ),
        grown(t.DATA_LOST, RANGE),
        SECONDS,
        steps={1: "red"},
    )
