"""Carries httpx's requests with aiohttp, whose connections and parser take a fraction of the time.

httpx's own transport, httpcore, takes more processor time than all else in a poll. What is above
stays httpx: its requests, its responses and its exceptions, and transports of tests.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp.client_middlewares import ClientHandlerType

from exporter.client.auth import Header

HEAD_FIELD_BYTES = 64 * 2**10
"""The longest status line, and the longest header; aiohttp would have 8 kB."""

HEAD_FIELDS = 256
"""The most headers, so that a head is never larger than 16 MiB."""

KEPT_SECONDS = 5.0
"""How long an idle connection is kept; as with httpx's own transport."""

NO_TIMEOUTS = aiohttp.ClientTimeout()

is_canonical = re.compile(
    # A segment that begins with a dot may have to be resolved.
    r"https?://[a-z0-9.-]+(:[0-9]+)?/(?!\.)([A-Za-z0-9_~=&?:.-]|%[0-9A-F]{2}|/(?!\.))*"
).fullmatch
"""Whether httpx would leave a URL as it is; of many others it cannot be said without a parser."""

ADDED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add to a request of its own accord."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends each request once: what to do about a failure is its caller's to decide.

    Redirects are not followed, cookies not kept, bodies not decompressed, and nothing is read from
    the environment. `context` gives the TLS context; it is called once, for the first https URL.
    It belongs to the event loop of its first request. Of a request's timeouts, those for
    connecting and reading are kept; there is no pool to wait for, as the number of connections is
    not limited, and small bodies are written at once.

    Messages of its exceptions are its own: those of aiohttp have the URL and parts of the answer.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._plain: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response as soon as its head has come; raises httpx.TransportError."""
        raw = request.headers.raw
        if not all(name.isascii() and value.isascii() for name, value in raw):
            # aiohttp can only send text, as UTF-8; this sends the bytes.
            return await self._httpx_transport().handle_async_request(request)
        url = request.url
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol("neither http:// nor https://", request=request)
        timeouts = request.extensions.get("timeout", {})
        return await self._send(
            request.method,
            # Without the user and password.
            f"{url.scheme}://{url.netloc.decode()}{url.raw_path.decode()}",
            raw,
            await request.aread(),
            aiohttp.ClientTimeout(
                sock_connect=timeouts.get("connect"), sock_read=timeouts.get("read")
            ),
        )

    async def send(
        self, method: str, url: str, headers: Sequence[Header], content: bytes | None
    ) -> httpx.Response:
        """As `handle_async_request` with an httpx.Request of these, without timeouts.

        Most URLs are sent as they are, without the time that httpx takes to take them apart.
        """
        if is_canonical(url) and all(value.isascii() for _, value in headers):
            return await self._send(method, url, headers, content, NO_TIMEOUTS)
        return await self.handle_async_request(
            httpx.Request(method, url, headers=headers, content=content)
        )

    async def _send(
        self,
        method: str,
        url: str,
        headers: Sequence[Header],
        content: bytes | None,
        timeouts: aiohttp.ClientTimeout,
    ) -> httpx.Response:
        session = self._session or self._open_session()
        failure: httpx.TransportError
        try:
            answer = await session.request(
                method,
                yarl.URL(url, encoded=True),
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in headers],
                data=content or None,
                allow_redirects=False,
                ssl=self._tls_context() if url.startswith("https:") else True,
                timeout=timeouts,
            )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            failure, cause = _translated(error), error.__cause__
        else:
            version = answer.version or aiohttp.HttpVersion11
            return httpx.Response(
                answer.status,
                headers=list(answer.raw_headers),
                stream=_Body(answer),
                extensions={
                    "http_version": b"HTTP/%d.%d" % version,
                    "reason_phrase": (answer.reason or "").encode("utf-8", "surrogateescape"),
                },
            )
        # Outside the except block, and without aiohttp's exception, which has the URL in it.
        raise failure from cause

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
        if self._plain is not None:
            await self._plain.aclose()

    def _open_session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=0,
                keepalive_timeout=KEPT_SECONDS,
                resolver=aiohttp.ThreadedResolver(loop),
                use_dns_cache=False,
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=HEAD_FIELD_BYTES,
            max_headers=HEAD_FIELDS,
            max_line_size=HEAD_FIELD_BYTES,
            middlewares=(_send_once,),
            skip_auto_headers=ADDED_HEADERS,
            timeout=aiohttp.ClientTimeout(),
            trust_env=False,
        )
        return self._session

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._make_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def _httpx_transport(self) -> httpx.AsyncHTTPTransport:
        if self._plain is None:
            self._plain = httpx.AsyncHTTPTransport(
                verify=self._tls_context(),
                limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_SECONDS),
            )
        return self._plain


async def _send_once(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide from aiohttp the errors after which it would send a GET a second time."""
    failure: httpx.TransportError
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure, cause = _translated(error), error.__cause__
    raise failure from cause


class _Connector(aiohttp.TCPConnector):
    """Does not use a kept connection that the server has closed, not even if that is not known yet.

    Idle connections have nothing to read. If there is something, it is the end of the connection,
    which the event loop has not come to yet.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._used: weakref.WeakSet[asyncio.BaseProtocol] = weakref.WeakSet()

    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        while True:
            connection = await super().connect(*args, **options)
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                return connection
            if protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not _is_readable(transport):
                return connection
            connection.close()


def _is_readable(transport: asyncio.BaseTransport) -> bool:
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class _Body(httpx.AsyncByteStream):
    """A body as it comes. Closing it before its end closes its connection, too."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        connection = answer.connection  # None if the whole answer has come already
        self._protocol = None if connection is None else connection.protocol
        self._transport = None if connection is None else connection.transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = self._answer.content.readany
        failure: httpx.TransportError
        try:
            while chunk := await read():
                yield chunk
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            failure, cause = _translated(error), error.__cause__
        else:
            if not self._broke_off():
                return
            failure, cause = httpx.ReadError("the connection broke off"), None
        raise failure from cause

    def _broke_off(self) -> bool:
        """Whether a body that ends with its connection ends with an error of it.

        aiohttp takes every end for that of the body.
        """
        headers = self._answer.headers
        return (
            self._protocol is not None
            and "Content-Length" not in headers
            and "Transfer-Encoding" not in headers
            and isinstance(self._protocol.exception(), aiohttp.ClientOSError)
        )

    async def aclose(self) -> None:
        if not self._answer.closed and self._transport is not None:
            self._transport.abort()  # closing TLS in good order may take the server half a minute
        self._answer.close()


TRANSLATED: tuple[tuple[type[Exception], type[httpx.TransportError], str], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection in time"),
    (asyncio.TimeoutError, httpx.ReadTimeout, "nothing to read in time"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "no connection could be made"),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, "closed without an answer"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "closed before the answer's end"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the answer is not HTTP"),
    (aiohttp.http_exceptions.HttpProcessingError, httpx.RemoteProtocolError, "not HTTP"),
    (aiohttp.ClientConnectionError, httpx.ReadError, "the connection broke off"),
    (OSError, httpx.ReadError, "the connection broke off"),
)
"""The first that matches; anything else is a request that cannot be sent."""


def _translated(error: Exception) -> httpx.TransportError:
    for kind, translated, message in TRANSLATED:
        if isinstance(error, kind):
            return translated(message)
    return httpx.LocalProtocolError("the request cannot be sent")
