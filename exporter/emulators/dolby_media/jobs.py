"""The emulated Dolby.io app's jobs: a deterministic process of submit, start and end.

Every hour each endpoint gets a few jobs. Most start at once, some queue for minutes; most succeed
within the hour, some run for hours, so days are crossed. A job's times are whole milliseconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from uuid import UUID

from exporter.emulators.vendor import Amounts
from exporter.emulators.world import BEGINNING, DAY, HOUR, World, mix

VENDOR = "dolby_media"
PATHS = ("/media/analyze", "/media/diagnose", "/media/enhance", "/media/transcode")
UNNAMED_PATH = PATHS[1]  # with the quirk `no-path`
LONGEST_SECONDS = 8 * HOUR  # no job is unfinished for longer
FOREVER = 1 << 40  # jobs do not wait for a publishing edge
REMEMBERED_HOURS = 20_000
QUARTER = 900


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `started` None: cancelled before it could start. Times in Unix milliseconds."""

    id: str
    path: str
    submitted: int
    started: int | None
    completed: int
    outcome: str

    @property
    def shown_start(self) -> int | None:
        """The start as the vendor shows it: cut to the second, maybe before the submission."""
        return None if self.started is None else self.started // 1000 * 1000

    def status(self, now: int) -> str:
        """The status at `now` (milliseconds), for a job submitted by then."""
        if now >= self.completed:
            return self.outcome
        return "Pending" if self.started is None or now < self.started else "Running"


@dataclass(frozen=True, slots=True)
class Display:
    """How the vendor shows jobs, by its emulator's quirks; times in Unix seconds."""

    quirks: frozenset[str] = frozenset()

    def names_path(self, job: Job) -> bool:
        """Whether it says which path a job went to."""
        return "no-path" not in self.quirks or job.path != UNNAMED_PATH

    def path(self, job: Job) -> str:
        """The label that a job's path makes."""
        return job.path if self.names_path(job) else "unknown"

    def status(self, job: Job, now: int) -> str:
        """The status that a job is shown with."""
        status = job.status(now * 1000)
        return "Queued" if status == "Pending" and "unknown-status" in self.quirks else status

    def lists(self, job: Job, now: int) -> bool:
        """Whether a job that was submitted by `now` is listed."""
        if "omits-long-running" not in self.quirks or now // QUARTER % 2 == 0:
            return True
        running = job.status(now * 1000) == "Running"
        return not running or job.started is None or now * 1000 - job.started <= HOUR * 1000

    def uses(self, job: Job, now: int) -> bool:
        """Whether a job that completed by `now` is in its day's usage."""
        if "late-day" not in self.quirks or job.completed % 8:
            return True
        return now >= job.completed // 1000 // DAY * DAY + 2 * DAY


PLAIN = Display()


class Jobs:
    """All jobs of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._hours: dict[tuple[str, int], tuple[Job, ...]] = {}
        self._version = world.version
        self._roots = {
            path: world.choose((VENDOR, "jobs", path, "root"), 1 << 60) for path in PATHS
        }

    def submitted(self, start: int, end: int, *, now: int) -> Iterator[Job]:
        """Jobs submitted in [start, end) and by `now`, in seconds; oldest hour first."""
        end = min(end, now + 1)
        begin = max(start, BEGINNING) // HOUR * HOUR
        for hour, path in product(range(begin, end, HOUR), PATHS):
            for job in self._hour(path, hour):
                if start * 1000 <= job.submitted < end * 1000 and job.submitted <= now * 1000:
                    yield job

    def started(self, start: int, end: int, *, now: int) -> Iterator[tuple[Job, int]]:
        """Jobs started by `now` and shown to start in [start, end), in seconds; and that start."""
        for job in self.submitted(start - LONGEST_SECONDS, end, now=now):
            if job.started is None or job.shown_start is None or job.started > now * 1000:
                continue
            if start * 1000 <= job.shown_start < end * 1000:
                yield job, job.shown_start

    def completed(self, start: int, end: int, *, now: int) -> Iterator[Job]:
        """Jobs completed in [start, end) and by `now`, in seconds."""
        for job in self.submitted(start - LONGEST_SECONDS, end, now=now):
            if start * 1000 <= job.completed < end * 1000 and job.completed <= now * 1000:
                yield job

    def unfinished(self, now: int) -> Iterator[Job]:
        """Jobs submitted but not completed at `now`, in seconds."""
        for job in self.submitted(now - LONGEST_SECONDS, now + 1, now=now):
            if job.completed > now * 1000:
                yield job

    def _hour(self, path: str, hour: int) -> tuple[Job, ...]:
        if self._version != self.world.version or len(self._hours) > REMEMBERED_HOURS:
            self._hours.clear()
            self._version = self.world.version
        found = self._hours.get((path, hour))
        if found is None:
            key = (VENDOR, "jobs", path, "jobs")
            count = self.world.amount(key, hour, hour + HOUR, now=FOREVER)
            root = mix(self._roots[path], hour)
            found = tuple(job(path, hour, mix(root, index)) for index in range(count))
            self._hours[(path, hour)] = found
        return found


def job(path: str, hour: int, bits: int) -> Job:
    """The job that 64 random bits make."""
    roll, more = bits % 100, mix(bits, 1)
    submitted = hour * 1000 + mix(bits, 2) % (HOUR * 1000)
    # A quarter starts within milliseconds, so that the start, cut to the second, comes first.
    queued = (5 + more % 40, 200 + more % 5000, 1500 + more % 60_000, more % 1_800_000)[bits % 4]
    # Work: minutes as a rule, now and then hours; with the queue, under LONGEST_SECONDS.
    worked = 2000 + mix(bits, 3) % (6 * HOUR * 1000 if roll % 10 == 3 else 600_000)
    outcome = (
        "Success"
        if roll < 88
        else "Failed"
        if roll < 94
        else "Cancelled"
        if roll < 98
        else "InternalError"
    )
    never_started = outcome == "Cancelled" and roll % 2 == 0
    return Job(
        id=str(UUID(int=bits << 64 | mix(bits, 4), version=4)),
        path=path,
        submitted=submitted,
        started=None if never_started else submitted + queued,
        completed=submitted + queued + (0 if never_started else worked),
        outcome=outcome,
    )


def usage(jobs: Iterable[Job]) -> dict[str, dict[str, int]]:
    """Completed jobs counted by path, as the vendor's usage call does.

    A cancelled job is neither a success nor a failure; an internal error is a failure.
    """
    rows: dict[str, dict[str, int]] = {}
    for done in jobs:
        row = rows.setdefault(done.path, {"jobs": 0, "succeeded": 0, "failed": 0})
        row["jobs"] += 1
        if done.outcome == "Success":
            row["succeeded"] += 1
        elif done.outcome != "Cancelled":
            row["failed"] += 1
    return rows


STATUS_LABELS = {
    "Success": "success",
    "Failed": "failed",
    "Cancelled": "cancelled",
    "InternalError": "internal_error",
}


def truth(jobs: Jobs, start: int, end: int, *, now: int, display: Display = PLAIN) -> Amounts:
    """The counters of both feeds over [start, end).

    The jobs that ended in it count, and their processing time; the queue time is that of the jobs
    that started in it, whether or not they have ended. The two histograms appear as their
    `_count` and, in milliseconds, their `_sum`.
    """
    totals: Amounts = {}

    def add(metric: str, value: int, **labels: str) -> None:
        key = (metric, tuple(sorted(labels.items())))
        totals[key] = totals.get(key, 0) + value

    for job, shown_start in jobs.started(start, end, now=now):
        path = display.path(job)
        add("media_job_queue_seconds_count", 1, path=path)
        add("media_job_queue_seconds_sum", max(0, shown_start - job.submitted), path=path)
    for job in jobs.completed(start, end, now=now):
        path, status = display.path(job), STATUS_LABELS[job.outcome]
        if display.uses(job, now):
            add("media_jobs_total", 1, path=path)
            if status == "success":
                add("media_jobs_succeeded_total", 1, path=path)
            elif status != "cancelled":
                add("media_jobs_failed_total", 1, path=path)
        add("media_jobs_finished_total", 1, path=path, status=status)
        if job.shown_start is not None:
            worked = job.completed - job.shown_start
            add("media_job_processing_seconds_count", 1, path=path, status=status)
            add("media_job_processing_seconds_sum", worked, path=path, status=status)
    return totals


def levels(jobs: Jobs, now: int, *, display: Display = PLAIN) -> Amounts:
    """Jobs listed as in progress, where there are any, and the oldest's submission (ms)."""
    found: Amounts = {}
    for open_job in jobs.unfinished(now):
        if not display.lists(open_job, now):
            continue
        path = ("path", display.path(open_job))
        status = display.status(open_job, now).lower()
        in_progress = ("media_jobs_in_progress", (path, ("status", status)))
        found[in_progress] = found.get(in_progress, 0) + 1
        oldest = ("media_oldest_unfinished_job_timestamp_seconds", (path,))
        found[oldest] = min(found.get(oldest, open_job.submitted), open_job.submitted)
    return found
