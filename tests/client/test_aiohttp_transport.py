"""What goes over the wire and what comes of it, against servers that keep to HTTP or do not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
import trustme
import uvloop
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.client import aiohttp_transport
from exporter.client.aiohttp_transport import AiohttpTransport, is_canonical

SECRET = "s3cr3t-value"
TARGET = f"/usage?token={SECRET}"
HEADERS = ((b"Authorization", f"Bearer {SECRET}".encode()), (b"User-Agent", b"exporter"))

KEEP, CLOSE, RESET, STALL = "keep", "close", "reset", "stall"
"""What a server does after an answer."""


def no_context() -> ssl.SSLContext:
    raise AssertionError("no TLS is needed")


@dataclass
class Server:
    """Gives these answers in turn, whatever it is asked; notes what it was asked."""

    answers: list[tuple[bytes, str]]
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: int = 0
    """Connections that the client has ended."""

    protocols: list[str | None] = field(default_factory=list)
    """What was agreed upon in TLS, for each connection."""
    tasks: set[asyncio.Task] = field(default_factory=set)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.writers.append(writer)
        if (tls := writer.get_extra_info("ssl_object")) is not None:
            self.protocols.append(tls.selected_alpn_protocol())
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended += 1
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.bodies.append(await reader.readexactly(int(length or 0)))
            answer, then = self.answers.pop(0)
            writer.write(answer)
            await writer.drain()
            if then == RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
                return
            if then == CLOSE:
                return


@contextlib.asynccontextmanager
async def serving(
    *answers: tuple[bytes, str], context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(list(answers))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    server.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
        await asyncio.gather(*server.tasks)


@contextlib.asynccontextmanager
async def sender(
    context: Callable[[], ssl.SSLContext] = no_context,
) -> AsyncIterator[AiohttpTransport]:
    one = AiohttpTransport(context)
    try:
        yield one
    finally:
        await one.aclose()


async def fetch(
    client: AiohttpTransport, url: str, method: str = "GET", content: bytes | None = None
) -> tuple[httpx.Response, bytes]:
    """The response and its body as it came."""
    response = await client.send(method, url, HEADERS, content)
    try:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return response, b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable], object]:
    """Runs a coroutine on either event loop."""
    runner: Callable[[Awaitable], object] = request.param
    return runner


pytestmark = pytest.mark.sockets


# --- What is sent ---------------------------------------------------------------------------------


def test_a_request_is_sent_as_it_is_and_with_nothing_added(run):
    target = "/base//v1/us%C3%A4ge?id%5B%5D=a%26b&from=2026-01-01T00:00&empty="

    async def main():
        async with serving((OK, KEEP), (OK, KEEP)) as server, sender() as client:
            await fetch(client, server.url + target)
            request = httpx.Request("GET", server.url + target, headers=HEADERS)
            response = await client.handle_async_request(request)
            await response.aclose()
        for head in server.heads:
            assert sorted(head.decode().split("\r\n")) == sorted(
                [
                    f"GET {target} HTTP/1.1",
                    f"Host: {server.url.removeprefix('http://')}",
                    f"Authorization: Bearer {SECRET}",
                    "User-Agent: exporter",
                    *("", ""),
                ]
            )

    run(main())


def test_a_form_is_sent_whole_and_only_once(run):
    async def main():
        async with serving((OK, KEEP)) as server, sender() as client:
            await fetch(client, server.url + "/token", "POST", b"grant_type=client_credentials")
        (head,) = server.heads
        assert b"Content-Length: 29\r\n" in head
        assert b"content-type" not in head.lower()
        assert server.bodies == [b"grant_type=client_credentials"]

    run(main())


def test_a_header_beyond_ascii_is_sent_byte_for_byte(run):
    async def main():
        async with serving((OK, KEEP)) as server:
            client = AiohttpTransport(ssl.create_default_context)
            headers = ((b"Authorization", b"Bearer \xe9t\xe9"),)
            response = await client.send("GET", server.url + "/", headers, None)
            await response.aclose()
            await client.aclose()
        assert b"Authorization: Bearer \xe9t\xe9\r\n" in server.heads[0]

    run(main())


def test_user_and_password_of_a_url_are_not_sent(run):
    async def main():
        async with serving((OK, KEEP)) as server, sender() as client:
            url = server.url.replace("://", f"://user:{SECRET}-2@")
            await fetch(client, url + "/")
        assert f"Authorization: Bearer {SECRET}\r\n".encode() in server.heads[0]
        assert server.heads[0].count(b"Authorization") == 1
        assert SECRET.encode() + b"-2" not in server.heads[0]

    run(main())


def test_a_line_break_in_a_header_sends_nothing(run):
    async def main():
        async with serving((OK, KEEP)) as server, sender() as client:
            with pytest.raises(httpx.LocalProtocolError):
                await client.send("GET", server.url + "/", ((b"A", b"b\r\nC: d"),), None)
        assert server.heads == []

    run(main())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "/relative", "http://"])
def test_no_other_protocol_is_spoken(run, url):
    async def main():
        async with sender() as client:
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.send("GET", url, HEADERS, None)

    run(main())


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("aZ09._~%2Ff/?&=: \n;+'é")), min_size=1, max_size=4).map(
        lambda parts: "http://api.example.com:8080/" + "/".join(parts)
    )
)
def test_what_counts_as_canonical_is_left_as_it_is_by_both_libraries(url):
    if is_canonical(url):
        target = url.removeprefix("http://api.example.com:8080")
        parsed = httpx.URL(url)
        assert str(parsed) == url
        assert parsed.raw_path.decode() == target
        if not target.endswith("?"):
            assert yarl.URL(url, encoded=True).raw_path_qs == target


# --- What is an answer ----------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LONG = b"X-Long: " + b"x" * 60_000 + b"\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

ANSWERS = {
    "length": (OK, KEEP, b"{}"),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP, b""),
    "bare line feeds": (OK.replace(b"\r\n", b"\n"), KEEP, b"{}"),
    "chunks": (CHUNKED + b"\r\n2;a=b\r\n{}\r\n1\r\n \r\n0\r\n\r\n", KEEP, b"{} "),
    "trailer": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", KEEP, b"{}"),
    "until closed": (b"HTTP/1.1 200 OK\r\n\r\n{}", CLOSE, b"{}"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n{}", CLOSE, b"{}"),
    "hints before": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\nA: b\r\n\r\n" + OK,
        KEEP,
        b"{}",
    ),
    "long header": (b"HTTP/1.1 200 OK\r\n" + LONG + b"Content-Length: 2\r\n\r\n{}", KEEP, b"{}"),
    "many headers": (
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}",
        KEEP,
        b"{}",
    ),
    "folded header": (
        b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        KEEP,
        b"{}",
    ),
    "compressed": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8bABC",
        KEEP,
        b"\x1f\x8bABC",
    ),
    "no phrase": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}", KEEP, b"{}"),
}


@pytest.mark.parametrize("answer", list(ANSWERS))
def test_what_http_permits_is_an_answer(run, answer):
    said, then, body = ANSWERS[answer]

    async def main():
        async with serving((said, then), (OK, KEEP)) as server, sender() as client:
            response, came = await fetch(client, server.url + TARGET)
            assert (response.status_code, came) == (200, body)
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert len(server.heads) == 2
        assert server.connections == (1 if then == KEEP else 2)

    run(main())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
    ],
)
def test_an_answer_that_has_no_body_is_not_waited_for(run, method, answer):
    async def main():
        async with serving((answer, KEEP), (OK, KEEP)) as server, sender() as client:
            assert (await fetch(client, server.url + TARGET, method))[1] == b""
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert server.connections == 1

    run(main())


def test_an_answers_head_is_kept_as_it_came(run):
    answer = (
        b"HTTP/1.0 299 \xc3\xa4 phrase\r\nX-One: 1\r\nset-cookie: a=1\r\nX-One:  2 \r\n"
        b"Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )

    async def main():
        async with serving((answer, CLOSE)) as server, sender() as client:
            response, _ = await fetch(client, server.url + "/")
        assert response.status_code == 299
        assert response.extensions["http_version"] == b"HTTP/1.0"
        assert response.extensions["reason_phrase"] == b"\xc3\xa4 phrase"
        assert response.headers.get_list("x-one") == ["1", "2"]
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]

    run(main())


def test_cookies_are_not_sent_back_and_redirects_not_followed(run):
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://[evil\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"

    async def main():
        async with serving((moved, KEEP), (OK, KEEP)) as server, sender() as client:
            response, _ = await fetch(client, server.url + "/")
            assert response.status_code == 302
            await fetch(client, server.url + "/")
        assert not any(b"cookie" in head.lower() for head in server.heads)

    run(main())


# --- What is none ---------------------------------------------------------------------------------

PROTOCOL = httpx.RemoteProtocolError
BROKEN = {
    "nothing": (b"", CLOSE, PROTOCOL),
    "reset at once": (b"", RESET, httpx.ReadError),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE, PROTOCOL),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", STALL, PROTOCOL),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 3, STALL, PROTOCOL),
    "line of header endless": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, STALL, PROTOCOL),
    "phrase endless": (b"HTTP/1.1 200 " + b"x" * 200_000, STALL, PROTOCOL),
    "headers endless": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300, STALL, PROTOCOL),
    "NUL in a header": (
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        STALL,
        PROTOCOL,
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        STALL,
        PROTOCOL,
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", STALL, PROTOCOL),
    "length and chunks": (
        CHUNKED + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        STALL,
        PROTOCOL,
    ),
    "short of its length": (OK.replace(b": 2", b": 3"), CLOSE, PROTOCOL),
    "reset in its length": (OK.replace(b": 2", b": 3"), RESET, httpx.TransportError),
    "short of its last chunk": (CHUNKED + b"\r\n2\r\n{}\r\n", CLOSE, PROTOCOL),
    "no chunk": (CHUNKED + b"\r\n2\r\n{}\r\nxyz\r\n", STALL, PROTOCOL),
    "chunk longer than said": (CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n", STALL, PROTOCOL),
    "chunk of endless size": (CHUNKED + b"\r\n" + b"f" * 300 + b"\r\n{}", STALL, PROTOCOL),
    "reset before its end": (b"HTTP/1.1 200 OK\r\n\r\n{", RESET, httpx.ReadError),
}


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and whatever stands behind it."""
    yield error
    for one in (error.__cause__, error.__context__):
        if one is not None:
            yield from chain(one)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("after_another", [False, True])
@pytest.mark.parametrize("answer", list(BROKEN))
def test_what_is_no_answer_is_an_error_told_without_the_secret_and_never_sent_again(
    run, answer, after_another
):
    said, then, error = BROKEN[answer]

    async def main():
        answers = [(OK, KEEP)] * after_another + [(said, then), (OK, KEEP)]
        async with serving(*answers) as server, sender() as client:
            if after_another:
                await fetch(client, server.url + TARGET)
            with pytest.raises(error) as caught:
                await fetch(client, server.url + TARGET)
            assert len(server.heads) == 1 + after_another
            assert server.connections == 1
            for one in chain(caught.value):
                assert SECRET not in f"{one} {one!r} {vars(one)}"
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert server.connections == 2

    run(main())


def test_nothing_is_read_behind_an_answer(run):
    """What comes unasked is not taken for the answer to the next request."""
    smuggled = OK + OK.replace(b"{}", b"[]")

    async def main():
        async with serving((smuggled, KEEP), (OK, KEEP)) as server, sender() as client:
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert server.connections == 2

    run(main())


# --- Connections ----------------------------------------------------------------------------------


def test_a_connection_is_used_again_after_a_body_was_read_to_its_end(run):
    async def main():
        async with serving(*[(OK, KEEP)] * 5) as server, sender() as client:
            for _ in range(5):
                await fetch(client, server.url + TARGET)
        assert server.connections == 1

    run(main())


def test_a_connection_is_not_kept_for_ever(run, monkeypatch):
    monkeypatch.setattr(aiohttp_transport, "KEPT_SECONDS", -1.0)

    async def main():
        async with serving(*[(OK, KEEP)] * 2) as server, sender() as client:
            for _ in range(2):
                await fetch(client, server.url + TARGET)
        assert server.connections == 2

    run(main())


def test_a_connection_that_the_server_closed_behind_its_answer_is_not_used_again(run):
    """It says so by closing only, and before anybody has waited: no request is lost to that."""

    async def main():
        async with serving(*[(OK, CLOSE)] * 20) as server, sender() as client:
            for _ in range(20):
                await fetch(client, server.url + TARGET)
        assert server.connections == len(server.heads) == 20

    run(main())


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 404 No\r\n\r\n"],
    ids=["before the head", "in the body", "in a body without length"],
)
def test_a_request_that_is_given_up_takes_its_connection_with_it(run, answer):
    async def main():
        async with serving((answer, STALL), (OK, KEEP)) as server, sender() as client:
            task = asyncio.ensure_future(fetch(client, server.url + TARGET))
            while not server.heads:
                await asyncio.sleep(0)
            for _ in range(100):  # until the answer is there, as far as there is one
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not server.ended:
                await asyncio.sleep(0)
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert server.connections == 2

    run(main())


def test_an_answer_that_is_not_read_to_its_end_takes_its_connection_with_it(run):
    async def main():
        half = OK.replace(b": 2", b": 3")
        async with serving((half, STALL), (OK, KEEP)) as server, sender() as client:
            response = await client.send("GET", server.url + TARGET, HEADERS, None)
            await response.aclose()
            while not server.ended:
                await asyncio.sleep(0)
            assert (await fetch(client, server.url + TARGET))[1] == b"{}"

    run(main())


def test_nothing_is_left_open_in_the_end(run):
    async def main():
        async with serving(*[(OK, KEEP)] * 2) as server:
            async with sender() as client:
                await fetch(client, server.url + TARGET)
            while not server.ended:
                await asyncio.sleep(0)

    run(main())


def test_timeouts_of_a_request_are_told_apart(run):
    async def main():
        async with serving((b"", STALL)) as server, sender(ssl.create_default_context) as client:

            async def ask(url: str) -> None:
                timeouts = {"connect": 0.05, "read": 0.05, "write": None, "pool": None}
                request = httpx.Request("GET", url, extensions={"timeout": timeouts})
                await client.handle_async_request(request)

            with pytest.raises(httpx.ReadTimeout):
                await ask(server.url)
            # It waits for the rest of what it takes for a request, and never answers in TLS.
            with pytest.raises(httpx.ConnectTimeout):
                await ask(server.url.replace("http", "https"))
            while server.ended < 2:
                await asyncio.sleep(0)

    run(main())


def test_a_connection_that_cannot_be_made_keeps_its_cause(run, unused_tcp_port):
    async def main():
        async with sender() as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await fetch(client, f"http://127.0.0.1:{unused_tcp_port}{TARGET}")
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        for one in chain(caught.value):
            assert SECRET not in f"{one} {one!r} {vars(one)}"

    run(main())


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_a_server_whose_authority_is_trusted_is_asked_over_tls(run, authority):
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        authority.configure_trust(made[-1])
        return made[-1]

    async def main():
        context = context_of(authority, "127.0.0.1")
        context.set_alpn_protocols(["h2", "http/1.1"])
        answers = [(OK, KEEP), (OK, CLOSE), (OK, KEEP)]
        async with serving(*answers, context=context) as server, sender(make) as client:
            for _ in answers:
                assert (await fetch(client, server.url + TARGET))[1] == b"{}"
        assert server.protocols == ["http/1.1"] * 2

    run(main())
    assert len(made) == 1


@pytest.mark.parametrize(("name", "code"), [("127.0.0.1", 20), ("other.example.com", 64)])
def test_a_server_that_cannot_prove_who_it_is_is_sent_nothing(run, authority, name, code):
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        if code == 64:
            authority.configure_trust(context)
        return context

    async def main():
        context = context_of(authority, name)
        async with serving((OK, KEEP), context=context) as server, sender(make) as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await fetch(client, server.url + TARGET)
        cause = caught.value.__cause__
        assert isinstance(cause, ssl.SSLCertVerificationError)
        assert cause.verify_code == code
        assert server.heads == []
        for one in chain(caught.value):
            assert SECRET not in f"{one} {one!r} {vars(one)}"

    run(main())
