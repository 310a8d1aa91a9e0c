"""How cost grows with streams, accounts, series and scrapers: fitted exponents, and their picture.

An exponent of 1 is in proportion, 0 is not at all. `python -m benchmarks.growth` draws
docs/images/growth.png from the newest run of `python -m benchmarks growth`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks import publishing, scraping
from benchmarks.machine import processor_seconds, program
from benchmarks.polling import cost
from benchmarks.results import Result

PICTURE = Path("docs/images/growth.png")


@dataclass(frozen=True, slots=True)
class Growth:
    """A cost, and the sizes at which it is measured."""

    of: str
    cost: str
    unit: str
    sizes: tuple[int, ...]
    measure: Callable[[int], float]


def _poll_seconds(streams: int) -> float:
    _, seconds, _ = cost(streams, rounds=1)
    return seconds


def _publishing_milliseconds(accounts: int) -> float:
    with TemporaryDirectory() as name:
        exporter = publishing.Published(Path(name), accounts)

        async def polls() -> float:
            await exporter.polls(2)  # the first puts everything together
            return await exporter.polls(40)

        try:
            return uvloop.run(polls()) * 1e3
        finally:
            exporter.close()


def _start_seconds(series: int) -> float:
    (result,) = scraping.start(series // 2, rounds=1)
    return result.value


def _resident_megabytes(series: int) -> float:
    (result,) = scraping.memory(series // 2)
    return result.value * series / 1e6


def _scrape_microseconds(scrapers: int) -> float:
    wrk = program("wrk", "wrk")
    assert wrk is not None, "wrk is not to be had"
    with TemporaryDirectory() as name, scraping.ours(Path(name), 1_000) as (target, pid):
        before = processor_seconds(pid)
        rate = scraping.per_second(wrk, target, compressed=True, connections=scrapers)
        return (processor_seconds(pid) - before) / (rate * scraping.SECONDS) * 1e6


GROWTHS = (
    Growth("streams", "processor time of a poll", "s", (500, 5_000, 50_000), _poll_seconds),
    Growth(
        "accounts",
        "publishing a poll of one of them",
        "ms",
        (1, 10, 100),
        _publishing_milliseconds,
    ),
    Growth("series", "start to first scrape", "s", (1_000, 10_000, 100_000), _start_seconds),
    Growth(
        "series",
        "memory beyond the idle process",
        "MB",
        (10_000, 100_000),
        _resident_megabytes,
    ),
    Growth("scrapers", "processor time of a scrape", "µs", (1, 8, 64, 256), _scrape_microseconds),
)


def measure() -> list[Result]:
    """An exponent for each."""
    return [_fitted(one) for one in GROWTHS]


def _fitted(growth: Growth) -> Result:
    points = tuple((float(size), growth.measure(size)) for size in growth.sizes)
    return Result(
        f"exponent by which it grows with {growth.of}: {growth.cost}",
        f"{growth.sizes[0]:,} to {growth.sizes[-1]:,} {growth.of}",
        _fit(points)[0],
        note=f"{points[0][1]:.3g} to {points[-1][1]:.3g} {growth.unit}",
        points=points,
    )


def _fit(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(exponent, factor) of the power law that fits best."""
    sizes, costs = zip(*points, strict=True)
    line = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    )
    return line.slope, math.exp(line.intercept)


def draw(results: Sequence[dict[str, object]], path: Path) -> None:
    """A panel for each growth among the results, both axes logarithmic."""
    from matplotlib.figure import Figure

    found = {str(one["what"]): one["points"] for one in results if one.get("points")}
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    for position, growth in enumerate(GROWTHS):
        what = f"exponent by which it grows with {growth.of}: {growth.cost}"
        points = [(float(size), float(cost)) for size, cost in found[what]]  # type: ignore[attr-defined]
        exponent, factor = _fit(points)
        axes = figure.add_subplot(2, 3, position + 1)
        sizes = [size for size, _ in points]
        axes.loglog(sizes, [cost for _, cost in points], "o", color="#3274d9")
        axes.loglog(
            sizes,
            [factor * size**exponent for size in sizes],
            color="#888888",
            label=f"exponent {exponent:.2f}",
        )
        axes.set_xlabel(growth.of)
        axes.set_ylabel(f"{growth.cost} ({growth.unit})")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    draw(json.loads(Path("benchmarks.json").read_text())["results"], PICTURE)
    print(f"drawn: {PICTURE}")
