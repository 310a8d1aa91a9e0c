"""One table at the end of a run: each attack, how often it was tried, what it did.

A test takes the fixture `attack` and says what it tried. A test that fails counts as a failure of
its attack. The worst error is the largest difference, in the metric's own units, between what a
counter showed and the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

KEY = "attack"


@dataclass(slots=True)
class Attack:
    """What one test tried."""

    name: str = ""
    tries: int = 0
    worst: float | None = None

    def tried(self, name: str, count: int = 1) -> None:
        """The attack of this name was tried so often."""
        self.name = name
        self.tries += count

    def compared(self, shown: float | None, truth: float | None) -> None:
        """A counter was held against the truth; None on either side is 0."""
        self.worst = max(self.worst or 0, abs((shown or 0) - (truth or 0)))


@pytest.fixture
def attack(request: pytest.FixtureRequest) -> Iterator[Attack]:
    """Where a test says what it tried; see `exporter`'s page on reliability for the table."""
    done = Attack()
    yield done
    request.node.user_properties.append((KEY, [done.name, done.tries, done.worst]))


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that say what they tried."""
    for item in items:
        if isinstance(item, pytest.Function) and "attack" in item.fixturenames:
            item.add_marker(pytest.mark.attack)


@dataclass(slots=True)
class Row:
    """All that was tried of one attack."""

    tries: int = 0
    failures: int = 0
    worst: float | None = None


def rows(reports: Iterable[Any]) -> dict[str, Row]:
    """The table of these test reports, in their order."""
    table: dict[str, Row] = {}
    failed = {report.nodeid for report in reports if report.failed}
    for report in reports:
        if report.when != "teardown":
            continue
        for key, value in report.user_properties:
            if key != KEY:
                continue
            name, tries, worst = value
            if not name and report.nodeid not in failed:
                continue  # it was skipped
            row = table.setdefault(name or report.nodeid, Row())
            row.tries += tries
            row.failures += report.nodeid in failed
            if worst is not None:
                row.worst = max(worst, row.worst or 0.0)
    return table


def lines(table: dict[str, Row]) -> list[str]:
    """The table as Markdown, ready for the page on reliability."""
    return [
        "| attack | tries | failures | worst error, units |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {row.tries:,} | {row.failures} |"
            f" {'' if row.worst is None else f'{row.worst:g}'} |"
            for name, row in table.items()
        ),
    ]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, if anything was attacked."""
    reports = [
        report
        for kind in terminalreporter.stats.values()
        for report in kind
        if isinstance(report, pytest.TestReport)
    ]
    table = rows(reports)
    if table:
        terminalreporter.section("attacks")
        for line in lines(table):
            terminalreporter.write_line(line)
