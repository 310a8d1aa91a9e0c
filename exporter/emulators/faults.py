"""Faults that can be switched on for an emulated vendor, and what each does to an answer.

A fault is applied between a vendor's emulator and its client, so every vendor can have every
fault: statuses have the vendor's own error body, damaged JSON is made from the correct answer.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import cache
from typing import NoReturn

import httpx

from exporter.emulators.http import Request, Response, Send, head
from exporter.emulators.mutations import MUTATIONS
from exporter.emulators.vendor import Paging, Vendor

STATUSES = ("401", "403", "404", "410", "422", "429", "500", "502", "503", "504")
RETRY_AFTER: dict[str, Callable[[float], str]] = {
    "429-seconds": lambda now: "1",
    "429-date": lambda now: formatdate(int(now) + 1, usegmt=True),
    "429-absurd": lambda now: "999999999",
}
PAGING = ("endless-pages", "repeated-page")
KINDS = (
    *STATUSES,
    *RETRY_AFTER,
    "html",
    "other-keys",
    *MUTATIONS,
    "big-body",
    "gzip-bomb",
    "reset",
    "stall",
    "drip",
    *PAGING,
    "redirect",
    "empty",
)
TOKEN = "token-"  # a kind with this prefix applies only to a vendor's token endpoint
TOKEN_PATH = "/auth/token"

MEBIBYTE = 1 << 20
BIG = 66  # mebibytes of padding: more than the 64 MiB that a client should read


@dataclass(slots=True)
class Fault:
    """One fault: its kind, for how many more requests (None: all), and for which paths (None: all)."""

    kind: str
    times: int | None = None
    path_prefix: str | None = None


@dataclass(slots=True)
class Quota:
    """`requests` are served in each window of `seconds`; `served` counts those of the window."""

    requests: int
    seconds: int
    window: int = -1
    served: int = 0

    def allows(self, now: float) -> bool:
        """Whether one more request is served at `now` (Unix seconds); it counts if so."""
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.served = window, 0
        if self.served >= self.requests:
            return False
        self.served += 1
        return True


@dataclass(slots=True)
class Faults:
    """The faults switched on, by provider; at most one, the oldest that matches, hits a request.

    No fault hits a request that a quota refuses.
    """

    redirect_to: str = "http://127.0.0.1:9/"
    drip_seconds: float = 0.5
    _set: dict[str, list[Fault]] = field(default_factory=dict)
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def set(
        self,
        provider: str,
        kind: str,
        times: int | None = None,
        path_prefix: str | None = None,
    ) -> None:
        """Switch a fault on, after those set earlier. ValueError for an unknown kind."""
        check(kind)
        if times is not None and times < 1:
            raise ValueError(f"a fault happens at least once, not {times} times")
        self._set.setdefault(provider, []).append(Fault(kind, times, path_prefix))

    def quota(self, provider: str, *, requests: int, seconds: int) -> None:
        """Serve so many requests in each window of so many seconds, and answer the others 429.

        Windows begin at multiples of `seconds` on the app's clock. Requests for a token are free.
        A second quota of a provider replaces its first.
        """
        if requests < 0 or seconds < 1:
            raise ValueError(f"no quota: {requests} requests in {seconds} seconds")
        self._quotas[provider] = Quota(requests, seconds)

    def clear(self, provider: str | None = None) -> None:
        """Switch off one provider's faults and its quota, or all."""
        if provider is None:
            self._set.clear()
            self._quotas.clear()
        else:
            self._set.pop(provider, None)
            self._quotas.pop(provider, None)

    def refuses(self, provider: str, path: str, *, now: float) -> bool:
        """Whether the provider's quota is used up at `now` (Unix seconds); counts the request if not."""
        quota = self._quotas.get(provider)
        return quota is not None and not path.endswith(TOKEN_PATH) and not quota.allows(now)

    def take(self, provider: str, path: str) -> str | None:
        """The kind of fault for a request to this path, None for none; its times go down by one."""
        for fault in self._set.get(provider, []):
            if fault.path_prefix is not None and not path.startswith(fault.path_prefix):
                continue
            if fault.kind.startswith(TOKEN) != path.endswith(TOKEN_PATH):
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self._set[provider].remove(fault)
            return fault.kind.removeprefix(TOKEN)
        return None


def check(kind: str) -> None:
    """ValueError, naming every valid kind, unless `kind` is one."""
    if kind.removeprefix(TOKEN) not in KINDS:
        raise ValueError(
            f"unknown fault {kind!r}; valid kinds: {', '.join(KINDS)}, "
            f"or any of them after {TOKEN!r} for the token endpoint"
        )


def parse(text: str) -> tuple[str, str, int | None]:
    """Provider, kind and times of `PROVIDER:KIND[:TIMES]`; ValueError says what is wrong."""
    provider, *rest = text.split(":")
    if not provider or len(rest) not in (1, 2):
        raise ValueError(
            f"a fault is PROVIDER:KIND[:TIMES], not {text!r}; valid kinds: {', '.join(KINDS)}"
        )
    check(rest[0])
    if len(rest) == 1:
        return provider, rest[0], None
    if not rest[1].isascii() or not rest[1].isdigit() or int(rest[1]) < 1:
        raise ValueError(f"TIMES of {text!r} is a whole number from 1, not {rest[1]!r}")
    return provider, rest[0], int(rest[1])


async def faulty_answer(
    kind: str, faults: Faults, vendor: Vendor, request: Request, *, now: float
) -> Response | None:
    """The answer with fault `kind`; None for the kinds that `break_connection` carries out."""
    if kind in STATUSES or kind in RETRY_AFTER:
        status = int(kind[:3])
        body, content_type = vendor.error(status)
        wait = RETRY_AFTER.get(kind)
        headers = () if wait is None else (("retry-after", wait(now)),)
        return Response(status, body, content_type, headers)
    if kind == "html":
        page = b"<!doctype html><title>Sign in</title><h1>Please sign in</h1>\n"
        return Response(200, page, "text/html; charset=utf-8")
    if kind == "other-keys":
        return Response(200, b'{"rows": 3}')
    if kind == "redirect":
        return Response(302, b"", "text/plain", (("location", faults.redirect_to),))
    if kind == "empty":
        return vendor.empty(request)
    if kind in PAGING:
        return await paged_for_ever(kind, vendor, request)
    if kind in ("reset", "stall", "drip"):
        return None
    answer = await vendor.answer(request)
    if kind == "big-body":
        return replace(answer, body=b"", chunks=padded(answer.body))
    if kind == "gzip-bomb":
        return replace(answer, body=bomb(), headers=(("content-encoding", "gzip"),))
    return replace(answer, body=MUTATIONS[kind](answer.body))


async def break_connection(
    kind: str, faults: Faults, vendor: Vendor, request: Request, send: Send
) -> NoReturn:
    """Carry out a fault of the connection itself: `reset`, `stall` or `drip`.

    `stall` and `drip` end only by cancellation, which the app does when the client disconnects. `reset` raises httpx.ReadError after half an answer: a client in the same process
    gets that error, and a server drops the connection when its application raises.
    """
    if kind == "stall":
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")
    answer = await vendor.answer(request)
    if kind == "reset":
        await send(head(answer, length=len(answer.body) + 1))
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise httpx.ReadError("the emulated vendor dropped the connection")
    await send(head(answer, length=None))
    while True:
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.sleep(faults.drip_seconds)


async def paged_for_ever(kind: str, vendor: Vendor, request: Request) -> Response:
    """The first page for every page; each names a next one, with a new token or always the same."""
    seen = next(
        (value for paging in vendor.paging if (value := request.first(paging.parameter))), ""
    )
    for paging in vendor.paging:
        request = request.without(paging.parameter)
    answer = await vendor.answer(request)
    if answer.status != 200:
        return answer
    value = json.loads(answer.body)
    for paging in vendor.paging:
        name_next_page(value, paging, token="page-again" if kind == "repeated-page" else seen + "x")
    return replace(answer, body=json.dumps(value, ensure_ascii=False).encode())


def name_next_page(value: object, paging: Paging, *, token: str) -> None:
    """Write the next page's token, or a count of pages that has no end, into a paged answer."""
    *parents, last = paging.answer
    for name in parents:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value[last] = 10**9 if paging.counted else token


async def padded(body: bytes) -> AsyncIterator[bytes]:
    """`body` after more blank space, which JSON allows, than a client should read."""
    blank = b" " * MEBIBYTE
    for _ in range(BIG):
        yield blank
    yield body


@cache
def bomb() -> bytes:
    """A small gzip body that inflates to more blank space than a client should read."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    blank = b" " * MEBIBYTE
    return b"".join(squeeze.compress(blank) for _ in range(BIG)) + squeeze.flush()
