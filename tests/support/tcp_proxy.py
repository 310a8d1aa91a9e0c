"""A proxy in front of PostgreSQL that loses connections in every way that a network can."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path

_CHUNK_BYTES = 1 << 16
_COMMIT = b"COMMIT\x00"


class Cut(Enum):
    """When the next COMMIT breaks its connection."""

    BEFORE = auto()
    """The server never gets it."""
    AFTER = auto()
    """The server has done it, and its answer is lost."""
    SILENTLY = auto()
    """The server has done it, its answer is lost, and the connection stays open."""


class TcpProxy:
    """Listens on 127.0.0.1:`port` and passes everything on to PostgreSQL's socket.

    While it is silent it takes what is sent, acknowledges it and passes nothing on, either way.
    """

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        """How many COMMITs have broken their connection."""
        self.connections = 0
        self._cut: Cut | None = None
        self._passing = threading.Event()
        self._passing.set()
        self._closed = False
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._passing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_off()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for one in self._open:
            one.close()

    def silence(self) -> None:
        """Pass nothing on, of connections that are open and of new ones."""
        self._passing.clear()

    def speak(self) -> None:
        """Pass on again, also what has come meanwhile."""
        self._passing.set()

    def cut_at_commit(self, cut: Cut) -> None:
        """Let the next COMMIT, of whichever connection, break it."""
        self._cut = cut

    def break_off(self) -> None:
        """End every connection."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _begin(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:  # the server is away: so is this
                client.close()
                server.close()
                continue
            self.connections += 1
            with self._lock:
                self._open += client, server
            lost = threading.Event()
            self._begin(self._requests, client, server, lost)
            self._begin(self._answers, server, client, lost)

    def _requests(
        self, client: socket.socket, server: socket.socket, lost: threading.Event
    ) -> None:
        with self._ending(client, server):
            while data := client.recv(_CHUNK_BYTES):
                self._passing.wait()
                cut = self._cut
                if cut is not None and _COMMIT in data:
                    self._cut = None
                    self.cuts += 1
                    if cut is Cut.BEFORE:
                        return
                    lost.set()
                    if cut is Cut.AFTER:
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        continue
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with self._ending(server, client):
            while data := server.recv(_CHUNK_BYTES):
                self._passing.wait()
                if not lost.is_set():
                    client.sendall(data)

    @contextlib.contextmanager
    def _ending(self, *sockets: socket.socket) -> Iterator[None]:
        """One direction: its end is that of the connection."""
        try:
            with contextlib.suppress(OSError):
                yield
        finally:
            for one in sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
