"""The page people look at: how each account and feed stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from exporter import __version__
from exporter.status import AccountStatus


def landing_page(accounts: Sequence[AccountStatus], now: float, telemetry_path: str) -> str:
    """The page as HTML; needs no script."""
    rows = "".join(
        f"<tr><td>{escape(account.name)}<td>{escape(account.provider)}<td>{escape(feed.name)}"
        f"<td class={feed.state}>{feed.state}<td>{_when(feed.last_success)}"
        f"<td>{_when(feed.newest_data)}<td>{_when(account.next_poll)}"
        f"<td>{escape(feed.error or '')}"
        for account in accounts
        for feed in account.feeds
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Media usage exporter</title>"
        f"<h1>Media usage exporter {__version__}</h1>"
        f'<p><a href="{escape(telemetry_path)}">Metrics</a> · <a href="/config">Configuration</a>'
        ' · <a href="/api/v1/status">Status as JSON</a>'
        f"<p>Now {_when(now)}"
        "<table><tr><th>Account<th>Provider<th>Feed<th>State<th>Last success<th>Newest data"
        f"<th>Next poll<th>Last error{rows}</table></html>"
    )


def _when(instant: float | None) -> str:
    if instant is None:
        return "–"
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
