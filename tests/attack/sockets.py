"""A simulation whose exporter reaches its vendors over real sockets, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporter import providers
from exporter.app import Exporter
from exporter.config import load
from exporter.emulators.app import Emulators
from tests.support.simulation import Simulation

SECRET = "planted-credential-3f9c"


@dataclass
class SocketSimulation(Simulation):
    """`address` is where the vendors listen; `elsewhere` puts single ones at another base URL."""

    address: str = ""
    elsewhere: dict[str, str] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.emulators = Emulators(
            self.world, clock=self.clock, faults=self.faults, credential=SECRET
        )
        self.exporter = None

    def configuration(self) -> Path:
        path = Simulation.configuration(self)
        (self.folder / "credential").write_text(SECRET)
        text = path.read_text()
        for provider, base in self.elsewhere.items():
            text = text.replace(f"http://vendors/{provider}", f"{base}/{provider}")
        path.write_text(text.replace("http://vendors/", f"http://{self.address}/"))
        return path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        exporter = await Exporter.open(
            load(self.configuration(), providers.load()), clock=self.clock
        )
        for running in exporter.polling.running:
            running.client.sleep = self._note_wait
        self.exporter = exporter
        try:
            yield exporter
        finally:
            self.exporter = None
            await exporter.close()

    async def _note_wait(self, seconds: float) -> None:
        """Waits between attempts are noted, not waited for."""
        self.waits.append(seconds)

    def allow(self, seconds: float) -> None:
        """From now on one request may take so long."""
        assert self.exporter is not None
        for running in self.exporter.polling.running:
            running.client.timeout_seconds = seconds
