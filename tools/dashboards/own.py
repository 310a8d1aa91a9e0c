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
SUCCESS = {"1": ("OK", "green"), "0": ("Failed", "red")}
FEED_LEGEND = "{{account}} {{feed}}"
QUIET = "None"


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-exporter",
        title="Exporter",
        description="How well the vendors are polled: feeds, freshness, failures, requests,"
        " corrections; and the exporter's own ledger, series and process.",
        sections=(
            Section("Exporter", (_state(),)),
            Section("Feeds", (Line(12, ((24, _feeds()),)), Line(9, ((24, _successes()),)))),
            Section("Failures and freshness", _failures()),
            Section("Vendor requests", _requests()),
            Section("Vendor revisions", _changes()),
            Section("Ledger, series, process", _process()),
            Section("Remote write", (_remote_write(),)),
            Section("Replicas", (_replicas(),)),
        ),
    )


def _state() -> Line:
    panels = (
        exporter_up(),
        feeds_failing(),
        number(
            Words(
                "Config reload",
                "When the last reload failed, the configuration before it is in force.",
            ),
            now(t.RELOAD_SUCCESSFUL, how="min"),
            texts=SUCCESS,
        ),
        number(
            Words("Config age", "Time since the configuration was last read with success."),
            age(t.RELOAD_SUCCESS_TIMESTAMP),
            AGE,
        ),
        number(
            Words("Uptime", "Of several exporters, that of the one started last."),
            f"min(time() - {target('process_start_time_seconds')})",
            AGE,
        ),
        number(
            Words(
                "Failed ledger writes",
                "Polls in the chosen range whose data could not be stored; it is requested again.",
            ),
            grown(t.LEDGER_WRITE_FAILURES, RANGE),
            steps={1: "red"},
        ).decimals(0),
        lost(),
        number(
            Words(
                "Streams over limit",
                'They are summed as stream="__other__".',
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
            "Polls, failures, requests, corrections and late buckets are those of 24 hours. Data"
            " age is 0 while the newest data is of the hour or day that is not over. A dash: not"
            " polled yet, or without a time of its own.",
        ),
        KEYS,
        (
            Column("Last poll", now(t.POLL_SUCCESS, FEED, how="min"), texts=SUCCESS),
            Column("Last success", age(t.POLL_LAST_SUCCESS, FEED), AGE),
            Column("Poll interval", now(t.POLL_INTERVAL, FEED, how="max"), AGE),
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
        Words("Poll status"),
        now(t.POLL_SUCCESS, FEED, how="min"),
        FEED_LEGEND,
        SUCCESS,
    )


def _failures() -> tuple[Line, ...]:
    reasons = lines(
        Words(
            "Poll failures per hour, by reason",
            nothing=QUIET,
        ),
        {
            "{{account}} {{reason}}": f"{grown(t.POLL_FAILURES, HOUR, (*ACCOUNT, 'reason'))} > 0",
        },
        stacked=True,
    )
    success = lines(
        Words(
            "Time since last success",
            "Normally a sawtooth as high as the poll interval.",
        ),
        {FEED_LEGEND: age(t.POLL_LAST_SUCCESS, FEED)},
        SECONDS,
    )
    newest = lines(
        Words(
            "Data age",
            "0 while the newest data is of the hour or day that is not over.",
        ),
        {FEED_LEGEND: age(t.DATA_NEWEST, FEED)},
        SECONDS,
    )
    backlog = lines(
        Words("Backlog", "Time missed in an outage that is still to be filled in.", QUIET),
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
            "Retries included; where there was no answer, by reason.",
        ),
        {"{{provider}} {{code}}": grown(t.REQUESTS, HOUR, ("provider", "code"))},
        stacked=True,
    )
    feeds = lines(
        Words("Requests per hour, by feed"),
        {FEED_LEGEND: grown(t.REQUESTS, HOUR, FEED)},
        stacked=True,
    )
    request = lines(
        Words(
            "Request duration",
            "Each point is the hour before it.",
        ),
        {
            f"p{100 * share:.0f} {{{{provider}}}}": quantile(
                t.REQUEST_DURATION, share, HOUR, ("provider",)
            )
            for share in (0.5, 0.95, 0.99)
        },
        SECONDS,
        most=t.REQUEST_DURATION.buckets[-1],
    )
    poll = lines(
        Words(
            "Poll duration p95",
            "All requests of a poll together. Each point is the hour before it.",
        ),
        {FEED_LEGEND: quantile(t.POLL_DURATION, 0.95, HOUR, FEED)},
        SECONDS,
        most=t.POLL_DURATION.buckets[-1],
    )
    return (
        Line(8, ((12, codes), (12, feeds))),
        Line(8, ((12, request), (12, poll))),
    )


def _changes() -> tuple[Line, ...]:
    counted = (
        (
            "Corrections per hour",
            "Buckets that the vendor lowered; the counter stands still until growth has made up for"
            " it.",
            t.CORRECTIONS,
            COUNT,
        ),
        (
            "Late buckets per hour",
            "Buckets that the vendor filled after they had closed and been polled.",
            t.LATE_BUCKETS,
            COUNT,
        ),
        (
            "Revisions per hour",
            "Settled buckets that changed: what was backfilled or remote-written of them is"
            " outdated.",
            t.SETTLED_REVISED,
            COUNT,
        ),
        (
            "Data lost per hour",
            "Time whose data the vendor had purged before it could be polled.",
            t.DATA_LOST,
            SECONDS,
        ),
    )
    difference = lines(
        Words(
            "Difference from vendor totals",
            "The month's whole settled days in the ledger against the vendor's own totals; above 0"
            " the ledger has more. Checked once a day.",
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
                        Words(title, description, QUIET),
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
                "Remote-write samples per hour",
                "Accepted by the receiver.",
                absent,
            ),
            {"{{instance}}": grown(t.REMOTE_WRITE_SAMPLES, HOUR, ("instance",))},
        ),
        lines(
            Words(
                "Rejected samples per hour, by reason",
                "The receiver will never take them.",
                absent,
            ),
            {"{{reason}}": grown(t.REMOTE_WRITE_REJECTED, HOUR, ("reason",))},
        ),
        lines(
            Words(
                "Remote-write failures per hour",
                "The receiver was not reachable or took nothing; the ledger keeps what is to be"
                " pushed.",
                absent,
            ),
            {"{{instance}}": grown(t.REMOTE_WRITE_FAILURES, HOUR, ("instance",))},
        ),
        lines(
            Words(
                "Remote-write lag",
                "Up to so long ago every feed's settled buckets have been pushed.",
                absent,
            ),
            {"{{receiver}}": age(t.REMOTE_WRITE_CURSOR, ("receiver",))},
            SECONDS,
        ),
    )
    return Line(8, [(6, panel) for panel in panels])


def _replicas() -> Line:
    absent = "No replicas share this ledger"
    panels = (
        lines(
            Words("Accounts held, by replica", "Each account is held by one.", absent),
            {"{{instance}}": now(t.LEASES, ("instance",))},
            stacked=True,
        ),
        lines(
            Words("Live replicas and free accounts", "A free account is polled by nobody.", absent),
            {
                "replicas": now(t.REPLICAS, how="max"),
                "free accounts": now(t.LEASES_FREE, how="max"),
            },
        ),
        lines(
            Words("Takeovers and lost leases per hour", "", absent),
            {
                "{{instance}} took over": grown(t.LEASE_TAKEOVERS, HOUR, ("instance",)),
                "{{instance}} lost": grown(t.LEASES_LOST, HOUR, ("instance",)),
            },
        ),
        lines(
            Words("Database reachable", "1 while the database answers that replica.", absent),
            {"{{instance}}": now(t.LEDGER_REACHABLE, ("instance",), how="min")},
        ),
    )
    return Line(8, [(6, panel) for panel in panels])


def _process() -> tuple[Line, ...]:
    ledger = lines(
        Words("Ledger size"),
        {"{{instance}}": f"max by (instance) ({series(t.LEDGER_SIZE)})"},
        BYTES,
    )
    exposed = lines(
        Words("Series per account"),
        {"{{provider}} {{account}}": now(t.SERIES, ACCOUNT)},
        COUNT,
        stacked=True,
    )
    memory = lines(
        Words("Memory", "Resident memory."),
        {"{{instance}}": f"max by (instance) ({target('process_resident_memory_bytes')})"},
        BYTES,
    )
    processor = lines(
        Words("CPU", "100 % is a whole core."),
        {
            "{{instance}}": "sum by (instance) (rate("
            f"{target('process_cpu_seconds_total')}[$__rate_interval]))"
        },
        RATIO,
    )
    scrape = lines(
        Words("Scrape duration"),
        {"{{instance}}": f"max by (instance) ({target('scrape_duration_seconds')})"},
        SECONDS,
    )
    build = grid(
        Words("Versions"),
        {"job": "Job", "instance": "Instance", "version": "Version", "python": "Python"},
        [
            Column(
                "Uptime",
                f"time() - {target('process_start_time_seconds')} * on (job, instance)"
                f" group_left(version, python) {series(t.BUILD_INFO)}",
                AGE,
            )
        ],
        sort="Uptime",
    )
    return (
        Line(8, ((8, ledger), (8, exposed), (8, memory))),
        Line(8, ((8, processor), (8, scrape), (8, build))),
    )
