"""A page that is put together anew where it changed is the page put together from nothing."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.exposition import Assembly, Block, Family, Format, assemble
from exporter.exposition.crc import combined, shift_by
from exporter.exposition.page import Section

FAMILIES = tuple((name, Family(name, "gauge", f"What {name} is.")) for name in "abcdef")
ACCOUNTS = 40

changes = some.lists(
    some.dictionaries(
        some.tuples(some.integers(0, ACCOUNTS - 1), some.sampled_from("abcdef")),
        some.integers(0, 2000),
        max_size=6,
    ),
    max_size=6,
)


class Counted(Block):
    """A block that counts how often its bytes are looked at."""

    looks = 0

    def __getattribute__(self, name: str) -> object:
        if name == "plain":
            Counted.looks += 1
        return super().__getattribute__(name)


def content(section: Section) -> tuple[bytes, bytes, int, int]:
    return b"".join(section.plain), b"".join(section.deflated), section.crc, section.length


@settings(deadline=None, max_examples=60)
@given(changes)
@pytest.mark.parametrize("format", list(Format))
def test_whatever_changes_the_page_is_as_if_made_from_nothing(format, changes):
    """Blocks come, go, grow and shrink; of no size there is nothing at all."""
    beside = Assembly(FAMILIES, Format.TEXT)
    assembly = Assembly(FAMILIES, format, other_format=beside)
    accounts: list[dict[str, Block]] = [{} for _ in range(ACCOUNTS)]
    beside.update(accounts[1:])
    assembly.update(accounts)
    for change in changes:
        for (account, family), size in change.items():
            if size:
                accounts[account][family] = Block.of(bytes([65 + size % 26]) * size * 7)
            else:
                accounts[account].pop(family, None)
        beside.update(accounts[1:], [(number - 1, key) for number, key in change if number])
        section = assembly.update(accounts, list(change))
        assert content(section) == content(assemble(FAMILIES, accounts, format))


def test_other_accounts_make_another_page():
    assembly = Assembly(FAMILIES, Format.TEXT)
    accounts = [{"a": Block.of(b"a 1\n")}, {"a": Block.of(b"a 2\n"), "b": Block.of(b"b 2\n")}]
    for shown in (accounts, accounts[:1], [], accounts):
        section = assembly.update(shown)
        assert content(section) == content(assemble(FAMILIES, shown, Format.TEXT))


def test_what_did_not_change_is_not_looked_at_again():
    """Of many large accounts the blocks beside the changed one are, and no others."""
    assembly = Assembly(FAMILIES, Format.TEXT)
    accounts = [
        {name: Counted(*vars_of(Block.of(name.encode() * 9000))) for name in "abcdef"}
        for _ in range(200)
    ]
    assembly.update(accounts)
    Counted.looks = 0
    block = Block.of(b"c" * 9001)
    accounts[77]["c"] = Counted(block.plain, block.deflated)
    section = assembly.update(accounts, [(77, "c")])
    assert Counted.looks < 100, "of 1,200"
    assert section.crc == zlib.crc32(b"".join(section.plain))


def vars_of(block: Block) -> tuple[bytes, bytes]:
    return block.plain, block.deflated


@given(some.binary(max_size=300), some.binary(max_size=300))
def test_checksums_of_pieces_make_that_of_the_whole(first, second):
    whole = combined(zlib.crc32(first), zlib.crc32(second), shift_by(len(second)))
    assert whole == zlib.crc32(first + second)
