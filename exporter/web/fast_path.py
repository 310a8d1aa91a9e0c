"""Ordinary scrapes of ordinary pages, answered with bytes that are ready, head and all.

Prometheus sends the same few hundred bytes at every scrape. When they arrive whole, in one
piece, on a connection that is doing nothing else, there is nothing to parse that was not parsed
before, and the answer is one write. Everything else takes the usual way; the answers are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from exporter.web.connections import Connection

LARGEST_BYTES = 1 << 18
"""Larger answers take the usual way, which waits for readers that are slow."""

MOST_REQUESTS = 256
"""How many different requests are remembered."""

LONGEST_REQUEST = 2048

_UNUSUAL = frozenset(
    (b"connection", b"content-length", b"expect", b"te", b"transfer-encoding", b"upgrade")
)

Headers = tuple[tuple[bytes, bytes], ...]


class Kitchen(Protocol):
    """Where ready answers come from."""

    def wanted(self, headers: Headers) -> object | None:
        """What such a request asks for, as a key; None if that takes the usual way."""

    def ready(self, key: object) -> bytes | None:
        """The whole answer, head and body; None if it has to take the usual way now."""


class FastLane:
    """Knows requests by their bytes. Shared by all connections of a server."""

    def __init__(self, kitchen: Kitchen, path: str) -> None:
        self._kitchen = kitchen
        self.beginning = f"GET {path} HTTP/1.1\r\n".encode("latin-1")
        self._known: dict[bytes, object | None] = {}

    def answer(self, request: bytes) -> bytes | None:
        """The ready answer to these bytes; None where the usual way has to be taken."""
        if request in self._known:
            key = self._known[request]
        else:
            headers = _headers(request, self.beginning)
            key = None if headers is None else self._kitchen.wanted(headers)
            if len(self._known) >= MOST_REQUESTS:
                self._known.clear()
            self._known[request] = key
        return None if key is None else self._kitchen.ready(key)


def _headers(request: bytes, beginning: bytes) -> Headers | None:
    """The headers of one whole request without a body; None for anything out of the ordinary."""
    if not request.startswith(beginning) or request.find(b"\r\n\r\n") != len(request) - 4:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in request[len(beginning) : -4].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name.replace(b"-", b"").isalnum() or not value.isascii():
            return None
        if not value.replace(b"\t", b" ").decode("ascii").isprintable():
            return None
        if name.lower() in _UNUSUAL:
            return None
        headers.append((name.lower(), value.strip()))
    if [name for name, _ in headers].count(b"host") != 1:
        return None
    return tuple(headers)


class FastConnection(Connection):
    """A connection that has the lane beside the usual way."""

    def __init__(self, *arguments: Any, lane: FastLane, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lane = lane
        self._between_requests = True

    def on_message_begin(self) -> None:
        self._between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between_requests = True

    def data_received(self, data: bytes) -> None:
        lane = self._lane
        if (
            self._between_requests
            and len(data) <= LONGEST_REQUEST
            and data.startswith(lane.beginning)
            and (not self.cycle or self.cycle.response_complete)
            and not self.transport.get_write_buffer_size()
            and not self.transport.is_closing()
        ):
            answer = lane.answer(data)
            if answer is not None:
                self._request_arrived()
                self.transport.write(answer)
                self.on_response_complete()
                return
        # Not between requests from here on, until the parser says that one is complete.
        self._between_requests = False
        super().data_received(data)


def factory(lane: FastLane) -> Callable[..., FastConnection]:
    """What uvicorn makes its connections with."""

    def make(*arguments: Any, **options: Any) -> FastConnection:
        return FastConnection(*arguments, lane=lane, **options)

    return make
