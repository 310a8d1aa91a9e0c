"""PostgreSQL's errors in words of what to do about them."""

from __future__ import annotations

import psycopg

_KNOWN = {
    "08": "the connection broke",
    "22003": "a total or a name is more than PostgreSQL can hold",
    "22P05": "a total or a name is more than PostgreSQL can hold",
    "22021": "a total or a name is more than PostgreSQL can hold",
    "25006": "the database only reads; a standby cannot be written to",
    "28": "signing in was refused",
    "3D000": "there is no such database",
    "40": "another transaction was in the way",
    "42501": "no permission; the user needs to own the tables, or all rights on them",
    "53100": "the disk is full",
    "53300": "the server has too many connections",
    "53": "the server lacks memory or other resources",
    "55P03": "another transaction holds a lock on it for too long",
    "57014": "a statement took too long and was ended",
    "57P": "the server is shutting down or starting up",
    "58": "the server's disk reports an error",
    "XX001": "its tables are damaged; restore a backup",
    "XX002": "an index of it is damaged; REINDEX repairs it",
}
"""What is said for a code of PostgreSQL, or for all codes that begin so."""

_LONGEST = 200


def why(error: psycopg.Error) -> str:
    """The error in one line, without the name of the ledger."""
    state = error.sqlstate or ""
    for length in (5, 3, 2):
        if (words := _KNOWN.get(state[:length])) is not None:
            return words
    if state:
        return f"it cannot be used ({type(error).__name__}, {state})"
    return f"the connection broke ({_line(error)})"


def why_not_connected(error: psycopg.Error) -> str:
    """Why there is no connection. libpq only has text for that, and no password in it."""
    return f"cannot be reached: {_line(error)}"


def _line(error: psycopg.Error) -> str:
    """What libpq says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Several addresses of one host are tried, and each has a line; the last one says it all.
    text = next((line for line in reversed(lines) if "FATAL" in line or "failed" in line), "")
    text = text or (lines[0] if lines else type(error).__name__)
    text = text.removeprefix("connection failed: ").removeprefix("- ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
