"""A small application behind a web configuration, on a real socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from exporter.web.listen import listen, shown_address
from exporter.web.toolkit import WebSecurity, config_file


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Application:
    """Answers 200 to everything, and remembers what it was asked."""

    def __init__(self):
        self.paths = []

    async def __call__(self, scope, receive, send):
        self.paths.append(scope["path"])
        headers = [(b"content-length", b"2"), (b"x-frame-options", b"sameorigin")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Site:
    """What is served out of a folder with a `web.yml`."""

    def __init__(self, folder, *, new_loop=uvloop.new_event_loop):
        self.file = folder / "web.yml"
        self.clock = Clock()
        self.app = Application()
        self.security = WebSecurity(config_file.read(self.file), clock=self.clock)
        config = uvicorn.Config(
            self.security.wrap(self.app),
            http="httptools",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        config.load()
        config.ssl = self.security.ssl_context
        self._server = _Server(config)
        self._listener = listen("127.0.0.1:0")
        self.port = self._listener.getsockname()[1]
        self.url = f"{self.security.scheme}://{shown_address(self._listener)}"
        self._new_loop = new_loop
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._server.serve(sockets=[self._listener]))

    def write(self, text):
        """Replace the file, and let the next request or handshake look at it."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)
        self.clock.now += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()
        self.security.close()
