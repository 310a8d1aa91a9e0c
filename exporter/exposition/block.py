"""One family's lines of one account: as they are, and deflated so that they can be put together.

Each block is deflated on its own and ended with a full flush, so that any blocks one after the
other are one deflate stream (RFC 1951); a gzip header, an ending and a checksum around them make
one gzip member (RFC 1952). Several members in a row would be allowed, too, but many clients read
only the first.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

GZIP_LEVEL = 6
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_EMPTY_FINAL_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes, and the same bytes as a piece of a deflate stream."""

    plain: bytes
    deflated: bytes

    @classmethod
    def of(cls, plain: bytes) -> Block:
        """Deflate `plain`; this releases the interpreter lock while it works."""
        deflater = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(plain, deflater.compress(plain) + deflater.flush(zlib.Z_FULL_FLUSH))


def checksum(blocks: Iterable[Block], start: int = 0) -> int:
    """The CRC-32 of the plain bytes of `blocks`, one after the other, after that of `start`."""
    for block in blocks:
        start = zlib.crc32(block.plain, start)
    return start


def gzip_ending(crc: int, length: int) -> bytes:
    """What closes a gzip member whose plain content has this checksum and length."""
    return _EMPTY_FINAL_BLOCK + struct.pack("<II", crc & 0xFFFFFFFF, length & 0xFFFFFFFF)
