"""Chooses what carries requests: the network, with or without a proxy, or a test's transport."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

import httpx

from exporter.client import environment
from exporter.client.auth import Header


class Sender(Protocol):
    """Sends requests over connections that it keeps."""

    async def send(
        self, method: str, url: str, headers: Sequence[Header], content: bytes | None
    ) -> httpx.Response:
        """The response as soon as its head has come; raises httpx.HTTPError or InvalidURL.

        Redirects are not followed and cookies not kept; nothing is sent a second time.
        """

    async def aclose(self) -> None:
        """Close every connection."""


def network(verify: ssl.SSLContext | bool, *, connections: int) -> Sender:
    """The sender for the network, by the environment's proxies and certificate authorities.

    At most `connections` idle connections are kept; so many requests are made at the same time.
    """
    if environment.names_a_proxy():
        return HttpxSender(ProxyTransport(verify, connections=connections))
    # Imported only now: it takes long, and commands that ask nobody need not wait for it.
    from exporter.client.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(lambda: httpx.create_ssl_context(verify))


class HttpxSender:
    """Sends by a transport of httpx, such as those of tests.

    What a client of httpx would add, such as cookies and redirects, is not wanted, and takes as
    long as all else in a request.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(
        self, method: str, url: str, headers: Sequence[Header], content: bytes | None
    ) -> httpx.Response:
        return await self._transport.handle_async_request(
            httpx.Request(method, url, headers=headers, content=content)
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


class ProxyTransport(httpx.AsyncBaseTransport):
    """Sends with httpx's own client, which knows proxies of every kind and hosts without one."""

    def __init__(self, verify: ssl.SSLContext | bool, *, connections: int) -> None:
        self._client = httpx.AsyncClient(
            verify=verify,
            timeout=None,  # noqa: S113  # the vendor's client limits the whole request
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=connections),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"response": [_drop_location]},
            follow_redirects=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


async def _drop_location(response: httpx.Response) -> None:
    """Drop a redirect's target, so that httpx does not parse it: redirects are not followed."""
    if 300 <= response.status_code < 400:
        response.headers.pop("location", None)
