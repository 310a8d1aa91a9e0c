"""Several replicas of the real program that share a database, and the truth of their vendors."""

from __future__ import annotations

import contextlib
import signal
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from exporter.model.measures import BY_NAME
from tests.attack.rig import FEEDS, Key, Rig
from tests.support.postgres import Server
from tests.support.processes import Exporter, eventually
from tests.support.tcp_proxy import TcpProxy

_HISTORY = """
CREATE TABLE lease_history (
    provider text NOT NULL, at float8 NOT NULL, holder text NOT NULL, until float8 NOT NULL
);
CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO lease_history
    SELECT provider, extract(epoch FROM clock_timestamp()), split_part(NEW.holder, '#', 1),
        extract(epoch FROM NEW.until)
    FROM account WHERE id = NEW.account;
    RETURN NULL;
END $$;
CREATE TRIGGER note_lease AFTER UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION note_lease();
"""

PROVIDERS = ("millicast", "dolby_media", "wowza", "livepeer")


@dataclass
class Seen:
    """One scrape: who answered when (Unix seconds), and which accounts it showed."""

    replica: str
    asked: float
    answered: float
    accounts: frozenset[str]


@dataclass
class Judge:
    """Looks at the pages of all replicas in order of time."""

    highest: dict[Key, float] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def look(self, replica: str, asked: float, page: dict[Key, float]) -> frozenset[str]:
        """The accounts on the page; no counter has ever been higher on any replica's page."""
        accounts: set[str] = set()
        for key, value in page.items():
            measure = BY_NAME.get(key[0])
            if measure is None or measure.type != "counter":
                continue
            accounts.add(dict(key[1])["account"])
            assert value >= self.highest.get(key, 0), (replica, key)
            self.highest[key] = value
        found = frozenset(accounts)
        self.seen.append(Seen(replica, asked, time.time(), found))
        return found

    def shown_twice(self) -> list[tuple[str, Seen, Seen, Seen]]:
        """Accounts that one replica showed while another one did, before and after."""
        found = []
        for position, middle in enumerate(self.seen):
            for account in middle.accounts:
                before = self._nearest(account, middle, reversed(self.seen[:position]))
                after = self._nearest(account, middle, iter(self.seen[position + 1 :]))
                if before and after and before.replica == after.replica:
                    found.append((account, before, middle, after))
        return found

    @staticmethod
    def _nearest(account: str, middle: Seen, others: Iterator[Seen]) -> Seen | None:
        """The nearest page with the account, if another replica than that of `middle` gave it."""
        other = next((one for one in others if account in one.accounts), None)
        return other if other is not None and other.replica != middle.replica else None


class Replicas(Rig):
    """A rig whose exporters share the database `name` on `server`; each has a name."""

    def __init__(
        self, folder: Path, server: Server, *, lease: str = "2s", proxied: bool = False
    ) -> None:
        super().__init__(folder, folder / "usage.db", PROVIDERS)
        self.server = server
        self.proxied = proxied
        self.proxies: dict[str, TcpProxy] = {}
        self.database = server.database()
        self.lease = lease
        self.judge = Judge()
        self.replicas: dict[str, Exporter] = {}

    def _configuration(self, address: str) -> str:
        text = super()._configuration(address)
        place = f"ledger: {{path: {self.ledger}}}"
        assert place in text
        url = self.server.url(self.database)
        return text.replace(place, f"ledger: {{url: '{url}', lease: {self.lease}}}")

    @contextlib.contextmanager
    def serving(self) -> Iterator[Replicas]:
        with super().serving():
            try:
                yield self
            finally:
                for one in self.replicas.values():
                    one.__exit__()
                for proxy in self.proxies.values():
                    proxy.__exit__()

    def start(
        self,
        name: str,
        environment: Mapping[str, str] | None = None,
        *,
        module: str = "exporter",
    ) -> Exporter:
        """Start a replica; the log of one that was there before goes on.

        If `proxied`, it has a proxy of its own to the database. `module` is what Python runs.
        """
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        config = self.folder / "config.yaml"
        if self.proxied:
            config = folder / "config.yaml"
            config.write_text(self._through_a_proxy(name))
        one = Exporter(config, "--replica.name", name, environment=environment, module=module)
        one.log = folder / "exporter.log"
        self.replicas[name] = one
        one.start()
        return one

    def _through_a_proxy(self, name: str) -> str:
        """The configuration of that replica."""
        if name not in self.proxies:
            self.proxies[name] = TcpProxy(self.server.folder / ".s.PGSQL.5432")
        direct = self.server.url(self.database)
        text = (self.folder / "config.yaml").read_text()
        assert text.count(direct) == 1
        port = self.proxies[name].port
        url = f"postgresql://postgres@127.0.0.1:{port}/{self.database}?sslmode=disable"
        return text.replace(direct, f"{url}&connect_timeout=2")

    def watch_leases(self) -> None:
        """From now on, note each change of a lease; the tables have to be there."""
        self.server.execute(_HISTORY, database=self.database)

    def shown_without_lease(self) -> list[tuple[str, Seen, object]]:
        """Accounts that a replica showed although it held no lease for them.

        Neither when it was asked nor until it had answered: it had run out, had been given up, or
        belonged to another one.
        """
        with psycopg.connect(self.server.url(self.database)) as connection:
            rows = connection.execute(
                "SELECT provider, at, holder, until FROM lease_history ORDER BY at"
            ).fetchall()
        history: dict[str, list[tuple[float, str, float]]] = {}
        for provider, *change in rows:
            history.setdefault(FEEDS[provider][0], []).append(tuple(change))
        found: list[tuple[str, Seen, object]] = []
        for seen in self.judge.seen:
            for account in seen.accounts:
                changes = history.get(account, [])
                number = bisect_left(changes, (seen.asked,))
                if number == 0:
                    continue  # before it was watched
                last = bisect_left(changes, (seen.answered,))
                if not any(
                    holder == seen.replica and until > max(at, seen.asked)
                    for at, holder, until in changes[number - 1 : last]
                ):
                    found.append((account, seen, changes[max(0, number - 3) : number + 1]))
        return found

    def takeovers(self) -> dict[str, int]:
        """How often each account was acquired, by provider."""
        with psycopg.connect(self.server.url(self.database)) as connection:
            rows = connection.execute(
                "SELECT provider, epoch FROM lease JOIN account ON account.id = lease.account"
            ).fetchall()
        return dict(rows)

    def asked_too_often(self) -> dict[str, tuple[int, float]]:
        """Vendors that got a request more often than once a tick and once a takeover.

        By provider: how often, and how often at most.
        """
        found: dict[str, tuple[int, float]] = {}
        times: dict[tuple[object, ...], list[float]] = {}
        for one in self.emulators.log:
            if one.status == 200:
                times.setdefault((one.provider, one.method, one.path, one.params), []).append(
                    one.at
                )
        takeovers = self.takeovers()
        for (provider, *_), asked in times.items():
            # Signing in is not polling; and there may be one more tick than whole seconds.
            allowed = max(asked) - min(asked) + 2 + takeovers[str(provider)]
            if len(asked) > allowed and not str(_[1]).endswith("token"):
                found[str(provider)] = (len(asked), allowed)
        return found

    def kill(self, name: str) -> None:
        """As a power cut would."""
        self.replicas.pop(name).kill()

    def stop(self, name: str) -> None:
        """As a rollout does."""
        assert self.replicas.pop(name).stop() == 0

    def freeze(self, name: str) -> None:
        """It does nothing until it is thawed, and does not know."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> frozenset[str] | None:
        """The accounts that it shows in the first millisecond."""
        self._signal(name, signal.SIGCONT)
        return self.accounts_of(name)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.replicas[name].process
        assert process is not None
        process.send_signal(number)

    def accounts_of(self, name: str) -> frozenset[str] | None:
        """The accounts that a replica shows; None when it does not answer."""
        asked = time.time()
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{self.replicas[name].url}/metrics", trust_env=False, timeout=5)
            assert answer.status_code == 200
            page = {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
            }
            return self.judge.look(name, asked, page)
        return None

    def spread(self, *but: str) -> dict[str, frozenset[str]]:
        """The accounts by replica, of those that answer and are not frozen."""
        found = {name: self.accounts_of(name) for name in list(self.replicas) if name not in but}
        return {name: accounts for name, accounts in found.items() if accounts is not None}

    def all_shown(self, *but: str) -> bool:
        """Whether each account is on one page."""
        return sum(map(len, self.spread(*but).values())) == len(self.providers)

    def even(self) -> bool:
        """Whether each account is on one page, and no replica has two more than another."""
        counts = [len(accounts) for accounts in self.spread().values()]
        return sum(counts) == len(self.providers) and max(counts) - min(counts) <= 1

    # What the rig compares with the truth.

    def scrape(self) -> dict[Key, float] | None:
        """The highest that any page has shown, once all accounts are shown."""
        return dict(self.judge.highest) if self.all_shown() else None

    def began(self) -> dict[tuple[str, str], int]:
        with psycopg.connect(self.server.url(self.database)) as connection:
            rows = connection.execute(
                "SELECT account.provider, feed.name, feed.began FROM feed"
                " JOIN account ON account.id = feed.account WHERE feed.began IS NOT NULL"
            ).fetchall()
        return {(provider, feed): began for provider, feed, began in rows}

    def live(self, seconds: float, *but: str) -> None:
        """For so long, look at every page again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.spread(*but)
            time.sleep(0.02)

    def logs(self) -> str:
        """All that replicas have logged."""
        return "".join(path.read_text() for path in self.folder.glob("*/exporter.log"))

    def wait(self, *but: str) -> None:
        """Until every account is shown again."""
        eventually(lambda: self.all_shown(*but), "every account is shown")
