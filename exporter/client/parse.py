"""Reads one answer. Any fault in it raises a SchemaError, whose message quotes no value of it."""

from __future__ import annotations

import re
from codecs import BOM_UTF8

import msgspec

from exporter.client.merge import Bucket, summed
from exporter.model import Answer, Ask, Feed, Request, Usage
from exporter.model.errors import SchemaError
from exporter.model.values import refuse_repeated_keys


def read_answer(
    feed: Feed, request: Request, body: bytes, ask: Ask
) -> tuple[Answer, dict[Bucket, Usage]]:
    """One answer, and its usage by bucket with rows of the same bucket summed."""
    body = body.removeprefix(BOM_UTF8)  # RFC 8259, 8.1: may be ignored
    try:
        refuse_repeated_keys(body)
        answer = feed.parse(request, body, ask)
    except SchemaError as error:
        failure = f"{request.path}: {printable(str(error))}"
    except msgspec.ValidationError as error:
        failure = f"{request.path}: {_expectation(str(error))}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        failure = f"{request.path}: not JSON" if body else f"{request.path}: an empty answer"
    except RecursionError:
        failure = f"{request.path}: nested too deeply"
    else:
        return answer, summed(answer.usage)
    # Outside the except blocks: the decoder's error, as a cause, might quote the answer.
    raise SchemaError(failure)


def printable(message: str) -> str:
    """`message` in one line: names out of the answer may have line breaks."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in message)


def _expectation(message: str) -> str:
    """The part of a decoder's message that states what was expected, without the answer's text."""
    what, _, where = message.rpartition(" - at ")
    if not what:
        what, where = message, ""
    if not what.startswith(("Expected `", "Object missing required field `")):
        what = "a value that is not allowed"
    path = re.fullmatch(r"`(?:key in )?(\$[^`]*)`", where)
    return f"{what} at {path[1]}" if path else what
