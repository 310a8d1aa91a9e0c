"""The HTTP side: bytes that are ready, and a few small pages about how things stand.

Plain ASGI. A scrape finds its page put together and only sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from exporter.exposition import Format, Page
from exporter.polling.status import AccountStatus
from exporter.web.fast_path import LARGEST_BYTES, Headers
from exporter.web.landing import content_security_policy, landing_page
from exporter.web.negotiation import accepts_gzip, choose_format

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Facts(Protocol):
    """What the pages tell of; the application behind the server."""

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """All (provider, account) pairs."""

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The exposition, of all accounts or of these."""

    def status(self) -> tuple[AccountStatus, ...]:
        """How every account stands."""

    def healthy(self) -> str | None:
        """None while the poll loop is alive, else what is wrong."""

    def ready(self) -> str | None:
        """None once every account was polled or restored, else what is missing."""

    def configuration(self) -> str:
        """The running configuration without secrets."""

    async def reload(self) -> str | None:
        """Read configuration and credentials anew; None, or why the old ones stay."""

    def now(self) -> float:
        """The time that statuses refer to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer."""

    status: int
    body: str
    content_type: str = TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a scraper accepts."""

    format: Format
    gzip: bool


class Server:
    """The ASGI application."""

    def __init__(
        self,
        facts: Facts,
        *,
        telemetry_path: str = "/metrics",
        max_requests: int = 40,
        lifecycle: bool = False,
    ) -> None:
        self._facts = facts
        self._telemetry_path = telemetry_path
        self._max_requests = max_requests
        self._lifecycle = lifecycle
        self._in_flight = 0
        self._ready: dict[Wish, tuple[Page, bytes | None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- no request here has a body
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == self._telemetry_path and scope["method"] in ("GET", "HEAD"):
            await self._scrape(scope, send)
            return
        await _send(send, await self._answer(scope["method"], path), scope["method"])

    async def _scrape(self, scope: Scope, send: Send) -> None:
        if self._in_flight >= self._max_requests:
            await _send(
                send,
                Answer(503, f"Limit of concurrent requests reached ({self._max_requests}).\n"),
                scope["method"],
            )
            return
        self._in_flight += 1
        try:
            try:
                accounts = self._narrowed(scope["query_string"])
            except ValueError as error:
                await _send(send, Answer(400, f"{error}\n"), scope["method"])
                return
            wish = _wish(scope["headers"])
            page = self._facts.page(wish.format, accounts)
            gzip = wish.gzip
            headers = _page_headers(page, wish)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            chunks = () if scope["method"] == "HEAD" else page.gzip if gzip else page.plain
            for chunk in chunks[:-1]:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": chunks[-1] if chunks else b""})
        finally:
            self._in_flight -= 1

    # The fast lane.

    def wanted(self, headers: Headers) -> object | None:
        """What an ordinary scrape with these headers asks for."""
        return _wish(headers)

    def ready(self, key: object) -> bytes | None:
        """The whole answer to an ordinary scrape; None while too many are in flight."""
        if not isinstance(key, Wish) or self._in_flight >= self._max_requests:
            return None
        page = self._facts.page(key.format, None)
        known = self._ready.get(key)
        if known is not None and known[0] is page:
            return known[1]
        answer = None
        if (page.gzip_length if key.gzip else page.plain_length) <= LARGEST_BYTES:
            head = b"".join(b"%b: %b\r\n" % header for header in _page_headers(page, key))
            body = b"".join(page.gzip if key.gzip else page.plain)
            answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
        self._ready[key] = (page, answer)
        return answer

    def _narrowed(self, query: bytes) -> frozenset[str] | None:
        """The accounts that `?account=` and `?provider=` leave; None for all of them."""
        if not query:
            return None
        wanted: dict[str, set[str]] = {"account": set(), "provider": set()}
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name in wanted:
                wanted[name].add(value)
        if not wanted["account"] and not wanted["provider"]:
            return None
        known = self._facts.accounts
        for name, position in (("provider", 0), ("account", 1)):
            unknown = wanted[name] - {pair[position] for pair in known}
            if unknown:
                raise ValueError(f"unknown {name}: {', '.join(sorted(unknown))}")
        return frozenset(
            account
            for provider, account in known
            if (not wanted["account"] or account in wanted["account"])
            and (not wanted["provider"] or provider in wanted["provider"])
        )

    async def _answer(self, method: str, path: str) -> Answer:
        reads = method in ("GET", "HEAD")
        match path:
            case "/-/reload":
                if method not in ("POST", "PUT"):
                    return Answer(
                        405, "Only POST or PUT is allowed.\n", headers=_allow("POST, PUT")
                    )
                return await self._reload()
            case "/" | "/-/healthy" | "/-/ready" | "/config" | "/api/v1/status" if not reads:
                return Answer(405, "Only GET is allowed.\n", headers=_allow("GET, HEAD"))
            case self._telemetry_path:
                return Answer(405, "Only GET is allowed.\n", headers=_allow("GET, HEAD"))
            case "/":
                return Answer(
                    200,
                    landing_page(
                        self._facts.status(),
                        self._facts.now(),
                        self._telemetry_path,
                        self._facts.healthy(),
                    ),
                    HTML,
                    ((b"content-security-policy", content_security_policy().encode()),),
                )
            case "/-/healthy":
                return _health(self._facts.healthy(), "Healthy.\n")
            case "/-/ready":
                return _health(self._facts.ready(), "Ready.\n")
            case "/config":
                return Answer(200, self._facts.configuration(), "application/yaml; charset=utf-8")
            case "/api/v1/status":
                return Answer(200, _status_json(self._facts.status(), self._facts.now()), JSON)
            case _:
                return Answer(404, "Not found.\n")

    async def _reload(self) -> Answer:
        if not self._lifecycle:
            return Answer(403, "Lifecycle API is not enabled (--web.enable-lifecycle).\n")
        failure = await self._facts.reload()
        return Answer(200, "") if failure is None else Answer(500, f"{failure}\n")


def _wish(headers: Iterable[tuple[bytes, bytes]]) -> Wish:
    accept = encoding = ""
    for name, value in headers:
        if name == b"accept":
            text = value.decode("latin-1")
            accept = f"{accept},{text}" if accept else text
        elif name == b"accept-encoding":
            encoding = value.decode("latin-1")
    return Wish(choose_format(accept) if accept else Format.TEXT, accepts_gzip(encoding))


def _page_headers(page: Page, wish: Wish) -> list[tuple[bytes, bytes]]:
    length = page.gzip_length if wish.gzip else page.plain_length
    headers = [
        (b"content-type", wish.format.value.encode()),
        (b"content-length", b"%d" % length),
        (b"vary", b"Accept, Accept-Encoding"),
    ]
    if wish.gzip:
        headers.append((b"content-encoding", b"gzip"))
    return headers


def _allow(methods: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"allow", methods.encode()),)


def _health(problem: str | None, fine: str) -> Answer:
    return Answer(200, fine) if problem is None else Answer(503, f"{problem}\n")


def _status_json(accounts: Iterable[AccountStatus], now: float) -> str:
    return msgspec.json.encode({"now": now, "accounts": tuple(accounts)}).decode()


async def _send(send: Send, answer: Answer, method: str) -> None:
    body = answer.body.encode("utf-8", "replace")
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
