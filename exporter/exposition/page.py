"""The blocks of many accounts as one page: every family once, all its accounts below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from exporter.exposition.block import GZIP_HEADER, Block, checksum, gzip_ending
from exporter.exposition.text import Family, Format

Key = TypeVar("Key")

_ONE_PIECE_BYTES = 1 << 22
_CHUNK_BYTES = 1 << 16
"""Blocks up to this size are joined with their neighbours; larger ones are sent as they are."""


@dataclass(frozen=True, slots=True)
class Section:
    """Some part of a page: its bytes in chunks that can be sent one by one.

    `deflated` is a piece of a deflate stream; `crc` and `length` are of the plain bytes.
    """

    plain: tuple[bytes, ...]
    deflated: tuple[bytes, ...]
    crc: int
    length: int


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
            blocks.append(_header(family, format))
            blocks.extend(found)
    return Section(
        _chunks(block.plain for block in blocks),
        _chunks(block.deflated for block in blocks),
        checksum(blocks),
        sum(len(block.plain) for block in blocks),
    )


def finish(section: Section, tail: Section, format: Format) -> Page:
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
    # One piece is sent with one call; putting it together costs less than many calls.
    parts = (b"".join(gzip),) if gzip_length <= _ONE_PIECE_BYTES else _chunks(gzip)
    return Page(_chunks(plain), parts, length, gzip_length)


@lru_cache(maxsize=512)
def _header(family: Family, format: Format) -> Block:
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
