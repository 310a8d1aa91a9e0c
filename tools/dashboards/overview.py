"""Overview: is everything fine, and how much was used by whom."""

from __future__ import annotations

from exporter.exposition import own_metrics as t
from exporter.model import Measure
from exporter.model import measures as m
from tools.dashboards.frame import Line, Section, dashboard
from tools.dashboards.health import exporter_up, feeds_failing, lost
from tools.dashboards.panels import (
    AGE,
    BYTES,
    HOURS,
    MINUTES,
    RATIO,
    SECONDS,
    WHOLE,
    Column,
    Panel,
    Words,
    bars,
    compared,
    grid,
    lines,
    number,
    places,
    ranking,
)
from tools.dashboards.queries import (
    ACCOUNT,
    DAY,
    HOUR,
    RANGE,
    STREAM,
    WEEK,
    age,
    alerts_firing,
    billed,
    grown,
    named,
    now,
    series,
    top,
)

KEYS = {"provider": "Provider", "account": "Account"}
STREAM_KEYS = {**KEYS, "name": "Name", "stream": "Stream"}
TO_STREAM = {
    "Stream": "/d/media-usage-streams?${datasource:queryparam}&${job:queryparam}"
    "&${instance:queryparam}&var-provider=${__data.fields.Provider}"
    "&var-account=${__data.fields.Account}&var-stream=${__value.raw:percentencode}&${__url_time_range}"
}
TO_EXPORTER = {
    "Account": "/d/media-usage-exporter?${datasource:queryparam}&${job:queryparam}"
    "&${instance:queryparam}&var-provider=${__data.fields.Provider}"
    "&var-account=${__value.raw:percentencode}&${__url_time_range}"
}

ARRIVAL = " Use counts when the vendor publishes it, a quarter of an hour or more afterwards."
COUNTED_WHEN_PUBLISHED = "Each point is the hour before it." + ARRIVAL
TENTHS = 1
IN_LEDGER = (
    ("Received", m.RECEIVED_BYTES, BYTES, None),
    ("Delivered", m.DELIVERED_BYTES, BYTES, None),
    ("Viewing hours", m.VIEWING_SECONDS, HOURS, TENTHS),
    ("Jobs", m.JOBS, WHOLE, None),
)
BY_ARRIVAL = (
    ("Egress", m.EGRESS_BYTES, BYTES, None),
    ("Views", m.VIEWS, WHOLE, None),
    ("Delivered minutes", m.USAGE_DELIVERED_SECONDS, MINUTES, TENTHS),
    ("Transcoded minutes", m.TRANSCODED_SECONDS, MINUTES, TENTHS),
)
NOT_GIVEN = "No feed of the chosen accounts gives this"
OVERDUE = 2.5
"""Cadences after which a feed without success has missed a poll."""


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-overview",
        title="Overview",
        description="Whether everything is fine, and the media usage of every account:"
        " now, today, this month.",
        sections=(
            Section("Status", (_health(), _attention())),
            Section(
                "Usage by account",
                (
                    Line(8, ((24, _table_now()),)),
                    Line(8, ((24, _table_today()),)),
                    Line(8, ((24, _table_month()),)),
                ),
            ),
            Section("Week on week", _weeks()),
            Section(
                "Usage over time",
                (
                    Line(
                        8,
                        (
                            (12, _hourly("Delivered per hour", m.DELIVERED_BYTES, BYTES)),
                            (12, _hourly("Received per hour", m.RECEIVED_BYTES, BYTES)),
                        ),
                    ),
                    Line(
                        8,
                        (
                            (12, _hourly("Viewing hours per hour", m.VIEWING_SECONDS, HOURS)),
                            (12, _hourly("Views per hour", m.VIEWS, WHOLE)),
                        ),
                    ),
                    Line(8, ((24, _daily()),)),
                ),
            ),
            Section("Top streams", (Line(12, ((12, _top_delivered()), (12, _top_watched()))),)),
            Section("Viewers", _viewers()),
            Section("Playback quality", (_quality(),)),
            Section("Egress, transcoding, storage", _rest()),
        ),
    )


def _health() -> Line:
    waiting = f"(time() - {series(t.POLL_LAST_SUCCESS)}) / {series(t.POLL_INTERVAL)}"
    panels = (
        exporter_up(),
        feeds_failing(),
        number(
            Words(
                "Feeds overdue",
                f"Feeds whose last successful poll is more than {OVERDUE:g} poll intervals ago.",
            ),
            f"count({waiting} > {OVERDUE:g}) or vector(0)",
            steps={1: "red"},
        ),
        number(
            Words("Oldest poll", "Of all feeds, the longest time since a successful poll."),
            age(t.POLL_LAST_SUCCESS),
            AGE,
        ),
        number(
            Words("Failed polls, 24 h"), grown(t.POLL_FAILURES, DAY), steps={1: "orange"}
        ).decimals(0),
        number(
            Words("Backlog", "Time missed in an outage that is still to be filled in."),
            now(t.BACKLOG),
            SECONDS,
            steps={1: "orange"},
        ),
        lost(),
        number(Words("Viewers", "Now.", "No feed has viewers"), now(m.VIEWERS)),
    )
    return Line(4, [(3, panel) for panel in panels])


def _attention() -> Line:
    """What someone may have to act on: alerts, quotas, streams, jobs."""

    def quota(title: str, measure: Measure, description: str) -> Panel:
        return number(
            Words(title, description, "No charge has included units"),
            now(measure, ACCOUNT, how="max"),
            RATIO,
            steps={0.8: "orange", 1: "red"},
            legend="{{account}}",
        ).decimals(0)

    return Line(
        4,
        (
            (
                3,
                number(
                    Words(
                        "Alerts firing",
                        "The exporter's own alerts, for the chosen accounts and for the exporter as"
                        " a whole.",
                    ),
                    f"count({alerts_firing()}) or vector(0)",
                    steps={1: "red"},
                ),
            ),
            (
                5,
                quota(
                    "Quota used",
                    m.INCLUDED_USED_RATIO,
                    "Of the month's included units; for each account the charge that has used"
                    " most.",
                ),
            ),
            (
                5,
                quota(
                    "Quota forecast, month end",
                    m.MONTH_FORECAST_INCLUDED_USED_RATIO,
                    "At the pace of the last 7 days; for each account the charge that will have"
                    " used most.",
                ),
            ),
            (
                2,
                number(
                    Words("Live streams", "Now (Millicast).", "Unknown"),
                    now(m.STREAMS_LIVE),
                ),
            ),
            (
                3,
                number(
                    Words("Jobs in progress", "Pending or running now.", "No feed has jobs"),
                    now(m.JOBS_IN_PROGRESS),
                ),
            ),
            (
                3,
                number(
                    Words("Jobs finished, 24 h", nothing="No feed has jobs"),
                    grown(m.JOBS_FINISHED, DAY),
                ).decimals(0),
            ),
            (
                3,
                number(
                    Words("Jobs failed, 24 h", nothing="No feed has jobs"),
                    grown(m.JOBS_FAILED, DAY),
                    steps={1: "orange"},
                ).decimals(0),
            ),
        ),
    )


def _table_now() -> Panel:
    return grid(
        Words(
            "Now",
            "Data age is that of the feed furthest behind. A dash: the vendor does not say.",
        ),
        KEYS,
        (
            Column(
                "Feeds failing",
                f"sum by (provider, account) (1 - {series(t.POLL_SUCCESS)})",
                steps={1: "red"},
            ),
            Column("Data age", age(t.DATA_NEWEST, ACCOUNT), AGE),
            Column("Viewers", now(m.VIEWERS, ACCOUNT)),
            Column("Live streams", now(m.STREAMS_LIVE, ACCOUNT)),
            Column("Jobs in progress", now(m.JOBS_IN_PROGRESS, ACCOUNT)),
            Column("Delivered, 1 h", grown(m.DELIVERED_BYTES, HOUR, ACCOUNT), BYTES),
            Column(
                "Viewing hours, 1 h",
                billed(m.VIEWING_SECONDS, grown(m.VIEWING_SECONDS, HOUR, ACCOUNT)),
                HOURS,
                TENTHS,
            ),
            Column("Jobs, 1 h", grown(m.JOBS, HOUR, ACCOUNT)),
        ),
        sort="Feeds failing",
        links=TO_EXPORTER,
    )


def _table_today() -> Panel:
    return grid(
        Words(
            "Today",
            f"Since midnight UTC, whatever range is chosen above.{ARRIVAL}",
        ),
        KEYS,
        [
            Column(heading, billed(measure, grown(measure, RANGE, ACCOUNT)), unit, decimals)
            for heading, measure, unit, decimals in (*IN_LEDGER, *BY_ARRIVAL)
        ],
        sort="Delivered",
        time_from="now/d",
    )


def _table_month() -> Panel:
    def from_ledger(measure: Measure, **only: str) -> str:
        return f"max by (provider, account) ({series(measure, only=only)})"

    return grid(
        Words(
            "This month",
            "Since the first of the month, UTC. Received, delivered, viewing hours and jobs are by"
            " the time of use, and go back as far as the first column says; the others count when"
            " the vendor publishes them.",
        ),
        KEYS,
        (
            Column("Complete for", age(m.MONTH_TO_DATE_SINCE, ACCOUNT), AGE),
            Column("Received", from_ledger(m.MONTH_TO_DATE_BYTES, direction="received"), BYTES),
            Column("Delivered", from_ledger(m.MONTH_TO_DATE_BYTES, direction="delivered"), BYTES),
            Column(
                "Viewing hours",
                billed(
                    m.MONTH_TO_DATE_VIEWING_SECONDS,
                    from_ledger(m.MONTH_TO_DATE_VIEWING_SECONDS),
                ),
                HOURS,
                TENTHS,
            ),
            Column("Jobs", from_ledger(m.MONTH_TO_DATE_JOBS)),
            *(
                Column(heading, billed(measure, grown(measure, RANGE, ACCOUNT)), unit, decimals)
                for heading, measure, unit, decimals in BY_ARRIVAL
            ),
        ),
        sort="Delivered",
        time_from="now/M",
    )


def _weeks() -> tuple[Line, ...]:
    """The last 7 days against the 7 days before."""
    legends = ("Last 7 days", "7 days before")

    def week(measure: Measure, offset: str = "") -> str:
        return billed(measure, grown(measure, WEEK, ACCOUNT, offset=offset))

    def week_before(measure: Measure) -> str:
        # Of a week that Prometheus has in part, growth would be no comparison.
        return f"{week(measure, WEEK)} and {grown(measure, DAY, ACCOUNT, offset='13d')}"

    def change(measure: Measure) -> str:
        return f"{week(measure)} / ({week_before(measure)} > 0) - 1"

    def by_hour(title: str, measure: Measure, unit: str) -> Panel:
        queries = tuple(
            billed(measure, grown(measure, HOUR, offset=offset)) for offset in ("", WEEK)
        )
        return compared(
            Words(title, COUNTED_WHEN_PUBLISHED, NOT_GIVEN),
            (queries[0], queries[1]),
            legends,
            unit,
            last=WEEK,
        )

    columns = [
        column
        for heading, measure, unit, decimals in (IN_LEDGER[1], IN_LEDGER[2])
        for column in (
            Column(heading, week(measure), unit, decimals),
            Column(f"{heading} before", week_before(measure), unit, decimals),
            Column(f"{heading} change", change(measure), RATIO, TENTHS),
        )
    ]
    table = grid(
        Words(
            "Last 7 days against the 7 days before",
            "Before: the 7 days before, where Prometheus has the whole of them.",
        ),
        KEYS,
        columns,
        sort="Delivered",
    )
    return (
        Line(8, ((24, table),)),
        Line(
            8,
            (
                (12, by_hour("Delivered per hour, this week and last", m.DELIVERED_BYTES, BYTES)),
                (12, by_hour("Viewing hours, this week and last", m.VIEWING_SECONDS, HOURS)),
            ),
        ),
    )


def _hourly(title: str, measure: Measure, unit: str) -> Panel:
    return lines(
        Words(title, COUNTED_WHEN_PUBLISHED, NOT_GIVEN),
        {"{{provider}} {{account}}": billed(measure, grown(measure, HOUR, ACCOUNT))},
        unit,
        stacked=True,
    )


def _daily() -> Panel:
    return bars(
        Words(
            "Delivered per day",
            f"Each bar is the UTC day that ends where it stands.{ARRIVAL}",
            "Needs a whole day of data",
        ),
        {"{{provider}} {{account}}": grown(m.DELIVERED_BYTES, DAY, ACCOUNT)},
        BYTES,
        interval="1d",
        last="30d",
    )


def _top_delivered() -> Panel:
    return grid(
        Words("Top 10 by delivered bytes"),
        STREAM_KEYS,
        [
            Column(
                "Delivered",
                named(top(10, grown(m.STREAM_DELIVERED_BYTES, RANGE, STREAM))),
                BYTES,
            )
        ],
        sort="Delivered",
        links=TO_STREAM,
    )


def _top_watched() -> Panel:
    return grid(
        Words("Top 10 by viewing hours"),
        STREAM_KEYS,
        [
            Column(
                "Viewing hours",
                named(
                    top(
                        10,
                        billed(
                            m.STREAM_VIEWING_SECONDS,
                            grown(m.STREAM_VIEWING_SECONDS, RANGE, STREAM),
                        ),
                    )
                ),
                HOURS,
                TENTHS,
            )
        ],
        sort="Viewing hours",
        links=TO_STREAM,
    )


def _viewers() -> tuple[Line, ...]:
    over_time = lines(
        Words("Viewers by account", nothing="No feed has viewers"),
        {"{{provider}} {{account}}": now(m.VIEWERS, ACCOUNT)},
        stacked=True,
    )
    streams = ranking(
        Words("Top 10 streams by viewers now", nothing="No feed has viewers"),
        named(top(10, now(m.STREAM_VIEWERS, STREAM))),
        "{{account}}: {{name}}",
    )
    watched_hours = billed(
        m.COUNTRY_VIEWING_SECONDS, grown(m.COUNTRY_VIEWING_SECONDS, RANGE, ("country",))
    )
    watched = ranking(
        Words(
            "Viewing hours by country",
            "Top 10 in the chosen range (Millicast, Livepeer).",
            "No feed has countries",
        ),
        top(10, watched_hours),
        "{{country}}",
        HOURS,
    ).decimals(TENTHS)
    countries, devices, renditions = (
        ranking(
            Words(f"Viewers by {label}", "Top 10 now.", f"No feed has viewers by {label}"),
            top(10, now(measure, (label,))),
            f"{{{{{label}}}}}",
        )
        for label, measure in (
            ("country", m.COUNTRY_VIEWERS),
            ("device", m.DEVICE_VIEWERS),
            ("rendition", m.RENDITION_VIEWERS),
        )
    )
    maps = (
        places(
            Words(
                "Viewing hours, map",
                "In the chosen range (Millicast, Livepeer). What has no country, or one that the"
                " map does not know, is left out.",
                "No feed has countries",
            ),
            watched_hours,
            HOURS,
        ),
        places(
            Words(
                "Viewers now, map",
                "What has no country, or one that the map does not know, is left out.",
                "No feed has countries",
            ),
            now(m.COUNTRY_VIEWERS, ("country",)),
        ),
    )
    return (
        Line(9, ((12, over_time), (12, streams))),
        Line(9, ((6, watched), (6, countries), (6, devices), (6, renditions))),
        Line(11, [(12, panel) for panel in maps]),
    )


def _quality() -> Line:
    account = "{{provider}} {{account}}"
    absent = "Needs Livepeer's viewership and realtime"
    return Line(
        8,
        (
            (
                8,
                lines(
                    Words("Time to first frame", "Mean over the newest complete hour.", absent),
                    {account: now(m.TIME_TO_FIRST_FRAME, ACCOUNT, how="max")},
                    SECONDS,
                ),
            ),
            (
                8,
                lines(
                    Words(
                        "Rebuffering and errors",
                        "Share of playing time spent rebuffering, and of sessions with an error:"
                        " over the newest complete hour, and of the sessions active now.",
                        absent,
                    ),
                    {
                        f"Rebuffering, {account}": now(m.REBUFFER_RATIO, ACCOUNT, how="max"),
                        f"Errors, {account}": now(m.PLAYBACK_ERROR_RATIO, ACCOUNT, how="max"),
                        f"Errors now, {account}": now(
                            m.REALTIME_PLAYBACK_ERROR_RATIO, ACCOUNT, how="max"
                        ),
                    },
                    RATIO,
                ),
            ),
            (
                8,
                lines(
                    Words(
                        "Exits before start per hour",
                        "Viewers who left before the first frame.",
                        absent,
                    ),
                    {account: grown(m.EXITS_BEFORE_START, HOUR, ACCOUNT)},
                ),
            ),
        ),
    )


def _rest() -> tuple[Line, ...]:
    account = "{{provider}} {{account}}"
    egress = lines(
        Words(
            "Egress per hour",
            "Bytes pulled from storage or sent out by transcoders (Wowza).",
            "Needs Wowza's vod_streams or transcoders",
        ),
        {"{{account}} {{kind}}": grown(m.EGRESS_BYTES, HOUR, (*ACCOUNT, "kind"))},
        BYTES,
        stacked=True,
    )
    parts = lines(
        Words(
            "Delivered per hour, by component",
            "Standard streaming, restreaming and geographic cascading (Millicast).",
            "Needs Millicast's account",
        ),
        {
            "{{account}} {{component}}": grown(
                m.COMPONENT_DELIVERED_BYTES, HOUR, (*ACCOUNT, "component")
            )
        },
        BYTES,
        stacked=True,
    )
    seconds = lines(
        Words(
            "Transcoding, restream, egress minutes per hour",
            nothing=NOT_GIVEN,
        ),
        {
            f"{what}, {account}": billed(measure, grown(measure, HOUR, ACCOUNT))
            for what, measure in (
                ("Transcoded", m.TRANSCODED_SECONDS),
                ("Restreamed", m.RESTREAM_SECONDS),
                ("Egress", m.EGRESS_SECONDS),
            )
        },
        MINUTES,
    )
    stored = lines(
        Words(
            "Storage",
            "By kind of object (Millicast).",
            "Needs Millicast's storage",
        ),
        {"{{account}} {{object}}": now(m.STORED_BYTES, (*ACCOUNT, "object"))},
        BYTES,
        stacked=True,
    )
    stored_time = lines(
        Words(
            "Stored minutes",
            "Media in storage, an average (Livepeer).",
            "Needs Livepeer's usage",
        ),
        {account: billed(m.STORED_SECONDS, now(m.STORED_SECONDS, ACCOUNT))},
        MINUTES,
    )
    return (
        Line(8, ((12, egress), (12, parts))),
        Line(8, ((8, seconds), (8, stored), (8, stored_time))),
    )
