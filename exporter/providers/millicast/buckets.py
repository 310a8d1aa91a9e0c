"""Maps the keys of a series to the buckets that were asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from exporter.model import Span
from exporter.model.errors import SchemaError
from exporter.model.values import Empty, instant

T = TypeVar("T")

MOST_SPELLINGS = 10_000
"""The most keys that are cached for each span; no proper answer has as many."""


class Buckets(dict[str, tuple[int, int] | None]):
    """Start and width of a span's buckets by the vendor's text for the start; None if outside.

    A poll may have thousands of answers about the same few hours, so the usual format is looked up
    and only others are parsed.
    """

    def __init__(self, span: Span) -> None:
        self.span = span
        start = span.window.start
        while start < span.window.end:
            spelling = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self[spelling] = start, span.step.width(start)
            start = span.step.after(start)

    def __missing__(self, text: str) -> tuple[int, int] | None:
        bucket = self._read(text)
        if len(self) < MOST_SPELLINGS:
            self[text] = bucket
        return bucket

    def _read(self, text: str) -> tuple[int, int] | None:
        if re.match(r"\d{5,}-", text):  # the vendor's examples have a year of five digits once
            return None
        start = instant(text, path="$.data")
        if not self.span.window.start <= start < self.span.window.end:
            return None
        if start != self.span.step.floor(start):
            raise SchemaError(f"$.data: {text!r} does not start a {self.span.step.value}")
        return start, self.span.step.width(start)


buckets_of = lru_cache(maxsize=64)(Buckets)


def filled(
    series: Mapping[str, T | None] | Empty | None, buckets: Buckets
) -> Iterator[tuple[int, int, T]]:
    """Start, width and content of the buckets that were asked for and are not null."""
    if isinstance(series, dict):
        for text, content in series.items():
            bucket = buckets[text]
            if bucket is not None and content is not None:
                yield *bucket, content
