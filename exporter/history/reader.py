"""The ledger as others see it: opened to be read only, while the exporter writes to it or not.

SQLite's write-ahead log gives each reading transaction one state of the file, and neither side
waits for the other. What is long is copied into temporary tables first, on disk, so that no
transaction stays open while somebody reads slowly.
"""

from __future__ import annotations

import difflib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.ledger.schema import MIGRATIONS, check_identity
from exporter.model import DAY, HOUR, Measure
from exporter.model.errors import LedgerError
from exporter.model.measures import BY_NAME

_UNIX = re.compile(r"[0-9]{1,11}(\.[0-9]+)?")


class HistoryError(LedgerError):
    """A question that the ledger's history cannot answer as it was asked."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is wanted of the history. `start` and `end` are None where it is unbounded.

    `accounts` and `metrics` are empty for all of them. `unsettled` wants closed buckets, too,
    that the vendor may still change. `labels` are put before a series' own, as a scrape would.
    """

    start: int | None = None
    end: int | None = None
    accounts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    unsettled: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures wanted; HistoryError for a name that is none, or one without history."""
        for name in self.metrics:
            if name not in BY_NAME or BY_NAME[name].type == "gauge":
                near = difflib.get_close_matches(name, _NAMES, n=1)
                hint = f"did you mean {near[0]}?" if near else "see the metrics' documentation"
                raise HistoryError(f"--metric {name}: no counter or histogram of that name; {hint}")
        return tuple(
            measure
            for measure in BY_NAME.values()
            if measure.type != "gauge" and (not self.metrics or measure.name in self.metrics)
        )


_NAMES = tuple(measure.name for measure in BY_NAME.values() if measure.type != "gauge")


@dataclass(frozen=True, slots=True)
class FeedHistory:
    """One feed's row: what its buckets cover, and up to when they are final."""

    id: int
    provider: str
    account: str
    name: str
    began: int
    settled_until: int
    folded_until: int
    step: int


def instant(text: str) -> int:
    """Unix seconds of an ISO 8601 date or time (UTC unless it says otherwise) or a Unix time.

    Raises ValueError, saying what was expected.
    """
    if _UNIX.fullmatch(text):
        return int(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a date or time, such as 2026-03-01 or 2026-03-01T15:00Z,"
            " nor Unix seconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger at `path`, to be read; LedgerError, in one line, when that is impossible."""
    if not path.is_file():
        raise LedgerError(f"ledger {path}: there is no such file")
    try:
        connection = _connect(path)
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: it cannot be read ({error})") from error
    try:
        yield connection
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: it cannot be read ({error})") from error
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode=ro"
    if not Path(f"{path}-wal").exists() and not _is_writable(path.parent):
        # Nobody writes to it, and SQLite could not make the files it shares with a writer.
        address += "&immutable=1"
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("PRAGMA temp_store = FILE")
        version = check_identity(connection)
    except LedgerError as error:
        connection.close()
        raise LedgerError(f"ledger {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    if version < len(MIGRATIONS):
        connection.close()
        raise LedgerError(
            f"ledger {path}: it is of an older version; start the exporter once to renew it"
        )
    return connection


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def feeds(connection: sqlite3.Connection, accounts: Sequence[str]) -> list[FeedHistory]:
    """The feeds of these accounts, or of all; HistoryError for an account that is not there."""
    found = [
        FeedHistory(
            id=identity,
            provider=provider,
            account=account,
            name=name,
            began=began or 0,
            settled_until=settled or 0,
            folded_until=folded,
            step=DAY if (finest or HOUR) >= DAY else HOUR,
        )
        for identity, provider, account, name, began, settled, folded, finest in connection.execute(
            "SELECT feed.id, provider, account.name, feed.name, began, settled_until,"
            " folded_until, finest FROM feed JOIN account ON account.id = feed.account"
            " ORDER BY provider, account.name, feed.name"
        )
    ]
    known = {feed.account for feed in found}
    for name in accounts:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none at all"
            raise HistoryError(f"--account {name}: not in the ledger, which has {listed}")
    return [feed for feed in found if not accounts or feed.account in accounts]
