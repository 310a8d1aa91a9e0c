"""The CRC-32 of two pieces put together, from those of the pieces.

A CRC is a polynomial over GF(2), modulo that of gzip (RFC 1952). To put n bytes behind a piece is
to multiply its CRC by x^8n; that factor depends on n alone.
"""

from __future__ import annotations

from functools import cache
from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
_ONE: Final = 1 << 31
"""The polynomial 1: bits stand in reverse order, the highest for x^0."""


def _product(first: int, second: int) -> int:
    """The product of two polynomials, modulo that of the CRC."""
    product = 0
    bit = _ONE
    while first:
        if first & bit:
            product ^= second
            first ^= bit
        bit >>= 1
        second = (second >> 1) ^ _POLYNOMIAL if second & 1 else second >> 1
    return product


def _powers() -> tuple[int, ...]:
    """x^8, x^16, x^32, x^64 …: the shifts by 1, 2, 4, 8 … bytes."""
    power = _ONE >> 8
    powers = []
    for _ in range(48):
        powers.append(power)
        power = _product(power, power)
    return tuple(powers)


_POWERS: Final = _powers()
_DIGIT_BITS: Final = 8


@cache
def _shift_by_digit(digit: int, position: int) -> int:
    """The shift by `digit` times 256^`position` bytes; there are 255 for each position."""
    shift = _ONE
    for bit in range(_DIGIT_BITS):
        if digit >> bit & 1:
            shift = _product(_POWERS[position * _DIGIT_BITS + bit], shift)
    return shift


def shift_by(length: int) -> int:
    """The factor that stands for `length` bytes put behind a piece."""
    shift = _ONE
    position = 0
    while length:
        length, digit = divmod(length, 1 << _DIGIT_BITS)
        if digit:
            shift = _product(_shift_by_digit(digit, position), shift)
        position += 1
    return shift


def combined(first: int, second: int, shift: int) -> int:
    """The CRC of two pieces, of which these are the CRCs; `shift` is `shift_by` the second's length."""
    return _product(shift, first) ^ second
