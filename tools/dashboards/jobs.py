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
LISTED = "No feed lists jobs; Dolby's jobs does"
COUNTED = "No feed counts jobs; Dolby's usage does"
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
            Section("In the chosen range", (_totals(),)),
            Section("Volume and failures", _volume()),
            Section("Waiting and working", _times()),
            Section("By path", (Line(8, ((16, _paths()), (8, _statuses()))),)),
        ),
    )


def _totals() -> Line:
    unfinished = f"time() - {series(m.OLDEST_UNFINISHED_JOB, CHOSEN)}"
    panels = (
        number(
            Words("Jobs", f"In the chosen range. {m.JOBS.help}", COUNTED),
            grown(m.JOBS, RANGE, (), CHOSEN),
        ).decimals(0),
        number(
            Words("Failed", f"In the chosen range. {m.JOBS_FAILED.help}", COUNTED),
            grown(m.JOBS_FAILED, RANGE, (), CHOSEN),
        ).decimals(0),
        number(
            Words("Failed share", "Failed jobs of all jobs in the chosen range.", NONE_FINISHED),
            _share(RANGE),
            RATIO,
            steps={0.05: "orange", 0.2: "red"},
        ),
        number(
            Words("In progress", "Jobs pending or running at this moment.", LISTED),
            now(m.JOBS_IN_PROGRESS, (), CHOSEN),
        ),
        number(
            Words(
                "Oldest unfinished",
                "How long ago the oldest job that is not finished was submitted.",
                "None is unfinished",
            ),
            f"max({unfinished})",
            AGE,
        ),
        number(
            Words("Median wait", "Half the jobs of the chosen range started sooner.", LISTED),
            quantile(m.JOB_QUEUE_SECONDS, 0.5, RANGE, (), CHOSEN),
            SECONDS,
        ),
        number(
            Words("Median work", "Half the jobs of the chosen range took less.", LISTED),
            quantile(m.JOB_PROCESSING_SECONDS, 0.5, RANGE, (), CHOSEN),
            SECONDS,
        ),
        number(
            Words(
                "Slowest twentieth", "One job in twenty of the chosen range took longer.", LISTED
            ),
            quantile(m.JOB_PROCESSING_SECONDS, 0.95, RANGE, (), CHOSEN),
            SECONDS,
        ),
    )
    return Line(4, [(3, panel) for panel in panels])


def _volume() -> tuple[Line, ...]:
    progress = lines(
        Words("Jobs in progress", "Jobs pending or running at each moment.", LISTED),
        {"{{path}} {{status}}": now(m.JOBS_IN_PROGRESS, (*BY_PATH, "status"), CHOSEN)},
        stacked=True,
    )
    share = lines(
        Words(
            "Failed share",
            "Failed jobs of all jobs, at each point over the hour before it.",
            NONE_FINISHED,
        ),
        {LEGEND: _share(HOUR, BY_PATH)},
        RATIO,
        greatest=1,
    )
    status = lines(
        Words(
            "Jobs finished per hour, by status",
            f"At each point the hour before it. {m.JOBS_FINISHED.help}",
            LISTED,
        ),
        {"{{status}}": grown(m.JOBS_FINISHED, HOUR, ("status",), CHOSEN)},
        stacked=True,
    )
    return (
        Line(8, ((12, _hourly("Jobs", m.JOBS)), (12, progress))),
        Line(8, ((8, _hourly("Jobs failed", m.JOBS_FAILED)), (8, share), (8, status))),
    )


def _hourly(what: str, measure: Measure) -> Panel:
    return lines(
        Words(f"{what} per hour", f"At each point the hour before it. {measure.help}", COUNTED),
        {LEGEND: grown(measure, HOUR, BY_PATH, CHOSEN)},
        stacked=True,
    )


def _times() -> tuple[Line, ...]:
    def over_time(title: str, description: str, measure: Measure) -> Panel:
        return lines(
            Words(title, f"{description} At each point over the hour before it.", LISTED),
            {
                "Half, {{path}}": quantile(measure, 0.5, HOUR, BY_PATH, CHOSEN),
                "Nineteen in twenty, {{path}}": quantile(measure, 0.95, HOUR, BY_PATH, CHOSEN),
            },
            SECONDS,
        )

    def all_of_them(title: str, measure: Measure) -> Panel:
        return spread(
            Words(title, f"How many jobs of the hour before took how long. {measure.help}", LISTED),
            grown(measure, HOUR, ("le",), CHOSEN, part="_bucket"),
        )

    return (
        Line(
            8,
            (
                (12, over_time("Wait", "Within what time jobs started.", m.JOB_QUEUE_SECONDS)),
                (
                    12,
                    over_time("Work", "Within what time jobs were done.", m.JOB_PROCESSING_SECONDS),
                ),
            ),
        ),
        Line(
            8,
            (
                (12, all_of_them("Wait, all jobs", m.JOB_QUEUE_SECONDS)),
                (12, all_of_them("Work, all jobs", m.JOB_PROCESSING_SECONDS)),
            ),
        ),
    )


def _paths() -> Panel:
    return grid(
        Words("By path", "Each path in the chosen range."),
        {"provider": "Provider", "account": "Account", "path": "Path"},
        [
            Column(heading, expression, unit)
            for heading, expression, unit in (
                ("Jobs", grown(m.JOBS, RANGE, KEYS, CHOSEN), WHOLE),
                ("Succeeded", grown(m.JOBS_SUCCEEDED, RANGE, KEYS, CHOSEN), WHOLE),
                ("Failed", grown(m.JOBS_FAILED, RANGE, KEYS, CHOSEN), WHOLE),
                ("Mean wait", mean(m.JOB_QUEUE_SECONDS, RANGE, KEYS, CHOSEN), SECONDS),
                ("Mean work", mean(m.JOB_PROCESSING_SECONDS, RANGE, KEYS, CHOSEN), SECONDS),
            )
        ],
        sort="Jobs",
    )


def _statuses() -> Panel:
    return ranking(
        Words("By status", f"In the chosen range. {m.JOBS_FINISHED.help}", LISTED),
        grown(m.JOBS_FINISHED, RANGE, ("status",), CHOSEN),
        "{{status}}",
    )


def _share(window: str, by: tuple[str, ...] = ()) -> str:
    failed = grown(m.JOBS_FAILED, window, by, CHOSEN)
    return f"{failed} / ({grown(m.JOBS, window, by, CHOSEN)} > 0)"
