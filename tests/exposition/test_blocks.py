"""Pieces deflated one by one are one gzip member."""

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.exposition import Block
from exporter.exposition.block import GZIP_HEADER, checksum, gzip_ending

parts = some.lists(some.binary(max_size=3000), max_size=8)


def member(blocks):
    length = sum(len(block.plain) for block in blocks)
    deflated = b"".join(block.deflated for block in blocks)
    return GZIP_HEADER + deflated + gzip_ending(checksum(blocks), length)


@settings(deadline=None)
@given(parts)
def test_any_blocks_one_after_the_other_are_one_gzip_member(parts):
    packed = member([Block.of(part) for part in parts])
    plain = b"".join(parts)
    assert gzip.decompress(packed) == plain
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed) + one.flush() == plain
    assert one.eof
    assert one.unused_data == b""


@settings(deadline=None)
@given(parts, parts)
def test_a_checksum_can_be_carried_on(first, second):
    one, two = [Block.of(part) for part in first], [Block.of(part) for part in second]
    assert checksum(two, checksum(one)) == zlib.crc32(b"".join((*first, *second)))


def test_text_becomes_smaller():
    plain = b'media_viewers{provider="millicast",account="studio"} 1\n' * 1000
    assert len(Block.of(plain).deflated) < len(plain) / 20
