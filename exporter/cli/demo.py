"""`demo`: the exporter with emulated vendors on loopback, so that no account is needed."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click
import uvicorn
import uvloop

from exporter import providers
from exporter.cli import demo_billing, inputs, logs
from exporter.cli.serve import run
from exporter.config import load
from exporter.emulators.app import Emulators
from exporter.emulators.faults import KINDS, Faults
from exporter.emulators.faults import parse as parse_fault
from exporter.emulators.world import World
from exporter.model import Measure, Window
from exporter.model.errors import ServeError
from exporter.web.listen import listen, shown_address
from exporter.web.server import WebOptions, WebServer

CREDENTIAL = "demo"
DEMO_CADENCE_SECONDS = 30
"""So long that the first poll, with its month of history, fits into one cadence."""

DEMO_HISTORY = "31d"
"""A whole month, so that what the month costs is whole."""

FAULT_KINDS = KINDS
"""For the help of `emulate`: only this module may import the emulators."""


def command(chosen: SimpleNamespace) -> int:
    """`demo`: poll emulated vendors and serve until SIGTERM or SIGINT."""
    logs.set_up(chosen.log_level, chosen.log_format)
    web = inputs.web_options(chosen)
    uvloop.run(_demonstrate(chosen, inputs.listeners(chosen), web))
    return 0


async def _demonstrate(
    chosen: SimpleNamespace, listeners: Sequence[socket.socket], web: WebOptions
) -> None:
    emulated = emulators(seed=chosen.seed, publish_seconds=DEMO_CADENCE_SECONDS)
    with credential_folder() as folder:
        async with serve_emulators(emulated, listen("127.0.0.1:0")) as address:
            file = folder / "config.yaml"
            file.write_text(
                configuration(
                    address,
                    folder,
                    emulated,
                    cadence_seconds=DEMO_CADENCE_SECONDS,
                    every_feed=True,
                    history=DEMO_HISTORY,
                )
                + billing(emulated, int(time.time()))
            )
            scheme = "http" if web.security is None else web.security.scheme
            base = f"{scheme}://{shown_address(listeners[0])}"
            read_config = partial(load, file, providers.load())
            await run(
                read_config(),
                listeners,
                web,
                read_config=read_config,
                announce=lambda: click.echo(
                    f"Emulated vendors are polled every {DEMO_CADENCE_SECONDS} s."
                    f" Open {base}/ for how things stand, {base}{web.telemetry_path} for the metrics."
                    "\nCtrl+C ends it."
                ),
            )


def emulators(*, seed: int, publish_seconds: int, faults: Sequence[str] = ()) -> Emulators:
    """All four vendors; `faults` are `PROVIDER:KIND[:TIMES]`, ServeError for one not valid."""
    switched = Faults()
    emulated = Emulators(
        World(seed=seed, publish_seconds=publish_seconds), credential=CREDENTIAL, faults=switched
    )
    for text in faults:
        try:
            provider, kind, times = parse_fault(text)
        except ValueError as error:
            raise ServeError(f"--fault {text}: {error}") from error
        if provider not in emulated.vendors:
            known = ", ".join(emulated.vendors)
            raise ServeError(f"--fault {text}: unknown provider {provider!r}; one of: {known}")
        switched.set(provider, kind, times)
    return emulated


@asynccontextmanager
async def serve_emulators(emulated: Emulators, listener: socket.socket) -> AsyncIterator[str]:
    """Serve the emulators on `listener`; gives their address, `HOST:PORT`."""
    # uvicorn logs a traceback for the fault `reset`, which raises on purpose.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    http = WebServer(
        uvicorn.Config(
            emulated,
            http="httptools",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        yield shown_address(listener)
    finally:
        http.should_exit = True
        await serving


@contextmanager
def credential_folder() -> Iterator[Path]:
    """A temporary folder with the file `credential` in it, deleted at exit."""
    with tempfile.TemporaryDirectory(prefix="media-usage-exporter-") as name:
        folder = Path(name)
        (folder / "credential").write_text(CREDENTIAL)
        yield folder


def billing(emulated: Emulators, now: int) -> str:
    """The section `billing` of the demo's configuration, for all its accounts."""
    vendors = {vendor.example.account: vendor for vendor in emulated.vendors.values()}

    def used(account: str, measure: Measure, where: Mapping[str, str], window: Window) -> int:
        amounts = vendors[account].truth(window.start, window.end, now=now)
        return sum(
            amount
            for (name, labels), amount in amounts.items()
            if name == measure.name and where.items() <= dict(labels).items()
        )

    return demo_billing.section(used, now)


def configuration(
    address: str,
    folder: Path,
    emulated: Emulators,
    *,
    cadence_seconds: int,
    every_feed: bool,
    history: str = "1d",
) -> str:
    """The text of a config.yaml that polls the emulators at `address` (`HOST:PORT`).

    `folder` has the credential and gets the ledger. `every_feed` adds the feeds that are not
    polled by default, with the options they need.
    """
    credential = json.dumps(str(folder / "credential"))
    known = providers.load()
    accounts: list[str] = []
    for name, vendor in emulated.vendors.items():
        example = vendor.example
        url = f"http://{address}/{name}{example.path}"
        lines = [
            f"  - name: {example.account}",
            f"    provider: {name}",
            f"    url: {url}",
            *([f"    auth_url: {url}"] if example.signs_in else []),
            *(f"    {key}: {credential}" for key in example.credentials),
        ]
        if every_feed:
            lines.append(f"    feeds: [{', '.join(known[name].feed_names)}]")
            lines += [f"    {key}: {json.dumps(list(ids))}" for key, ids in example.options.items()]
        accounts.append("\n".join(lines))
    return "\n".join(
        (
            "polling:",
            f"  cadence: {cadence_seconds}s",
            f"  history: {history}",
            "ledger:",
            f"  path: {json.dumps(str(folder / 'usage.db'))}",
            "accounts:",
            *accounts,
            "",
        )
    )
