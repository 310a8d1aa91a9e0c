"""The page about the requests that each feed takes: counted by the code that plans polls."""

from __future__ import annotations

from typing import Any, Final

from exporter import providers
from exporter.config import durations, fields
from exporter.model import Feed, Provider
from exporter.model.provider import Totals
from exporter.polling.cost import Cost, cost
from tools.metric_sources import VENDORS

NUMBERS: Final = (10, 100, 1000)
"""How many streams there are in the columns."""

_IDS: Final = ("streams", "assets", "playback_ids")
"""The settings that name streams: the columns' streams are under each of them."""

_HEAD: Final = """\
<!-- Made by `make generate` from the code that plans polls. -->
# What each feed costs in requests

Requests of one account to its vendor at the default `polling.cadence` of {minutes} minutes, which is
{polls} polls a day. A scrape of `/metrics` costs no request. No vendor's own prices are known here:
look into your contract whether requests are limited or billed.

"10 streams" are 10 streams that are live, or 10 names or ids in the account's configuration. Feeds in
**bold** are polled by default. The first row of each vendor is all default feeds together; it may be
less than their sum, since equal requests of several feeds are made once.

"A day" is {polls} polls, of which one also asks for the last 48 hours again. It does not count what the
last column names. Nor does it count the vendor's own total of the month, which is asked for once a day and
compared with the ledger, by these feeds: {totals}.

With twice the cadence there are half as many requests, and data is later by up to as much.

| vendor | feed | {heads} | more requests |
|---|---|{lines}---|
"""

_TAIL: Final = """
For your own account ask the exporter. It knows your feeds and the names in your configuration before
it starts, and the streams that it has found afterwards:

- `media-usage-exporter check-config` prints requests a poll and a day for each account.
- The page at `/` and `/api/v1/status` show them with the streams that are known now.
- `sum by (account) (increase(media_exporter_requests_total[1d]))` is what was really made.

A first poll, and the first after an outage, ask for more: everything since the beginning of the month, or
since the last successful poll. `polling.requests_per_second` bounds the pace of all requests.
"""

_MORE: Final[dict[tuple[str, str], str]] = {
    ("millicast", "streams"): (
        "Fewer where the account's total shows that idle streams had nothing; "
        "[idle streams](providers/millicast.md#idle-streams) are asked for hourly."
    ),
    ("millicast", "stream_countries"): "As `streams`.",
    (
        "millicast",
        "viewers",
    ): "One for each further 100 streams that are live or ended in the last hour.",
    ("dolby_media", "usage"): "One for each further page of a day.",
    ("dolby_media", "jobs"): "One for each further 100 jobs.",
    ("wowza", "vod_streams"): "One for each further 1,000 streams of a window.",
    ("wowza", "vod_trends"): "One for each stream that is listed, in each of the windows.",
    ("wowza", "stream_targets"): "As `vod_streams`.",
    ("wowza", "transcoders"): "As `vod_streams`.",
    ("wowza", "real_time_streams"): "As `vod_streams`.",
    ("wowza", "stream_viewers"): (
        "Without ids under `streams:` 2, and one for each stream listed, 200 at most."
    ),
    ("livepeer", "viewership"): (
        "One more a poll with `browsers: true`. "
        "Two each time that an answer is too long and its window is halved."
    ),
}
"""What the count leaves out: further pages, and details of what a list names."""


def documentation() -> str:
    """docs/request-costs.md."""
    known = providers.load()
    cadence, _ = _schedule()
    heads = " | ".join(f"{number:,} streams: a poll | a day" for number in NUMBERS)
    return (
        _HEAD.format(
            minutes=cadence // 60,
            polls=86400 // cadence,
            totals=", ".join(
                f"{VENDORS[name]} `{feed}`"
                for name in VENDORS
                for feed in known[name].feed_names
                if isinstance(_feed(known[name], feed, ()), Totals)
            ),
            heads=heads,
            lines="---:|" * 2 * len(NUMBERS),
        )
        + "".join(_of_provider(known[name]) for name in VENDORS)
        + _TAIL
    )


def of_feeds(provider: Provider, names: tuple[str, ...], number: int) -> Cost:
    """The cost of an account with these feeds and `number` streams, at the default cadence."""
    streams = tuple(str(position) for position in range(number))
    cadence, delay = _schedule()
    return cost(
        provider.feeds(names, _options(provider, streams)),
        streams=streams,
        cadence_seconds=cadence,
        delay_seconds=delay,
    )


def _of_provider(provider: Provider) -> str:
    rows = [(provider.default_feeds, "all default feeds", "")]
    for name in provider.feed_names:
        shown = f"**`{name}`**" if name in provider.default_feeds else f"`{name}`"
        rows.append(((name,), shown, _MORE.get((provider.name, name), "")))
    link = f"[{VENDORS[provider.name]}](providers/{provider.name}.md#feeds)"
    return "".join(
        f"| {link if not position else ''} | {shown} | {_costs(provider, names)} | {more} |\n"
        for position, (names, shown, more) in enumerate(rows)
    )


def _costs(provider: Provider, names: tuple[str, ...]) -> str:
    found = [of_feeds(provider, names, number) for number in NUMBERS]
    return " | ".join(f"{one.per_poll:,} | {one.per_day:,}" for one in found)


def _feed(provider: Provider, name: str, streams: tuple[str, ...]) -> Feed:
    (feed,) = provider.feeds([name], _options(provider, streams))
    return feed


def _options(provider: Provider, streams: tuple[str, ...]) -> dict[str, Any]:
    """The defaults, with `streams` under every setting that names some."""
    options: dict[str, Any] = {option.key: option.default for option in provider.options}
    return options | {key: streams for key in _IDS if key in options}


def _schedule() -> tuple[int, int]:
    """The default cadence and delay in seconds."""
    (polling,) = (section for section in fields.SECTIONS if section.key == "polling")
    texts = {item.key: str(item.default) for item in polling.fields}
    return durations.seconds(texts["cadence"]), durations.seconds(texts["delay"])
