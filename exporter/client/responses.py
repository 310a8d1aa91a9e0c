"""Reads responses: bodies up to a size limit, and the PollError for each kind of failure."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from exporter.model import Provider
from exporter.model.errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    NetworkError,
    NotFoundError,
    PollError,
    PollTimeoutError,
    RateLimitedError,
    RedirectError,
    SchemaError,
    ServerError,
    TooLargeError,
)

LARGEST_BODY = 64 * 2**20
SMALL_BODY = 2 * 2**20
"""Only a few larger bodies are read at the same time, to limit the memory they take."""

LARGEST_ERROR_BODY = 64 * 2**10
INFLATED_BYTES = 256 * 2**10
"""How much is decompressed in one step; 64 kB off the wire may decompress to 64 MiB."""

MOST_MEMBERS = 2000
"""The most members of one gzip stream. Each, even an empty one, costs a copy of what follows."""

FOREVER = 10.0**9


# --- Bodies ---------------------------------------------------------------------------------------


async def read_body(response: httpx.Response, large: asyncio.Semaphore) -> bytes:
    """The decoded body. TooLargeError above 64 MiB, on the wire or decoded.

    A body longer than `SMALL_BODY` is read while holding the semaphore `large`.
    """
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > LARGEST_BODY):
        raise _too_large()
    async with AsyncExitStack() as stack:

        async def on_large() -> None:
            await stack.enter_async_context(large)

        return await _read(response, LARGEST_BODY, cut=False, on_large=on_large)


async def read_error_body(response: httpx.Response) -> bytes:
    """As much of an error's body as is needed to classify it; empty when it cannot be read."""
    try:
        return await _read(response, LARGEST_ERROR_BODY, cut=True)
    except (httpx.HTTPError, PollError):
        return b""


async def _read(
    response: httpx.Response,
    limit: int,
    *,
    cut: bool,
    on_large: Callable[[], Awaitable[None]] | None = None,
) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        gunzip: _Gunzip | None = _Gunzip()
    elif encoding in ("identity", ""):
        gunzip = None
    else:
        raise SchemaError("the answer came in an encoding that was not asked for")
    # The raw stream, not aiter_bytes(): that decompresses each chunk in one step, without a limit.
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous client has asynchronous answers")
    pieces: list[bytes] = []
    on_wire = size = 0
    async for chunk in stream:
        on_wire += len(chunk)
        for piece in (chunk,) if gunzip is None else gunzip.pieces(chunk):
            size += len(piece)
            pieces.append(piece)
            if size > limit:
                break
            if size > SMALL_BODY and on_large is not None:
                await on_large()
                on_large = None
        # Both are checked: data from the wire may decompress to nothing at all.
        if size > limit or on_wire > limit:
            if cut:
                return b"".join(pieces)[:limit]
            pieces.clear()  # frees memory: the error keeps this frame alive
            raise _too_large()
    if gunzip is not None and not gunzip.complete:
        raise NetworkError("the answer broke off")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Gunzip:
    """Decompresses a gzip stream in steps, across all its members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._members = 0

    @property
    def complete(self) -> bool:
        """Whether the newest member has ended. An empty body is complete, too."""
        return self._member.eof or not self._members

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The decompressed data of `chunk`, at most `INFLATED_BYTES` at a time."""
        while True:
            if self._member.eof:
                chunk = chunk.lstrip(b"\0")  # padding is allowed behind a member
                if not chunk:
                    return
            if self._member.eof or not self._members:
                self._members += 1
                if self._members > MOST_MEMBERS:
                    raise SchemaError(f"the answer is gzip in more than {MOST_MEMBERS:,} parts")
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(chunk, INFLATED_BYTES)
            except zlib.error as error:
                raise NetworkError("the answer is damaged: it is not the gzip it says") from error
            if piece:
                yield piece
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not chunk:
                return


def _too_large() -> TooLargeError:
    return TooLargeError(f"the answer is larger than {LARGEST_BODY // 2**20} MiB")


# --- Refusals -------------------------------------------------------------------------------------

BY_REASON: dict[str, type[PollError]] = {kind.reason: kind for kind in PollError.__subclasses__()}

BY_STATUS: dict[int, type[PollError]] = {
    400: InvalidRequestError,
    401: AuthError,
    402: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    407: NetworkError,
    408: PollTimeoutError,
    410: NotFoundError,
    422: InvalidRequestError,
    429: RateLimitedError,
}

AT_THE_TOKEN_SERVICE: dict[int, type[PollError]] = dict.fromkeys((400, 401, 403), AuthError)


def refusal(status: int, body: bytes, where: str, provider: Provider | None) -> PollError:
    """The error for a status other than 2xx. `provider` is None for its token service."""
    kind: type[PollError] | None = None
    if provider is None:
        kind = AT_THE_TOKEN_SERVICE.get(status)
    elif (reason := provider.classify(status, body)) is not None:
        kind = BY_REASON[reason]
    if kind is None:
        kind = BY_STATUS.get(status)
    if kind is None and 300 <= status < 400:
        return RedirectError(f"{where}: redirects elsewhere ({status}), which is not followed")
    if kind is None:
        kind = ServerError if status >= 500 else InvalidRequestError
    try:
        # The standard phrase for the status; the server's own phrase may be any text.
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = str(status)
    return kind(f"{where}: answered {said}")


def retry_after_seconds(header: str, now: float) -> float:
    """Seconds to wait by a Retry-After of either form; 0 when it cannot be parsed."""
    header = header.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", header):
        return min(float(header), FOREVER)
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    # The oldest of HTTP's three date formats has no time zone; it is GMT, too.
    return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, 0.0)


# --- No answer at all -----------------------------------------------------------------------------

CERTIFICATE_FAULTS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its authority is not known here",
    20: "its authority is not known here",
    62: "it is for another host",
    64: "it is for another address",
}
"""Texts by OpenSSL's X509_V_ERR numbers."""


class CertificateError(NetworkError):
    """The vendor's certificate does not verify; a retry would not help."""


def no_answer(error: httpx.HTTPError, where: str) -> NetworkError:
    """The NetworkError for a failed connection, with a message of our own."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            fault = CERTIFICATE_FAULTS.get(cause.verify_code)
            why = f": {fault}" if fault else ""
            return CertificateError(f"{where}: the certificate does not verify{why}")
        if isinstance(cause, socket.gaierror):
            return NetworkError(f"{where}: the host name does not resolve")
        if isinstance(cause, ssl.SSLError):
            return NetworkError(f"{where}: no TLS connection could be made")
        if isinstance(cause, ConnectionRefusedError):
            return NetworkError(f"{where}: the connection was refused")
    if isinstance(error, httpx.UnsupportedProtocol):
        return NetworkError(f"{where}: neither http:// nor https://")
    if isinstance(error, httpx.ProxyError):
        return NetworkError(f"{where}: the proxy does not let the request through")
    if isinstance(error, httpx.ConnectError):
        return NetworkError(f"{where}: no connection could be made")
    return NetworkError(f"{where}: the connection broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all its causes and contexts, each once."""
    queue: list[BaseException | None] = [error]
    seen: set[int] = set()
    while queue:
        cause = queue.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        queue += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            queue += cause.exceptions
