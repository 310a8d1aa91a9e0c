"""Accounts as the page is told of them."""

from __future__ import annotations

from dataclasses import replace

from exporter.polling.status import AccountStatus, FeedStatus, Figures

NOW = 1_775_000_000.0  # 2026-03-31, 23:33:20 UTC
HOUR = 3600

WORKING = FeedStatus(
    name="account",
    state="ok",
    last_success=NOW - 65,
    newest_data=int(NOW) - 800,
    failing_since=None,
    reason=None,
    error=None,
    backlog_seconds=0,
)
WAITING = replace(WORKING, state="waiting", last_success=None, newest_data=None)
NOTHING_TO_ASK = replace(WAITING, state="nothing_to_ask")

NO_FIGURES = Figures()
FIGURES = Figures(
    viewers=1234,
    month_to_date_delivered_bytes=1_812_345_678_901,
    month_to_date_viewing_seconds=44_442_000.5,
    month_to_date_jobs=4321,
    month_to_date_complete=True,
    month_to_date_since=NOW - 30 * 24 * HOUR,
    included_used_ratio=0.83125,
    included_used_charge="delivery",
    month_to_date_cost={"EUR": 1234.5},
    month_forecast_cost={"EUR": 1301.257},
)

_FEEDS = {
    "millicast": ("live", ("account", "streams", "countries", "viewers")),
    "dolby_media": ("processing", ("usage", "jobs")),
    "wowza": ("vod", ("vod_streams", "viewers")),
    "livepeer": ("studio", ("realtime", "viewership", "usage")),
}


def failing(reason: str, error: str = "api.example.com/usage: it went wrong") -> FeedStatus:
    return replace(
        WORKING,
        state="failing",
        last_success=NOW - 3 * HOUR,
        newest_data=int(NOW) - 4 * HOUR,
        failing_since=NOW - 2 * HOUR - 60,
        reason=reason,
        error=error,
    )


def named(feed: FeedStatus, *names: str) -> tuple[FeedStatus, ...]:
    return tuple(replace(feed, name=name) for name in names)


def account(
    *feeds: FeedStatus,
    name: str = "live",
    provider: str = "millicast",
    folded: int = 0,
    figures: Figures = NO_FIGURES,
) -> AccountStatus:
    return AccountStatus(
        name=name,
        provider=provider,
        polling=False,
        next_poll=NOW + 835,
        cadence_seconds=900,
        requests_per_poll=13,
        requests_per_day=1248,
        requests_measured_polls=12,
        series=1234,
        streams_folded=folded,
        streams_listed=False,
        figures=figures,
        feeds=feeds or (WORKING,),
    )


def every_account() -> tuple[AccountStatus, ...]:
    """One of each provider, all of it working."""
    return tuple(
        account(*named(WORKING, *feeds), name=name, provider=provider)
        for provider, (name, feeds) in _FEEDS.items()
    )


def in_trouble() -> tuple[AccountStatus, ...]:
    """A bit of everything, with long names."""
    live, processing, vod, studio = every_account()
    refused = failing("auth", "api.millicast.com/api/analytics/account/series: status 401")
    broken = failing(
        "server", "api.video.wowza.com/api/v1.11/usage/vod_streams: status 503 (attempt 4)"
    )
    catching_up = replace(WORKING, name="viewership", backlog_seconds=40 * 24 * HOUR)
    changed = failing(
        "schema",
        "livepeer.studio/api/data/usage/query: Expected `array`, got `object` - at `$.data`",
    )
    return (
        replace(
            live,
            feeds=named(refused, "account", "streams", "countries", "viewers"),
            streams_folded=12,
        ),
        replace(processing, feeds=named(WAITING, "usage", "jobs"), polling=True, next_poll=None),
        replace(
            vod,
            name="vod-with-a-rather-long-name-that-nobody-would-choose-but-somebody-does-0123456789",
            feeds=(*named(broken, "vod_streams", "stream_viewers"), *named(WORKING, "viewers")),
        ),
        replace(
            studio,
            feeds=(
                replace(WORKING, name="realtime", newest_data=None),
                catching_up,
                *named(changed, "usage"),
            ),
        ),
    )
