"""Connections that cannot be held open for nothing: whoever is slow or says nothing is let go.

A scraper needs a descriptor, a little memory and one of the scrapes in flight. A client that
sends its request by the byte, never ends its headers, or does not read its answer would keep
them for ever, and a thousand of those would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 10.0
"""For a whole request, from the connection or from its first byte."""

READING_SECONDS = 30.0
"""For as much of an answer as lets the next part be sent. A scraper gives up sooner."""

LARGEST_REQUEST = 64 * 2**10

MOST_CONNECTIONS = 1000
"""Beyond this, or half of the descriptors there are, the longest idle one makes room."""


class Connection(HttpToolsProtocol):
    """One client's connection, with an end to everything."""

    _begun_at = 0.0
    _received = 0
    _request_end: asyncio.TimerHandle | None = None
    _reading_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > _most():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_arrived()
        self._go_on_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._await_request()
        self._received += len(data)
        super().data_received(data)
        if self._received > LARGEST_REQUEST:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._await_request()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._request_arrived()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reading_end is None:
            self._reading_end = self.loop.call_later(READING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._go_on_writing()
        super().resume_writing()

    def _await_request(self) -> None:
        if self._request_end is None:
            self._begun_at = self.loop.time()
            self._request_end = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _request_arrived(self) -> None:
        self._received = 0
        if self._request_end is not None:
            self._request_end.cancel()
            self._request_end = None

    def _go_on_writing(self) -> None:
        if self._reading_end is not None:
            self._reading_end.cancel()
            self._reading_end = None

    def _make_room(self) -> None:
        """Let go of the connection that has been of no use for longest."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, Connection)
            and one is not self
            and not one.transport.is_closing()
            and (one.cycle is None or one.cycle.response_complete)
        ]
        if idle:
            min(idle, key=lambda one: one._begun_at).transport.abort()


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system grants: the usual first limit is a low one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft < 0 else min(MOST_CONNECTIONS, max(8, soft // 2))
