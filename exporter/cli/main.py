"""The command line: the only place that prints, and the only exit codes.

0 done, 1 it failed and said why in one line, 2 wrong usage. What only one command needs is
imported there, because serving should start quickly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import uvloop

from exporter import providers
from exporter.app import Exporter
from exporter.cli import flags, logs
from exporter.cli.healthcheck import check, health_url
from exporter.cli.serve import run
from exporter.config import Account, Config, durations, load
from exporter.exposition import Format
from exporter.model.errors import ConfigError, CredentialError, ExporterError, ServeError
from exporter.polling.accounts import authenticator_of
from exporter.polling.collector import configured_streams, discovery_feed
from exporter.polling.cost import cost
from exporter.web.listen import listen, shown_address
from exporter.web.server import WebOptions
from exporter.web.toolkit import WebSecurity
from exporter.web.toolkit import load as load_web

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = flags.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    bodies: dict[str, Callable[[argparse.Namespace], int]] = {
        "serve": _serve,
        "check-config": _check_config,
        "once": _once,
        "demo": _demo,
        "emulate": _emulate,
        "backfill": _history,
        "export": _history,
        "healthcheck": _healthcheck,
    }
    try:
        return bodies[chosen.command](chosen)
    except ConfigError as error:
        # Each begins with file and line, so that an editor can jump there.
        print("\n".join(error.faults), file=sys.stderr)
    except ExporterError as error:
        _complain(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left: nothing to tell and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _complain(line: str) -> None:
    print(f"media-usage-exporter: {line}", file=sys.stderr)


def _run(work: Coroutine[object, object, T]) -> T:
    return uvloop.run(work)


# serve


def _serve(chosen: argparse.Namespace) -> int:
    logs.set_up(chosen.log_level, chosen.log_format)
    config = _load(chosen)
    web = _web(chosen)
    _run(run(config, _listen(chosen), web, read_config=partial(_load, chosen)))
    return 0


def _load(chosen: argparse.Namespace) -> Config:
    config = load(chosen.config_file, providers.load())
    path = getattr(chosen, "ledger_path", "")
    if path:
        config = replace(config, ledger=replace(config.ledger, path=Path(path).absolute()))
    return config


def _listen(chosen: argparse.Namespace) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        listeners.extend(map(listen, chosen.web_listen_address))
    except ServeError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _web(chosen: argparse.Namespace) -> WebOptions:
    path: str = chosen.web_telemetry_path
    if not path.startswith("/") or path in ("/", "/-/healthy", "/-/ready", "/-/reload", "/config"):
        raise ServeError(
            f"--web.telemetry-path {path}: expected a path of its own, such as /metrics"
        )
    file = chosen.web_config_file
    return WebOptions(
        telemetry_path=path,
        max_requests=chosen.web_max_requests,
        lifecycle=chosen.web_enable_lifecycle,
        created_timestamps=chosen.web_created_timestamps,
        security=WebSecurity.open(Path(file)) if file else None,
    )


# check-config


def _load_both(chosen: argparse.Namespace) -> Config:
    """The configuration; ConfigError with the faults of the web configuration, too."""
    faults: list[str] = []
    config: Config | None = None
    try:
        config = _load(chosen)
    except ConfigError as error:
        faults += error.faults
    if chosen.web_config_file:
        try:
            for warning in load_web(Path(chosen.web_config_file)).warnings:
                print(f"warning: {warning}")
        except ConfigError as error:
            faults += error.faults
    if config is None or faults:
        raise ConfigError(faults)
    return config


def _check_config(chosen: argparse.Namespace) -> int:
    config = _load_both(chosen)
    for warning in config.warnings:
        print(f"warning: {warning}")
    polling = config.polling
    for account in config.accounts:
        try:
            authenticator_of(account)
        except CredentialError as error:
            print(f"warning: {error}; serve does not start without it")
    every = durations.written(polling.cadence_seconds)
    print(f"{config.path}: {len(config.accounts)} accounts, polled every {every}")
    total = 0
    for account in config.accounts:
        feeds = list(account.provider.feeds(account.feeds, account.options))
        if (discovery := discovery_feed(account)) is not None:
            feeds.append(discovery)
        price = cost(
            feeds,
            streams=configured_streams(account),
            cadence_seconds=polling.cadence_seconds,
            delay_seconds=polling.delay_seconds,
        )
        total += price.per_day
        for name in _idle(account):
            print(
                f"warning: account {account.name}: feed {name} asks for nothing: no setting of the"
                " account names what to ask for"
            )
        print(
            f"  {account.name}: {account.provider.name} at {account.url};"
            f" feeds {', '.join(account.feeds)}; {price.per_poll} requests a poll,"
            f" {price.per_day} a day"
        )
    print(
        f"{total} requests a day at least; further pages of long lists and found streams add to it"
    )
    return _examine(config) if chosen.online else 0


def _idle(account: Account) -> list[str]:
    """The feeds that ask for nothing, because no names or ids are given nor looked up."""
    streams = configured_streams(account)
    looked_up = account.options.get("discover") is True
    return [
        feed.name
        for feed in account.provider.feeds(account.feeds, account.options)
        if not (feed.needs_streams and looked_up)
        and not cost([feed], streams=streams, cadence_seconds=900, delay_seconds=0).per_poll
    ]


def _examine(config: Config) -> int:
    """Try every credential, and say what it may do; 1 if something that is polled is refused."""
    from exporter.cli import doctor

    healthy = True
    for account in config.accounts:
        finding = _run(doctor.examine(account, config.polling))
        print("\n".join(doctor.report(finding)))
        healthy = healthy and finding.healthy
    return 0 if healthy else 1


# once


def _once(chosen: argparse.Namespace) -> int:
    logs.set_up(chosen.log_level, chosen.log_format)
    return _run(_poll_once(_load(chosen)))


async def _poll_once(config: Config) -> int:
    exporter = await Exporter.open(config)
    try:
        progress = asyncio.create_task(_tell_progress(exporter, time.monotonic()))
        try:
            succeeded = await exporter.once()
        finally:
            progress.cancel()
            if sys.stderr.isatty():
                print("\r\033[K", end="", file=sys.stderr, flush=True)
        for chunk in exporter.page(Format.TEXT, None).plain:
            sys.stdout.buffer.write(chunk)
        sys.stdout.flush()
        for account in exporter.status():
            for feed in account.feeds:
                if feed.state == "failing":
                    _complain(f"{account.name}: {feed.name}: {feed.reason}: {feed.error}")
    finally:
        await exporter.close()
    return 0 if succeeded else 1


async def _tell_progress(exporter: Exporter, started: float) -> None:
    """One line on a terminal that says how far the poll has come."""
    while sys.stderr.isatty():
        feeds = [feed for account in exporter.status() for feed in account.feeds]
        done = sum(feed.state != "waiting" for feed in feeds)
        seconds = time.monotonic() - started
        print(
            f"\r\033[K{done} of {len(feeds)} feeds polled, {seconds:.0f} s",
            end="",
            file=sys.stderr,
            flush=True,
        )
        await asyncio.sleep(0.2)


# backfill and export


def _history(chosen: argparse.Namespace) -> int:
    from exporter.cli import history

    def ledger() -> Path:
        return Path(chosen.ledger_path) if chosen.ledger_path else _load(chosen).ledger.path

    return history.run(chosen, ledger)


# demo and emulate


def _demo(chosen: argparse.Namespace) -> int:
    logs.set_up(chosen.log_level, chosen.log_format)
    web = _web(chosen)
    _run(_demonstrate(chosen, _listen(chosen), web))
    return 0


async def _demonstrate(
    chosen: argparse.Namespace, listeners: Sequence[socket.socket], web: WebOptions
) -> None:
    from exporter.cli import demo

    emulated = demo.emulators(seed=chosen.seed, publish_seconds=demo.DEMO_CADENCE_SECONDS)
    with demo.workplace() as folder:
        async with demo.listening(emulated, listen("127.0.0.1:0")) as address:
            file = folder / "config.yaml"
            file.write_text(
                demo.configuration(
                    address,
                    folder,
                    emulated,
                    cadence_seconds=demo.DEMO_CADENCE_SECONDS,
                    every_feed=True,
                )
            )
            config = load(file, providers.load())
            scheme = "http" if web.security is None else web.security.scheme
            base = f"{scheme}://{shown_address(listeners[0])}"
            announcement = (
                f"Emulated vendors are polled every {demo.DEMO_CADENCE_SECONDS} s."
                f" Open {base}/ for how things stand, {base}{web.telemetry_path} for the metrics."
                "\nCtrl+C ends it."
            )
            await run(
                config,
                listeners,
                web,
                read_config=partial(load, file, providers.load()),
                announce=lambda: print(announcement, flush=True),
            )


def _emulate(chosen: argparse.Namespace) -> int:
    logs.set_up(chosen.log_level, chosen.log_format)
    return _run(_emulating(chosen, listen(chosen.listen_address)))


async def _emulating(chosen: argparse.Namespace, listener: socket.socket) -> int:
    from exporter.cli import demo

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    emulated = demo.emulators(seed=chosen.seed, publish_seconds=900, faults=chosen.fault)
    with demo.workplace() as folder:
        async with demo.listening(emulated, listener) as address:
            print(
                demo.configuration(
                    address, Path(folder), emulated, cadence_seconds=60, every_feed=False
                ),
                flush=True,
            )
            await stop.wait()
    return 0


# healthcheck


def _healthcheck(chosen: argparse.Namespace) -> int:
    file = chosen.web_config_file
    tls = bool(file) and load_web(Path(file)).tls is not None
    problem = check(health_url(chosen.web_listen_address[0], tls=tls))
    if problem is not None:
        _complain(problem)
    return 0 if problem is None else 1
