"""All emulated vendors behind one ASGI app, each under its provider's name."""

import asyncio
import importlib
import pkgutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from exporter import emulators
from exporter.emulators.faults import Faults, break_connection, faulty_answer
from exporter.emulators.http import (
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_answer,
    read_request,
    send_response,
)
from exporter.emulators.vendor import Vendor
from exporter.emulators.world import World


@dataclass(frozen=True, slots=True)
class Logged:
    """One request in the log: its parameters and the answer's status, but not its credential."""

    provider: str
    method: str
    path: str  # under the vendor's base URL
    params: tuple[tuple[str, str], ...]
    status: int  # 0: the connection itself failed
    at: float  # Unix seconds on the app's clock
    credential: Literal["ok", "bad", "none"]


def all_vendors(world: World, *, clock: Callable[[], float], credential: str) -> dict[str, Vendor]:
    """Every vendor, by provider name: the class `EMULATOR` of each package in this one."""
    modules = (
        importlib.import_module(f"{emulators.__name__}.{module.name}")
        for module in pkgutil.iter_modules(emulators.__path__)
        if module.ispkg
    )
    vendors: list[Vendor] = [
        module.EMULATOR(world, clock=clock, credential=credential) for module in modules
    ]
    return {vendor.provider: vendor for vendor in vendors}


class Emulators:
    """An ASGI app that answers for each vendor under `/<provider>`.

    `clock` returns Unix seconds. `vendors` replaces the default ones, without quirks. `log` grows by
    one entry per request to a known provider.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        clock: Callable[[], float] = time.time,
        credential: str = "demo",
        faults: Faults | None = None,
        vendors: Mapping[str, Vendor] | None = None,
    ) -> None:
        self.world = World() if world is None else world
        self.clock = clock
        self.faults = Faults() if faults is None else faults
        self.log: list[Logged] = []
        self.vendors: Mapping[str, Vendor] = (
            all_vendors(self.world, clock=clock, credential=credential)
            if vendors is None
            else vendors
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider = scope["path"].lstrip("/").partition("/")[0]
        vendor = self.vendors.get(provider)
        if vendor is None:
            known = ", ".join(f"/{name}" for name in self.vendors)
            await send_response(send, json_answer({"error": f"not one of {known}"}, 404))
            return
        request = await read_request(scope, receive, prefix=f"/{provider}")
        await until_client_leaves(self._answer(vendor, request, send), receive)

    async def _answer(self, vendor: Vendor, request: Request, send: Send) -> None:
        kind: str | None = "429"
        if not self.faults.refuses(vendor.provider, request.path, now=self.clock()):
            kind = self.faults.take(vendor.provider, request.path)
        response: Response | None
        if kind is None:
            response = await vendor.answer(request)
        else:
            response = await faulty_answer(kind, self.faults, vendor, request, now=self.clock())
        self._record(vendor, request, 0 if response is None else response.status)
        if response is not None:
            await send_response(send, response)
        elif kind is not None:
            await break_connection(kind, self.faults, vendor, request, send)

    def _record(self, vendor: Vendor, request: Request, status: int) -> None:
        sent = request.header("authorization") is not None
        credential: Literal["ok", "bad", "none"] = (
            "none" if not sent else "ok" if vendor.accepts(request) else "bad"
        )
        self.log.append(
            Logged(
                provider=vendor.provider,
                method=request.method,
                path=request.path,
                params=request.params,
                status=status,
                at=self.clock(),
                credential=credential,
            )
        )


async def until_client_leaves(work: Awaitable[None], receive: Receive) -> None:
    """Await `work`, and cancel it when the client disconnects first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def lifespan(receive: Receive, send: Send) -> None:
    """Answer a server's start and stop; there is nothing to prepare or release."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
