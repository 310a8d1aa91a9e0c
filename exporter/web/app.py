"""The ASGI application: the metrics, the landing page, health, status and reloading.

The page of metrics is made by `exporter.exposition`; a scrape only sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from exporter.exposition import TEXT_FORMATS, Format, Page
from exporter.polling.status import AccountStatus, LeasesStatus
from exporter.web.fast_path import MAX_RESPONSE_BYTES, Headers
from exporter.web.negotiation import accepts_gzip, choose_format
from exporter.web.toolkit.guard import with_headers

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Facts(Protocol):
    """What the responses are made from; `exporter.app` implements it."""

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """All (provider, account) pairs."""

    def is_ready(self, format: Format) -> bool:
        """Whether there are pages of this format; if not, they are prepared."""

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The exposition of these accounts, or of all for None."""

    def status(self) -> tuple[AccountStatus, ...]:
        """The state of every account."""

    def leases_status(self) -> LeasesStatus | None:
        """Who holds which account; None where no replicas share the ledger."""

    def healthy(self) -> str | None:
        """None while the poll loop is running, else what is wrong."""

    def reload_failure(self) -> str | None:
        """None, or why the newest reload failed and the old configuration is in force."""

    def ready(self) -> str | None:
        """None once every account was polled or restored, else what is missing."""

    def configuration(self) -> str:
        """The running configuration without secrets."""

    async def reload(self) -> str | None:
        """Reload configuration and credentials; None, or why the old ones stay in use."""

    def now(self) -> float:
        """The time that statuses refer to."""


@dataclass(frozen=True, slots=True)
class Response:
    """A small response, complete in memory."""

    status: int
    body: str
    content_type: str = TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Representation:
    """The form of the exposition that a scraper accepts: format, escaping and compression.

    `escaping` is what the scraper asked for, or empty; the content is the same with each.
    `fallback` is what to serve as long as the format is not ready.
    """

    format: Format
    escaping: str
    gzip: bool
    fallback: Representation | None = None


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
        self._cached_responses: dict[
            Representation, tuple[Page, tuple[tuple[bytes, bytes], ...], bytes | None]
        ] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- no request here has a body
        """Respond to one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == self._telemetry_path and scope["method"] in ("GET", "HEAD"):
            await self._scrape(scope, send)
            return
        await _send(send, await self._respond(scope["method"], path), scope["method"])

    async def _scrape(self, scope: Scope, send: Send) -> None:
        if self._in_flight >= self._max_requests:
            await _send(
                send,
                Response(503, f"Limit of concurrent requests reached ({self._max_requests}).\n"),
                scope["method"],
            )
            return
        self._in_flight += 1
        try:
            try:
                accounts = self._selected_accounts(scope["query_string"])
            except ValueError as error:
                await _send(send, Response(400, f"{error}\n"), scope["method"])
                return
            accepted = self._ready(_representation(scope["headers"]))
            page = self._facts.page(accepted.format, accounts)
            gzip = accepted.gzip
            headers = _page_headers(page, accepted)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            chunks = () if scope["method"] == "HEAD" else page.gzip if gzip else page.plain
            for chunk in chunks[:-1]:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": chunks[-1] if chunks else b""})
        finally:
            self._in_flight -= 1

    def _ready(self, accepted: Representation) -> Representation:
        if accepted.fallback is None or self._facts.is_ready(accepted.format):
            return accepted
        return accepted.fallback

    # For the fast path; see `exporter.web.fast_path.ReadyResponses`.

    def representation(self, headers: Headers) -> object | None:
        """The form of the exposition that a scrape with these headers accepts."""
        return _representation(headers)

    def ready_response(
        self, key: object, configured_headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> bytes | None:
        """The whole response to a scrape; None if it is large or too many are in flight."""
        if not isinstance(key, Representation) or self._in_flight >= self._max_requests:
            return None
        key = self._ready(key)
        page = self._facts.page(key.format, None)
        cached = self._cached_responses.get(key)
        if cached is not None and cached[0] is page and cached[1] == configured_headers:
            return cached[2]
        response = None
        if (page.gzip_length if key.gzip else page.plain_length) <= MAX_RESPONSE_BYTES:
            headers = with_headers(_page_headers(page, key), configured_headers)
            head = b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers)
            body = b"".join(page.gzip if key.gzip else page.plain)
            response = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
        self._cached_responses[key] = (page, configured_headers, response)
        return response

    def _selected_accounts(self, query: bytes) -> frozenset[str] | None:
        """The accounts that `?account=` and `?provider=` select; None for all of them.

        ValueError, with a message for people, if they select none.
        """
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
            names = sorted({pair[position] for pair in known})
            unknown = wanted[name].difference(names)
            if unknown:
                raise ValueError(
                    f"unknown {name}: {', '.join(sorted(map(repr, unknown)))}; known: {', '.join(names)}"
                )
        selected = frozenset(
            account
            for provider, account in known
            if (not wanted["account"] or account in wanted["account"])
            and (not wanted["provider"] or provider in wanted["provider"])
        )
        if not selected:
            others = ", ".join(
                f"{account} is of {provider}"
                for provider, account in known
                if account in wanted["account"]
            )
            raise ValueError(f"account and provider exclude each other: {others}")
        return selected

    async def _respond(self, method: str, path: str) -> Response:
        reads = method in ("GET", "HEAD")
        match path:
            case "/-/reload":
                if method not in ("POST", "PUT"):
                    return Response(
                        405, "Only POST or PUT is allowed.\n", headers=_allow("POST, PUT")
                    )
                return await self._reload()
            case "/" | "/-/healthy" | "/-/ready" | "/config" | "/api/v1/status" if not reads:
                return Response(405, "Only GET is allowed.\n", headers=_allow("GET, HEAD"))
            case self._telemetry_path:
                return Response(405, "Only GET is allowed.\n", headers=_allow("GET, HEAD"))
            case "/":
                # Imported only now: templates take long to load, and scrapes need none.
                from exporter.web.landing import content_security_policy, landing_page

                return Response(
                    200,
                    landing_page(
                        self._facts.status(),
                        self._facts.now(),
                        self._telemetry_path,
                        self._facts.healthy(),
                        self._facts.reload_failure(),
                        self._facts.leases_status(),
                    ),
                    HTML,
                    ((b"content-security-policy", content_security_policy().encode()),),
                )
            case "/-/healthy":
                return _health(self._facts.healthy(), "Healthy.\n")
            case "/-/ready":
                return _health(self._facts.ready(), "Ready.\n")
            case "/config":
                return Response(200, self._facts.configuration())  # browsers would save YAML
            case "/api/v1/status":
                return Response(
                    200,
                    _status_json(
                        self._facts.status(),
                        self._facts.now(),
                        self._facts.reload_failure(),
                        self._facts.leases_status(),
                    ),
                    JSON,
                )
            case _:
                return Response(404, "Not found.\n")

    async def _reload(self) -> Response:
        if not self._lifecycle:
            return Response(403, "Lifecycle API is not enabled (--web.enable-lifecycle).\n")
        failure = await self._facts.reload()
        return Response(200, "") if failure is None else Response(500, f"{failure}\n")


def _representation(headers: Iterable[tuple[bytes, bytes]]) -> Representation:
    accept = encoding = ""
    for name, value in headers:
        if name == b"accept":
            text = value.decode("latin-1")
            accept = f"{accept},{text}" if accept else text
        elif name == b"accept-encoding":
            encoding = value.decode("latin-1")
    gzip = accepts_gzip(encoding)
    fallback = None
    chosen, escaping = choose_format(accept) if accept else (Format.TEXT, "")
    if chosen not in TEXT_FORMATS:
        fallback = Representation(*choose_format(accept, TEXT_FORMATS), gzip)
    return Representation(chosen, escaping, gzip, fallback)


def _page_headers(page: Page, accepted: Representation) -> list[tuple[bytes, bytes]]:
    length = page.gzip_length if accepted.gzip else page.plain_length
    content_type = accepted.format.value
    if accepted.escaping:
        content_type += f"; escaping={accepted.escaping}"
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % length),
        (b"vary", b"Accept, Accept-Encoding"),
    ]
    if accepted.gzip:
        headers.append((b"content-encoding", b"gzip"))
    return headers


def _allow(methods: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"allow", methods.encode()),)


def _health(problem: str | None, fine: str) -> Response:
    return Response(200, fine) if problem is None else Response(503, f"{problem}\n")


def _status_json(
    accounts: Iterable[AccountStatus],
    now: float,
    reload_failure: str | None = None,
    leases: LeasesStatus | None = None,
) -> str:
    return msgspec.json.encode(
        {
            "now": now,
            "reload_failure": reload_failure,
            **({} if leases is None else {"leases": leases}),
            "accounts": tuple(accounts),
        }
    ).decode()


async def _send(send: Send, response: Response, method: str) -> None:
    body = response.body.encode("utf-8", "replace")
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
