"""Clients for one emulated vendor, in process and over a socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import uvicorn

from exporter.emulators.app import Emulators
from exporter.emulators.faults import Faults
from exporter.emulators.vendor import Vendor

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def app_of(vendor: Vendor, clock: Clock, faults: Faults | None = None) -> Emulators:
    """An app with this vendor alone."""
    return Emulators(clock=clock, faults=faults, vendors={vendor.provider: vendor})


def client_of(
    app: Emulators, provider: str, *, credential: str | None = "demo"
) -> httpx.AsyncClient:
    """A client of one vendor of the app, without a socket."""
    headers = {} if credential is None else {"authorization": f"Bearer {credential}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://emulator/{provider}", headers=headers
    )


@contextlib.asynccontextmanager
async def socket_client(app: Emulators, provider: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one vendor of the app, over a loopback socket."""
    config = uvicorn.Config(app, port=0, log_config=None, log_level="critical", http="httptools")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"authorization": "Bearer demo"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/{provider}", headers=headers, trust_env=False
        ) as client:
            yield client
    finally:
        server.should_exit = True
        await serving
