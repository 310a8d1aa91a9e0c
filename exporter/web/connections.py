"""Connections with time limits, so that slow or silent clients cannot use up the server.

A connection takes a file descriptor, some memory and one of the scrapes in flight. A client that
sends its request byte by byte, never ends its headers, or does not read the response would hold
them for ever, and a thousand such clients would leave nothing for others.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT_SECONDS = 10.0
"""For receiving a whole request, from the connection's start or from the request's first byte."""

WRITE_TIMEOUT_SECONDS = 30.0
"""For a client to read enough that more can be sent. Scrapers give up sooner."""

MAX_REQUEST_BYTES = 64 * 2**10

MAX_CONNECTIONS = 1000
"""Beyond this, or half of the file descriptors, the longest idle connection is closed."""


class Connection(HttpToolsProtocol):
    """One client's connection, closed when a request or the reading of a response takes too long."""

    _started_at = 0.0
    _received = 0
    _request_timeout: asyncio.TimerHandle | None = None
    _write_timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_request_timeout()
        if len(self.connections) > _max_connections():
            self._close_longest_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_request_timeout()
        self._end_write_timeout()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._start_request_timeout()
        self._received += len(data)
        super().data_received(data)
        if self._received > MAX_REQUEST_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._start_request_timeout()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._end_request_timeout()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timeout is None:
            self._write_timeout = self.loop.call_later(WRITE_TIMEOUT_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._end_write_timeout()
        super().resume_writing()

    def _start_request_timeout(self) -> None:
        if self._request_timeout is None:
            self._started_at = self.loop.time()
            self._request_timeout = self.loop.call_later(
                REQUEST_TIMEOUT_SECONDS, self.transport.abort
            )

    def _end_request_timeout(self) -> None:
        self._received = 0
        if self._request_timeout is not None:
            self._request_timeout.cancel()
            self._request_timeout = None

    def _end_write_timeout(self) -> None:
        if self._write_timeout is not None:
            self._write_timeout.cancel()
            self._write_timeout = None

    def _close_longest_idle(self) -> None:
        """Close the connection that has been idle for longest."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, Connection)
            and one is not self
            and not one.transport.is_closing()
            and (one.cycle is None or one.cycle.response_complete)
        ]
        if idle:
            min(idle, key=lambda one: one._started_at).transport.abort()


def raise_descriptor_limit() -> None:
    """Raise the soft limit of file descriptors, which is often low, to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _max_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft < 0 else min(MAX_CONNECTIONS, max(8, soft // 2))
