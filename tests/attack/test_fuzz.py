"""Every reader of what others write, with what was written right and then spoilt at random.

Cases are made from their number alone: a failure names the number, and running it again fails
again.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter import config, providers
from exporter.client.fetch import PollFetcher
from exporter.client.parse import printable, read_answer
from exporter.exposition import AccountPage, Format
from exporter.ledger import Ledger, Poll
from exporter.model import LARGEST_AMOUNT, Answer, Ask, Feed, Request, Span, Step, Window
from exporter.model.errors import ConfigError, SchemaError
from exporter.model.measures import CATALOGUE
from exporter.web import toolkit
from tests.attack.reporting import Attack
from tests.config.vendors import VENDORS
from tests.providers.test_golden import CASES, Vendor, instant

TESTS = Path(__file__).parent.parent
NAMES = (
    'the "green" room',
    "back\\slash\\n",
    "two\nlines\r\n",
    "\x00\x01\x1b[31m\x7f",
    "東京 😀 \U0010ffff",
    "\u2028\u202e\ufeff",
    "x" * 5000,
    " ",
    "",
    "__other__",
    "unknown",
)
HUGE = "stands for a number of 5001 digits"
ODD: tuple[object, ...] = (
    *NAMES,
    *(None, True, False, [], {}, [[]], {"": {}}, 0, -0.0, -1, 1, 0.1, -1e-9),
    *(2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, 1e300, HUGE, 5e-324, 9007199254740993.0),
    *(math.nan, math.inf, -math.inf, "NaN", "1e400", "-5", "12,5", "0x10", "١٢٣", "1_000"),
    *("0000-00-00", "9999-12-31T23:59:59Z", "2026-02-30", "2026-01-01T00:00:00+24:00"),
    *("0001-01-01T00:00:00+23:59", "2024-02-29T00:00:00", "../../etc/passwd", "%00", "a" * 40),
)


# --- Spoiling -------------------------------------------------------------------------------------


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from places(value[index])


def spoil_tree(value: Any, chance: random.Random) -> Any:
    """The value with one to four things about it changed."""
    tree = [value]
    for _ in range(chance.randint(1, 4)):
        every = list(places(tree))
        container, key = every[chance.randrange(len(every))]
        other, other_key = every[chance.randrange(len(every))]
        match chance.randrange(8):
            case 0 if container is not tree:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(other[other_key])
            case 2:
                container[key] = [container[key]]
            case 3 if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
            case 4 if isinstance(container, dict):
                container[chance.choice(NAMES) or "x"] = container.pop(key)
            case 5 if isinstance(container[key], int | float):
                container[key] = chance.choice((-1, 1e-3, 10**6, 1e12, 0.5)) * container[key]
            case _:
                container[key] = copy.deepcopy(chance.choice(ODD))
    return tree[0]


def spoil_bytes(text: bytes, chance: random.Random) -> bytes:
    """The text with one to four cuts, repetitions and insertions."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        length = chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(5):
            case 0:
                text = text[:at] + text[at + length :]
            case 1:
                text = text[:at] + text[at : at + length] * 2 + text[at + length :]
            case 2:
                text = text[:at] + chance.randbytes(length) + text[at:]
            case 3:
                text = text[:at]
            case _:
                odd = chance.choice((b'"', b"\\", b"{", b"]", b":", b",", b"\xff", b"\xed\xa0\x80"))
                text = text[:at] + odd + text[at:]
    return text


def spoilt(body: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return spoil_bytes(body, chance)
    if chance.random() < 0.01:
        return b"[" * 100_000
    return written(spoil_tree(json.loads(body), chance))


def written(tree: object) -> bytes:
    """As JSON, also whole numbers that have more digits than Python likes to write."""
    text = json.dumps(tree, ensure_ascii=False).replace(f'"{HUGE}"', "1" + "0" * 5000)
    return text.encode("utf-8", "surrogatepass")


# --- Vendors' answers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """One recorded answer, and what it was read with."""

    name: str
    feed: Feed
    request: Request
    ask: Ask
    body: bytes


class Recorder:
    """Hands out the case's answers, and keeps them."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.answers: list[tuple[Request, bytes]] = []

    async def get(self, request: Request, feed: str) -> bytes:
        body = await self.vendor.get(request, feed)
        self.answers.append((request, body))
        return body


@cache
def recorded() -> list[Read]:
    """Every answer in the golden cases."""
    found = []
    for case in CASES:
        description = yaml.safe_load((case / "case.yaml").read_text(encoding="utf-8"))
        provider = providers.load()[description["provider"]]
        options = {option.key: option.default for option in provider.options}
        for key, value in (description.get("options") or {}).items():
            options[key] = tuple(value) if isinstance(value, list) else value
        (feed,) = provider.feeds([description["feed"]], options)
        spans = tuple(
            Span(Window(instant(span["start"]), instant(span["end"])), Step(span["step"].lower()))
            for span in description.get("spans") or ()
        )
        ask = Ask(instant(description["now"]), spans, tuple(description.get("streams") or ()))
        recorder = Recorder(Vendor(case, description))
        asyncio.run(PollFetcher(recorder.get).fetch(feed, [ask]))
        known: set[bytes] = set()
        for request, body in recorder.answers:
            if body not in known:
                known.add(body)
                found.append(Read(f"{case.parent.name}/{case.name}", feed, request, ask, body))
    return found


def check(answer: Answer) -> None:
    """All that can be said of any answer, whatever it was made from."""
    for usage in answer.usage:
        assert type(usage.amount) is int
        assert 0 <= usage.amount <= LARGEST_AMOUNT
        assert usage.start >= 0
        assert usage.width > 0
    for level in answer.levels:
        assert type(level.value) in (int, float)
        assert 0 <= level.value <= LARGEST_AMOUNT
    for event in answer.events:
        assert event.id
        for _, _, amount in event.timings:
            assert type(amount) is int
            assert 0 <= amount <= LARGEST_AMOUNT
    for measure, labels in told(answer):
        assert len(labels) == len(measure.labels)
        for label in labels:
            assert type(label) is str
            label.encode("utf-8")


def told(answer: Answer) -> Iterator[tuple[Any, tuple[str, ...]]]:
    yield from ((usage.measure, usage.labels) for usage in answer.usage)
    yield from ((level.measure, level.labels) for level in answer.levels)
    for event in answer.events:
        yield from event.counts
        yield from ((measure, labels) for measure, labels, _ in event.timings)


def one_line(faults: list[str]) -> None:
    """Something is said, and nothing of it could pass for another line of the log."""
    assert faults
    assert all(fault and "\n" not in fault for fault in faults)


def show(read: Read, answer: Answer, folder: Path) -> None:
    """Record the answer and read the page that comes of it."""
    path = folder / "usage.db"
    ledger = Ledger.open(path, clock=lambda: float(read.ask.now), hold_seconds=120)
    try:
        provider = read.name.partition("/")[0]
        book = ledger.book(provider, "fuzzed", feeds=[read.feed.name], stream_limit=50)
        poll = Poll(read.feed.name, read.ask.now, usage=answer.usage, events=answer.events)
        ledger.record(book, poll)
        page = AccountPage(book, level_seconds=1800)
        page.set_levels(read.feed.name, answer.levels, at=read.ask.now)
        page.render(CATALOGUE, read.ask.now)
        for block in page.blocks(Format.TEXT).values():
            for family in text_string_to_metric_families(block.plain.decode()):
                assert all(sample.value >= 0 for sample in family.samples)
    finally:
        ledger.close()
        for suffix in ("", "-wal", "-shm", ".lock"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def attack_parsers(numbers: range, folder: Path, attack: Attack) -> None:
    reads = recorded()
    accepted = 0
    for number in numbers:
        chance = random.Random(number)
        read = reads[number % len(reads)]
        body = spoilt(read.body, chance)
        try:
            answer, _ = read_answer(read.feed, read.request, body, read.ask)
            check(answer)
            accepted += 1
            if accepted % 25 == 0:
                show(read, answer, folder)
        except SchemaError as error:
            one_line([str(error)])
        except Exception as error:
            raise AssertionError(f"case {number}, {read.name}: {body[:2000]!r}") from error
        attack.tried("spoilt answers, each vendor's parsers")
    print(f"{accepted} of {len(numbers)} spoilt answers were still answers")
    assert 0 < accepted < len(numbers)


def test_no_spoilt_answer_is_more_than_refused(tmp_path: Path, attack: Attack) -> None:
    """A vendor's answer with anything about it changed is read as whole, finite, non-negative
    amounts, or refused as not what the vendor documents; nothing else ever comes of it.
    """
    attack_parsers(range(4_000), tmp_path, attack)


def test_a_name_with_line_ends_does_not_break_the_message_about_it() -> None:
    """What is said of an answer is one line, whatever names are in it."""
    assert printable("$.two\nlines\r\x1b[31m: not a row") == "$.two�lines��[31m: not a row"


@pytest.mark.soak
def test_no_spoilt_answer_of_very_many_is_more_than_refused(tmp_path: Path, attack: Attack) -> None:
    """The same, of many more."""
    attack_parsers(range(4_000, 170_000), tmp_path, attack)


# --- Configurations -------------------------------------------------------------------------------

WORDS = (
    *("{", "}", "[", "- ", ": ", "&a ", "*a", "!!python/object ", "<<: *a", "|", ">", "%YAML 9"),
    *("---", "...", "\t", "\x00", "😀", "\ufeff", "null", "~", "1e999", "0o17", "-1", "9" * 400),
    *("2026-02-30", "!!binary x", "!!set {a}", "? ", "'", '"', "#", "\u2028", "\x85", "99999999d"),
)


def spoil_text(text: str, chance: random.Random) -> bytes:
    """The file with lines lost, repeated, exchanged, and words put in."""
    lines = text.split("\n")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        line = lines[at]
        match chance.randrange(7):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, line)
            case 2:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], line
            case 3:
                lines[at] = " " * chance.randrange(9) + line.lstrip()
            case 4 if ":" in line:
                lines[at] = f"{line.partition(':')[0]}: {chance.choice(WORDS)}"
            case _:
                where = chance.randrange(len(line) + 1)
                lines[at] = line[:where] + chance.choice(WORDS) + line[where:]
    body = "\n".join(lines).encode()
    return spoil_bytes(body, chance) if chance.random() < 0.2 else body


def attack_files(
    name: str,
    files: list[Path],
    load: Callable[[Path], object],
    numbers: range,
    folder: Path,
    attack: Attack,
) -> None:
    assert files
    for number in numbers:
        chance = random.Random(number)
        source = files[number % len(files)]
        body = spoil_text(source.read_text(encoding="utf-8", errors="replace"), chance)
        path = folder / source.name
        path.write_bytes(body)
        try:
            load(path)
        except ConfigError as error:
            one_line(error.faults)
        except Exception as error:
            raise AssertionError(f"case {number}, {source.name}: {body[:3000]!r}") from error
        attack.tried(name)


def configurations() -> list[Path]:
    """The config tests' files, but for those made to be large."""
    files = sorted((TESTS / "config").glob("*valid/*.yaml"))
    return [TESTS.parent / "config.yaml", *(file for file in files if file.stat().st_size < 20_000)]


def web_configurations(folder: Path) -> tuple[list[Path], Path]:
    """A copy of the web tests' files, so that what they name is beside them."""
    copied = folder / "web"
    shutil.copytree(TESTS / "web" / "toolkit", copied)
    return sorted((TESTS / "web" / "toolkit").glob("*/*.yml")), copied


def load_configuration(path: Path) -> object:
    return config.load(path, {**providers.load(), **VENDORS})


def test_no_spoilt_configuration_is_more_than_refused(tmp_path: Path, attack: Attack) -> None:
    """A config.yaml with anything about it changed is read or refused, fault by fault."""
    name = "spoilt configurations"
    attack_files(name, configurations(), load_configuration, range(800), tmp_path, attack)


def test_no_spoilt_web_configuration_is_more_than_refused(tmp_path: Path, attack: Attack) -> None:
    """A web config file with anything about it changed is read or refused, fault by fault."""
    files, folder = web_configurations(tmp_path)
    attack_files("spoilt web configurations", files, toolkit.load, range(500), folder, attack)


@pytest.mark.soak
def test_no_spoilt_configuration_of_very_many_is_more_than_refused(
    tmp_path: Path, attack: Attack
) -> None:
    """The same, of many more."""
    name = "spoilt configurations"
    attack_files(name, configurations(), load_configuration, range(800, 20_000), tmp_path, attack)
    files, folder = web_configurations(tmp_path)
    attack_files(
        "spoilt web configurations", files, toolkit.load, range(500, 10_000), folder, attack
    )
