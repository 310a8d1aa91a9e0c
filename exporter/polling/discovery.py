"""One account's stream names: from the configuration, from discovery, and from the ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from exporter.client.computing import computed
from exporter.client.fetch import PollFetcher
from exporter.config import Account
from exporter.ledger import Book
from exporter.model import Ask, Feed
from exporter.model.errors import PollError, PollTimeoutError
from exporter.polling.account_log import AccountLog
from exporter.polling.streams import stream_names


class StreamNames:
    """The stream names for feeds that need them.

    Names are discovered once in each poll: by a polled feed whose answers list them (`lister`), or
    else by `discovery`, a feed that is requested only for the names. Both are None when discovery
    is switched off.
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
        """The names of the newest answer of `discovery`."""
        self.listed = False
        """Whether names were discovered in this poll."""

    def number(self, now: int) -> int:
        """How many names are known without asking the vendor."""
        return len(stream_names(self._book, self.configured, now))

    def begin(self) -> None:
        """A poll of the account begins."""
        self._looked_up.clear()
        self.listed, self._error = False, None

    async def look_up(self, fetcher: PollFetcher, now: int) -> None:
        """Fetch the names with `discovery`; an error is kept and not raised."""
        if self._lister is not None:
            return
        error: PollError | None = None
        try:
            if self.discovery is not None:
                self.found = tuple((await fetcher.fetch(self.discovery, [Ask(now)])).streams)
                self._log.resolved("discovery", "discovery")
        except PollError as caught:
            error = caught
            self._log.trouble(
                "discovery",
                "discovery",
                "stream names were not looked up; new streams are missed until they are",
                error,
            )
        finally:
            self._note_listing(listed=self.discovery is not None and error is None, error=error)

    def poll_ended(self, feed: Feed, error: BaseException | None) -> None:
        """The poll of `feed` has ended; `error` is why it failed."""
        if feed is self._lister:
            self._note_listing(
                listed=error is None, error=error if isinstance(error, PollError) else None
            )

    async def known(self, now: int, *, polled_at: int | None, patience_seconds: float) -> list[str]:
        """All names to ask for, after discovery or after `patience_seconds`.

        Raises PollError when there are none because discovery failed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._looked_up.wait()
        names = await computed(len(self._book.streams), self._names, now, polled_at)
        if not names and (self._lister or self.discovery) is not None and not self.listed:
            raise self._without_names()
        return names

    def _names(self, now: int, polled_at: int | None) -> list[str]:
        known = stream_names(self._book, self.configured, now, polled_at=polled_at)
        return list(dict.fromkeys((*known, *self.found)))

    def _note_listing(self, *, listed: bool, error: PollError | None) -> None:
        self.listed, self._error = listed, error
        self._looked_up.set()

    def _without_names(self) -> PollError:
        error = self._error
        if error is None:
            return PollTimeoutError("no stream names yet: they were not looked up in time")
        return type(error)(f"no stream names: they could not be looked up: {error}")


def configured_streams(account: Account) -> tuple[str, ...]:
    """The stream names in the account's configuration."""
    streams = account.options.get("streams", ())
    return streams if isinstance(streams, tuple) else ()


def discovery_feed(account: Account) -> Feed | None:
    """The provider's feed that lists stream names; None if that is switched off or not needed."""
    if account.options.get("discover") is not True:
        return None
    provider = account.provider
    if not any(feed.needs_streams for feed in provider.feeds(account.feeds, account.options)):
        return None
    every = provider.feeds(provider.feed_names, account.options)
    return next((feed for feed in every if feed.discovers), None)
