"""The table that a run ends with, for people and as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """One line. `value` is to be at least or at most `target`, or is only reported."""

    what: str
    at: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = True
    note: str = ""
    points: tuple[tuple[float, float], ...] = ()
    """What a row about growth was fitted to: (size, cost)."""

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that stood beside each other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def table(results: Sequence[Result]) -> str:
    """As Markdown."""
    lines = ["| what | at | measured | must reach | |", "|---|---|---|---|---|"]
    for one in results:
        goal = "" if one.target is None else f"{'≥' if one.at_least else '≤'} {one.target:g}"
        verdict = {True: "yes", False: "**no**", None: ""}[one.reached]
        unit = f" {one.unit}" if one.unit else ""
        note = f" ({one.note})" if one.note else ""
        lines.append(
            f"| {one.what} | {one.at} | {one.value:.3g}{unit}{note} | {goal} | {verdict} |"
        )
    return "\n".join(lines)


def save(results: Sequence[Result], path: Path) -> None:
    """As JSON, with when and where."""
    path.write_text(
        json.dumps(
            {
                "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": f"{platform.machine()}, Python {platform.python_version()}",
                "results": [asdict(one) for one in results],
            },
            indent=2,
        )
        + "\n"
    )
