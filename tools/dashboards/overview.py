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
    RATIO,
    SECONDS,
    WHOLE,
    Column,
    Panel,
    Words,
    bars,
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
    age,
    alerts_firing,
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

ARRIVAL = (
    " It counts when the vendor's numbers arrived, a quarter of an hour or more after the use"
    " itself; what the vendor adds later to an hour that is over counts when it is added."
)
IN_LEDGER = (
    ("Received", m.RECEIVED_BYTES, BYTES),
    ("Delivered", m.DELIVERED_BYTES, BYTES),
    ("Watched", m.VIEWING_SECONDS, SECONDS),
    ("Jobs", m.JOBS, WHOLE),
)
BY_ARRIVAL = (
    ("Egress", m.EGRESS_BYTES, BYTES),
    ("Views", m.VIEWS, WHOLE),
    ("Delivered time", m.USAGE_DELIVERED_SECONDS, SECONDS),
    ("Transcoded", m.TRANSCODED_SECONDS, SECONDS),
)


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-overview",
        title="Overview",
        description="Whether everything is fine, and the media usage of every account:"
        " now, today, this month.",
        sections=(
            Section("Is everything fine?", (_health(), _attention())),
            Section(
                "Usage by account",
                (
                    Line(8, ((24, _table_now()),)),
                    Line(8, ((24, _table_today()),)),
                    Line(8, ((24, _table_month()),)),
                ),
            ),
            Section(
                "Usage over time",
                (
                    Line(
                        8,
                        (
                            (12, _hourly("Delivered", m.DELIVERED_BYTES, BYTES)),
                            (12, _hourly("Received", m.RECEIVED_BYTES, BYTES)),
                        ),
                    ),
                    Line(
                        8,
                        (
                            (12, _hourly("Watched", m.VIEWING_SECONDS, SECONDS)),
                            (12, _hourly("Views", m.VIEWS, WHOLE)),
                        ),
                    ),
                    Line(8, ((24, _daily()),)),
                ),
            ),
            Section("Top streams", (Line(12, ((12, _top_delivered()), (12, _top_watched()))),)),
            Section("Viewers", _viewers()),
            Section("Quality of experience", (_quality(),)),
            Section("Egress, transcoding and storage", _rest()),
        ),
    )


def _health() -> Line:
    waiting = f"(time() - {series(t.POLL_LAST_SUCCESS)}) / {series(t.POLL_INTERVAL)}"
    panels = (
        exporter_up(),
        feeds_failing(),
        number(
            Words(
                "Cadences waited",
                "Cadences since the last success of the feed that waited longest. Up to 1 is"
                " as it should be, above 2 a poll was missed.",
            ),
            f"max({waiting})",
            steps={2.5: "orange", 4.5: "red"},
        ).decimals(1),
        number(
            Words("Polls failed in a day", "Polls that failed in the last 24 hours."),
            grown(t.POLL_FAILURES, DAY),
            steps={1: "orange"},
        ).decimals(0),
        number(
            Words("Backlog", "Time left out by an outage that is still to be filled in."),
            now(t.BACKLOG),
            SECONDS,
            steps={1: "orange"},
        ),
        lost(),
        number(
            Words(
                "Streams live",
                "Streams that are live now (Millicast).",
                "No feed tells what is live",
            ),
            now(m.STREAMS_LIVE),
        ),
        number(
            Words("Viewers", "Viewers now, all accounts together.", "No feed tells who watches"),
            now(m.VIEWERS),
        ),
    )
    return Line(4, [(3, panel) for panel in panels])


def _attention() -> Line:
    """What someone may have to act on: alerts, quotas, jobs."""

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
                        "Alerts of these rules that fire now, for the chosen accounts and for the"
                        " exporter as a whole.",
                    ),
                    f"count({alerts_firing()}) or vector(0)",
                    steps={1: "red"},
                ),
            ),
            (
                6,
                quota(
                    "Quota used",
                    m.INCLUDED_USED_RATIO,
                    "The part of the month's included units that is used, for each account of the"
                    " charge that has used most.",
                ),
            ),
            (
                6,
                quota(
                    "Quota used at the month's end",
                    m.MONTH_FORECAST_INCLUDED_USED_RATIO,
                    "The same at the month's end, at the pace of the last 7 days, for each account"
                    " of the charge that will have used most.",
                ),
            ),
            (
                3,
                number(
                    Words("Jobs", "Jobs pending or running now.", "No feed lists jobs"),
                    now(m.JOBS_IN_PROGRESS),
                ),
            ),
            (
                3,
                number(
                    Words(
                        "Jobs in a day",
                        "Jobs that came to an end in the last 24 hours.",
                        "No feed lists jobs",
                    ),
                    grown(m.JOBS_FINISHED, DAY),
                ).decimals(0),
            ),
            (
                3,
                number(
                    Words(
                        "Jobs failed in a day",
                        "Jobs that failed in the last 24 hours.",
                        "No feed counts jobs",
                    ),
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
            "How each account stands: failing feeds, the age of the data that is furthest behind,"
            " viewers, live streams and jobs at this moment, and what the last hour brought."
            " A dash: the vendor does not say.",
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
            Column("Streams live", now(m.STREAMS_LIVE, ACCOUNT)),
            Column("Jobs in progress", now(m.JOBS_IN_PROGRESS, ACCOUNT)),
            Column("Delivered, last hour", grown(m.DELIVERED_BYTES, HOUR, ACCOUNT), BYTES),
            Column("Watched, last hour", grown(m.VIEWING_SECONDS, HOUR, ACCOUNT), SECONDS),
            Column("Jobs, last hour", grown(m.JOBS, HOUR, ACCOUNT)),
        ),
        sort="Feeds failing",
        links=TO_EXPORTER,
    )


def _table_today() -> Panel:
    return grid(
        Words(
            "Today",
            f"What each account used since midnight UTC, whatever range is chosen above.{ARRIVAL}",
        ),
        KEYS,
        [
            Column(heading, grown(measure, RANGE, ACCOUNT), unit)
            for heading, measure, unit in (*IN_LEDGER, *BY_ARRIVAL)
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
            "What each account used since the first of the month, UTC. Received, delivered, watched"
            " and jobs are the ledger's, by the time of use, for as long as the first column says;"
            f" the others are by arrival.{ARRIVAL}",
        ),
        KEYS,
        (
            Column("Complete for", age(m.MONTH_TO_DATE_SINCE, ACCOUNT), AGE),
            Column("Received", from_ledger(m.MONTH_TO_DATE_BYTES, direction="received"), BYTES),
            Column("Delivered", from_ledger(m.MONTH_TO_DATE_BYTES, direction="delivered"), BYTES),
            Column("Watched", from_ledger(m.MONTH_TO_DATE_VIEWING_SECONDS), SECONDS),
            Column("Jobs", from_ledger(m.MONTH_TO_DATE_JOBS)),
            *(
                Column(heading, grown(measure, RANGE, ACCOUNT), unit)
                for heading, measure, unit in BY_ARRIVAL
            ),
        ),
        sort="Delivered",
        time_from="now/M",
    )


def _hourly(what: str, measure: Measure, unit: str) -> Panel:
    return lines(
        Words(
            f"{what} per hour",
            f"At each point the hour before it.{ARRIVAL} {measure.help}",
            "No feed of the chosen accounts gives this",
        ),
        {"{{provider}} {{account}}": grown(measure, HOUR, ACCOUNT)},
        unit,
        stacked=True,
    )


def _daily() -> Panel:
    return bars(
        Words(
            "Delivered per day",
            f"The last 30 days; each bar is the UTC day that ends where it stands.{ARRIVAL}",
            "Needs a whole day of data",
        ),
        {"{{provider}} {{account}}": grown(m.DELIVERED_BYTES, DAY, ACCOUNT)},
        BYTES,
        interval="1d",
        last="30d",
    )


def _top_delivered() -> Panel:
    return grid(
        Words("Most delivered", "The ten streams that delivered most in the chosen range."),
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
        Words("Most watched", "The ten streams that were watched longest in the chosen range."),
        STREAM_KEYS,
        [
            Column(
                "Watched",
                named(top(10, grown(m.STREAM_VIEWING_SECONDS, RANGE, STREAM))),
                SECONDS,
            )
        ],
        sort="Watched",
        links=TO_STREAM,
    )


def _viewers() -> tuple[Line, ...]:
    over_time = lines(
        Words("Viewers", "Viewers now, by account.", "No feed tells who watches"),
        {"{{provider}} {{account}}": now(m.VIEWERS, ACCOUNT)},
        stacked=True,
    )
    streams = ranking(
        Words(
            "Most viewers now",
            "The ten streams with most viewers at this moment.",
            "No feed tells who watches",
        ),
        named(top(10, now(m.STREAM_VIEWERS, STREAM))),
        "{{account}}: {{name}}",
    )
    watched = ranking(
        Words(
            "Watched by country",
            "The ten countries where most was watched in the chosen range (Millicast, Livepeer).",
            "No feed tells countries",
        ),
        top(10, grown(m.COUNTRY_VIEWING_SECONDS, RANGE, ("country",))),
        "{{country}}",
        SECONDS,
    )
    countries, devices, renditions = (
        ranking(
            Words(f"Viewers by {label}", description, f"No feed tells a {label}"),
            top(10, now(measure, (label,))),
            f"{{{{{label}}}}}",
        )
        for label, measure, description in (
            (
                "country",
                m.COUNTRY_VIEWERS,
                "Viewers now in the ten countries with most.",
            ),
            ("device", m.DEVICE_VIEWERS, "Viewers now on the ten most used sorts of device."),
            ("rendition", m.RENDITION_VIEWERS, "Viewers now of the ten most watched renditions."),
        )
    )
    maps = (
        places(
            Words(
                "Where it was watched",
                "Time watched in each country in the chosen range (Millicast, Livepeer). What has"
                " no country, or one that the map does not know, is left out.",
                "No feed tells countries",
            ),
            grown(m.COUNTRY_VIEWING_SECONDS, RANGE, ("country",)),
            SECONDS,
        ),
        places(
            Words(
                "Where viewers are",
                "Viewers now in each country. What has no country, or one that the map does not"
                " know, is left out.",
                "No feed tells countries",
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
    absent = "No feed gives this; Livepeer's viewership and realtime feeds do"
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
                        "Viewers who left before the first frame; at each point the hour before"
                        " it.",
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
            "Bytes pulled from storage or sent out by transcoders (Wowza); at each point the hour"
            " before it.",
            "No feed gives this; Wowza's vod_streams and transcoders do",
        ),
        {"{{account}} {{kind}}": grown(m.EGRESS_BYTES, HOUR, (*ACCOUNT, "kind"))},
        BYTES,
        stacked=True,
    )
    parts = lines(
        Words(
            "Delivered per hour, by part",
            "Parts of what was delivered: standard streaming, restreaming and geographic"
            " cascading (Millicast).",
            "No feed gives this; Millicast's account does",
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
            "Transcoding, restreaming and egress time per hour",
            "Seconds transcoded and restreamed, and the time of Wowza's egress; at each point the"
            " hour before it.",
            "No feed of the chosen accounts gives this",
        ),
        {
            f"Transcoded, {account}": grown(m.TRANSCODED_SECONDS, HOUR, ACCOUNT),
            f"Restreamed, {account}": grown(m.RESTREAM_SECONDS, HOUR, ACCOUNT),
            f"Egress, {account}": grown(m.EGRESS_SECONDS, HOUR, ACCOUNT),
        },
        SECONDS,
    )
    stored = lines(
        Words(
            "Stored bytes",
            "Bytes in storage, by kind of object (Millicast).",
            "No feed gives this; Millicast's storage does",
        ),
        {"{{account}} {{object}}": now(m.STORED_BYTES, (*ACCOUNT, "object"))},
        BYTES,
        stacked=True,
    )
    stored_time = lines(
        Words(
            "Stored time",
            "Seconds of media in storage, an average (Livepeer).",
            "No feed gives this; Livepeer's usage does",
        ),
        {account: now(m.STORED_SECONDS, ACCOUNT)},
        SECONDS,
    )
    return (
        Line(8, ((12, egress), (12, parts))),
        Line(8, ((8, seconds), (8, stored), (8, stored_time))),
    )
