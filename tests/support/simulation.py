"""An exporter and emulated vendors in one process, on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter import providers
from exporter.app import Exporter
from exporter.config import Account, load
from exporter.emulators.app import Emulators
from exporter.emulators.faults import Faults
from exporter.emulators.vendor import Vendor
from exporter.emulators.world import World
from exporter.exposition import Format
from exporter.model import Feed
from exporter.model.measures import BY_NAME
from exporter.polling.discovery import discovery_feed

HOUR = 3600
DAY = 24 * HOUR
START = 1_775_000_000 - 1_775_000_000 % DAY + 10 * HOUR + 61  # 2026-03-31, 10:01:01 UTC

Key = tuple[str, tuple[tuple[str, str], ...]]

ACCOUNTS: Mapping[str, str] = {
    "millicast": "live",
    "dolby_media": "processing",
    "wowza": "vod",
    "livepeer": "studio",
}


@lru_cache(maxsize=1)
def samples_of(text: str) -> Mapping[Key, float]:
    """The samples of a page, by name and sorted labels; a test asks for many of one page."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass
class Simulation:
    """One world; `exporter` is whichever process currently lives in it."""

    folder: Path
    now: float = START
    polling: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    remote_write: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    billing: list[dict[str, Any]] = field(default_factory=list)
    replica: str | None = None
    world: World = field(default_factory=World)
    vendors: Mapping[str, Vendor] | None = None
    providers: Sequence[str] = tuple(ACCOUNTS)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.emulators = Emulators(
            self.world, clock=self.clock, faults=self.faults, vendors=self.vendors
        )
        self.exporter: Exporter | None = None

    def clock(self) -> float:
        return self.now

    def configuration(self) -> Path:
        credential = self.folder / "credential"
        credential.write_text("demo")
        known = providers.load()
        accounts: list[dict[str, object]] = []
        for name in self.providers:
            base = f"http://vendors/{name}" + ("/api" if name == "livepeer" else "")
            account: dict[str, object] = {"name": ACCOUNTS[name], "provider": name, "url": base}
            if name == "dolby_media":
                account |= {
                    "auth_url": base,
                    "app_key_file": str(credential),
                    "app_secret_file": str(credential),
                }
            else:
                account["credentials_file"] = str(credential)
            options: dict[str, object] = dict(self.accounts.get(name, {}))
            if options.get("feeds") == "all":
                options["feeds"] = list(known[name].feed_names)
            accounts.append({**account, **options})
        path = self.folder / "config.yaml"
        place = {} if "url" in self.ledger else {"path": str(self.folder / "usage.db")}
        path.write_text(
            yaml.safe_dump(
                {
                    "polling": {"history": "1d"} | self.polling,
                    "ledger": place | self.ledger,
                    **({"limits": self.limits} if self.limits else {}),
                    **({"remote_write": self.remote_write} if self.remote_write else {}),
                    **({"billing": self.billing} if self.billing else {}),
                    "accounts": accounts,
                }
            )
        )
        return path

    def feeds(self, provider: str) -> tuple[Feed, ...]:
        """The feeds that the provider's account has in the configuration."""
        account = self._account(provider)
        return account.provider.feeds(account.feeds, account.options)

    def discovery(self, provider: str) -> tuple[Feed, ...]:
        """The feed that is asked for stream names only, if there is one."""
        feed = discovery_feed(self._account(provider))
        return () if feed is None else (feed,)

    def _account(self, provider: str) -> Account:
        config = load(self.configuration(), providers.load())
        return next(one for one in config.accounts if one.name == ACCOUNTS[provider])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        """The exporter, as after a start, until the block ends."""
        exporter = await Exporter.open(
            load(self.configuration(), providers.load()),
            clock=self.clock,
            transport=httpx.ASGITransport(self.emulators),
            replica=self.replica,
        )
        self.exporter = exporter
        try:
            yield exporter
        finally:
            self.exporter = None
            await exporter.close()

    async def poll(self) -> bool:
        """One poll of everything at the present instant."""
        assert self.exporter is not None
        return await self.exporter.once()

    async def settle(self, seconds: float = 121) -> None:
        """Let what is held at its previous total be shown."""
        self.now += seconds
        await self.refresh()

    async def refresh(self) -> None:
        """What the exporter does by itself as time goes by."""
        assert self.exporter is not None
        for collector in self.exporter.collectors:
            await collector.refresh()

    def text(self) -> str:
        assert self.exporter is not None
        return b"".join(self.exporter.page(Format.TEXT, None).plain).decode()

    def samples(self) -> Mapping[Key, float]:
        """Everything on the page, by name and sorted labels."""
        return samples_of(self.text())

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, tuple(sorted(labels.items()))))

    def usage(self, provider: str) -> dict[Key, float]:
        """The provider's own counters, without the labels that all of them carry."""
        found: dict[Key, float] = {}
        for (name, labels), value in self.samples().items():
            named = dict(labels)
            if named.pop("provider", "") != provider or name.startswith("media_exporter_"):
                continue
            named.pop("account")
            measure = BY_NAME.get(name)
            if measure is not None and measure.type == "counter":
                found[name, tuple(sorted(named.items()))] = value
        return found

    def truth(self, provider: str, start: int, end: int | None = None) -> dict[Key, float]:
        """What the vendor's world says it came to since `start`, in the metrics' own units."""
        vendor = self.emulators.vendors[provider]
        amounts = vendor.truth(start, int(self.now) if end is None else end, now=int(self.now))
        return {
            (name, labels): amount / 1000 if "_seconds_total" in name else amount
            for (name, labels), amount in amounts.items()
        }
