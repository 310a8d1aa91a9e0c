"""The ledger's file: locked by one exporter, opened, and its errors in words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from exporter.ledger.sqlite.schema import check_identity, migrate
from exporter.model.errors import LedgerError

DAMAGED = "it is damaged; it is left as it is: restore a backup, or move it away to start afresh"


def locked(path: Path) -> int:
    """Take the lock beside the ledger; a file of its own, because SQLite's locks are per file."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(
            f"ledger {path}: cannot write beside it: {error.strerror}; its folder must exist and"
            " be writable"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LedgerError(
            f"ledger {path}: another exporter is writing to it; give each its own ledger"
        ) from error
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger, made for its owner alone when missing and brought to the newest version; else LedgerError."""
    with suppress(OSError):  # it is there already, or SQLite says what is wrong
        # The files beside it take their mode from it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            check_identity(connection)
            # Every poll is on disk before it is shown: what Prometheus saw is never taken back.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA busy_timeout = 10000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA cache_size = -16384")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: {why(error)}") from error
    except LedgerError as error:
        raise LedgerError(f"ledger {path}: {error}") from error
    return connection


def why(error: sqlite3.Error) -> str:
    """SQLite's error in words of what to do about it."""
    code = getattr(error, "sqlite_errorname", "")
    primary = "_".join(code.split("_")[:2])
    known = {
        "SQLITE_NOTADB": "it is not a ledger (not an SQLite database); it is left as it is",
        "SQLITE_CORRUPT": DAMAGED,
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "it is read-only",
        "SQLITE_CANTOPEN": "it cannot be opened; its folder must exist and be writable",
        "SQLITE_BUSY": "another program holds it locked",
        "SQLITE_LOCKED": "another program holds it locked",
        "SQLITE_IOERR": "the disk reports an error",
        "SQLITE_PERM": "no permission to use it",
    }
    return known.get(primary, f"it cannot be used ({code or type(error).__name__})")
