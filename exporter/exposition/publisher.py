"""The page that scrapers get: swapped as a whole, never changed while somebody reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from exporter.exposition import (
    TEXT_FORMATS,
    AccountPage,
    Assembly,
    Block,
    Family,
    Format,
    Page,
    Section,
    assemble,
    build_page,
)
from exporter.exposition.garbage_collection import SeriesFreezer
from exporter.exposition.telemetry import Choice, Telemetry
from exporter.exposition.validity import Validity
from exporter.ledger.thread import Worker
from exporter.model import Measure
from exporter.model.measures import CATALOGUE

FAMILIES = tuple((measure, Family.of(measure)) for measure in CATALOGUE)

KEPT_PAGES = 64
"""How many differently narrowed pages are kept ready."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One account's blocks as they were when the page was published."""

    provider: str
    account: str
    blocks: Mapping[Format, Mapping[Measure, Block]]


class Publisher:
    """Puts accounts' blocks together when a poll publishes; hands out pages at any time.

    Nothing is put together while nobody changes anything, and changes that come while a page is
    being put together share the next one. Accounts whose `validity` has ended are not handed out.
    """

    def __init__(
        self, *, worker: Worker, telemetry: Telemetry, validity: Validity | None = None
    ) -> None:
        self._worker = worker
        self._validity = Validity() if validity is None else validity
        self._telemetry = telemetry
        self._pages: tuple[tuple[str, str, AccountPage], ...] = ()
        self._assembled: tuple[tuple[str, str, AccountPage], ...] | None = None
        text = Assembly(FAMILIES, Format.TEXT)
        self._assemblies = {
            Format.TEXT: text,
            Format.OPENMETRICS: Assembly(FAMILIES, Format.OPENMETRICS, other_format=text),
        }
        self._formats: frozenset[Format] = frozenset()
        self._preparing: asyncio.Task[None] | None = None
        self._shown: tuple[_Shown, ...] = ()
        self._sections: dict[Choice, Section] = {}
        self._finished: dict[Choice, tuple[Section, Section, Page]] = {}
        self._waiting = False
        self._freezer = SeriesFreezer()

    def set_accounts(self, pages: Sequence[tuple[str, str, AccountPage]]) -> None:
        """Show these (provider, account, page) from the next publishing on."""
        self._pages = tuple(pages)

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """The (provider, account) pairs that can be asked for."""
        return tuple((provider, account) for provider, account, _ in self._pages)

    def is_ready(self, format: Format) -> bool:
        """Whether there are pages of this format. Protobuf is prepared when first asked for."""
        if format in self._formats or format in TEXT_FORMATS:
            return True
        if self._preparing is None:
            self._assemblies[format] = Assembly(FAMILIES, format)
            self._preparing = asyncio.get_running_loop().create_task(self.publish())
        return False

    async def publish(self) -> None:
        """Show what the accounts' pages hold now."""
        if self._waiting:
            return
        self._waiting = True
        try:
            await self._worker.run(self._assemble)
        except BaseException:
            # Cancelled before it began, perhaps: nobody else may wait for it.
            self._waiting = False
            raise

    def _assemble(self) -> None:
        self._waiting = False
        pages = self._pages
        formats = frozenset(self._assemblies)
        if Format.PROTOBUF in formats:
            for _, _, page in pages:
                page.render_protobuf()
        anew = pages is not self._assembled or formats != self._formats
        taken = [page.take_changed() for _, _, page in pages]
        changed = [(number, key) for number, theirs in enumerate(taken) for key in theirs]
        if not changed and not anew:
            return
        shown = tuple(
            _Shown(provider, account, {kind: page.blocks(kind) for kind in formats})
            if anew or theirs
            else before
            for (provider, account, page), theirs, before in zip_longest(
                pages, taken, () if anew else self._shown
            )
        )
        sections: dict[Choice, Section] = {}
        for kind in (kind for kind in Format if kind in formats):
            blocks = [one.blocks[kind] for one in shown]
            section = self._assemblies[kind].update(blocks, None if anew else changed)
            sections[kind, None, frozenset()] = section
        self._shown, self._sections, self._assembled = shown, sections, pages
        self._formats = formats
        self._freezer.update(sum(page.series for _, _, page in pages))

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The newest page of all accounts, or of these alone."""
        expired = self._validity.expired()
        key = (format, accounts, expired)
        sections = self._sections
        section = sections.get(key)
        if section is None:
            section = _section(self._shown, format, accounts, expired)
            if len(sections) < KEPT_PAGES:
                sections[key] = section
        tail = self._telemetry.section(format, accounts, expired)
        finished = self._finished.get(key)
        if finished is None or finished[0] is not section or finished[1] is not tail:
            if len(self._finished) > KEPT_PAGES:
                self._finished.clear()
            finished = (section, tail, build_page(section, tail, format))
            self._finished[key] = finished
        return finished[2]


def _section(
    shown: Sequence[_Shown],
    format: Format,
    accounts: frozenset[str] | None,
    without: frozenset[str],
) -> Section:
    chosen = [
        one.blocks[format]
        for one in shown
        if one.account not in without and (accounts is None or one.account in accounts)
    ]
    return assemble(FAMILIES, chosen, format)
