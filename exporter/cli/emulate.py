"""`emulate`: the emulated vendors by themselves, and a configuration that polls them."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import SimpleNamespace

import click
import uvloop

from exporter.cli import demo, logs
from exporter.web.listen import listen


def command(chosen: SimpleNamespace) -> int:
    """Print the configuration, and answer until SIGTERM or SIGINT."""
    logs.set_up(chosen.log_level, chosen.log_format)
    uvloop.run(_emulate(chosen, listen(chosen.listen_address)))
    return 0


async def _emulate(chosen: SimpleNamespace, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    emulated = demo.emulators(seed=chosen.seed, publish_seconds=900, faults=chosen.fault)
    with demo.credential_folder() as folder:
        async with demo.serve_emulators(emulated, listener) as address:
            click.echo(
                demo.configuration(address, folder, emulated, cadence_seconds=60, every_feed=False)
            )
            click.echo(
                f"emulated vendors at http://{address} until Ctrl+C. Their credential is"
                f" {demo.CREDENTIAL!r}. What is in {folder}, the ledger too, goes with them.",
                err=True,
            )
            await stop.wait()
