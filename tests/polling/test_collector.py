"""What one poll of an account costs beside its requests: each stage is entered once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exporter.exposition.publisher import Publisher
from exporter.ledger.thread import Worker
from exporter.polling.recorder import Recorder
from tests.support.simulation import Simulation

FEEDS = ["account", "countries", "streams", "viewers"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what was called since the counter was cleared."""
    counted: Counter[str] = Counter()

    def count(owner: type, name: str) -> None:
        method = getattr(owner, name)

        async def counting(self: Any, *arguments: Any, **options: Any) -> Any:
            counted[f"{owner.__name__}.{name}"] += 1
            return await method(self, *arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    count(Worker, "run")
    count(Publisher, "publish")
    count(Recorder, "record")
    return counted


async def test_a_feeds_poll_is_recorded_and_published_once(
    tmp_path: Path, calls: Counter[str]
) -> None:
    """And once more for what follows from the ledger; two changes of threads for a recording."""
    simulation = Simulation(
        tmp_path, providers=["millicast"], accounts={"millicast": {"feeds": FEEDS}}
    )
    async with simulation.running() as exporter:
        (collector,) = exporter.collectors
        assert await collector.poll()
        simulation.now += 900
        calls.clear()
        assert await collector.poll()
    assert calls["Recorder.record"] == len(FEEDS)
    assert calls["Publisher.publish"] == len(FEEDS) + 1
    read = 2  # the hours of two feeds, which prove which streams had nothing
    after = 4  # compact, settle, show the month, publish that
    assert calls["Worker.run"] <= 2 * len(FEEDS) + read + after


async def test_a_feed_that_fails_is_not_published(tmp_path: Path, calls: Counter[str]) -> None:
    """Nothing of the vendor's has changed; the exporter's own metrics are always new."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running() as exporter:
        (collector,) = exporter.collectors
        simulation.faults.set("wowza", "500")
        assert not await collector.poll()
    assert calls["Recorder.record"] == 0
    assert calls["Publisher.publish"] == 1 + 1, "at the start, and for what follows"
