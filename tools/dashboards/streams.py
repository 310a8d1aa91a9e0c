"""Streams: one stream, or a few side by side."""

from __future__ import annotations

from exporter.model import Measure
from exporter.model import measures as m
from tools.dashboards.frame import Line, Section, dashboard, variable
from tools.dashboards.panels import (
    BYTES,
    COUNT,
    HOURS,
    MINUTES,
    Column,
    Panel,
    Words,
    grid,
    lines,
    number,
    ranking,
)
from tools.dashboards.queries import HOUR, RANGE, STREAM, billed, grown, matchers, now, series, top

CHOSEN = "stream"
LEGEND = "{{account}}: {{stream}}"
KEYS = {
    "provider": "Provider",
    "account": "Account",
    "kind": "Kind",
    "stream": "Stream",
    "name": "Name",
    "archived": "Archived",
}


def text() -> str:
    """The dashboard's JSON."""
    known = f'{{__name__=~"media_stream_.+", {matchers(())}}}'
    return dashboard(
        uid="media-usage-streams",
        title="Streams",
        description="One stream, or a few side by side: bytes, viewers, countries.",
        more_variables=[
            variable(
                "stream",
                "Stream",
                f"label_values({known}, stream)",
                "The stream as the vendor calls it: a name (Millicast), an id (Wowza), a playback"
                " id (Livepeer). __other__ holds those beyond the exporter's limit.",
                all_at_first=False,
            )
        ],
        sections=(
            Section("Totals", (_totals(), Line(6, ((24, _names()),)))),
            Section("Over time", _over_time()),
            Section("Countries and renditions", _places()),
            Section("Lifetime", (Line(7, ((24, _lifetime()),)),)),
        ),
    )


def _totals() -> Line:
    totals = (
        ("Received", m.STREAM_RECEIVED_BYTES, BYTES),
        ("Delivered", m.STREAM_DELIVERED_BYTES, BYTES),
        ("Egress", m.STREAM_EGRESS_BYTES, BYTES),
        ("Viewing hours", m.STREAM_VIEWING_SECONDS, HOURS),
        ("Views", m.STREAM_VIEWS, COUNT),
    )
    return Line(
        4,
        (
            (
                4,
                number(
                    Words(
                        "Viewers now",
                        "Wowza's and Livepeer's are unique viewers: one who watches two of the"
                        " chosen streams counts twice.",
                        "Not live, or not known",
                    ),
                    now(m.STREAM_VIEWERS, (), CHOSEN),
                ),
            ),
            *(
                (
                    4,
                    number(
                        Words(title, "In the chosen range.", "Not known of this stream"),
                        billed(measure, grown(measure, RANGE, (), CHOSEN)),
                        unit,
                    ).decimals(1),
                )
                for title, measure, unit in totals
            ),
        ),
    )


def _names() -> Panel:
    return grid(
        Words(
            "Name and kind",
            "Archived: deleted, but still billed. Only Wowza tells names apart from streams; for"
            " others the table is empty.",
        ),
        KEYS,
        [Column("Exporters", now(m.STREAM_INFO, tuple(KEYS), CHOSEN, how="count"))],
        sort="Exporters",
    )


def _over_time() -> tuple[Line, ...]:
    viewers = lines(
        Words("Viewers", nothing="Not live, or not known"),
        {LEGEND: now(m.STREAM_VIEWERS, STREAM, CHOSEN)},
    )
    return (
        Line(
            8,
            (
                (12, _hourly("Delivered per hour", m.STREAM_DELIVERED_BYTES, BYTES)),
                (12, _hourly("Received per hour", m.STREAM_RECEIVED_BYTES, BYTES)),
            ),
        ),
        Line(
            8,
            (
                (12, viewers),
                (12, _hourly("Viewing hours per hour", m.STREAM_VIEWING_SECONDS, HOURS)),
            ),
        ),
        Line(
            8,
            (
                (8, _hourly("Views per hour", m.STREAM_VIEWS, COUNT)),
                (8, _hourly("Egress per hour", m.STREAM_EGRESS_BYTES, BYTES)),
                (8, _hourly("Egress minutes per hour", m.STREAM_EGRESS_SECONDS, MINUTES)),
            ),
        ),
    )


def _hourly(title: str, measure: Measure, unit: str) -> Panel:
    return lines(
        Words(title, nothing="Not known of this stream"),
        {LEGEND: billed(measure, grown(measure, HOUR, STREAM, CHOSEN))},
        unit,
    )


def _places() -> tuple[Line, ...]:
    absent = "Needs Millicast's stream_countries"
    ranges = [
        ranking(
            Words(f"{what} by country", "Top 10 in the chosen range.", absent),
            top(10, billed(measure, grown(measure, RANGE, ("country",), CHOSEN))),
            "{{country}}",
            unit,
        )
        for what, measure, unit in (
            ("Delivered", m.STREAM_COUNTRY_DELIVERED_BYTES, BYTES),
            ("Viewing hours", m.STREAM_COUNTRY_VIEWING_SECONDS, HOURS),
            ("Views", m.STREAM_COUNTRY_VIEWS, COUNT),
            ("Received", m.STREAM_COUNTRY_RECEIVED_BYTES, BYTES),
            ("Publishes", m.STREAM_COUNTRY_PUBLISHES, COUNT),
        )
    ]
    levels = [
        ranking(
            Words(
                f"Viewers by {label}",
                "Top 10 now.",
                "Needs Wowza's stream_viewers",
            ),
            top(10, now(measure, (label,), CHOSEN)),
            f"{{{{{label}}}}}",
        )
        for label, measure in (
            ("country", m.STREAM_COUNTRY_VIEWERS),
            ("rendition", m.STREAM_RENDITION_VIEWERS),
        )
    ]
    return (
        Line(8, [(8, panel) for panel in ranges[:3]]),
        Line(8, ((6, ranges[3]), (6, ranges[4]), (6, levels[0]), (6, levels[1]))),
    )


def _lifetime() -> Panel:
    labels = ", ".join(STREAM)
    return grid(
        Words(
            "Lifetime totals",
            "As the vendor counts them (Livepeer's public_totals).",
        ),
        {"provider": "Provider", "account": "Account", "stream": "Stream"},
        (
            Column("Views", f"max by ({labels}) ({series(m.LIFETIME_VIEWS, CHOSEN)})"),
            Column(
                "Viewing hours",
                billed(
                    m.LIFETIME_VIEWING_SECONDS,
                    f"max by ({labels}) ({series(m.LIFETIME_VIEWING_SECONDS, CHOSEN)})",
                ),
                HOURS,
                1,
            ),
        ),
        sort="Views",
    )
