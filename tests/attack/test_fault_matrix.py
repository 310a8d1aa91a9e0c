"""Every vendor with every fault, over real sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from exporter.emulators.app import Emulators
from exporter.emulators.faults import KINDS, PAGING, RETRY_AFTER
from exporter.emulators.world import World
from exporter.web.app import _status_json
from exporter.web.landing import landing_page
from tests.attack.reporting import Attack
from tests.attack.sockets import SECRET, SocketSimulation
from tests.support.processes import vendors
from tests.support.simulation import ACCOUNTS, DAY, HOUR

CADENCE = 900
REASONS = {
    "401": "auth",
    "403": "forbidden",
    "404": "not_found",
    "410": "not_found",
    "422": "invalid_request",
    "429": "rate_limited",
    "500": "server",
    "502": "server",
    "503": "server",
    "504": "server",
    "html": "schema",
    "truncated": "schema",
    "wrong-types": "schema",
    "nan": "schema",
    "negative": "schema",
    "huge": "schema",
    "duplicate-keys": "schema",
    "other-keys": "schema",
    "big-body": "too_large",
    "gzip-bomb": "too_large",
    "reset": "network",
    "stall": "timeout",
    "drip": "timeout",
    "redirect": "redirect",
    "endless-pages": "too_many_pages",
} | dict.fromkeys(RETRY_AFTER, "rate_limited")
HARMLESS = frozenset({"empty", "repeated-page", "bom"})
"""Absent is not zero, a page that comes again ends the paging, and a byte order mark before an answer
is passed over: none is an error."""

FAULTS = [kind for kind in KINDS if kind not in (*PAGING, *HARMLESS)]
LARGE = frozenset({"big-body", "gzip-bomb"})
OF_NUMBERS = frozenset({"wrong-types", "nan", "negative", "huge", "duplicate-keys"})
"""An answer without a number (or any plain member) in it is as good as before."""

PAGED = [name for name, vendor in Emulators(World()).vendors.items() if vendor.paging]

MOST_ATTEMPTS = 4


def reason_of(provider: str, kind: str) -> str:
    """A secret that Millicast does not know is answered with 403."""
    return "auth" if (provider, kind) == ("millicast", "403") else REASONS[kind]


@pytest.fixture
def bystander() -> Iterator[tuple[str, list[bytes]]]:
    """Another host, to which a redirect leads; it notes whatever it is sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", heard
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        with connection:
            heard.append(connection.recv(65536))
        pytest.fail(f"a redirect was followed: {heard}")


class Matrix:
    """One vendor under attack, and another beside it that must not notice."""

    def __init__(self, provider: str, folder: Path, attack: Attack) -> None:
        self.provider = provider
        self.witness = "millicast" if provider == "livepeer" else "livepeer"
        feeds = {"millicast": ["account"], "livepeer": ["usage", "realtime"]}
        self.simulation = SocketSimulation(
            folder,
            world=World(streams=2),
            polling={"timeout": "60s", "history": "3h"},
            providers=[provider, self.witness],
            accounts={self.witness: {"feeds": feeds[self.witness]}},
        )
        first = int(self.simulation.now)
        self.start = {
            name: (first - 3 * HOUR) // width * width
            for name in ACCOUNTS
            for width in (DAY if name == "dolby_media" else HOUR,)
        }
        self.attack = attack

    def successes(self, provider: str) -> dict[str, float]:
        return self.own("media_exporter_poll_success", provider)

    def own(self, name: str, provider: str, label: str = "feed") -> dict[str, float]:
        return {
            "/".join(dict(labels)[one] for one in label.split("/")): value
            for (found, labels), value in self.simulation.samples().items()
            if found == name and dict(labels).get("provider") == provider
        }

    def reasons(self, provider: str) -> dict[str, float]:
        return self.own("media_exporter_poll_failures_total", provider, "feed/reason")

    def gauges(self, provider: str) -> set[str]:
        return {
            name
            for (name, labels) in self.simulation.samples()
            if dict(labels).get("provider") == provider
            and not name.startswith("media_exporter_")
            and not name.startswith("media_month_to_date_")
            and name != "media_stream_info"  # what was last said of a stream stays
            and "_total" not in name
            and not name.endswith(("_bucket", "_sum", "_count"))
        }

    def exact(self, provider: str) -> None:
        """Everything that the vendor counts by buckets is the truth, to the unit."""
        shown = {
            key: value
            for key, value in self.simulation.usage(provider).items()
            if key[0] != "media_jobs_finished_total"
        }
        truth = self.simulation.truth(provider, self.start[provider])
        assert shown
        for key, value in shown.items():
            self.attack.compared(value, truth.get(key, 0))
            assert value == truth.get(key, 0), key

    async def settle(self) -> None:
        await self.simulation.settle(121)

    async def succeed(self) -> int:
        """A poll at the next tick, after which all is exact; gives the requests it took."""
        simulation = self.simulation
        simulation.now += CADENCE
        before = len(simulation.emulators.log)
        assert await simulation.poll(), self.trouble()
        requests = len(simulation.emulators.log) - before
        simulation.now += 121
        await simulation.refresh()
        simulation.now -= 121
        self.exact(self.provider)
        self.exact(self.witness)
        return requests

    def trouble(self) -> object:
        assert self.simulation.exporter is not None
        return self.simulation.exporter.status()

    def seen_by_people(self) -> str:
        exporter = self.simulation.exporter
        assert exporter is not None
        page = landing_page(exporter.status(), self.simulation.now, "/metrics", None)
        status = _status_json(exporter.status(), self.simulation.now)
        return page + status + self.simulation.text() + exporter.configuration()

    async def fail(
        self, reason: str, caplog: pytest.LogCaptureFixture, *, every_feed: bool = True
    ) -> int:
        """A poll at the next tick, which fails for `reason`; gives the requests it took."""
        simulation = self.simulation
        simulation.now += CADENCE
        counters = simulation.usage(self.provider)
        before = self.reasons(self.provider)
        began = len(simulation.emulators.log)
        assert not await simulation.poll()
        requests = len(simulation.emulators.log) - began
        after = self.reasons(self.provider)
        added = {name for name, count in after.items() if count > before.get(name, 0)}
        feeds = self.successes(self.provider)
        expected = {f"{feed}/{reason}" for feed in feeds}
        assert added == expected or (added and added < expected and not every_feed), self.trouble()
        assert 0 in feeds.values()
        assert set(self.successes(self.witness).values()) == {1}
        if added == expected:
            assert set(feeds.values()) == {0}
            assert simulation.usage(self.provider) == counters
        simulation.now += CADENCE + 1
        await simulation.refresh()
        if added == expected:
            assert not self.gauges(self.provider)
            assert simulation.usage(self.provider) == counters
        simulation.now -= CADENCE + 1
        assert SECRET not in self.seen_by_people()
        assert SECRET not in caplog.text
        return requests


@pytest.fixture(params=list(ACCOUNTS))
def matrix(request: pytest.FixtureRequest, tmp_path: Path, attack: Attack) -> Iterator[Matrix]:
    matrix = Matrix(request.param, tmp_path, attack)
    with vendors(matrix.simulation.emulators) as address:
        matrix.simulation.address = address
        yield matrix


async def attack_with(
    kinds: list[str],
    matrix: Matrix,
    bystander: tuple[str, list[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    simulation = matrix.simulation
    simulation.faults.redirect_to = bystander[0]
    simulation.faults.drip_seconds = 0.05
    async with simulation.running():
        usual = max([await matrix.succeed() for _ in range(2)])
        for kind in kinds:
            simulation.allow(0.4 if kind in ("stall", "drip") else 60)
            simulation.faults.set(matrix.provider, kind)
            requests = await matrix.fail(
                reason_of(matrix.provider, kind), caplog, every_feed=kind not in OF_NUMBERS
            )
            assert requests <= (MOST_ATTEMPTS + 2) * usual, kind
            simulation.faults.clear()
            simulation.allow(60)
            await matrix.succeed()
            matrix.attack.tried("faults of a vendor's answers, over sockets")
    assert all(0 <= wait <= CADENCE for wait in simulation.waits)


@pytest.mark.timeout(600)
async def test_a_fault_is_named_contained_and_recovered_from(
    matrix: Matrix, bystander: tuple[str, list[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a vendor does, its feeds fail for the right reason, its counters stay, its gauges
    go, the vendor beside it is polled on, and the next good answer makes all exact again.

    Each vendor meets a quarter of the faults here, and all of them under `make soak`.
    """
    quarter = FAULTS[list(ACCOUNTS).index(matrix.provider) :: len(ACCOUNTS)]
    await attack_with(quarter, matrix, bystander, caplog)


@pytest.mark.soak
async def test_every_fault_of_every_vendor_is_contained(
    matrix: Matrix, bystander: tuple[str, list[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    """The same, of every vendor with every fault."""
    await attack_with(FAULTS, matrix, bystander, caplog)


async def test_what_is_left_out_or_comes_again_changes_nothing(matrix: Matrix) -> None:
    """An empty answer is no error and takes nothing away; a page that names itself is the last."""
    simulation = matrix.simulation
    async with simulation.running():
        await matrix.succeed()
        counted = any(
            paging.counted for paging in simulation.emulators.vendors[matrix.provider].paging
        )
        for kind in sorted(HARMLESS):
            if kind == "repeated-page" and counted:
                continue  # pages with numbers do not come again, they have no end
            counters = simulation.usage(matrix.provider)
            simulation.faults.set(matrix.provider, kind)
            began = len(simulation.emulators.log)
            await simulation.poll()
            assert len(simulation.emulators.log) - began < 500
            assert simulation.usage(matrix.provider) == counters
            simulation.faults.clear()
            await matrix.succeed()
            matrix.attack.tried("empty answers and repeated pages")


@pytest.mark.soak
@pytest.mark.parametrize("matrix", PAGED, indirect=True)
async def test_pages_without_end_are_given_up(
    matrix: Matrix, caplog: pytest.LogCaptureFixture
) -> None:
    """A vendor that always names one more page is asked for 10,000 of them at most, by each feed;
    what other feeds say counts as ever.
    """
    simulation = matrix.simulation
    async with simulation.running():
        await matrix.succeed()
        simulation.faults.set(matrix.provider, "endless-pages")
        simulation.now += CADENCE
        counters = simulation.usage(matrix.provider)
        began = len(simulation.emulators.log)
        assert not await simulation.poll()
        feeds = matrix.successes(matrix.provider)
        assert "too_many_pages" in {
            name.partition("/")[2] for name in matrix.reasons(matrix.provider)
        }
        assert len(simulation.emulators.log) - began <= 10_100 * len(feeds)
        shown = simulation.usage(matrix.provider)
        failed: set[str] = set()
        others: set[str] = set()
        for feed in simulation.feeds(matrix.provider):
            (others if feeds[feed.name] else failed).update(one.name for one in feed.measures)
        for key, value in counters.items():
            assert shown[key] >= value
            assert shown[key] == value or key[0] in others or key[0] not in failed
        simulation.faults.clear()
        await matrix.succeed()
        matrix.attack.tried("pages without end")


@contextlib.contextmanager
def unverifiable() -> Iterator[str]:
    """A server whose certificate nobody has signed that anybody knows; notes what it is sent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                with context.wrap_socket(connection, server_side=True) as secured:
                    heard.append(secured.recv(65536))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert not any(heard), "something was sent to a server that did not prove who it is"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """An address that is taken, but at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def nowhere() -> Iterator[str]:
    yield "http://vendor.invalid"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("where", [unverifiable, refusing, nowhere])
async def test_a_vendor_that_cannot_be_reached_is_a_network_failure(
    where: Callable[[], contextlib.AbstractContextManager[str]],
    matrix: Matrix,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused connection, a name that does not resolve and a certificate that does not verify
    are failures of the network: nothing is sent, nothing is lost, and all is made up for.
    """
    simulation = matrix.simulation
    async with simulation.running():
        await matrix.succeed()
    with where() as base:
        simulation.elsewhere = {matrix.provider: base}
        async with simulation.running():
            requests = await matrix.fail("network", caplog)
            assert requests <= 40  # the other vendor's
    simulation.elsewhere = {}
    async with simulation.running():
        await matrix.succeed()
    matrix.attack.tried("vendors that cannot be reached")


async def test_a_feed_that_fails_leaves_the_other_feeds_alone(matrix: Matrix) -> None:
    """When one route of a vendor fails, only the feeds that need it do."""
    simulation = matrix.simulation
    route = {
        "millicast": ("/api/analytics/account/geo_series", "countries"),
        "dolby_media": ("/media/usage", "usage"),
        "wowza": ("/api/v1.11/analytics", "viewers"),
        "livepeer": ("/api/data/usage", "usage"),
    }[matrix.provider]
    async with simulation.running():
        await matrix.succeed()
        simulation.faults.set(matrix.provider, "503", path_prefix=route[0])
        simulation.now += CADENCE
        assert not await simulation.poll()
        failing = {name for name, value in matrix.successes(matrix.provider).items() if not value}
        assert failing == {route[1]}
        simulation.faults.clear()
        await matrix.succeed()
        matrix.attack.tried("one feed's route fails")
