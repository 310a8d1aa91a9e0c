"""A fast path for ordinary scrapes: the response, headers included, is one write of cached bytes.

Prometheus sends the same few hundred bytes at every scrape. When they arrive in one piece on an
idle connection, they need not be parsed again. Everything else goes through uvicorn's parser and
the ASGI application, whose responses are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from exporter.web.connections import Connection

MAX_RESPONSE_BYTES = 1 << 18
"""Larger responses go through ASGI, which waits for slow readers."""

MAX_REQUESTS = 256
"""How many different requests are kept with what they ask for."""

MAX_REQUEST_BYTES = 2048

_UNUSUAL_HEADERS = frozenset(
    (b"connection", b"content-length", b"expect", b"te", b"transfer-encoding", b"upgrade")
)

Headers = tuple[tuple[bytes, bytes], ...]


class ReadyResponses(Protocol):
    """Where the cached responses come from."""

    def representation(self, headers: Headers) -> object | None:
        """A key for what a request with these headers asks for; None if that needs ASGI."""

    def ready_response(self, key: object) -> bytes | None:
        """The whole response, headers and body; None if ASGI has to answer this time."""


class FastPath:
    """Finds cached responses by the bytes of the request. All connections share one."""

    def __init__(
        self,
        responses: ReadyResponses,
        path: str,
        *,
        remembered_as: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._responses = responses
        self._remembered_as = remembered_as
        self.beginning = f"GET {path} HTTP/1.1\r\n".encode("latin-1")
        self._known: dict[bytes, object | None] = {}

    def response(self, request: bytes) -> bytes | None:
        """The cached response to these bytes; None where ASGI has to answer."""
        name = self._remembered_as(request)
        if name in self._known:
            key = self._known[name]
        else:
            headers = _headers(request, self.beginning)
            key = None if headers is None else self._responses.representation(headers)
            if len(self._known) >= MAX_REQUESTS:
                self._known.clear()
            self._known[name] = key
        return None if key is None else self._responses.ready_response(key)


def _headers(request: bytes, beginning: bytes) -> Headers | None:
    """The headers, if this is one whole GET without a body or unusual headers; else None."""
    if not request.startswith(beginning) or request.find(b"\r\n\r\n") != len(request) - 4:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in request[len(beginning) : -4].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name.replace(b"-", b"").isalnum() or not value.isascii():
            return None
        if not value.replace(b"\t", b" ").decode("ascii").isprintable():
            return None
        if name.lower() in _UNUSUAL_HEADERS:
            return None
        headers.append((name.lower(), value.strip()))
    if [name for name, _ in headers].count(b"host") != 1:
        return None
    return tuple(headers)


class FastConnection(Connection):
    """A connection that tries the fast path first."""

    def __init__(self, *arguments: Any, fast_path: FastPath, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fast_path = fast_path
        self._between_requests = True

    def on_message_begin(self) -> None:
        self._between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between_requests = True

    def data_received(self, data: bytes) -> None:
        fast_path = self._fast_path
        if (
            self._between_requests
            and len(data) <= MAX_REQUEST_BYTES
            and data.startswith(fast_path.beginning)
            and (not self.cycle or self.cycle.response_complete)
            and not self.transport.get_write_buffer_size()
            and not self.transport.is_closing()
        ):
            response = fast_path.response(data)
            if response is not None:
                self._end_request_timeout()
                self.transport.write(response)
                self.on_response_complete()
                return
        # A request is being parsed until `on_message_complete`.
        self._between_requests = False
        super().data_received(data)


def factory(fast_path: FastPath) -> Callable[..., FastConnection]:
    """The protocol factory for uvicorn."""

    def make(*arguments: Any, **options: Any) -> FastConnection:
        return FastConnection(*arguments, fast_path=fast_path, **options)

    return make
