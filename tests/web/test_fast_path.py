"""The fast path: its responses equal those of ASGI, and it takes no other request for a scrape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.web import server
from exporter.web.fast_path import FastPath
from exporter.web.listen import listen
from exporter.web.server import WebOptions
from tests.support.simulation import Simulation

pytestmark = pytest.mark.sockets

ORDINARY = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"
UNUSUAL = b"GET /metrics HTTP/1.1\r\nHost: x\r\nTE: x\r\nAccept: text/plain\r\n\r\n"
OPENMETRICS = b"application/openmetrics-text;version=1.0.0"
OPENMETRICS_ESCAPED = OPENMETRICS + b";escaping=allow-utf-8"
GZIP = ORDINARY.replace(b"Accept:", b"Accept-Encoding: gzip\r\nAccept:")


@pytest.fixture
async def simulation(tmp_path: Path) -> AsyncIterator[Simulation]:
    """One account that was polled, and is not polled any more unless a test does it."""
    simulation = Simulation(tmp_path, providers=["millicast"], polling={"cadence": "1d"})
    async with simulation.running():
        assert await simulation.poll()
        yield simulation


@asynccontextmanager
async def served(simulation: Simulation) -> AsyncIterator[tuple[str, int]]:
    """The address of the simulation's server."""
    assert simulation.exporter is not None
    stop = asyncio.Event()
    listener = listen("127.0.0.1:0")
    host, port = listener.getsockname()[:2]
    running = asyncio.create_task(simulation.exporter.serve([listener], WebOptions(), stop=stop))
    await asyncio.sleep(0)
    try:
        yield host, port
    finally:
        stop.set()
        await running


@pytest.fixture
async def address(simulation: Simulation) -> AsyncIterator[tuple[str, int]]:
    async with served(simulation) as address:
        yield address


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next answer's head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return head, await reader.readexactly(int(lengths[0].split(b":")[1]))


async def ask(address: tuple[str, int], *pieces: bytes, answers: int = 1) -> list[tuple]:
    """Send the pieces one after the other on one connection; gives the answers."""
    reader, writer = await asyncio.open_connection(*address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    found = [await answer(reader) for _ in range(answers)]
    writer.close()
    return found


def lasting(body: bytes) -> list[bytes]:
    """The lines that do not change from one moment to the next."""
    return [
        line
        for line in body.splitlines()
        if not line.startswith((b"process_", b"python_", b"media_exporter_"))
    ]


@pytest.mark.parametrize("accept", [b"text/plain", OPENMETRICS, OPENMETRICS_ESCAPED])
async def test_both_ways_give_equal_answers(address: tuple[str, int], accept: bytes) -> None:
    """An ordinary scrape is answered as an unusual one is: the same headers, the same samples."""
    (fast,) = await ask(address, ORDINARY.replace(b"text/plain", accept))
    (usual,) = await ask(address, UNUSUAL.replace(b"text/plain", accept))
    escaped = b"version=1.0.0; charset=utf-8; escaping=allow-utf-8\r\n"
    assert (escaped in fast[0]) is (accept is OPENMETRICS_ESCAPED)
    strip = b"content-length"
    fast_head = [line for line in fast[0].split(b"\r\n") if strip not in line]
    usual_head = [line for line in usual[0].split(b"\r\n") if strip not in line]
    assert fast_head == usual_head
    assert lasting(fast[1]) == lasting(usual[1])


async def test_what_is_new_is_shown(simulation: Simulation, address: tuple[str, int]) -> None:
    """An answer that is ready is the newest one."""
    (before,) = await ask(address, ORDINARY)
    simulation.now += 86_400
    assert await simulation.poll()
    (after,) = await ask(address, ORDINARY)
    (usual,) = await ask(address, UNUSUAL)
    assert lasting(after[1]) == lasting(usual[1]) != lasting(before[1])


async def test_a_connection_that_is_not_used_any_more_is_let_go(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an ordinary scrape as after any other."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.1)
    async with served(simulation) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(ORDINARY)
        await answer(reader)
        assert await reader.read() == b""
        writer.close()


async def test_scrapes_share_a_connection(address: tuple[str, int]) -> None:
    """Ordinary, unusual and compressed scrapes can follow each other on one connection."""
    answers = await ask(address, ORDINARY, UNUSUAL, GZIP, ORDINARY, answers=4)
    assert [b"content-encoding: gzip" in head for head, _ in answers] == [False, False, True, False]
    assert lasting(answers[0][1]) == lasting(answers[3][1])


async def test_pipelined_and_broken_up_requests_are_answered(address: tuple[str, int]) -> None:
    """Two requests in one piece, and one request in two pieces, get their answers in order."""
    half = len(ORDINARY) // 2
    answers = await ask(
        address, ORDINARY + UNUSUAL, ORDINARY[:half], ORDINARY[half:], ORDINARY, answers=4
    )
    assert all(head.startswith(b"HTTP/1.1 200 OK") for head, _ in answers)


async def test_a_body_that_looks_like_a_scrape_is_not_one(address: tuple[str, int]) -> None:
    """What comes as the body of another request gets no answer of its own."""
    post = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ORDINARY)
    answers = await ask(address, post, ORDINARY, GZIP, answers=2)
    assert [head.split(b" ")[1] for head, _ in answers] == [b"405", b"200"]
    assert b"content-encoding: gzip" in answers[1][0], "or the body was answered"


@pytest.mark.parametrize(
    "request_",
    [
        ORDINARY.replace(b"Host: x\r\n", b""),
        ORDINARY.replace(b"Host: x", b"Host: x\r\nHost: y"),
        ORDINARY.replace(b"Accept:", b"Connection: close\r\nAccept:"),
        ORDINARY.replace(b"Accept:", b"Content-Length: 3\r\nAccept:"),
        ORDINARY.replace(b"Accept:", b"Transfer-Encoding: chunked\r\nAccept:"),
        ORDINARY.replace(b"Accept:", b"Upgrade: websocket\r\nAccept:"),
        ORDINARY.replace(b"Accept:", b" Accept:"),
        ORDINARY.replace(b"Accept:", b"Acc ept:"),
        ORDINARY.replace(b"text/plain", b"text/\x01plain"),
        ORDINARY.replace(b"text/plain", b"text/pl\xe9in"),
        ORDINARY.replace(b"/metrics", b"/metrics?account=a"),
        ORDINARY.replace(b"GET", b"HEAD"),
        ORDINARY + ORDINARY,
        ORDINARY[:-2],
    ],
)
def test_whatever_is_out_of_the_ordinary_takes_the_usual_way(request_: bytes) -> None:
    """Only a whole GET of the page alone, with plain headers, is answered without parsing."""

    class Everything:
        def representation(self, headers: object) -> object:
            return headers

        def ready_response(self, key: object) -> bytes:
            return b"answer"

    fast_path = FastPath(Everything(), "/metrics")
    assert fast_path.response(ORDINARY) == b"answer"
    assert fast_path.response(request_) is None


def test_few_requests_are_remembered() -> None:
    """Ever new requests do not fill the memory."""

    class Nothing:
        def representation(self, headers: object) -> None:
            return None

        def ready_response(self, key: object) -> None:
            return None

    fast_path = FastPath(Nothing(), "/metrics")
    for number in range(1000):
        fast_path.response(b"GET /metrics HTTP/1.1\r\nHost: %d\r\n\r\n" % number)
    assert len(fast_path._known) <= 256
