"""Livepeer Studio: viewers, views, and billed time.

The vendor's server is open source; statements here about its answers are taken from its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.model import BearerToken, ClientCredentials, Feed, Option, Options
from exporter.model.errors import InvalidRequestError
from exporter.providers.livepeer.realtime import Realtime
from exporter.providers.livepeer.usage import BilledUsage
from exporter.providers.livepeer.views import Creators, PublicTotals, Viewership

_TOO_MUCH: Final = b"consider decreasing your timeframe"

_FEEDS: Final = {
    feed.name: feed for feed in (Realtime, Viewership, BilledUsage, Creators, PublicTotals)
}


@dataclass(frozen=True, slots=True)
class Livepeer:
    """The vendor. The credential is an API key that is not restricted to CORS use."""

    name: str = "livepeer"
    url: str = "https://livepeer.studio/api"
    auth_url: str | None = None
    authentication: tuple[BearerToken | ClientCredentials, ...] = (BearerToken(),)
    options: tuple[Option, ...] = (
        Option("assets", "strings", "Asset ids for the creators feed.", ()),
        Option("live_streams", "strings", "Stream ids for the creators feed.", ()),
        Option("playback_ids", "strings", "Playback ids for the public_totals feed.", ()),
        Option("browsers", "boolean", "Also break views down by browser.", default=False),
    )
    feed_names: tuple[str, ...] = tuple(_FEEDS)
    default_feeds: tuple[str, ...] = ("realtime", "viewership", "usage")

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json"}

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        return tuple(_FEEDS[name](options) for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        """The vendor answers a request for too much data with a 500, recognized by its text.

        Too much is more than 10,000 rows, or too many bytes to scan.
        """
        return InvalidRequestError.reason if status == 500 and _TOO_MUCH in body else None

    def retries(self, status: int) -> int | None:
        """One retry after a 500: it is often caused by the request itself, and would come again."""
        return 1 if status == 500 else None


PROVIDER: Final = Livepeer()
