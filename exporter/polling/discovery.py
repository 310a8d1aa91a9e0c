"""One account's stream names: configured, looked up at the vendor, and known to the ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from exporter.client.fetch import Round
from exporter.config import Account
from exporter.ledger import Book
from exporter.model import Ask, Feed
from exporter.model.errors import PollError, PollTimeoutError
from exporter.polling.account_log import AccountLog
from exporter.polling.streams import stream_names


class StreamNames:
    """The names that feeds by stream ask for.

    They are looked up once a poll: by a polled feed whose answers bring them to light (`lister`),
    or else by `discovery`, a feed that is asked for them alone. None for both where the account
    wants none looked up.
    """

    def __init__(
        self,
        *,
        configured: tuple[str, ...],
        discovery: Feed | None,
        lister: Feed | None,
        book: Book,
        log: AccountLog,
    ) -> None:
        self.configured = configured
        self.discovery = None if lister is not None else discovery
        self._lister = lister
        self._book = book
        self._log = log
        self._looked_up = asyncio.Event()
        self._error: PollError | None = None
        self.found: tuple[str, ...] = ()
        """The names of the newest look by `discovery`."""
        self.listed = False
        """Whether they were looked up in this poll."""

    def begin(self) -> None:
        """A poll begins."""
        self._looked_up.clear()
        self.listed, self._error = False, None

    async def look_up(self, round_: Round, now: int) -> None:
        """Ask `discovery`; failing is remembered, not raised."""
        if self._lister is not None:
            return
        error: PollError | None = None
        try:
            if self.discovery is not None:
                self.found = tuple((await round_.fetch(self.discovery, [Ask(now)])).streams)
                self._log.over("discovery", "discovery")
        except PollError as caught:
            error = caught
            self._log.trouble(
                "discovery",
                "discovery",
                "stream names were not looked up; new streams are missed until they are",
                error,
            )
        finally:
            self._over(listed=self.discovery is not None and error is None, error=error)

    def told(self, feed: Feed, error: BaseException | None) -> None:
        """A polled feed is over; `error` is why it failed."""
        if feed is self._lister:
            self._over(listed=error is None, error=error if isinstance(error, PollError) else None)

    async def known(self, now: int, *, polled_at: int | None, patience_seconds: float) -> list[str]:
        """All names to ask for, once they were looked up, or after `patience_seconds`.

        Raises PollError when there are none because they could not be looked up.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._looked_up.wait()
        known = stream_names(self._book, self.configured, now, polled_at=polled_at)
        names = list(dict.fromkeys((*known, *self.found)))
        if not names and (self._lister or self.discovery) is not None and not self.listed:
            raise self._without_names()
        return names

    def _over(self, *, listed: bool, error: PollError | None) -> None:
        self.listed, self._error = listed, error
        self._looked_up.set()

    def _without_names(self) -> PollError:
        error = self._error
        if error is None:
            return PollTimeoutError("no stream names yet: they were not looked up in time")
        return type(error)(f"no stream names: they could not be looked up: {error}")


def configured_streams(account: Account) -> tuple[str, ...]:
    """The names that the account's configuration asks to break down."""
    streams = account.options.get("streams", ())
    return streams if isinstance(streams, tuple) else ()


def discovery_feed(account: Account) -> Feed | None:
    """A feed that shows stream names, where the account wants them and some feed needs them."""
    if account.options.get("discover") is not True:
        return None
    provider = account.provider
    if not any(feed.needs_streams for feed in provider.feeds(account.feeds, account.options)):
        return None
    every = provider.feeds(provider.feed_names, account.options)
    return next((feed for feed in every if feed.discovers), None)
