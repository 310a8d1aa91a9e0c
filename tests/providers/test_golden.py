"""The vendors' own example answers, with the exposition that they must lead to.

Each case is a folder that a person can check by eye: `case.yaml` says what was asked when, the
JSON files are the vendor's answers, `expected.prom` is what `/metrics` shows of them.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import providers
from exporter.client.fetch import PollFetcher
from exporter.exposition import AccountPage, Format
from exporter.ledger import Ledger, Poll
from exporter.model import Ask, Request, Span, Step, Window
from exporter.model.measures import CATALOGUE

CASES = sorted(path.parent for path in (Path(__file__).parents[1] / "golden").glob("*/*/case.yaml"))


def instant(value: Any) -> int:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    assert moment.tzinfo is not None
    return int(moment.timestamp())


class Vendor:
    """Answers with the case's files, and with `otherwise` to whatever else is asked."""

    def __init__(self, case: Path, description: dict[str, Any]) -> None:
        self.case = case
        self.responses = description["responses"]
        self.otherwise = description.get("otherwise")
        self.served: set[str] = set()

    async def get(self, request: Request, feed: str) -> bytes:
        for response in self.responses:
            wanted = {str(k): str(v) for k, v in (response.get("params") or {}).items()}
            if response["path"] == request.path and wanted.items() <= dict(request.params).items():
                self.served.add(response["file"])
                return Path(self.case, response["file"]).read_bytes()
        assert self.otherwise is not None, f"{feed} asks for {request}"
        text = self.otherwise
        return (text if isinstance(text, str) else json.dumps(text)).encode()


def exposition(case: Path, tmp_path: Path) -> tuple[list[str], Vendor, dict[str, Any]]:
    description = yaml.safe_load((case / "case.yaml").read_text(encoding="utf-8"))
    provider = providers.load()[description["provider"]]
    options = {option.key: option.default for option in provider.options}
    for key, value in (description.get("options") or {}).items():
        options[key] = tuple(value) if isinstance(value, list) else value
    (feed,) = provider.feeds([description["feed"]], options)
    now = instant(description["now"])
    spans = tuple(
        Span(Window(instant(span["start"]), instant(span["end"])), Step(span["step"].lower()))
        for span in description.get("spans") or ()
    )
    vendor = Vendor(case, description)
    ask = Ask(now, spans, tuple(description.get("streams") or ()))
    fetched = asyncio.run(PollFetcher(vendor.get).fetch(feed, [ask]))
    ledger = Ledger.open(tmp_path / "usage.db", clock=lambda: float(now), hold_seconds=120)
    try:
        book = ledger.book(provider.name, "golden", feeds=[feed.name], stream_limit=100)
        described = [level for level in fetched.levels if level.measure.identity]
        poll = Poll(feed.name, now, usage=fetched.usage, events=fetched.events, described=described)
        ledger.record(book, poll)
        page = AccountPage(book, level_seconds=1800)
        page.set_levels(feed.name, fetched.levels, at=now)
        page.render(CATALOGUE, now)
        lines = [
            line
            for block in page.blocks(Format.TEXT).values()
            for line in block.plain.decode().splitlines()
        ]
    finally:
        ledger.close()
    return lines, vendor, description


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_the_vendors_example_becomes_exactly_these_samples(case: Path, tmp_path: Path) -> None:
    """A vendor's documented answer leads to the samples written beside it, and to no others."""
    lines, vendor, description = exposition(case, tmp_path)
    expected = (case / "expected.prom").read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(line for line in expected if line)
    assert vendor.served == {response["file"] for response in description["responses"]}


def test_there_are_cases_for_every_provider() -> None:
    """Each provider has at least one example of its vendor."""
    assert {case.parent.name for case in CASES} == set(providers.load())
