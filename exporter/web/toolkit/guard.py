"""ASGI middleware: response headers, rate limit and basic authentication."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol, TypeAlias

from exporter.web.toolkit.logins import Logins, TooManyLoginsError, credentials
from exporter.web.toolkit.settings import RateLimit, WebConfig

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/-/healthy", "/-/ready")
"""Without password and rate limit: process supervisors and Kubernetes probes have no password."""


class WatchedConfig(Protocol):
    """A configuration that may change between requests."""

    def current(self) -> WebConfig: ...


class Guarded:
    """The application, for the requests that the configuration allows."""

    def __init__(
        self,
        app: Application,
        web: WatchedConfig,
        *,
        logins: Logins,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._web = web
        self._logins = logins
        self._clock = clock
        self._bucket: Bucket | None = None

    def current(self) -> WebConfig:
        """The configuration for the request that comes now."""
        return self._web.current()

    def admits_at_once(self, config: WebConfig, authorization: bytes | None) -> bool:
        """Whether a request with this header is admitted without a check of its password.

        If so, that has taken a token of the rate limit; if not, `__call__` decides.
        """
        if config.users:
            given = credentials(authorization)
            if given is None or not self._logins.is_cached(config.users, *given):
                return False
        return self._has_token(config.rate_limit)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return
        config = self._web.current()
        if config.headers:
            send = _with_headers(config.headers, send)
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif not self._has_token(config.rate_limit):
            wait = math.ceil(config.rate_limit.interval_seconds) if config.rate_limit else 1
            await _refuse(scope, send, 429, b"Too Many Requests", retry_after=wait)
        elif not config.users:
            await self._app(scope, receive, send)
        else:
            await self._authenticated(config, scope, receive, send)

    async def _authenticated(
        self, config: WebConfig, scope: Message, receive: Receive, send: Send
    ) -> None:
        given = credentials(authorization(scope["headers"]))
        client, _ = scope.get("client") or ("", 0)
        try:
            accepted = given is not None and await self._logins.accept(
                config.users, *given, client=client
            )
        except TooManyLoginsError:
            await _refuse(scope, send, 503, b"Service Unavailable", retry_after=5)
            return
        if accepted:
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, send, 401, b"Unauthorized")

    def _has_token(self, limit: RateLimit | None) -> bool:
        if limit is None:
            self._bucket = None
            return True
        if self._bucket is None or self._bucket.limit != limit:
            self._bucket = Bucket(limit, self._clock())
        return self._bucket.take(self._clock())


class Bucket:
    """A token bucket, full at first; `now` is monotonic, in seconds."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.limit = limit
        self._tokens = float(limit.burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; False if there is none."""
        gained = (now - self._at) / self.limit.interval_seconds
        self._tokens = min(float(self.limit.burst), self._tokens + gained)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The first Authorization header; names are in lower case."""
    return next((value for name, value in headers if name == b"authorization"), None)


def _with_headers(headers: tuple[tuple[bytes, bytes], ...], send: Send) -> Send:
    """`send` that sets these headers, in place of the application's with the same names."""

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": with_headers(message.get("headers", ()), headers)}
        await send(message)

    return add


def with_headers(
    own: Iterable[tuple[bytes, bytes]], configured: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Both, but of the `own` ones none that is configured too."""
    names = {name.lower() for name, _ in configured}
    return [*(one for one in own if one[0].lower() not in names), *configured]


async def _refuse(
    scope: Message, send: Send, status: int, reason: bytes, *, retry_after: int | None = None
) -> None:
    body = reason + b"\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Basic"))
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
