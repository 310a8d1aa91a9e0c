"""A remote write receiver that keeps what it is sent, and can be told to misbehave.

It reads the wire format by hand, so that it does not share a mistake with the encoder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cramjam
import httpx

Sample = tuple[tuple[tuple[str, str], ...], int, float]
"""Labels in the order in which they came, Unix milliseconds, value."""


@dataclass
class Receiver:
    """`oldest` is where its out-of-order window begins; `answers` go before anything else."""

    oldest: int = 0
    old_status: int = 400
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    refuses: Callable[[Sample], bool] = lambda sample: False

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        found = list(decoded(bytes(cramjam.snappy.decompress_raw(request.content))))
        if any(at < self.oldest * 1000 for _, at, _ in found):
            return httpx.Response(self.old_status, text="too old sample\n")
        if any(map(self.refuses, found)):
            return httpx.Response(400, text="label value too long\n")
        self.samples.extend(found)
        return httpx.Response(204)

    def values(self) -> dict[tuple[tuple[tuple[str, str], ...], int], float]:
        """By labels and Unix seconds; fails when one was taken twice."""
        values = {(labels, at // 1000): value for labels, at, value in self.samples}
        assert len(values) == len(self.samples), "a sample was taken twice"
        return values


def decoded(body: bytes) -> Iterator[Sample]:
    for number, series in _fields(body):
        assert number == 1
        labels: list[tuple[str, str]] = []
        samples: list[tuple[int, float]] = []
        for kind, inner in _fields(_bytes(series)):
            parts = dict(_fields(_bytes(inner)))
            if kind == 1:
                labels.append((_bytes(parts[1]).decode(), _bytes(parts[2]).decode()))
            else:
                at = parts.get(2, 0)
                assert isinstance(at, int)
                (value,) = struct.unpack("<d", _bytes(parts.get(1, bytes(8))))
                samples.append((at, value))
        for at, value in samples:
            yield tuple(labels), at, value


def _bytes(value: bytes | int) -> bytes:
    assert isinstance(value, bytes)
    return value


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        size, at = (8, at) if tag & 7 == 1 else _varint(message, at)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
