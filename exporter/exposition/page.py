"""The blocks of many accounts as one page: every family once, all its accounts below it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

from exporter.exposition.block import GZIP_HEADER, Block, checksum, gzip_ending
from exporter.exposition.crc import combined, shift_by
from exporter.exposition.protobuf import family_header
from exporter.exposition.text import Family, Format

Key = TypeVar("Key", bound=Hashable)

_ONE_PIECE_BYTES = 1 << 22
_CHUNK_BYTES = 1 << 16
"""Blocks up to this size are joined with their neighbours; larger ones are sent as they are."""

_FAN_OUT = 6
"""The blocks of a family are joined as a tree, this many at each of its nodes."""


@dataclass(frozen=True)
class Section:
    """Some part of a page: its bytes in chunks that can be sent one by one.

    `deflated` is a piece of a deflate stream; `crc` and `length` are of the plain bytes.
    """

    plain: tuple[bytes, ...]
    deflated: tuple[bytes, ...]
    crc: int
    length: int

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Section:
        """These blocks, one after the other."""
        return cls(
            _chunks(block.plain for block in blocks),
            _chunks(block.deflated for block in blocks),
            checksum(blocks),
            sum(len(block.plain) for block in blocks),
        )

    @classmethod
    def joined(cls, sections: Sequence[Section]) -> Section:
        """These sections, one after the other; the checksum is computed without reading the bytes."""
        crc = 0
        for section in sections:
            crc = section._checksum_after(crc)
        return cls(
            _chunks(chunk for section in sections for chunk in section.plain),
            _chunks(chunk for section in sections for chunk in section.deflated),
            crc,
            sum(section.length for section in sections),
        )

    @cached_property
    def _shift(self) -> int:
        return shift_by(self.length)

    def _checksum_after(self, crc: int) -> int:
        if self.length > _CHUNK_BYTES:
            return combined(crc, self.crc, self._shift)
        # For few bytes, computing the checksum is faster than computing the shift.
        return checksum((Block(chunk, b"") for chunk in self.plain), crc)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer to a scrape, ready to be sent in either encoding."""

    plain: tuple[bytes, ...]
    gzip: tuple[bytes, ...]
    plain_length: int
    gzip_length: int


def assemble(
    families: Iterable[tuple[Key, Family]],
    accounts: Sequence[Mapping[Key, Block]],
    format: Format,
) -> Section:
    """Group the accounts' blocks by family, in the order of `families`, under one header each."""
    blocks: list[Block] = []
    for key, family in families:
        found = [account[key] for account in accounts if key in account]
        if found:
            length = sum(len(block.plain) for block in found)
            blocks.append(_header(family, format, length))
            blocks.extend(found)
    return Section.of(blocks)


class Assembly(Generic[Key]):
    """Makes the section that `assemble` makes, at a cost in proportion to what has changed.

    Many families have the same bytes in both formats. `other_format` is the assembly of the other
    one, which must be updated first; its joined blocks are used again where they are the same.
    """

    def __init__(
        self,
        families: Iterable[tuple[Key, Family]],
        format: Format,
        other_format: Assembly[Key] | None = None,
    ) -> None:
        self._families = dict(families)
        self._format = format
        self._headers: dict[Key, tuple[int, Section]] = {}
        self._other_format = other_format
        self._bodies: dict[Key, _Body] = {}

    def update(
        self,
        accounts: Sequence[Mapping[Key, Block]],
        changed: Collection[tuple[int, Key]] | None = None,
    ) -> Section:
        """The section of these accounts' blocks.

        `changed` are those that are not as at the last update: the account's number in `accounts`,
        and the family. None stands for everything, and for other accounts.
        """
        if changed is None:
            self._bodies = {}
            changed = [(number, key) for number, account in enumerate(accounts) for key in account]
        numbers: dict[Key, list[int]] = {}
        for number, key in changed:
            numbers.setdefault(key, []).append(number)
        empty = (None,) * len(accounts)
        for key, changed_numbers in numbers.items():
            before = self._bodies.get(key) or _Body(empty)
            blocks = list(before.blocks)
            for number in changed_numbers:
                blocks[number] = accounts[number].get(key)
            body = None if self._other_format is None else self._other_format._bodies.get(key)
            if body is None or body.blocks != tuple(blocks):
                body = before.replaced(tuple(blocks), changed_numbers)
            if body.section.length:
                self._bodies[key] = body
            else:
                self._bodies.pop(key, None)
        sections: list[Section] = []
        for key in self._families:
            if key in self._bodies:
                section = self._bodies[key].section
                sections += self._header(key, section.length), section
        return Section.joined(sections)

    def _header(self, key: Key, length: int) -> Section:
        """What stands above a family's body of so many bytes."""
        known = self._headers.get(key)
        if known is None or (known[0] != length and self._format is Format.PROTOBUF):
            header = Section.of((_header(self._families[key], self._format, length),))
            known = self._headers[key] = length, header
        return known[1]


_NOTHING = Section((), (), 0, 0)


@dataclass(frozen=True, slots=True)
class _Body:
    """One family's blocks, one for each account that has it, joined as a tree.

    `levels` begins with the sections of _FAN_OUT accounts each; each further level joins as many
    sections of the one before, the last has one. A changed block costs one section a level.
    """

    blocks: tuple[Block | None, ...]
    levels: tuple[tuple[Section, ...], ...] = ()

    @property
    def section(self) -> Section:
        """The whole body."""
        return self.levels[-1][0] if self.levels else _NOTHING

    def replaced(self, blocks: tuple[Block | None, ...], changed: Iterable[int]) -> _Body:
        """The body of these blocks, of which those of the `changed` accounts are new."""
        numbers = {account // _FAN_OUT for account in changed}
        width = -(-len(blocks) // _FAN_OUT)
        level = list(self.levels[0]) if self.levels else [_NOTHING] * width
        for number in numbers:
            members = blocks[number * _FAN_OUT : (number + 1) * _FAN_OUT]
            level[number] = Section.of([block for block in members if block is not None])
        levels = [tuple(level)]
        while width > 1:
            below = levels[-1]
            numbers = {number // _FAN_OUT for number in numbers}
            width = -(-width // _FAN_OUT)
            depth = len(levels)
            level = list(self.levels[depth]) if self.levels else [_NOTHING] * width
            for number in numbers:
                level[number] = Section.joined(below[number * _FAN_OUT : (number + 1) * _FAN_OUT])
            levels.append(tuple(level))
        return _Body(blocks, tuple(levels))


def build_page(section: Section, tail: Section, format: Format) -> Page:
    """The page that consists of both sections."""
    eof = Block.of(b"# EOF\n") if format is Format.OPENMETRICS else Block(b"", b"")
    plain = (*section.plain, *tail.plain, eof.plain)
    length = section.length + tail.length + len(eof.plain)
    crc = checksum([eof], checksum((Block(chunk, b"") for chunk in tail.plain), section.crc))
    gzip = (
        GZIP_HEADER,
        *section.deflated,
        *tail.deflated,
        eof.deflated + gzip_ending(crc, length),
    )
    gzip_length = sum(len(chunk) for chunk in gzip)
    # One piece is sent with one call; joining it costs less than many calls.
    parts = (b"".join(gzip),) if gzip_length <= _ONE_PIECE_BYTES else _chunks(gzip)
    return Page(_chunks(plain), parts, length, gzip_length)


def _header(family: Family, format: Format, length: int) -> Block:
    """What stands above a family's blocks, which are `length` bytes together."""
    if format is Format.PROTOBUF:
        return Block.of(family_header(family.full_name, family.type, family.help, length))
    return _text_header(family, format)


@lru_cache(maxsize=512)
def _text_header(family: Family, format: Format) -> Block:
    return Block.of(family.header(format))


def _chunks(parts: Iterable[bytes]) -> tuple[bytes, ...]:
    chunks: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for part in parts:
        if len(part) > _CHUNK_BYTES:
            if small:
                chunks.append(b"".join(small))
                small, size = [], 0
            chunks.append(part)
            continue
        small.append(part)
        size += len(part)
        if size > _CHUNK_BYTES:
            chunks.append(b"".join(small))
            small, size = [], 0
    if size:
        chunks.append(b"".join(small))
    return tuple(chunks)
