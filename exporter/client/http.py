"""The HTTP client for vendors: signs in, limits, retries, and classifies errors.

A successful answer is returned as bytes, complete and decoded. Everything else is raised as a
`PollError`. Its message has host, path and status, and no text of the answer or the credential.
"""

from __future__ import annotations

import asyncio
import logging
import random as chance
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import quote

import httpx

from exporter import __version__
from exporter.client import environment, responses
from exporter.client.auth import Authenticator, BearerAuth, Header, Post, TokenAuth
from exporter.client.network import HttpxSender, Sender, network
from exporter.client.pacing import NoTurnError, Pacing
from exporter.model import Provider, Request
from exporter.model.errors import (
    AuthError,
    CredentialError,
    InvalidRequestError,
    NetworkError,
    PollError,
    PollTimeoutError,
    RateLimitedError,
)

__all__ = ["Authenticator", "BearerAuth", "Observer", "TokenAuth", "VendorClient"]

ATTEMPTS = 4
LARGE_BODIES = 2
"""How many answers of more than a few megabytes are read at the same time."""

LARGEST_BACKOFF_SECONDS = 2.0
"""The longest jitter before the first retry; it doubles with each further one."""

_RESERVED = re.compile(r"[^A-Za-z0-9_.~-]").search
"""Finds what has to be percent-encoded in a query."""

TRANSIENT = frozenset({408, 429, 502, 503, 504})


class Observer(Protocol):
    """Counts requests."""

    def request(self, feed: str, code: str, seconds: float) -> None:
        """One attempt has ended. `code` is its status, or the reason why there is no status."""


class VendorClient:
    """Makes one account's requests.

    `timeout_seconds` limits a request from its first byte to the answer's last byte, however slowly
    they arrive. A wait between attempts is at most `cadence_seconds` and ends before the caller's
    deadline.
    Proxies and certificate authorities are taken from the environment, as everywhere (only if
    no `transport` is given), ExporterError if one of its variables cannot be used; that was seen to by
    whoever gives a context as `verify`. A .netrc is not read, and cookies are not kept. `on_date_header` is
    called with the `Date` of every answer. `large` is a semaphore that all clients share; it limits
    the memory that large answers take. At most `requests_per_second` are started, retries and
    requests for tokens included; a request is made at most `attempts` times; waiting for that counts neither as a request in flight nor against
    the request's timeout.
    """

    def __init__(
        self,
        *,
        account: str,
        provider: Provider,
        url: str,
        auth: Authenticator,
        timeout_seconds: float,
        concurrency: int,
        cadence_seconds: float,
        observe: Observer,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
        now: Callable[[], float] = time.time,
        verify: ssl.SSLContext | bool = True,
        on_date_header: Callable[[str], None] | None = None,
        large: asyncio.Semaphore | None = None,
        requests_per_second: float | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        if transport is None and not isinstance(verify, ssl.SSLContext):
            environment.check()
        self._account = account
        self._provider = provider
        # User and password in a URL would make httpx replace our Authorization.
        base = httpx.URL(url).copy_with(userinfo=b"", query=None, fragment=None)
        self._host = base.netloc.decode("ascii")
        self._base = str(base).rstrip("/")
        self._auth = auth
        self.timeout_seconds = timeout_seconds
        self._cadence_seconds = cadence_seconds
        self._backoff_seconds = min(LARGEST_BACKOFF_SECONDS, cadence_seconds / 30)
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._pacing = (
            None if requests_per_second is None else Pacing(requests_per_second, sleep=sleep)
        )
        self._not_before: dict[str, float] = {}
        self._large = asyncio.Semaphore(LARGE_BODIES) if large is None else large
        self._observe = observe
        self.sleep = sleep
        self._random = random
        self._attempts = attempts
        self._now = now
        self._headers: tuple[Header, ...] = (
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", f"media-usage-exporter/{__version__}".encode("ascii")),
        )
        self._provider_headers: tuple[Header, ...] = tuple(
            (name.encode("ascii"), value.encode("latin-1"))
            for name, value in provider.headers.items()
        )
        self._on_date_header = on_date_header
        self._sender: Sender = (
            network(verify, connections=concurrency)
            if transport is None
            else HttpxSender(transport)
        )
        # These libraries log every URL, and at debug level every header. We log what is needed.
        for name in ("aiohttp", "httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)

    def __repr__(self) -> str:
        return f"<VendorClient of {self._account!r} at {self._host}>"

    async def aclose(self) -> None:
        """Close every connection."""
        await self._sender.aclose()

    async def get(self, request: Request, *, feed: str, deadline: float | None) -> bytes:
        """The complete body of the answer to `request`; raises PollError.

        `request.path` begins with a slash and is percent-encoded. `deadline` is an instant of
        the event loop's clock: every attempt and every wait ends before it.
        """
        if not request.path.startswith("/"):
            raise ValueError(f"the path of a request begins with a slash: {request.path!r}")
        url = self._base + request.path
        if request.params:
            url += "?" + _query(request.params)

        async def post(url: str, headers: tuple[Header, ...], content: bytes) -> bytes:
            return await self._exchange(
                "POST", url, self._headers + headers, content, None, feed, deadline
            )

        authorization = await self._authorization(post)
        renewed = False
        while True:
            headers = (
                *self._headers,
                *self._provider_headers,
                (b"Authorization", authorization),
            )
            try:
                return await self._exchange(
                    "GET", url, headers, None, self._provider, feed, deadline
                )
            except AuthError:
                if renewed or not self._auth.renew(authorization):
                    raise
                renewed = True
            authorization = await self._authorization(post)

    async def _authorization(self, post: Post) -> bytes:
        try:
            return await self._auth.authorization(post)
        except CredentialError as error:
            raise AuthError(str(error)) from error

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: tuple[Header, ...],
        content: bytes | None,
        provider: Provider | None,
        feed: str,
        deadline: float | None,
    ) -> bytes:
        """The body of an answer with a 2xx, with retries where they are allowed.

        `provider` classifies the statuses of its own API; None is for its token service.
        """
        await self._wait_for_retry_after(feed, deadline)
        failed: dict[int, int] = {}
        for attempt in range(1, self._attempts + 1):
            retry_after = None
            status = 0  # means: no answer at all
            try:
                status, retry_after, body = await self._attempt(
                    method, url, headers, content, feed, deadline
                )
            except (PollTimeoutError, NetworkError) as caught:
                error: PollError = caught
            else:
                if 200 <= status < 300:
                    return body
                error = responses.refusal(status, body, _where(url), provider)
            if attempt > 1:
                error.args = (f"{error} (attempt {attempt})",)
            failed[status] = failed.get(status, 0) + 1
            if (
                attempt == self._attempts
                or failed[status] > _retries(status, provider)
                or isinstance(error, responses.CertificateError | NoTurnError)
            ):
                raise error
            wait = self._wait(attempt, retry_after)
            if retry_after:
                self._not_before[feed] = asyncio.get_running_loop().time() + wait
            if deadline is not None and asyncio.get_running_loop().time() + wait >= deadline:
                raise error
            await self.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _wait_for_retry_after(self, feed: str, deadline: float | None) -> None:
        """Wait until the vendor's last Retry-After for this feed is over, from any poll."""
        now = asyncio.get_running_loop().time()
        until = self._not_before.get(feed, now)
        if until <= now:
            return
        if deadline is not None and until >= deadline:
            raise RateLimitedError(f"{self._host}: it asked not to be asked again so soon")
        await self.sleep(until - now)

    def _wait(self, attempt: int, retry_after: str | None) -> float:
        """Seconds before the next attempt: the vendor's Retry-After plus a jitter."""
        jitter = self._random() * self._backoff_seconds * 2.0 ** (attempt - 1)
        asked = responses.retry_after_seconds(retry_after, self._now()) if retry_after else 0.0
        return min(asked + jitter, self._cadence_seconds)

    async def _attempt(
        self,
        method: str,
        url: str,
        headers: tuple[Header, ...],
        content: bytes | None,
        feed: str,
        deadline: float | None,
    ) -> tuple[int, str | None, bytes]:
        """Status, Retry-After and body of one answer; of an error, the beginning of the body."""
        async with self._slot(url, deadline):
            limit = self.timeout_seconds
            if deadline is not None:
                limit = min(limit, deadline - asyncio.get_running_loop().time())
                if limit <= 0:
                    raise PollTimeoutError(
                        f"{_where(url)}: no time was left to ask before the deadline"
                    )
            code = "cancelled"
            started = time.perf_counter()
            try:
                async with asyncio.timeout(limit):
                    response = await self._sender.send(method, url, headers, content)
                    try:
                        if self._on_date_header is not None:
                            self._on_date_header(response.headers.get("date", ""))
                        status = response.status_code
                        if 200 <= status < 300:
                            body = await responses.read_body(response, self._large)
                            retry_after = None
                        else:
                            body = await responses.read_error_body(response)
                            retry_after = response.headers.get("retry-after")
                    finally:
                        await response.aclose()
                code = str(status)
                return status, retry_after, body
            except PollError as error:
                code = error.reason
                error.args = (f"{_where(url)}: {error}",)
                raise
            except (TimeoutError, httpx.TimeoutException) as error:
                code = PollTimeoutError.reason
                raise PollTimeoutError(
                    f"{_where(url)}: no whole answer within {limit:.4g} s"
                ) from error
            except httpx.HTTPError as error:
                code = NetworkError.reason
                raise responses.no_answer(error, _where(url)) from error
            except httpx.InvalidURL as error:
                code = InvalidRequestError.reason
                raise InvalidRequestError(f"{_where(url)}: not a valid address") from error
            finally:
                self._observe.request(feed, code, time.perf_counter() - started)

    @asynccontextmanager
    async def _slot(self, url: str, deadline: float | None) -> AsyncIterator[None]:
        """Wait for the pacing and for one of the account's `concurrency` requests in flight."""
        if self._pacing is None:
            await self._slots.acquire()
        else:
            try:
                async with self._pacing.turn(deadline):
                    await self._slots.acquire()
            except NoTurnError as error:
                error.args = (f"{_where(url)}: {error}",)
                raise
        try:
            yield
        finally:
            self._slots.release()


def _retries(status: int, provider: Provider | None) -> int:
    """How often a request may be retried after `status` (0: after no answer at all)."""
    if status == 0:
        return ATTEMPTS - 1
    special = provider.retries(status) if provider is not None else None
    if special is not None:
        return special
    return ATTEMPTS - 1 if status in TRANSIENT else 0


def _query(params: Sequence[tuple[str, str]]) -> str:
    """As `urlencode` with `quote`, which takes most of its time for names that need no encoding."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in params)


def _encoded(text: str) -> str:
    return quote(text, safe="") if _RESERVED(text) else text


def _where(url: str) -> str:
    """Host and path of a request, for messages: without the query and without line breaks."""
    return quote(url.partition("://")[2].partition("?")[0], safe="/:%[]@!$&'()*+,;=~")
