"""`check-config`: what is wrong with the configuration, or what it polls and what that costs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import click
import uvloop

from exporter.cli import inputs, online_check
from exporter.cli.words import counted
from exporter.config import Account, Config, LedgerSettings, durations
from exporter.ledger.opening import examine
from exporter.ledger.place import Server, place_of
from exporter.model.errors import ConfigError, CredentialError, LedgerError
from exporter.polling.accounts import authenticator_of
from exporter.polling.cost import cost
from exporter.polling.discovery import configured_streams, discovery_feed
from exporter.web.toolkit import load as load_web


def command(chosen: SimpleNamespace) -> int:
    """Print the report; 1 if with `--online` a vendor refuses a feed that is polled."""
    config = _load(chosen)
    for warning in inputs.warnings(config):
        click.echo(f"warning: {warning}")
    polling = config.polling
    for account in config.accounts:
        try:
            authenticator_of(account)
        except CredentialError as error:
            click.echo(f"warning: {error}; serve does not start without it")
    every = durations.written(polling.cadence_seconds)
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
    """Request every feed once and print the outcome; 1 if a polled feed is refused."""
    healthy = True
    for account in config.accounts:
        finding = uvloop.run(online_check.examine(account, config.polling))
        click.echo("\n".join(online_check.report(finding)))
        healthy = healthy and finding.healthy
    return 0 if healthy else 1
