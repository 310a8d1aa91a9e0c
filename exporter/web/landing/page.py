"""The page as HTML: complete without a script, without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from exporter import __version__
from exporter.polling.advice import Advice
from exporter.polling.status import AccountStatus, FeedStatus
from exporter.web.landing.glossary import OWNERS, glossary, prose, sentence
from exporter.web.landing.html import Child, Html, join, tag
from exporter.web.landing.times import NONE, date, duration, instant
from exporter.web.landing.verdict import Tone, Trouble, Verdict, troubles, verdict

TITLE = "Media usage exporter"
REFRESH_SECONDS = 60

GLYPHS: dict[Tone, str] = {"good": "✓", "busy": "…", "note": "!", "bad": "✕"}
COLOURS: dict[Tone, str] = {
    "good": "#16793c",
    "busy": "#1d5fb8",
    "note": "#a15c00",
    "bad": "#c0262d",
}

COLUMNS = ("Feed", "State", "Last success", "Newest data", "To catch up", "Last error")


def landing_page(
    accounts: Sequence[AccountStatus],
    now: float,
    telemetry_path: str,
    problem: str | None = None,
) -> str:
    """The whole document. `problem` is what is wrong with the process itself, if anything is."""
    judged = verdict(accounts, problem=problem)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="refresh", content=str(REFRESH_SECONDS)),
        tag("title", f"{GLYPHS[judged.tone]} {judged.headline} – {TITLE}"),
        tag("link", rel="icon", href=_icon(judged.tone)),
        tag("style", Html(_style())),
    )
    body = tag(
        "body",
        tag("header", tag("p", TITLE, class_="name"), _links(telemetry_path)),
        tag(
            "main",
            _verdict(judged),
            _troubles(troubles(accounts), now),
            *(_account(account, position, now) for position, account in enumerate(accounts)),
            glossary(),
        ),
        tag(
            "footer",
            tag(
                "p",
                "As of ",
                instant(now, now),
                Html(" "),
                tag("span", date(now), class_="quiet"),
                f", shown anew every {REFRESH_SECONDS} s. media-usage-exporter {__version__}.",
            ),
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


@cache
def content_security_policy() -> str:
    """What the page needs, and nothing else: its own style and an icon out of its own text."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _style() -> str:
    return files("exporter.web.landing").joinpath("style.css").read_text("utf-8")


def _icon(tone: Tone) -> str:
    path = {
        "good": "M4 8.5l3 3 5-6",
        "busy": "M4 8h.1M8 8h.1M12 8h.1",
        "note": "M8 4v5M8 12h.1",
        "bad": "M5 5l6 6M11 5l-6 6",
    }[tone]
    return "data:image/svg+xml," + quote(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>"
        f"<circle cx='8' cy='8' r='8' fill='{COLOURS[tone]}'/>"
        f"<path d='{path}' fill='none' stroke='#fff' stroke-width='2' stroke-linecap='round'/>"
        "</svg>"
    )


def _links(telemetry_path: str) -> Html:
    # A path that begins with two slashes would name another host.
    metrics = "/" + quote(telemetry_path.lstrip("/"))
    return tag(
        "nav",
        tag("a", "Metrics", href=metrics),
        tag("a", "Configuration", href="/config"),
        tag("a", "Status as JSON", href="/api/v1/status"),
        tag("a", "Help", href="#help"),
        aria_label="Pages",
    )


def _verdict(judged: Verdict) -> Html:
    return tag(
        "section",
        tag("h1", _glyph(GLYPHS[judged.tone]), judged.headline),
        tag("p", judged.detail),
        class_=f"verdict {judged.tone}",
    )


def _glyph(sign: str) -> Html:
    """Said by the words beside it as well."""
    return join(tag("span", sign, class_="glyph", aria_hidden="true"), " ")


# What fails.


def _troubles(found: Sequence[Trouble], now: float) -> Html | None:
    if not found:
        return None
    return tag(
        "section",
        tag("h2", "What to do", id="troubles-heading"),
        *(_trouble(trouble, now) for trouble in found),
        aria_labelledby="troubles-heading",
    )


def _trouble(trouble: Trouble, now: float) -> Html:
    concerned: dict[str, list[FeedStatus]] = {}
    for account, feed in trouble.feeds:
        concerned.setdefault(account.name, []).append(feed)
    example = next((feed.error for _, feed in trouble.feeds if feed.error), None)
    return tag(
        "article",
        tag(
            "div",
            tag("h3", f"{trouble.provider}: {trouble.advice.what}"),
            _owner(trouble.advice),
            class_="title",
        ),
        tag("p", prose(trouble.advice.todo)),
        tag(
            "ul",
            *(
                tag("li", tag("b", name), ": ", _feeds_since(feeds, now))
                for name, feeds in concerned.items()
            ),
        ),
        None if example is None else tag("p", tag("code", example)),
        class_="trouble",
    )


def _owner(given: Advice) -> Html:
    return tag("p", tag("span", sentence(OWNERS[given.party]), class_=f"owner {given.party}"))


def _feeds_since(feeds: Sequence[FeedStatus], now: float) -> str:
    names = ", ".join(feed.name for feed in feeds)
    since = [feed.failing_since for feed in feeds if feed.failing_since is not None]
    return f"{names}, for {duration(now - min(since))}" if since else names


# What there is.


def _account(account: AccountStatus, position: int, now: float) -> Html:
    heading = f"account-{position}"
    return tag(
        "section",
        tag(
            "h2",
            account.name,
            " ",
            tag("span", account.provider, class_="quiet"),
            id=heading,
        ),
        tag("dl", *_account_facts(account, now), class_="facts"),
        _feeds(account, heading, now),
        class_="account",
        aria_labelledby=heading,
    )


def _account_facts(account: AccountStatus, now: float) -> list[Html]:
    if account.polling:
        upcoming: Child = "under way"
    elif account.next_poll is not None and account.next_poll <= now:
        upcoming = "due"
    else:
        upcoming = instant(account.next_poll, now)
    facts: list[tuple[str, Child]] = [
        ("Next poll", upcoming),
        ("Polled every", duration(account.cadence_seconds)),
        ("Requests a poll", _estimate(account.requests_per_poll)),
        ("Requests a day", _estimate(account.requests_per_day)),
        ("Series", f"{account.series:,}"),
        ("Streams folded", _folded(account)),
    ]
    return [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts]


def _estimate(requests: int | None) -> str:
    return NONE if requests is None else f"{requests:,}"


def _folded(account: AccountStatus) -> Child:
    if not account.streams_folded:
        return "none"
    return join(_glyph("!"), f"{account.streams_folded:,} (see limits.streams)")


def _feeds(account: AccountStatus, heading: str, now: float) -> Html:
    # Narrow windows show each row as a card; the roles keep it a table to those who listen.
    return tag(
        "table",
        tag(
            "thead",
            tag(
                "tr",
                *(tag("th", name, scope="col", role="columnheader") for name in COLUMNS),
                role="row",
            ),
            role="rowgroup",
        ),
        tag("tbody", *(_feed(feed, now) for feed in account.feeds), role="rowgroup"),
        role="table",
        aria_labelledby=heading,
    )


def _feed(feed: FeedStatus, now: float) -> Html:
    failing = feed.state == "failing"
    cells: tuple[Child, ...] = (
        _state(feed, now),
        instant(feed.last_success, now),
        instant(feed.newest_data, now, future="up to now"),
        duration(feed.backlog_seconds) if feed.backlog_seconds else NONE,
        _error(feed) if failing else NONE,
    )
    return tag(
        "tr",
        tag("th", feed.name, scope="row", role="rowheader"),
        *(
            tag("td", value, role="cell", data_name=name, class_="none" if value == NONE else "")
            for name, value in zip(COLUMNS[1:], cells, strict=True)
        ),
        role="row",
    )


def _state(feed: FeedStatus, now: float) -> Html:
    if feed.state == "failing":
        tone: Tone = "bad"
        said = "failing"
        if feed.failing_since is not None:
            said += f" for {duration(now - feed.failing_since)}"
    elif feed.state == "waiting":
        tone, said = "busy", "waiting"
    elif feed.backlog_seconds:
        tone, said = "busy", "catching up"
    else:
        tone, said = "good", "working"
    return tag("span", _glyph(GLYPHS[tone]), said, class_=f"state {tone}")


def _error(feed: FeedStatus) -> Html:
    reason = tag("b", feed.reason or "unknown")
    return tag("span", reason, ": ", tag("code", feed.error or "no particulars"))
