"""Wowza Video's two kinds of paging, as its page on paginated query results has them.

Payload version 1.0 counts pages; 2.0 hands out an opaque key. The default page is also the
largest: 1000 rows. How the last page of kind 2.0 says so is not documented, so it can be chosen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.emulators.http import Request
from exporter.emulators.wowza.errors import Refusal

Row = Mapping[str, Any]

OVERLAP = 2  # rows of the page before, by quirk


@dataclass(frozen=True, slots=True)
class Pages:
    """How lists are cut. `largest` rows a page at most; the quirks are the emulator's."""

    largest: int
    quirks: frozenset[str]

    def by_key(self, rows: Sequence[Row], request: Request) -> tuple[Sequence[Row], Any]:
        """One page of kind 2.0 and its `pagination`."""
        size = self._size(request)
        asked = request.first("next_page_key")
        starts = {page_key(rows[at]): at for at in range(len(rows))}
        if asked and asked not in starts:
            raise Refusal(422, "next_page_key is unknown")
        at = starts[asked] if asked else 0
        pagination: dict[str, Any] = {
            "payload_version": self._version("2.0"),
            "total_records": len(rows),
        }
        following = at + size
        if following < len(rows):
            pagination["next_page_key"] = page_key(rows[at + self._step(size)])
        elif "page-key-null" in self.quirks:
            pagination["next_page_key"] = None
        elif "page-key-empty" in self.quirks:
            pagination["next_page_key"] = ""
        elif "page-key-repeats" in self.quirks and asked:
            pagination["next_page_key"] = asked
        pagination["per_page"] = size
        pagination["total_pages"] = self._count(rows, size)
        return rows[at:following], pagination

    def by_number(self, rows: Sequence[Row], request: Request) -> tuple[Sequence[Row], Any]:
        """One page of kind 1.0 and its `pagination`; a page past the end is empty."""
        size = self._size(request)
        page = positive(request, "page", default=1)
        pages = self._count(rows, size)
        first = (page - 1) * self._step(size)
        found = rows[first : first + size] if page <= pages else ()
        pagination = {
            "payload_version": self._version("1.0"),
            "total_records": len(rows),
            "page": page,
            "per_page": size,
            "total_pages": pages,
            "page_first_index": first,
            "page_last_index": first + len(found) - 1 if found else first,
        }
        return found, pagination

    def _size(self, request: Request) -> int:
        return min(positive(request, "per_page", default=self.largest), self.largest)

    def _step(self, size: int) -> int:
        """From the beginning of one page to the next's."""
        return max(1, size - OVERLAP) if "overlapping-pages" in self.quirks else size

    def _count(self, rows: Sequence[Row], size: int) -> int:
        """How many pages it takes to hold every row."""
        beyond_the_first = max(0, len(rows) - size)
        return bool(rows) + -(-beyond_the_first // self._step(size))

    def _version(self, version: str) -> str | float:
        return float(version) if "payload-version-number" in self.quirks else version


def page_key(row: Row) -> str:
    """The key of the page that begins with `row`: opaque, and stable while rows are added."""
    return hashlib.blake2b(str(row["id"]).encode(), digest_size=4).hexdigest()


def positive(request: Request, name: str, *, default: int) -> int:
    text = request.first(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise Refusal(422, f"{name} must be a positive number")
    return int(text)
