"""Wowza Video: hourly usage, and current viewers.

The version of the API is part of every path, and determines routes and field names.
`docs/providers/wowza.md` lists what the vendor does not document and how it is handled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from exporter.model import BearerToken, Feed, Option, Options, Provider
from exporter.providers.wowza.usage import RESOURCES, AccountFeed, ListFeed, TrendsFeed
from exporter.providers.wowza.viewers import StreamViewersFeed, ViewersFeed
from exporter.providers.wowza.wire import Failure

VERSIONS: Final = ("v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v2.0", "beta")
"""Oldest first; beta is newer than all others."""

_NOT_THE_TOKEN: Final = frozenset({"FeatureNotEnabled", "BadAccountStatus", "TrialExceeded"})
"""The codes of a 401 that is not about the token."""


class _Wowza:
    name = "wowza"
    url = "https://api.video.wowza.com"
    auth_url = None
    authentication = (BearerToken(),)
    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    options = (
        Option("api_version", "string", "version of the API", "v1.11", choices=VERSIONS),
        Option(
            "streams",
            "strings",
            "ids for stream_viewers; without any, the streams watched most",
            default=(),
        ),
    )
    feed_names = (
        "vod_streams",
        "vod_trends",
        "viewers",
        "stream_viewers",
        "stream_targets",
        "transcoders",
        "real_time_streams",
        "account",
    )
    default_feeds = ("vod_streams", "viewers")

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        version, streams = options["api_version"], options["streams"]
        if not isinstance(version, str) or not isinstance(streams, tuple):
            raise TypeError("api_version is a string, streams a list of strings")
        since_1_11 = VERSIONS.index(version) >= VERSIONS.index("v1.11")
        root = f"/api/{version}"
        before = {"vod_streams": ("summary", "egress/summary"), "real_time_streams": ()}
        every: dict[str, Feed] = {
            name: ListFeed(
                root=root,
                resource=resource,
                summaries=("summary",) if since_1_11 else before.get(name, ("summary",)),
            )
            for name, resource in RESOURCES.items()
        }
        every |= {
            "vod_trends": TrendsFeed(root=root),
            "viewers": ViewersFeed(root=root, analytics=since_1_11),
            "stream_viewers": StreamViewersFeed(root=root, analytics=since_1_11, streams=streams),
            "account": AccountFeed(root=root, route="account" if since_1_11 else "accounts"),
        }
        return tuple(every[name] for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        """The vendor also answers with 401 when the plan or the account lacks a feature."""
        if status != 401:
            return None
        try:
            failure = msgspec.json.decode(body, type=Failure)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        code = str(failure.meta.code) if failure.meta else ""
        return "forbidden" if code.removeprefix("ERR-401-") in _NOT_THE_TOKEN else None

    def retries(self, status: int) -> int | None:
        return None


PROVIDER: Final[Provider] = _Wowza()
