"""Jobs: how many, how many failed, how long they waited and took."""

from __future__ import annotations

from exporter.model import Measure
from exporter.model import measures as m
from tools.dashboards.frame import Line, Section, dashboard, variable
from tools.dashboards.panels import (
    AGE,
    RATIO,
    SECONDS,
    WHOLE,
    Column,
    Panel,
    Words,
    grid,
    lines,
    number,
    ranking,
    spread,
)
from tools.dashboards.queries import (
    HOUR,
    RANGE,
    grown,
    matchers,
    mean,
    now,
    quantile,
    series,
)

CHOSEN = "path"
KEYS = ("provider", "account", "path")
BY_PATH = ("path",)
LEGEND = "{{path}}"
LISTED = "Needs Dolby's jobs"
COUNTED = "Needs Dolby's usage"
NONE_FINISHED = "No job finished"


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-jobs",
        title="Jobs",
        description="Media processing: volume, failures, queue and processing time.",
        more_variables=[
            variable(
                "path",
                "Path",
                f"label_values({m.JOBS_IN_PROGRESS.name}{{{matchers(())}}}, path)",
                "The kind of job, as the path that it was submitted to.",
            )
        ],
        sections=(
            Section("Totals", (_totals(),)),
            Section("Volume and failures", _volume()),
            Section("Queue and processing time", _times()),
            Section("By path", (Line(8, ((16, _paths()), (8, _statuses()))),)),
        ),
    )


def _totals() -> Line:
    unfinished = f"time() - {series(m.OLDEST_UNFINISHED_JOB, CHOSEN)}"
    panels = (
        number(
            Words("Jobs", "In the chosen range, failed ones included.", COUNTED),
            grown(m.JOBS, RANGE, (), CHOSEN),
        ).decimals(0),
        number(
            Words("Failed", "In the chosen range.", COUNTED),
            grown(m.JOBS_FAILED, RANGE, (), CHOSEN),
        ).decimals(0),
        number(
            Words("Failure ratio", "In the chosen range.", NONE_FINISHED),
            _share(RANGE),
            RATIO,
            steps={0.05: "orange", 0.2: "red"},
        ),
        number(
            Words("In progress", "Pending or running now.", LISTED),
            now(m.JOBS_IN_PROGRESS, (), CHOSEN),
        ),
        number(
            Words(
                "Oldest unfinished",
                "Time since it was submitted.",
                "None is unfinished",
            ),
            f"max({unfinished})",
            AGE,
        ),
        number(
            Words("Queue time p50", "In the chosen range.", LISTED),
            quantile(m.JOB_QUEUE_SECONDS, 0.5, RANGE, (), CHOSEN),
            SECONDS,
            most=m.JOB_QUEUE_SECONDS.buckets[-1],
        ),
        *(
            number(
                Words(f"Processing time p{100 * share:.0f}", "In the chosen range.", LISTED),
                quantile(m.JOB_PROCESSING_SECONDS, share, RANGE, (), CHOSEN),
                SECONDS,
                most=m.JOB_PROCESSING_SECONDS.buckets[-1],
            )
            for share in (0.5, 0.95)
        ),
    )
    return Line(4, [(3, panel) for panel in panels])


def _volume() -> tuple[Line, ...]:
    progress = lines(
        Words("Jobs in progress", "Pending or running.", LISTED),
        {"{{path}} {{status}}": now(m.JOBS_IN_PROGRESS, (*BY_PATH, "status"), CHOSEN)},
        stacked=True,
    )
    share = lines(
        Words(
            "Failure ratio",
            "Each point is the hour before it.",
            NONE_FINISHED,
        ),
        {LEGEND: _share(HOUR, BY_PATH)},
        RATIO,
        greatest=1,
    )
    status = lines(
        Words("Jobs finished per hour, by status", nothing=LISTED),
        {"{{status}}": grown(m.JOBS_FINISHED, HOUR, ("status",), CHOSEN)},
        stacked=True,
    )
    return (
        Line(8, ((12, _hourly("Jobs", m.JOBS)), (12, progress))),
        Line(8, ((8, _hourly("Jobs failed", m.JOBS_FAILED)), (8, share), (8, status))),
    )


def _hourly(what: str, measure: Measure) -> Panel:
    return lines(
        Words(f"{what} per hour", nothing=COUNTED),
        {LEGEND: grown(measure, HOUR, BY_PATH, CHOSEN)},
        stacked=True,
    )


def _times() -> tuple[Line, ...]:
    def over_time(title: str, measure: Measure) -> Panel:
        return lines(
            Words(title, "Each point is the hour before it.", LISTED),
            {
                f"p{100 * share:.0f} {{{{path}}}}": quantile(measure, share, HOUR, BY_PATH, CHOSEN)
                for share in (0.5, 0.95)
            },
            SECONDS,
            most=measure.buckets[-1],
        )

    def all_of_them(title: str, measure: Measure) -> Panel:
        return spread(
            Words(title, "Number of jobs in the hour before.", LISTED),
            grown(measure, HOUR, ("le",), CHOSEN, part="_bucket"),
        )

    return (
        Line(
            8,
            (
                (12, over_time("Queue time", m.JOB_QUEUE_SECONDS)),
                (12, over_time("Processing time", m.JOB_PROCESSING_SECONDS)),
            ),
        ),
        Line(
            8,
            (
                (12, all_of_them("Queue time distribution", m.JOB_QUEUE_SECONDS)),
                (12, all_of_them("Processing time distribution", m.JOB_PROCESSING_SECONDS)),
            ),
        ),
    )


def _paths() -> Panel:
    return grid(
        Words("By path", "In the chosen range."),
        {"provider": "Provider", "account": "Account", "path": "Path"},
        [
            Column(heading, expression, unit)
            for heading, expression, unit in (
                ("Jobs", grown(m.JOBS, RANGE, KEYS, CHOSEN), WHOLE),
                ("Succeeded", grown(m.JOBS_SUCCEEDED, RANGE, KEYS, CHOSEN), WHOLE),
                ("Failed", grown(m.JOBS_FAILED, RANGE, KEYS, CHOSEN), WHOLE),
                ("Mean queue", mean(m.JOB_QUEUE_SECONDS, RANGE, KEYS, CHOSEN), SECONDS),
                (
                    "Mean processing",
                    mean(m.JOB_PROCESSING_SECONDS, RANGE, KEYS, CHOSEN),
                    SECONDS,
                ),
            )
        ],
        sort="Jobs",
    )


def _statuses() -> Panel:
    return ranking(
        Words("By status", "In the chosen range.", LISTED),
        grown(m.JOBS_FINISHED, RANGE, ("status",), CHOSEN),
        "{{status}}",
    ).decimals(0)


def _share(window: str, by: tuple[str, ...] = ()) -> str:
    failed = grown(m.JOBS_FAILED, window, by, CHOSEN)
    return f"{failed} / ({grown(m.JOBS, window, by, CHOSEN)} > 0)"
