"""The real program with emulated vendors whose world goes on by the second, and its truth."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from exporter.model.measures import BY_NAME
from tests.attack.reporting import Attack
from tests.support.processes import Exporter, eventually, vendors

Key = tuple[str, tuple[tuple[str, str], ...]]

FEEDS = {
    "millicast": ("live", ("account", "countries")),
    "dolby_media": ("processing", ("usage",)),
    "wowza": ("vod", ("vod_streams",)),
    "livepeer": ("studio", ("usage", "viewership")),
}


class Clock:
    """The time, until it is stopped."""

    def __init__(self) -> None:
        self.stopped: float | None = None

    def __call__(self) -> float:
        return time.time() if self.stopped is None else self.stopped

    def stop(self) -> None:
        """It is this second from now on."""
        self.stopped = float(int(self()))


class Rig:
    """`folder` holds configuration and log, `ledger` is the path of the ledger."""

    def __init__(
        self,
        folder: Path,
        ledger: Path,
        providers: tuple[str, ...],
        *,
        cadence: int = 1,
        polling: str = "delay: 0s",
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self.ledger = ledger
        self.providers = providers
        self.polling = f"cadence: {cadence}s, history: 3h, {polling}"
        self.clock = Clock() if clock is None else clock
        self.world = World(streams=3, publish_seconds=1)
        self.emulators = Emulators(self.world, clock=self.clock)
        self.highest: dict[Key, float] = {}
        self.scrapes = 0
        self.exporter: Exporter | None = None

    @contextlib.contextmanager
    def serving(self) -> Iterator[Rig]:
        """With the vendors there, and an exporter that can be started."""
        with vendors(self.emulators) as address:
            (self.folder / "credential").write_text("demo")
            config = self.folder / "config.yaml"
            config.write_text(self._configuration(address))
            self.exporter = Exporter(config)
            try:
                yield self
            finally:
                self.exporter.__exit__()

    def _configuration(self, address: str) -> str:
        lines = [
            f"polling: {{{self.polling}}}",
            f"ledger: {{path: {self.ledger}}}",
            "accounts:",
        ]
        for provider in self.providers:
            account, feeds = FEEDS[provider]
            base = f"http://{address}/{provider}" + ("/api" if provider == "livepeer" else "")
            lines += [
                f"  - name: {account}",
                f"    provider: {provider}",
                f"    url: {base}",
                f"    feeds: [{', '.join(feeds)}]",
            ]
            secret = f"{self.folder}/credential"
            if provider == "dolby_media":
                lines += [
                    f"    auth_url: {base}",
                    f"    app_key_file: {secret}",
                    f"    app_secret_file: {secret}",
                ]
            else:
                lines.append(f"    credentials_file: {secret}")
        return "\n".join((*lines, ""))

    @property
    def running(self) -> Exporter:
        assert self.exporter is not None
        return self.exporter

    @property
    def pid(self) -> int:
        assert self.running.process is not None
        return self.running.process.pid

    def page(self, *, timeout: float = 5) -> dict[Key, float] | None:
        """Everything on the page; None when there is none to be had."""
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{self.running.url}/metrics", trust_env=False, timeout=timeout)
            assert answer.status_code == 200
            return {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
            }
        return None

    def scrape(self) -> dict[Key, float] | None:
        """The page; no counter of vendor data on it has ever been higher."""
        page = self.page()
        if page is None:
            return None
        self.scrapes += 1
        for key, value in page.items():
            measure = BY_NAME.get(key[0])
            if measure is not None and measure.type == "counter":
                assert value >= self.highest.get(key, 0), key
                self.highest[key] = value
        missing = self.highest.keys() - page.keys()
        assert not missing, missing
        return page

    def scraped(self) -> dict[Key, float]:
        return eventually(self.scrape, "the exporter answers a scrape")

    def own(self, name: str) -> float:
        return sum(value for (found, _), value in self.scraped().items() if found == name)

    def began(self) -> dict[tuple[str, str], int]:
        """From when on each feed counts, as the ledger has it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT account.provider, feed.name, feed.began FROM feed"
                " JOIN account ON account.id = feed.account WHERE feed.began IS NOT NULL"
            )
            return {(provider, feed): began for provider, feed, began in rows}

    def truth(self) -> dict[Key, float]:
        """What everything but single streams comes to, now that the clock is stopped."""
        assert self.clock.stopped is not None
        now = int(self.clock.stopped)
        found: dict[Key, float] = {}
        for (provider, feed), began in self.began().items():
            account = FEEDS[provider][0]
            amounts = self.emulators.vendors[provider].truth(began, now, now=now)
            for (name, labels), amount in amounts.items():
                named = dict(labels)
                if "stream" in named or name not in BELONGING[feed]:
                    continue
                if feed == "vod_streams" and named["kind"] != "vod":
                    continue
                key = (name, tuple(sorted((*labels, ("account", account), ("provider", provider)))))
                found[key] = amount / 1000 if "_seconds_total" in name else amount
        return found

    def settle(self, attack: Attack, patience: float = 30) -> None:
        """Stop the vendors' clock; the exporter comes to the truth, and stays at it.

        `patience` is how many seconds it may take.
        """
        self.emulators.faults.clear()
        self.clock.stop()

        def wrong() -> dict[Key, object]:
            page = self.scraped()
            truth = self.truth()
            return {
                key: (page.get(key), value)
                for key, value in truth.items()
                if page.get(key, 0) != value
            }

        with contextlib.suppress(AssertionError):
            eventually(lambda: not wrong() and self.truth(), "all is exact", patience)
        page, truth = self.scraped(), self.truth()
        assert truth
        for key, value in truth.items():
            attack.compared(page.get(key), value)
        assert not wrong(), f"{wrong()}\n{self.running.log.read_text()[-6000:]}"


BELONGING = {
    "account": {
        "media_received_bytes_total",
        "media_delivered_bytes_total",
        "media_component_delivered_bytes_total",
        "media_restream_seconds_total",
    },
    "countries": {name for name in BY_NAME if name.startswith("media_country_")},
    "vod_streams": {
        "media_viewing_seconds_total",
        "media_delivered_bytes_total",
        "media_egress_bytes_total",
        "media_egress_seconds_total",
    },
    "viewership": {
        "media_views_total",
        "media_viewing_seconds_total",
        "media_exits_before_start_total",
    },
}
BELONGING["usage"] = {
    "media_jobs_total",
    "media_jobs_succeeded_total",
    "media_jobs_failed_total",
    "media_usage_delivered_seconds_total",
    "media_transcoded_seconds_total",
}
