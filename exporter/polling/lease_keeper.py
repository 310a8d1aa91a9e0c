"""Keeps this replica's leases: renews them, takes free ones, and gives up what others lack.

    0 < interval < deadline < lease

A lease is renewed every `interval`. An account is shown and polled until `deadline` after the last
renewal was asked for, by a clock that goes on while the machine sleeps; the database gives its lease
to another replica only after the whole `lease`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final, Protocol

from exporter.exposition.validity import Validity, now_seconds
from exporter.ledger.leases import AccountKey, Holder, Leases, Standing
from exporter.ledger.thread import Worker
from exporter.model.errors import LedgerError
from exporter.polling.spreading import plan_moves
from exporter.polling.status import LeasesStatus, ReplicaStatus

log = logging.getLogger(__name__)

RENEWALS: Final = 6
"""How often a lease is renewed before it would run out."""

SHOWN_PART: Final = 0.8
"""The part of a lease after which an account is not shown any more, if it was not renewed."""

LONGEST_INTERVAL_SECONDS: Final = 10.0
TAKEN_AT_ONCE: Final = 16
"""Loading accounts takes time in which no lease is renewed, so that many are taken bit by bit."""

RETRY_SECONDS: Final = 1.0
"""How soon a database that could not be asked is asked again, or after an interval if shorter."""

STUCK_SECONDS: Final = 300.0
"""Two leases and so long after the last look at them, something is wrong with this process."""


class LeaseTelemetry(Protocol):
    """Where the keeper says what happens."""

    def leases(self, *, replicas: int, held: int, free: int) -> None:
        """After each look at the leases: live replicas, accounts held here, and by nobody."""

    def lease_taken_over(self) -> None:
        """An account was taken that another replica had held before."""

    def lease_lost(self) -> None:
        """A lease ran out, or another replica has it, without having been given up."""

    def ledger_reachable(self, *, reachable: bool) -> None:
        """Whether the database answered the last question about leases."""


class LeaseKeeper:
    """Holds as many accounts as are this replica's share, for as long as `run` runs.

    `wanted` are the accounts of the configuration. `hold` polls and shows exactly these accounts,
    by their epochs, and returns those that it could not load; another epoch of an account loads it
    anew. `validity` is what the page asks before it shows an account.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        worker: Worker,
        me: Holder,
        lease_seconds: float,
        wanted: Callable[[], Collection[AccountKey]],
        hold: Callable[[Mapping[AccountKey, int]], Awaitable[Collection[AccountKey]]],
        validity: Validity,
        telemetry: LeaseTelemetry,
        now: Callable[[], float] = now_seconds,
    ) -> None:
        self._leases = leases
        self._worker = worker
        self.me = me
        self._lease_seconds = lease_seconds
        self._interval = min(lease_seconds / RENEWALS, LONGEST_INTERVAL_SECONDS)
        self._wanted = wanted
        self._hold = hold
        self._validity = validity
        self._telemetry = telemetry
        self._now = now
        self._held: dict[AccountKey, int] = {}
        self._holding = True  # False while it is not known that exactly these are polled
        self._deadlines: dict[AccountKey, float] = {}
        self._looked_at: float | None = None
        self._changing = asyncio.Lock()
        self._failed: dict[AccountKey, float] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reachable = True
        self.standing: Standing | None = None
        """What the last look at the leases found; None before the first."""

    def status(self) -> LeasesStatus:
        """Who holds which account."""
        standing = self.standing
        leases = {} if standing is None else dict(standing.leases)
        holders = {
            key: None if state.holder == self.me else state.holder for key, state in leases.items()
        }
        holders |= dict.fromkeys(self._held, self.me)
        live = {self.me} if standing is None else {*standing.replicas, self.me}
        return LeasesStatus(
            me=self.me.name,
            replicas=tuple(
                ReplicaStatus(
                    one.name,
                    tuple(sorted(key.account for key, holder in holders.items() if holder == one)),
                )
                for one in sorted(live)
            ),
            free=tuple(
                sorted(key.account for key in self._wanted() if holders.get(key) not in live)
            ),
            reachable=self._reachable,
        )

    @property
    def held(self) -> Mapping[AccountKey, int]:
        """The epochs of the leases that this replica holds."""
        return dict(self._held)

    def lost(self, key: AccountKey) -> None:
        """The ledger has refused a write: another replica has the account."""
        if key in self._held:
            self._deadlines[key] = self._now()
            self._show_deadlines()
        self._wake.set()

    def look_again(self) -> None:
        """Renew and look at the leases now, because the accounts of the configuration changed."""
        self._wake.set()

    def start(self) -> None:
        """Start `run` as a task."""
        self._task = asyncio.create_task(self.run())

    def stuck(self) -> bool:
        """Whether the leases have not been looked at for long, nor the database found to be away."""
        if self._looked_at is None:
            return False
        return self._now() - self._looked_at > 2 * self._lease_seconds + STUCK_SECONDS

    async def run(self) -> None:
        """Keep leases until cancelled."""
        self._looked_at = self._now()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._drop_when_expired))
            group.create_task(self._repeat(self._look_and_wait))

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do it for ever: an error that nobody foresaw must not end what all accounts depend on."""
        while True:
            try:
                await step()
            except LedgerError as error:
                self._note_away(error)
            except Exception:
                log.exception("leases cannot be kept")
            else:
                continue
            await asyncio.sleep(RETRY_SECONDS)

    async def _look_and_wait(self) -> None:
        self._wake.clear()
        try:
            wait = await self.look()
        except LedgerError as error:
            self._note_away(error)
            wait = min(RETRY_SECONDS, self._interval)
        self._looked_at = self._now()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    async def look(self) -> float:
        """Renew, look at all leases, take and give up; returns the seconds until the next time.

        Raises LedgerError when the database cannot be asked.
        """
        async with self._changing:
            if not self._holding:
                await self._hold_exactly()
            wanted = self._configured()
            await self._drop([key for key in self._held if key not in wanted], release=True)
            asked_at = self._now()
            standing = await self._worker.run(self._leases.renew, self._held, wanted)
            self._note_reachable(reachable=True)
            kept = [
                key
                for key, epoch in self._held.items()
                if (state := standing.leases.get(key)) is not None
                and (state.holder, state.epoch) == (self.me, epoch)
            ]
            for key in kept:
                left = standing.leases[key].left_seconds
                self._deadlines[key] = max(self._deadlines[key], self._until(asked_at, left))
            self._show_deadlines()
            lost = [key for key in self._held if key not in kept]
            for key in lost:
                self._note_lost(key)
            await self._drop(lost, release=False)
            unknown = {
                key: state.epoch
                for key, state in standing.leases.items()
                if state.holder == self.me and key not in self._held
            }
            if unknown:
                # Taken or given up in a transaction whose end was not known.
                await self._worker.run(self._leases.release, unknown)
            moves = plan_moves(self.me, wanted, standing)
            await self._drop([key for key in moves.give_up if key in self._held], release=True)
            await self._take(moves.take[:TAKEN_AT_ONCE], standing)
            self._note(wanted, standing)
            if moves.take[TAKEN_AT_ONCE:]:
                return 0.0
            if any(key not in self._held for key in moves.take):
                # A transaction of the former holder may not be over yet.
                return min(RETRY_SECONDS / 2, self._interval)
            return self._until_next(standing)

    async def stop(self) -> None:
        """Stop showing every account, and give all leases up at once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        async with self._changing:
            held, self._held = self._held, {}
            await self._hold_exactly()
            with suppress(LedgerError):
                await self._worker.run(self._leases.leave, held)

    async def close(self) -> None:
        """Close the connection; `stop` comes first."""
        await self._worker.run(self._leases.close)
        self._worker.close()

    async def _take(self, keys: Collection[AccountKey], standing: Standing) -> None:
        if not keys:
            return
        asked_at = self._now()
        epochs = {key: standing.leases[key].epoch for key in keys}
        taken = await self._worker.run(self._leases.acquire, epochs)
        if not taken:
            return
        for key, epoch in taken.items():
            self._held[key] = epoch
            self._deadlines[key] = self._until(asked_at, self._lease_seconds)
            if epochs[key]:
                self._telemetry.lease_taken_over()
        self._show_deadlines()
        log.info("accounts taken", extra={"accounts": ", ".join(key.account for key in taken)})
        await self._hold_exactly()

    def _configured(self) -> frozenset[AccountKey]:
        """The accounts of the configuration but for those that could not be loaded a while ago."""
        now = self._now()
        self._failed = {key: until for key, until in self._failed.items() if until > now}
        return frozenset(key for key in self._wanted() if key not in self._failed)

    async def _drop(self, keys: Collection[AccountKey], *, release: bool) -> None:
        """Stop polling and showing these; only then may another replica have them."""
        if not keys:
            return
        given_up = {key: self._held.pop(key) for key in keys if key in self._held}
        await self._hold_exactly()
        if release:
            await self._release(given_up)

    async def _hold_exactly(self) -> None:
        """Poll and show what is held, and nothing else; give up what cannot be loaded."""
        self._holding = False
        failed = await self._hold(dict(self._held))
        self._holding = True
        given_up = {key: self._held.pop(key) for key in failed}
        # An account without a deadline may be shown for ever, so that this comes last.
        self._deadlines = {key: self._deadlines[key] for key in self._held}
        self._show_deadlines()
        for key in failed:
            self._failed[key] = self._now() + self._lease_seconds
        await self._release(given_up)

    async def _release(self, given_up: Mapping[AccountKey, int]) -> None:
        if given_up:
            names = ", ".join(key.account for key in given_up)
            log.info("accounts given up", extra={"accounts": names})
            await self._worker.run(self._leases.release, given_up)

    async def _drop_when_expired(self) -> None:
        """Stop polling what is not to be shown any more, also while the database is away."""
        first = min(self._deadlines.values(), default=self._now() + self._interval)
        # Not for long at a time: the clock of `sleep` may stand still while the machine sleeps.
        await asyncio.sleep(min(max(0.0, first - self._now()) + 0.001, self._interval))
        if all(until > self._now() for until in self._deadlines.values()):
            return
        async with self._changing:
            now = self._now()
            expired = [key for key, until in self._deadlines.items() if until <= now]
            for key in expired:
                if key in self._held:
                    self._note_lost(key)
            await self._drop(expired, release=False)

    def _until(self, asked_at: float, left_seconds: float) -> float:
        """Until when an account may be shown whose lease had so long left after `asked_at`."""
        return asked_at + left_seconds - self._lease_seconds * (1 - SHOWN_PART)

    def _until_next(self, standing: Standing) -> float:
        """Seconds until the next renewal, or until another's lease runs out where that is sooner."""
        others = [
            state.left_seconds
            for key, state in standing.leases.items()
            if state.holder is not None and key not in self._held
        ]
        soonest = min(others, default=self._interval) + 0.05
        return min(self._interval, max(soonest, min(0.1, self._interval)))

    def _show_deadlines(self) -> None:
        self._validity.set({key.account: until for key, until in self._deadlines.items()})

    def _note_reachable(self, *, reachable: bool) -> None:
        self._reachable = reachable
        self._telemetry.ledger_reachable(reachable=reachable)

    def _note_away(self, error: LedgerError) -> None:
        self._note_reachable(reachable=False)
        log.warning("leases cannot be renewed", extra={"error": str(error)})

    def _note_lost(self, key: AccountKey) -> None:
        self._telemetry.lease_lost()
        log.warning("lease lost", extra={"account": key.account})

    def _note(self, wanted: Collection[AccountKey], standing: Standing) -> None:
        self.standing = standing
        free = sum(
            key not in self._held
            and (key not in standing.leases or standing.leases[key].holder is None)
            for key in wanted
        )
        self._telemetry.leases(
            replicas=len({*standing.replicas, self.me}), held=len(self._held), free=free
        )
