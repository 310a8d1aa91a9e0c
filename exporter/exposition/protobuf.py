"""Prometheus' protobuf format, of which each block is some `metric` fields of a `MetricFamily`.

Repeated fields of a message may stand one after the other (https://protobuf.dev/programming-guides/
encoding/), so that accounts' blocks are put together as text is, below the family's other fields.

The messages: https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
Of them counters, gauges and histograms with classic buckets are written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

_TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
"""`MetricType`; what else there may be is UNTYPED."""
_UNTYPED = 3

_double = struct.Struct("<d").pack

_NUL = str.maketrans({"\0": "\ufffd"})


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_LENGTHS = [_varint(length) for length in range(4096)]


def _field(number: int, content: bytes) -> bytes:
    """A field of text, bytes or a message; `number` is less than 16."""
    length = len(content)
    size = _LENGTHS[length] if length < len(_LENGTHS) else _varint(length)
    return b"%c%b%b" % (number << 3 | 2, size, content)


def _text(number: int, text: str) -> bytes:
    # Prometheus refuses a whole page for one label that is not UTF-8, or has a NUL.
    return _field(number, text.translate(_NUL).encode("utf-8", "replace"))


def labels(pairs: Iterable[tuple[str, str]]) -> bytes:
    """A metric's labels."""
    return b"".join(_field(1, _text(1, name) + _text(2, value)) for name, value in pairs)


def gauge(labels: bytes, value: float) -> bytes:
    """One gauge of a family."""
    return _field(4, labels + _field(2, b"\x09" + _double(value)))


def counter(labels: bytes, value: float, created: float | None) -> bytes:
    """One counter of a family; `created` is in Unix seconds, None where it is not known."""
    content = b"\x09" + _double(value)
    if created is not None:
        content += _timestamp(3, created)
    return _field(4, labels + _field(3, content))


def histogram(
    labels: bytes,
    *,
    count: int,
    sum: float,
    buckets: Sequence[tuple[float, int]],
    created: float | None,
) -> bytes:
    """One histogram of a family; `buckets` are upper bounds and the number of values up to each."""
    content = b"\x08" + _varint(count) + b"\x11" + _double(sum)
    for bound, number in buckets:
        content += _field(3, b"\x08" + _varint(number) + b"\x11" + _double(bound))
    if created is not None:
        content += _timestamp(15, created)
    return _field(4, labels + _field(7, content))


def family_header(name: str, kind: str, help: str, metrics_length: int) -> bytes:
    """What stands before a family's `metrics_length` bytes of metrics: its size, name, help, type."""
    fields = _text(1, name) + _text(2, help) + b"\x18" + _varint(_TYPES.get(kind, _UNTYPED))
    return _varint(len(fields) + metrics_length) + fields


def _timestamp(number: int, seconds: float) -> bytes:
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    content = b"\x08" + _varint(whole)
    if rest:
        content += b"\x10" + _varint(rest * 1000)
    return _field(number, content)
