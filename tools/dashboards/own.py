"""Exporter: how well the vendors are polled, and what the exporter itself needs."""

from __future__ import annotations

from exporter.exposition import own_metrics as t
from tools.dashboards.frame import Line, Section, dashboard
from tools.dashboards.health import exporter_up, feeds_failing, lost
from tools.dashboards.panels import (
    AGE,
    BYTES,
    COUNT,
    RATIO,
    SECONDS,
    Column,
    Panel,
    Words,
    grid,
    lines,
    number,
    states,
)
from tools.dashboards.queries import (
    ACCOUNT,
    DAY,
    FEED,
    HOUR,
    RANGE,
    age,
    grown,
    now,
    quantile,
    series,
    target,
)

KEYS = {"provider": "Provider", "account": "Account", "feed": "Feed"}
SUCCESS = {"1": ("Succeeded", "green"), "0": ("Failed", "red")}
FEED_LEGEND = "{{account}} {{feed}}"
QUIET = "Nothing of the kind happened"


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-exporter",
        title="Exporter",
        description="How well the vendors are polled: feeds, freshness, failures, requests,"
        " corrections; and the exporter's own ledger, series and process.",
        sections=(
            Section("The exporter", (_state(),)),
            Section("Feeds", (Line(12, ((24, _feeds()),)), Line(9, ((24, _successes()),)))),
            Section("Failures and freshness", _failures()),
            Section("Requests to the vendors", _requests()),
            Section("What the vendors change afterwards", _changes()),
            Section("Ledger, series and process", _process()),
            Section("Remote write", (_remote_write(),)),
        ),
    )


def _state() -> Line:
    panels = (
        exporter_up(),
        feeds_failing(),
        number(
            Words(
                "Configuration",
                "Whether the newest attempt to read the configuration succeeded; if not, the one"
                " before is in force.",
            ),
            now(t.RELOAD_SUCCESSFUL, how="min"),
            texts={"1": ("In force", "green"), "0": ("Faulty", "red")},
        ),
        number(
            Words("Read", "When the configuration was last read with success: so long ago."),
            age(t.RELOAD_SUCCESS_TIMESTAMP),
            AGE,
        ),
        number(
            Words("Started", "How long the process that started last has been running."),
            f"min(time() - {target('process_start_time_seconds')})",
            AGE,
        ),
        number(
            Words(
                "Ledger writes failed",
                "Polls of the chosen range that could not be written down; they are asked for"
                " again.",
            ),
            grown(t.LEDGER_WRITE_FAILURES, RANGE),
            steps={1: "red"},
        ).decimals(0),
        lost(),
        number(
            Words(
                "Streams folded",
                'Streams beyond the limit, summed under stream="__other__".',
            ),
            now(t.SERIES_FOLDED),
            steps={1: "orange"},
        ),
    )
    return Line(4, [(3, panel) for panel in panels])


def _feeds() -> Panel:
    return grid(
        Words(
            "Feeds",
            "Every feed: its newest poll, how long ago it last succeeded, how old its newest data"
            " is (0: of the hour or day that is not over), what is still to be filled in, and the last 24 hours. A dash: not polled"
            " yet, or without a time of its own.",
        ),
        KEYS,
        (
            Column("Newest poll", now(t.POLL_SUCCESS, FEED, how="min"), texts=SUCCESS),
            Column("Last success", age(t.POLL_LAST_SUCCESS, FEED), AGE),
            Column("Cadence", now(t.POLL_INTERVAL, FEED, how="max"), AGE),
            Column("Data age", age(t.DATA_NEWEST, FEED), AGE),
            Column("Backlog", now(t.BACKLOG, FEED, how="max"), SECONDS),
            Column("Polls", grown(t.POLLS, DAY, FEED)),
            Column("Failures", grown(t.POLL_FAILURES, DAY, FEED), steps={1: "red"}),
            Column("Requests", grown(t.REQUESTS, DAY, FEED)),
            Column("Corrections", grown(t.CORRECTIONS, DAY, FEED)),
            Column("Late", grown(t.LATE_BUCKETS, DAY, FEED)),
        ),
        sort="Last success",
    )


def _successes() -> Panel:
    return states(
        Words("Polls", "Whether each feed's newest poll succeeded, over time."),
        now(t.POLL_SUCCESS, FEED, how="min"),
        FEED_LEGEND,
        SUCCESS,
    )


def _failures() -> tuple[Line, ...]:
    reasons = lines(
        Words(
            "Failures per hour, by reason",
            "At each point the polls of the hour before it that failed, by account and reason.",
            QUIET,
        ),
        {
            "{{account}} {{reason}}": f"{grown(t.POLL_FAILURES, HOUR, (*ACCOUNT, 'reason'))} > 0",
        },
        stacked=True,
    )
    success = lines(
        Words(
            "Time since success",
            "How long ago each feed was last polled with success. A sawtooth as high as the"
            " cadence is as it should be.",
        ),
        {FEED_LEGEND: age(t.POLL_LAST_SUCCESS, FEED)},
        SECONDS,
    )
    newest = lines(
        Words(
            "Age of the data",
            "How long ago the newest bucket ended that the vendor has filled; 0 while that is the"
            " hour or day that is not over yet.",
        ),
        {FEED_LEGEND: age(t.DATA_NEWEST, FEED)},
        SECONDS,
    )
    backlog = lines(
        Words("Backlog", "Time left out by an outage that is still to be filled in.", QUIET),
        {FEED_LEGEND: now(t.BACKLOG, FEED, how="max")},
        SECONDS,
    )
    return (
        Line(8, ((12, reasons), (12, success))),
        Line(8, ((12, newest), (12, backlog))),
    )


def _requests() -> tuple[Line, ...]:
    codes = lines(
        Words(
            "Requests per hour, by status",
            "Repeated requests included; where there was no answer, by why. At each point the hour"
            " before it.",
        ),
        {"{{provider}} {{code}}": grown(t.REQUESTS, HOUR, ("provider", "code"))},
        stacked=True,
    )
    feeds = lines(
        Words("Requests per hour, by feed", "At each point the hour before it."),
        {FEED_LEGEND: grown(t.REQUESTS, HOUR, FEED)},
        stacked=True,
    )
    request = lines(
        Words(
            "Time of a request",
            "Within what time half of all requests and nineteen in twenty were answered, over the"
            " hour before.",
        ),
        {
            "Half, {{provider}}": quantile(t.REQUEST_DURATION, 0.5, HOUR, ("provider",)),
            "Nineteen in twenty, {{provider}}": quantile(
                t.REQUEST_DURATION, 0.95, HOUR, ("provider",)
            ),
        },
        SECONDS,
    )
    poll = lines(
        Words(
            "Time of a poll",
            "Within what time nineteen in twenty polls of a feed were done, all their requests"
            " together, over the hour before.",
        ),
        {FEED_LEGEND: quantile(t.POLL_DURATION, 0.95, HOUR, FEED)},
        SECONDS,
    )
    return (
        Line(8, ((12, codes), (12, feeds))),
        Line(8, ((12, request), (12, poll))),
    )


def _changes() -> tuple[Line, ...]:
    hour = " At each point the hour before it."
    counted = (
        (
            "Corrections per hour",
            "Buckets that the vendor lowered; what was counted too much is paid back out of later"
            " growth.",
            t.CORRECTIONS,
            COUNT,
        ),
        (
            "Late buckets per hour",
            "Buckets that the vendor filled after they had closed and been asked for.",
            t.LATE_BUCKETS,
            COUNT,
        ),
        (
            "Settled buckets revised per hour",
            "Settled buckets that changed all the same; what was backfilled or remote-written of"
            " them is outdated.",
            t.SETTLED_REVISED,
            COUNT,
        ),
        (
            "Lost per hour",
            "Time for which the vendor had purged its data before it could be asked for.",
            t.DATA_LOST,
            SECONDS,
        ),
    )
    difference = lines(
        Words(
            "Difference from the vendor's totals",
            "Largest difference between the ledger's and the vendor's own totals of the month's"
            " whole settled days; above 0 the ledger has more. Asked for once a day.",
            "No whole day of this month is settled yet, or the vendor gives no totals",
        ),
        {FEED_LEGEND: now(t.RECONCILIATION, FEED, how="max")},
        RATIO,
        least=None,
    )
    difference.axis_soft_min(-0.01).axis_soft_max(0.01)
    return (
        Line(
            8,
            [
                (
                    6,
                    lines(
                        Words(title, description + hour, QUIET),
                        {FEED_LEGEND: grown(metric, HOUR, FEED)},
                        unit,
                        stacked=True,
                    ),
                )
                for title, description, metric, unit in counted
            ],
        ),
        Line(7, ((24, difference),)),
    )


def _remote_write() -> Line:
    absent = "No remote write is configured"
    panels = (
        lines(
            Words(
                "Samples written per hour",
                "Samples that the receiver has taken. At each point the hour before it.",
                absent,
            ),
            {"{{instance}}": grown(t.REMOTE_WRITE_SAMPLES, HOUR, ("instance",))},
        ),
        lines(
            Words(
                "Samples rejected per hour",
                "Samples that the receiver will never take, by why. At each point the hour before"
                " it.",
                absent,
            ),
            {"{{reason}}": grown(t.REMOTE_WRITE_REJECTED, HOUR, ("reason",))},
        ),
        lines(
            Words(
                "Writes failed per hour",
                "Attempts that failed because the receiver could not be reached or took nothing;"
                " the ledger keeps what is to be pushed. At each point the hour before it.",
                absent,
            ),
            {"{{instance}}": grown(t.REMOTE_WRITE_FAILURES, HOUR, ("instance",))},
        ),
        lines(
            Words(
                "Behind",
                "How long ago that ended up to which the final buckets of every feed have been"
                " pushed.",
                absent,
            ),
            {"{{receiver}}": age(t.REMOTE_WRITE_CURSOR, ("receiver",))},
            SECONDS,
        ),
    )
    return Line(8, [(6, panel) for panel in panels])


def _process() -> tuple[Line, ...]:
    ledger = lines(
        Words("Ledger", "Size of the ledger on disk."),
        {"{{instance}}": f"max by (instance) ({series(t.LEDGER_SIZE)})"},
        BYTES,
    )
    exposed = lines(
        Words("Series", "Series of vendor data exposed for each account."),
        {"{{provider}} {{account}}": now(t.SERIES, ACCOUNT)},
        COUNT,
        stacked=True,
    )
    memory = lines(
        Words("Memory", "Resident memory of the exporter's process."),
        {"{{instance}}": f"max by (instance) ({target('process_resident_memory_bytes')})"},
        BYTES,
    )
    processor = lines(
        Words("Processor", "Seconds of processor time used per second; 1 is a whole core."),
        {
            "{{instance}}": "sum by (instance) (rate("
            f"{target('process_cpu_seconds_total')}[$__rate_interval]))"
        },
    )
    scrape = lines(
        Words("Time of a scrape", "How long Prometheus waited for /metrics."),
        {"{{instance}}": f"max by (instance) ({target('scrape_duration_seconds')})"},
        SECONDS,
    )
    build = grid(
        Words("Versions", "What runs."),
        {"job": "Job", "instance": "Instance", "version": "Version", "python": "Python"},
        [
            Column(
                "Running for",
                f"time() - {target('process_start_time_seconds')} * on (job, instance)"
                f" group_left(version, python) {series(t.BUILD_INFO)}",
                AGE,
            )
        ],
        sort="Running for",
    )
    return (
        Line(8, ((8, ledger), (8, exposed), (8, memory))),
        Line(8, ((8, processor), (8, scrape), (8, build))),
    )
