"""The table at the end of a run says what was tried, and what came of it."""

from __future__ import annotations

from types import SimpleNamespace

from tests.attack.reporting import Attack, lines, rows


def report(nodeid: str, when: str, *, failed: bool = False, told: list | None = None) -> object:
    return SimpleNamespace(
        nodeid=nodeid,
        when=when,
        failed=failed,
        user_properties=[] if told is None else [("attack", told)],
    )


def test_tries_are_summed_and_failures_counted_by_attack() -> None:
    """Tests of one attack are one row; one that failed is a failure of it, with its worst error.

    One that failed before it could say what it tried has a row, one that was skipped has none.
    """
    reports = [
        report("a", "call"),
        report("a", "teardown", told=["kill", 3, 0.0]),
        report("b", "call", failed=True),
        report("b", "teardown", told=["kill", 2, 7.5]),
        report("c", "teardown", told=["", 0, None]),
        report("d", "teardown"),
        report("e", "call", failed=True),
        report("e", "teardown", told=["", 0, None]),
    ]
    table = rows(reports)
    assert lines(table)[2:] == ["| kill | 5 | 1 | 7.5 |", "| e | 0 | 1 |  |"]


def test_the_worst_error_is_the_largest_difference() -> None:
    """What a counter lacks or has too much of counts alike; nothing shown is 0."""
    attack = Attack()
    attack.compared(7, 7)
    attack.compared(5, 7)
    attack.compared(None, 1)
    assert attack.worst == 2
