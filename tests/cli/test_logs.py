"""The log: one line an event, in either format, and no more lines than events."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import logs
from exporter.client.http import VendorClient
from exporter.ledger import Ledger
from exporter.model.errors import LedgerWriteError
from exporter.polling.account_log import MOST_REMARKS, AccountLog
from exporter.polling.advice import ADVICE
from tests.support.simulation import DAY, HOUR, Simulation

CADENCE = 900
FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" =]*)(?: |$)')
NASTY = {
    "a quote": 'say "hi"',
    "a backslash": "C:\\temp\\new",
    "an equals sign": "a=b",
    "nothing": "",
    "a newline": "one\ntwo\r\nthree",
    "controls": "\x00\x07\x1b[31mred\x7f\t",
    "C1 controls": "\x85\x9b31m",
    "separators": "\u2028\u2029",
    "direction": "\u202egnp.exe",
    "a lone surrogate": "\udcff",
    "other alphabets": "日本語 العربية 🎥",
    "a private plane": "\U000f0000",
}


class Log:
    """What is logged from now on, as lines and as fields."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]

    @property
    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self.lines]

    def take(self) -> list[dict]:
        """The entries since the last time."""
        found = self.entries
        self.stream.seek(0)
        self.stream.truncate()
        return found


@pytest.fixture
def set_up() -> Iterator[Callable[..., Log]]:
    """Sets the log up as the command line does; everything is as before afterwards."""
    root = logging.getLogger()
    names = ("uvicorn", "uvicorn.error", "asyncio", "httpx", "httpcore")
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in names}

    def begin(level: str = "info", format: str = "json") -> Log:
        log = Log()
        logs.set_up(level, format, log.stream)
        return log

    yield begin
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logfmt(line: str) -> dict[str, str]:
    """The fields of a line, read as any logfmt reader would."""
    fields: dict[str, str] = {}
    position = 0
    while position < len(line):
        found = FIELD.match(line, position)
        assert found is not None, line[position:]
        name, value = found[1], found[2]
        fields[name] = json.loads(value) if value.startswith('"') else value
        position = found.end()
    return fields


# Lines.


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_a_line_is_one_line_whatever_is_in_it(set_up, format: str, value: str) -> None:
    """No value ends the line, steers a terminal or is lost, as message or as field."""
    log = set_up(format=format)
    logging.getLogger("exporter.test").warning("%s", value, extra={"error": value})
    text = log.stream.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text[:-1].isprintable()
    fields = json.loads(text) if format == "json" else logfmt(text[:-1])
    assert fields["msg"] == fields["error"] == value


def test_logfmt_looks_as_elsewhere(set_up) -> None:
    """Plain values stay bare, others are quoted; the order is ts, level, msg, the rest."""
    log = set_up(format="logfmt")
    logging.getLogger("exporter.test").info("two words", extra={"account": "a", "seconds": 1.5})
    (line,) = log.lines
    assert re.fullmatch(r'ts=\S+Z level=info msg="two words" account=a seconds=1.5', line)


@pytest.mark.parametrize("format", logs.FORMATS)
def test_times_are_utc(set_up, format: str) -> None:
    """To the millisecond, with a Z, wherever the machine is."""
    log = set_up(format=format)
    record = logging.makeLogRecord(
        {"name": "exporter", "levelno": 20, "msg": "x", "created": 1_775_000_000.25}
    )
    logging.getLogger().handle(record)
    (line,) = log.lines
    fields = json.loads(line) if format == "json" else logfmt(line)
    assert fields["ts"] == "2026-03-31T23:33:20.250Z"
    assert datetime.fromisoformat(fields["ts"]) == datetime.fromtimestamp(1_775_000_000.25, UTC)


@pytest.mark.parametrize("format", logs.FORMATS)
def test_an_exception_is_one_line_with_its_trace(set_up, format: str) -> None:
    """A trace is a field."""
    log = set_up(format=format)
    try:
        raise ValueError("of no use")
    except ValueError:
        logging.getLogger("exporter.test").exception("broke off")
    (line,) = log.lines
    fields = json.loads(line) if format == "json" else logfmt(line)
    assert fields["level"] == "error"
    assert fields["exception"] == "ValueError"
    assert "test_logs.py" in fields["trace"]


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warn", "error", "error"]),
        ("info", ["info", "warn", "error", "error"]),
        ("warn", ["warn", "error", "error"]),
        ("error", ["error", "error"]),
    ],
)
def test_levels_are_honoured_and_have_four_names(set_up, level: str, seen: list[str]) -> None:
    """What is below the level is not there."""
    log = set_up(level)
    for number in (10, 20, 30, 40, 50):
        logging.getLogger("exporter.test").log(number, "x")
    assert [entry["level"] for entry in log.entries] == seen


@pytest.mark.parametrize("level", logs.LEVELS)
def test_libraries_speak_of_warnings_only_and_by_name(set_up, level: str) -> None:
    """Less than a warning is their own business; the chosen level holds for them as well."""
    log = set_up(level)
    # Servers that other tests ran in this process may have silenced it.
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("beware")
    seen = [(entry["logger"], entry["msg"]) for entry in log.entries]
    assert seen == (
        [] if level == "error" else [("uvicorn.error", "beware"), ("asyncio", "beware")]
    )


def test_pythons_own_warnings_are_log_lines(set_up) -> None:
    """Nothing goes to stderr past the log."""
    log = set_up()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (entry,) = log.entries
    assert entry["level"] == "warn"
    assert "DeprecationWarning: old" in entry["msg"]


# Events of a polled account, on simulated time.


async def polls(simulation: Simulation, count: int) -> None:
    """So many, one cadence apart."""
    for _ in range(count):
        await simulation.poll()
        simulation.now += CADENCE


async def test_a_healthy_hour_is_one_line_a_poll(set_up, tmp_path: Path) -> None:
    """Four accounts, four polls: sixteen lines at info, all of them `polled`."""
    log = set_up()
    simulation = Simulation(tmp_path)
    async with simulation.running():
        await polls(simulation, 1)
        log.take()
        await polls(simulation, 4)
        await simulation.settle()
    entries = log.entries
    assert [entry["msg"] for entry in entries] == ["polled"] * 16
    for entry in entries:
        assert entry["level"] == "info"
        assert entry["failed"] == 0
        assert entry["requests"] > 0
        assert {"provider", "account", "feeds", "seconds"} <= entry.keys()


async def test_a_healthy_hour_is_silent_above_info(set_up, tmp_path: Path) -> None:
    """From the very first poll on there is nothing to warn of."""
    log = set_up("warn")
    simulation = Simulation(tmp_path)
    async with simulation.running():
        await polls(simulation, 5)
    assert log.entries == []


@pytest.mark.parametrize(
    ("kind", "reason", "level"),
    [("401", "auth", "error"), ("500", "server", "warn"), ("truncated", "schema", "error")],
)
async def test_a_lasting_fault_is_told_when_it_begins_and_when_it_is_over(
    set_up, tmp_path: Path, kind: str, reason: str, level: str
) -> None:
    """Eight polls fail: one line a feed, then one that it works again."""
    log = set_up()
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running():
        await polls(simulation, 1)
        log.take()
        simulation.faults.set("wowza", kind)
        await polls(simulation, 8)
        failing = [entry for entry in log.take() if entry["msg"] != "polled"]
        simulation.faults.clear()
        await polls(simulation, 3)
        after = [entry for entry in log.take() if entry["msg"] != "polled"]
    assert sorted(entry["feed"] for entry in failing) == ["viewers", "vod_streams"]
    for entry in failing:
        assert entry["msg"] == (
            "feed failed; its counters stand still, its gauges vanish after two cadences"
        )
        assert (entry["level"], entry["reason"]) == (level, reason)
        assert entry["fault"] == ADVICE[reason].party
        assert entry["account"] == "vod"
        assert entry["error"]
        assert "trace" not in entry
    advised = [entry["advice"] for entry in failing if "advice" in entry]
    assert advised == [ADVICE[reason].todo.replace("`", "")], "once an account"
    assert sorted(entry["feed"] for entry in after) == ["viewers", "vod_streams"]
    for entry in after:
        assert entry["msg"] == "feed works again; its counters have caught up"
        assert entry["level"] == "info"
        assert entry["failed_seconds"] == 8 * CADENCE


async def test_another_reason_is_told_but_no_wavering_between_two(set_up, tmp_path: Path) -> None:
    """503, 401, 503, 401: each reason once, until the feed works again."""
    log = set_up("warn")
    simulation = Simulation(tmp_path, providers=["dolby_media"])
    async with simulation.running():
        for kind in ("401", "500", "401", "500"):
            simulation.faults.set("dolby_media", kind)
            await polls(simulation, 1)
            simulation.faults.clear()
        told = [entry["reason"] for entry in log.take() if entry["feed"] == "usage"]
        assert told == ["auth", "server"]
        await polls(simulation, 1)
        simulation.faults.set("dolby_media", "401")
        await polls(simulation, 1)
        assert [one["reason"] for one in log.take() if one["feed"] == "usage"] == ["auth"]


async def test_a_mistake_of_ours_is_told_once_with_its_trace(
    set_up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that a parser falls over is one line, not a traceback at every poll."""
    log = set_up("warn")
    simulation = Simulation(tmp_path, providers=["wowza"])

    async def broken(*_: object, **__: object) -> bytes:
        raise KeyError("of no use")

    monkeypatch.setattr(VendorClient, "get", broken)
    async with simulation.running():
        await polls(simulation, 3)
    entries = log.entries
    assert sorted(entry["feed"] for entry in entries) == ["viewers", "vod_streams"]
    for entry in entries:
        assert entry["reason"] == "schema"
        assert entry["exception"] == "KeyError"
        assert "broken" in entry["trace"]


async def test_catching_up_is_told_at_its_beginning_and_its_end(set_up, tmp_path: Path) -> None:
    """However many pieces an outage of a week is filled in with."""
    log = set_up()
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running():
        await polls(simulation, 1)
    simulation.now += 7 * DAY
    log.take()
    async with simulation.running():
        await polls(simulation, 2)
    told = [(one["msg"], one["hours_left"] > 0) for one in log.entries if "hours_left" in one]
    assert told == [
        ("catching up after an outage; counters grow by what was left out", True),
        ("caught up after an outage; counters are complete", False),
    ]


async def test_a_full_disk_is_told_once_a_feed(
    set_up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger's trouble lasts as well as a vendor's."""

    def full(*_: object, **__: object) -> None:
        raise LedgerWriteError("the disk is full")

    log = set_up("warn")
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running():
        await polls(simulation, 1)
        monkeypatch.setattr(Ledger, "record", full)
        await polls(simulation, 3)
        told = [entry for entry in log.take() if entry.get("reason")]
    assert sorted(entry["feed"] for entry in told) == ["viewers", "vod_streams"]
    assert {entry["reason"] for entry in told} == {"ledger"}


# What the journal leaves out.


def test_a_remark_is_made_once_whatever_its_figures(set_up) -> None:
    """Names and numbers change with every answer, the remark does not."""
    log = set_up()
    journal = AccountLog(provider="millicast", account="live")
    journal.remark("streams", "left out: 3, such as 'a/b'")
    journal.remark("streams", "left out: 14, such as 'c/d'")
    journal.remark("viewers", "left out: 14, such as 'c/d'")
    journal.remark("streams", "something else")
    assert [(entry["feed"], entry["msg"]) for entry in log.entries] == [
        ("streams", "left out: 3, such as 'a/b'"),
        ("viewers", "left out: 14, such as 'c/d'"),
        ("streams", "something else"),
    ]


def test_remarks_come_to_an_end(set_up) -> None:
    """A vendor that words each differently fills neither the log nor the memory."""
    log = set_up()
    journal = AccountLog(provider="millicast", account="live")
    words = ["".join("ab"[position >> bit & 1] for bit in range(11)) for position in range(2000)]
    for word in words:
        journal.remark("streams", word)
    assert len(log.lines) == MOST_REMARKS


def test_a_trouble_beside_the_polls_is_told_until_it_is_over(set_up) -> None:
    """Once while it lasts, however its error is worded, and again when it comes back."""
    log = set_up()
    journal = AccountLog(provider="millicast", account="live")
    for error in ("attempt 1", "attempt 2"):
        journal.trouble("streams", "gap", "still missing", ValueError(error))
    journal.resolved("streams", "gap")
    journal.trouble("streams", "gap", "still missing", ValueError("attempt 3"))
    assert [entry["error"] for entry in log.entries] == ["attempt 1", "attempt 3"]


def test_lost_data_says_how_much_and_that_it_is_for_good(set_up) -> None:
    """The one event that nothing mends."""
    log = set_up()
    AccountLog(provider="millicast", account="live").lost("streams", 5 * HOUR)
    (entry,) = log.entries
    assert entry["level"] == "warn"
    assert entry["hours"] == 5.0
    assert "for good" in entry["msg"]
