"""`python -m benchmarks [NAME …]`: measure, print one table, and keep it as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    growth,
    guarded,
    idle,
    polling,
    publishing,
    replicas,
    scraping,
    shared_ledger,
    startup,
)
from benchmarks.results import Result, save, table

BENCHMARKS: dict[str, Callable[[], list[Result]]] = {
    "scrapes": scraping.measure,
    "guarded": guarded.measure,
    "interference": polling.measure_interference,
    "polls": polling.measure_cost,
    "publishing": publishing.measure,
    "requests": idle.measure,
    "commands": startup.measure,
    "start": scraping.start,
    "memory": scraping.memory,
    "million": scraping.million,
    "ledger": polling.measure_ledger,
    "postgresql": shared_ledger.measure,
    "takeover": shared_ledger.start,
    "replicas": replicas.measure,
    "growth": growth.measure,
}
OUTPUT = Path("benchmarks.json")


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        print(f"unknown: {', '.join(unknown)}; one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    results: list[Result] = []
    for name in names or BENCHMARKS:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        results += BENCHMARKS[name]()
    print(table(results))
    save(results, OUTPUT)
    print(f"kept in {OUTPUT}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
