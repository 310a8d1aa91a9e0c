"""The fast path behind a web configuration: as fast, and as strict, as the usual way."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bcrypt
import pytest
import trustme

from exporter.web.fast_path import FastPath
from exporter.web.listen import listen
from exporter.web.server import WebOptions
from exporter.web.toolkit import Guarded, WebSecurity
from exporter.web.toolkit.guard import Message, Receive, Send
from tests.support.simulation import Simulation

pytestmark = pytest.mark.sockets

PASSWORD = "correct horse"
OTHER = "battery staple"
HEADERS = "http_server_config: {headers: {X-Frame-Options: deny}}\n"


def users(password: str) -> str:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    return f"basic_auth_users: {{alice: {hashed}}}\n"


def scrape(password: str | None = PASSWORD, *, unusual: bool = False) -> bytes:
    """A whole request; an unusual one takes the usual way."""
    encoded = base64.b64encode(f"alice:{password}".encode()).decode()
    login = "" if password is None else f"Authorization: Basic {encoded}\r\n"
    more = "TE: x\r\n" if unusual else ""
    return f"GET /metrics HTTP/1.1\r\nHost: x\r\n{login}{more}\r\n".encode()


class Connection:
    """One client's connection. `usual` counts what went through ASGI, of all connections."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, usual: list[str]
    ) -> None:
        self._reader, self._writer, self._usual = reader, writer, usual

    async def ask(self, request: bytes) -> tuple[bytes, bytes, bool]:
        """The answer's head and body, and whether it came by the fast path."""
        before = len(self._usual)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        (length,) = (
            line.split(b":")[1]
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        return head, await self._reader.readexactly(int(length)), len(self._usual) == before

    async def status(self, request: bytes) -> tuple[int, bool]:
        head, _, fast = await self.ask(request)
        return int(head.split(b" ")[1]), fast


class Site:
    """An exporter with one polled account behind a `web.yml`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.file = folder / "web.yml"
        self.now = 100.0
        self._usual: list[str] = []
        self._authority: trustme.CA | None = None
        original = Guarded.__call__

        async def counted(guarded: Guarded, scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self._usual.append(scope["path"])
            await original(guarded, scope, receive, send)

        monkeypatch.setattr(Guarded, "__call__", counted)

    def write(self, text: str) -> None:
        """Replace the file; it is looked at with the next request."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)
        self.now += 2

    def encrypt(self) -> str:
        """Make a certificate; gives the section for it."""
        self._authority = trustme.CA()
        issued = self._authority.issue_cert("localhost")
        (self.folder / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (self.folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        return "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"

    @asynccontextmanager
    async def served(self, text: str) -> AsyncIterator[Connection]:
        """A connection to the exporter with this web configuration."""
        self.write(text)
        simulation = Simulation(self.folder, providers=["millicast"], polling={"cadence": "1d"})
        async with simulation.running():
            assert await simulation.poll()
            assert simulation.exporter is not None
            security = WebSecurity.open(self.file)
            security._clock = lambda: self.now
            security._checked_at = self.now
            listener = listen("127.0.0.1:0")
            stop = asyncio.Event()
            running = asyncio.create_task(
                simulation.exporter.serve([listener], WebOptions(security=security), stop=stop)
            )
            await asyncio.sleep(0)
            context = None
            if self._authority is not None:
                context = ssl.create_default_context()
                self._authority.configure_trust(context)
            reader, writer = await asyncio.open_connection(
                *listener.getsockname()[:2],
                ssl=context,
                server_hostname=None if context is None else "localhost",
            )
            try:
                yield Connection(reader, writer, self._usual)
            finally:
                writer.close()
                stop.set()
                await running
                security.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def vendors(body: bytes) -> bytes:
    """The part of the page that does not change from one moment to the next."""
    return body[: body.index(b"# HELP media_exporter_")]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_after_the_first_login_scrapes_are_fast_and_the_same(site, encrypted):
    tls = site.encrypt() if encrypted else ""
    async with site.served(tls + users(PASSWORD) + HEADERS) as connection:
        assert await connection.status(scrape()) == (200, False), "bcrypt is computed once"
        fast_head, fast_body, fast = await connection.ask(scrape())
        usual_head, usual_body, usual = await connection.ask(scrape(unusual=True))
    assert (fast, usual) == (True, False)
    strip = b"content-length"
    assert [line for line in fast_head.split(b"\r\n") if strip not in line] == [
        line for line in usual_head.split(b"\r\n") if strip not in line
    ]
    assert b"x-frame-options: deny" in fast_head
    assert vendors(fast_body) == vendors(usual_body) != b""


@pytest.mark.parametrize("password", [None, "", OTHER], ids=["none", "empty", "wrong"])
async def test_nobody_else_gets_in_beside_a_login_that_is_cached(site, password):
    async with site.served(users(PASSWORD)) as connection:
        for _ in range(2):
            await connection.ask(scrape())
        for _ in range(2):
            assert await connection.status(scrape(password)) == (401, False)
        assert await connection.status(scrape()) == (200, True)


async def test_a_new_password_ends_the_old_one_at_once(site):
    async with site.served(users(PASSWORD)) as connection:
        for fast in (False, True):
            assert await connection.status(scrape()) == (200, fast)
        site.write(users(OTHER))
        assert await connection.status(scrape()) == (401, False)
        for fast in (False, True):
            assert await connection.status(scrape(OTHER)) == (200, fast)
        site.write("{}\n")
        assert await connection.status(scrape(None)) == (200, True)


async def test_new_headers_are_in_the_next_answer(site):
    async with site.served(HEADERS) as connection:
        assert b"x-frame-options: deny" in (await connection.ask(scrape()))[0]
        site.write(HEADERS.replace("deny", "sameorigin"))
        head, _, fast = await connection.ask(scrape())
    assert b"x-frame-options: sameorigin" in head
    assert b"deny" not in head
    assert fast


async def test_each_scrape_takes_one_token(site):
    limit = "rate_limit: {interval: 10s, burst: 4}\n"
    async with site.served(users(PASSWORD) + limit) as connection:
        answers = [await connection.status(scrape()) for _ in range(5)]
        assert answers == [(200, False), (200, True), (200, True), (200, True), (429, False)]
        site.now += 10
        assert await connection.status(scrape()) == (200, True)


async def test_no_request_is_kept_with_its_password(site, monkeypatch):
    paths = []
    original = FastPath.response

    def response(path: FastPath, request: bytes) -> bytes | None:
        paths.append(path)
        return original(path, request)

    monkeypatch.setattr(FastPath, "response", response)
    async with site.served(users(PASSWORD)) as connection:
        for _ in range(3):
            await connection.ask(scrape())
    (known,) = {id(path): path._known for path in paths}.values()
    assert len(known) == 1
    encoded = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    assert encoded not in repr(known)
    assert encoded.encode() not in b"".join(known)
