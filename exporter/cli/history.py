"""`backfill` and `export`: read their flags, and write to a file, a pipe or stdout."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, TypeVar

from exporter.cli import inputs
from exporter.history import export, focus, focus_files
from exporter.history.backfill import backfill
from exporter.history.reader import Choice, HistoryError, instant, reading
from exporter.ledger.place import Place, place_of
from exporter.model.errors import ConfigError, ExporterError
from exporter.model.measures import CATALOGUE

STDOUT = "-"
BUILT_IN_LABELS = {"provider", "account", "le"}.union(*(measure.labels for measure in CATALOGUE))


T = TypeVar("T")


def command(chosen: SimpleNamespace) -> int:
    """Write the selected part of the ledger that a flag or the configuration names."""
    choice = _choice(chosen)
    form = getattr(chosen, "format", "")
    if form.endswith("parquet"):
        export.load_arrow()  # raises before anything is written
    billed: Sequence[focus.Billed] = ()
    if form in focus_files.FORMATS:
        place, billed = _billed(chosen, choice)
    else:
        place = inputs.ledger_place(chosen)
    with reading(place) as history, _output(chosen.output) as output, _Progress() as progress:
        now = int(time.time())
        if chosen.command == "backfill":
            chunks = 0
            for chunk in backfill(history, choice, now=now, progress=progress):
                output.write(chunk.encode("utf-8", "replace"))
                chunks += 1
            if chunks == 1:  # only `# EOF`
                progress.say("nothing is settled in this time; --unsettled takes what may change")
        elif billed:
            costs = focus.rows(history, billed, choice, now=now)
            focus_files.write(progress.counting(costs, "rows"), form, output)
        else:
            rows = export.rows(history, choice)
            export.write(progress.counting(rows, "buckets"), form, output)
        output.flush()
    return 0


def _billed(chosen: SimpleNamespace, choice: Choice) -> tuple[Place, Sequence[focus.Billed]]:
    """Where the ledger is, and the accounts that have terms."""
    form = chosen.format
    if choice.metrics:
        raise HistoryError(f"--metric: not with --format {form}, whose rows are charges")
    try:
        config = inputs.configuration(chosen)
    except ConfigError as error:
        if chosen.config_file.is_file():
            raise
        raise ExporterError(
            f"--format {form} needs the prices under `billing` in the configuration;"
            f" name it with --config.file ({error})"
        ) from None
    billed = [
        focus.Billed(account.provider.name, account.name, account.feeds, account.contracts)
        for account in config.accounts
        if account.contracts
    ]
    if not billed:
        raise ExporterError(
            f"{chosen.config_file}: no prices under `billing`, which --format {form} needs"
        )
    settings = config.ledger
    return place_of(settings.path, settings.url, settings.password), billed


def _choice(chosen: SimpleNamespace) -> Choice:
    start = _instant("--from", chosen.start)
    end = _instant("--to", chosen.end)
    if start is not None and end is not None and end <= start:
        raise HistoryError(f"--to {chosen.end}: not after --from {chosen.start}")
    return Choice(
        start,
        end,
        tuple(chosen.account),
        tuple(chosen.metric),
        chosen.unsettled,
        tuple(_label(text) for text in getattr(chosen, "label", ())),
    )


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name):
        raise HistoryError(f"--label {text}: expected NAME=VALUE, such as job=media-usage-exporter")
    if name.startswith("__") or name in BUILT_IN_LABELS:
        raise HistoryError(f"--label {text}: series have a label {name} of their own")
    return name, value


def _instant(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return instant(text)
    except ValueError as error:
        raise HistoryError(f"{flag}: {error}") from None


@contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that replaces `name` once it is complete."""
    if name == STDOUT:
        yield sys.stdout.buffer
        return
    path = Path(name)
    part: Path | None = None
    if path.is_file() or not path.exists():  # neither a pipe nor a device
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with (part or path).open("wb") as file:
            yield file
        if part is not None:
            part.replace(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExporterError(f"--output {name}: {error.strerror or error}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


class _Progress:
    """Shows progress in one line of stderr, overwritten in place; nothing if it is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def __call__(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Write a line that stays, also where stderr is no terminal."""
        self("")
        sys.stderr.write(f"{text}\n")

    def counting(self, rows: Iterator[T], what: str) -> Iterator[T]:
        """The same rows; their number is shown every 0.2 s."""
        for number, row in enumerate(rows, start=1):
            if self._shown and number % 1000 == 0 and time.monotonic() >= self._next:
                self._next = time.monotonic() + 0.2
                self(f"{number} {what}")
            yield row
