"""`check-config`: what is wrong with the configuration, or what it polls and what that costs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlsplit

import click
import uvloop

from exporter.cli import inputs, online_check, startup
from exporter.cli.flags import complain
from exporter.cli.words import counted
from exporter.config import Account, Config, LedgerSettings, durations
from exporter.ledger.opening import examine
from exporter.ledger.place import Server, place_of
from exporter.model.errors import ConfigError, LedgerError
from exporter.polling.cost import cost
from exporter.polling.discovery import configured_streams, discovery_feed
from exporter.web.toolkit import load as load_web

PUBLISHED_SECONDS: Final = 900
"""How often vendors publish what was used."""


def command(chosen: SimpleNamespace) -> int:
    """Print the report.

    1 if with `--online` a vendor refuses a feed that is polled, or if with `--strict` there is
    something that `serve` does not start with.
    """
    config = _load(chosen)
    for warning in inputs.warnings(config):
        click.echo(f"warning: {warning}")
    polling = config.polling
    obstacles = startup.obstacles(config)
    if not chosen.strict:
        for obstacle in obstacles:
            click.echo(f"warning: {obstacle}; serve does not start like this")
    every = durations.written(polling.cadence_seconds)
    if polling.cadence_seconds < PUBLISHED_SECONDS and any(map(_is_vendors_own, config.accounts)):
        click.echo(
            f"warning: polling.cadence {every}: vendors publish usage every"
            f" {durations.written(PUBLISHED_SECONDS)}; a shorter cadence costs requests and shows no"
            " usage sooner"
        )
    click.echo(f"{config.path}: {counted(len(config.accounts), 'account')}, polled every {every}")
    click.echo(f"  ledger: {_ledger(config.ledger)}")
    total = 0
    for account in config.accounts:
        feeds = list(account.provider.feeds(account.feeds, account.options))
        if (discovery := discovery_feed(account)) is not None:
            feeds.append(discovery)
        requests = cost(
            feeds,
            streams=configured_streams(account),
            cadence_seconds=polling.cadence_seconds,
            delay_seconds=polling.delay_seconds,
        )
        total += requests.per_day
        for name in _idle(account):
            click.echo(
                f"warning: account {account.name}: feed {name} asks for nothing: no setting of the"
                " account names what to ask for"
            )
        click.echo(
            f"  {account.name}: {account.provider.name} at {account.url};"
            f" feeds {', '.join(account.feeds)}; {counted(requests.per_poll, 'request')} a poll,"
            f" {requests.per_day} a day"
        )
    click.echo(
        f"{counted(total, 'request')} a day at least; further pages of long lists and found streams add to it"
    )
    if chosen.strict and obstacles:
        for obstacle in obstacles:
            complain(f"{obstacle}; serve does not start like this")
        return 1
    if not chosen.online:
        return 0
    return max(_check_ledger(config.ledger), _check_online(config))


def _load(chosen: SimpleNamespace) -> Config:
    """The configuration; ConfigError with the faults of both files, the web configuration's too."""
    faults: list[str] = []
    config: Config | None = None
    try:
        config = inputs.configuration(chosen)
    except ConfigError as error:
        faults += error.faults
    if chosen.web_config_file:
        try:
            for warning in load_web(Path(chosen.web_config_file)).warnings:
                click.echo(f"warning: {warning}")
        except ConfigError as error:
            faults += error.faults
    if config is None or faults:
        raise ConfigError(faults)
    return config


def _ledger(settings: LedgerSettings) -> str:
    """Where the totals are kept."""
    kept = f"kept in detail for {durations.written(settings.retention_seconds)}"
    if settings.url is None:
        return f"SQLite, {settings.path}, {kept}"
    return f"PostgreSQL, {settings.url}, {kept}"


def _check_ledger(settings: LedgerSettings) -> int:
    """Try the database, if that is where the ledger is; 1 when it cannot serve."""
    place = place_of(settings.path, settings.url, settings.password)
    if not isinstance(place, Server):
        return 0
    try:
        said = examine(place)
    except LedgerError as error:
        click.echo(f"  ledger, asked online: {error}")
        return 1
    click.echo(f"  ledger, asked online: {said}")
    return 0


def _is_vendors_own(account: Account) -> bool:
    """Whether the account is asked at the vendor's own address, and not at some other server."""
    return urlsplit(account.url).hostname == urlsplit(account.provider.url).hostname


def _idle(account: Account) -> list[str]:
    """The feeds without any request: they need names or ids that no option and no discovery gives."""
    streams = configured_streams(account)
    looked_up = account.options.get("discover") is True
    return [
        feed.name
        for feed in account.provider.feeds(account.feeds, account.options)
        if not (feed.needs_streams and looked_up)
        and not cost([feed], streams=streams, cadence_seconds=900, delay_seconds=0).per_poll
    ]


def _check_online(config: Config) -> int:
    """Request every feed once and print each outcome as it comes; 1 if a polled feed is refused."""
    healthy = True
    silent: set[tuple[str, str | None]] = set()
    for account in config.accounts:
        where = account.url, account.auth_url
        click.echo(online_check.heading(account.name))
        finding = uvloop.run(
            online_check.examine(
                account,
                config.polling,
                tell=lambda feed: click.echo(online_check.line(feed)),
                silent=where in silent,
            )
        )
        click.echo(online_check.clock_line(finding))
        healthy = healthy and finding.healthy
        if not finding.answered and not finding.healthy:
            silent.add(where)
    return 0 if healthy else 1
