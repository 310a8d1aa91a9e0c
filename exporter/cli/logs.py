"""Log lines as logfmt or JSON: one line for each event, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def set_up(level: str, format: str, stream: TextIO | None = None) -> None:
    """Send the process's log to `stream` (stderr) in this format."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if format == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    threshold = {"warn": logging.WARNING}.get(level, level.upper())
    root.setLevel(threshold)
    # What the libraries have to say below a warning is about themselves. A logger with a level of
    # its own does not ask the root's, so the handler has to.
    handler.setLevel(threshold)
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    level = record.levelname.lower()
    moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
    fields: dict[str, object] = {
        "ts": f"{moment.isoformat(timespec='milliseconds')}Z",
        "level": {"warning": "warn", "critical": "error"}.get(level, level),
        "msg": record.getMessage(),
    }
    if record.name.partition(".")[0] != __name__.partition(".")[0]:
        fields["logger"] = record.name
    fields.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = record.exc_info[0].__name__
        fields["trace"] = logging.Formatter().formatException(record.exc_info)
    return fields


class Logfmt(logging.Formatter):
    """`ts=… level=info msg="two words" account=studio`; quoted as Go would quote."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())


class Json(logging.Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return json.dumps(_fields(record), default=str)


def _quoted(value: object) -> str:
    """As it is, or in quotes where it could be mistaken for several fields or break the line.

    No character is left that ends a line or that a terminal obeys, in whatever alphabet.
    """
    text = str(value)
    if text and all(character.isprintable() and character not in ' "=\\' for character in text):
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1]
        for character in json.dumps(text, ensure_ascii=False)
    )
