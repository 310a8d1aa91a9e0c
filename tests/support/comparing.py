"""What a simulated exporter shows, set beside what the vendors' worlds come to."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.model import DAY, HOUR
from exporter.model.measures import BY_NAME
from tests.support.simulation import ACCOUNTS, Key, Simulation

LIFETIME = frozenset({"media_lifetime_views_total", "media_lifetime_viewing_seconds_total"})
BY_DAY = frozenset(
    {
        "media_jobs_total",
        "media_jobs_succeeded_total",
        "media_jobs_failed_total",
    }
)
ENDED_JOBS = (
    "media_jobs_finished_total",
    "media_job_queue_seconds_count",
    "media_job_queue_seconds_sum",
    "media_job_processing_seconds_count",
    "media_job_processing_seconds_sum",
)
"""Jobs are listed by submission, so of these only the growth since the first poll is known."""


def turn_on_every_feed(simulation: Simulation) -> None:
    """Every feed of every vendor, with the ids that some of them need."""
    livepeer: object = simulation.emulators.vendors["livepeer"]
    simulation.accounts = {name: {"feeds": "all"} for name in ACCOUNTS}
    simulation.accounts["livepeer"] |= {
        option: list(getattr(livepeer, ids)())
        for option, ids in (
            ("assets", "assets"),
            ("live_streams", "live_streams"),
            ("playback_ids", "playback_ids"),
        )
    }


def differences(shown: Mapping[Key, float], truth: Mapping[Key, float]) -> dict[Key, object]:
    """Where the two disagree; what is 0 may be left out."""
    return {
        key: {"shown": shown.get(key), "truth": truth.get(key)}
        for key in shown.keys() | truth.keys()
        if shown.get(key, 0) != truth.get(key, 0)
    }


def counters(simulation: Simulation, provider: str) -> dict[Key, float]:
    """The provider's counters but for those of ended jobs."""
    return {
        key: value for key, value in simulation.usage(provider).items() if key[0] not in ENDED_JOBS
    }


def ended_jobs(simulation: Simulation) -> dict[Key, float]:
    """How many jobs are shown as ended, and their times."""
    found: dict[Key, float] = {}
    for (name, labels), value in simulation.samples().items():
        if name in ENDED_JOBS:
            pairs = tuple(pair for pair in labels if pair[0] not in ("provider", "account"))
            found[name, pairs] = value
    return found


def expected_counters(
    simulation: Simulation, provider: str, first: int, *, end: int | None = None
) -> dict[Key, float]:
    """What `counters` has to be after a first poll at `first` with a day of history."""
    since_hour = (first - DAY) // HOUR * HOUR
    since_day = (first - DAY) // DAY * DAY
    hourly = simulation.truth(provider, since_hour, end)
    daily = simulation.truth(provider, since_day, end)
    ever = simulation.truth(provider, 0, end) if provider == "livepeer" else {}
    by_day = BY_DAY | ({"media_transcoded_seconds_total"} if provider == "millicast" else set())
    expected: dict[Key, float] = {}
    for key in hourly.keys() | daily.keys() | ever.keys():
        name = key[0]
        if name not in ENDED_JOBS:
            source = ever if name in LIFETIME else daily if name in by_day else hourly
            expected[key] = source.get(key, 0)
    return expected


def expected_growth_of_jobs(simulation: Simulation, first: int, last: int) -> dict[Key, float]:
    """What `ended_jobs` has to have grown by from a poll at `first` to one at `last`."""
    truth = simulation.emulators.vendors["dolby_media"].truth(first, last, now=last)
    return {
        (name, labels): amount / 1000 if name.endswith("_seconds_sum") else amount
        for (name, labels), amount in truth.items()
        if name in ENDED_JOBS
    }


def gauges(simulation: Simulation, provider: str) -> dict[Key, float]:
    """The provider's gauges, but for those that come out of the ledger."""
    found: dict[Key, float] = {}
    for (name, labels), value in simulation.samples().items():
        named = dict(labels)
        measure = BY_NAME.get(name)
        if named.pop("provider", None) != provider or measure is None or measure.type != "gauge":
            continue
        if name.startswith("media_month_to_date_"):
            continue
        del named["account"]
        found[name, tuple(sorted(named.items()))] = value
    return found


def expected_gauges(simulation: Simulation, provider: str) -> dict[Key, float]:
    """What the vendor's world says they are now, in the metrics' own units."""
    levels = simulation.emulators.vendors[provider].levels(int(simulation.now))
    found: dict[Key, float] = {
        key: level / 1000 if key[0].endswith("_seconds") else level for key, level in levels.items()
    }
    if provider == "wowza":
        # Streams in real time have a name, too, but the vendor does not say if they are archived.
        for stream in simulation.world.streams(
            "wowza", "real_time_streams", now=int(simulation.now)
        ):
            labels = {
                "kind": "realtime",
                "stream": stream.id,
                "name": stream.name,
                "archived": "unknown",
            }
            found["media_stream_info", tuple(sorted(labels.items()))] = 1
    return found
