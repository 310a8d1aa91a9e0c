"""Dolby Millicast: hourly analytics, the monitoring summary, transcoders, storage.

`docs/providers/millicast.md` lists what the vendor does not document and how it is handled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from exporter.model import BearerToken, Feed, Option, Options, Provider
from exporter.providers.millicast.now import StorageFeed, ViewersFeed
from exporter.providers.millicast.series import series


class _Message(msgspec.Struct):
    message: str | None = None


class _Failure(msgspec.Struct):
    data: _Message | None = None


class _Millicast:
    name = "millicast"
    url = "https://api.millicast.com"
    auth_url = None
    authentication = (BearerToken(),)
    headers: Mapping[str, str] = {}
    options = (
        Option("streams", "strings", "stream names to break down", default=()),
        Option(
            "discover",
            "boolean",
            "add the names of streams that are live or were within the hour",
            default=True,
        ),
        Option(
            "include", "strings", "patterns (* ?) of names to discover; all if none", default=()
        ),
        Option("exclude", "strings", "patterns (* ?) of names not to discover", default=()),
        Option(
            "stream_components",
            "boolean",
            "break each stream's delivery down into standard, restream and geo cascade",
            default=False,
        ),
    )
    feed_names = (
        "account",
        "streams",
        "countries",
        "stream_countries",
        "viewers",
        "transcoders",
        "storage",
    )
    default_feeds = ("account", "streams", "countries", "viewers")

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        def strings(key: str) -> tuple[str, ...]:
            value = options[key]
            if not isinstance(value, tuple):
                raise TypeError(f"{key} is a list of strings")
            return value

        components = bool(options["stream_components"])
        every: dict[str, Feed] = {feed.name: feed for feed in series(stream_components=components)}
        every["viewers"] = ViewersFeed(
            discovers=bool(options["discover"]),
            include=strings("include"),
            exclude=strings("exclude"),
            streams=frozenset(strings("streams")),
        )
        every["storage"] = StorageFeed()
        return tuple(every[name] for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        """The vendor answers an unknown secret with 403, never with 401."""
        if status != 403:
            return None
        try:
            failure = msgspec.json.decode(body, type=_Failure)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "auth"
        message = failure.data.message if failure.data else None
        unknown = message is None or message.strip().lower() == "unauthorized"
        return "auth" if unknown else "forbidden"

    def retries(self, status: int) -> int | None:
        return None


PROVIDER: Final[Provider] = _Millicast()
