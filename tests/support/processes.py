"""Real processes on loopback: emulated vendors, the exporter, Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn

from exporter.emulators.app import Emulators

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
"""How long something may take on a busy machine; nothing is asserted about how long it took."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], T | None], what: str, patience: float = PATIENCE_SECONDS) -> T:
    """The first thing that `look` finds; AssertionError when patience runs out."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience:.0f} s in vain: {what}")


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    await server.serve(sockets=[listener])
    # Being forced, it leaves open what a stalled client holds.
    for task in list(server.server_state.tasks):
        task.cancel()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0.05)


@contextlib.contextmanager
def vendors(emulators: Emulators) -> Iterator[str]:
    """Serve the emulators in a thread; gives their address."""
    # Named, or the event loop does not see that it is TCP, and each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(emulators, log_config=None, log_level="critical", http="httptools")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(_serve(server, listener),))
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listener.close()


class Exporter:
    """The program itself, as `python -m exporter serve`, or another module in its place."""

    def __init__(
        self,
        config: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        scheme: str = "http",
        module: str = "exporter",
    ) -> None:
        self.module = module
        self.config = config
        self.flags = flags
        self.environment = dict(environment or {})
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"{scheme}://{self.address}"
        self.log = config.parent / "exporter.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", self.module, "serve"),
                    *("--config.file", str(self.config)),
                    *("--web.listen-address", self.address),
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, timeout=30, **options)

    def answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return self.get(path).status_code == 200
        return False

    def wait_until_ready(self) -> None:
        eventually(lambda: self.answers("/-/ready"), "the exporter is ready")

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Exporter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Prometheus:
    """A real Prometheus with this configuration, its data in `folder`."""

    def __init__(self, binary: Path, folder: Path, configuration: str, *flags: str) -> None:
        self.binary = binary
        self.folder = folder
        self.configuration = configuration
        self.flags = flags
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / "prometheus.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        config = self.folder / "prometheus.yml"
        config.write_text(self.configuration)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(self.binary),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self.folder / 'tsdb'}",
                    f"--web.listen-address={self.address}",
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
            )
        eventually(self._ready, "Prometheus is ready")
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            url = f"http://{self.address}/-/ready"
            return httpx.get(url, trust_env=False).status_code == 200
        return False

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def query_range(self, expression: str, start: int, end: int, step: int) -> dict[Any, Any]:
        """Values by (name and labels as sorted pairs) and time."""
        return query_range(self.address, expression, start, end, step)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's result."""
        answer = httpx.get(
            f"http://{self.address}/api/v1/query",
            params={"query": expression},
            trust_env=False,
            timeout=30,
        ).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


class VictoriaMetrics:
    """A real VictoriaMetrics, its data in `folder`."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / "victoria.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> VictoriaMetrics:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(self.binary),
                    f"-storageDataPath={self.folder / 'data'}",
                    f"-httpListenAddr={self.address}",
                    "-retentionPeriod=100y",
                    "-dedup.minScrapeInterval=1ms",
                    "-search.latencyOffset=0s",
                ],
                stdout=log,
                stderr=log,
            )
        eventually(self._ready, "VictoriaMetrics is ready")
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{self.address}/health", trust_env=False).status_code == 200
        return False

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def samples(self) -> dict[Any, Any]:
        """Every stored value, by (name and labels as sorted pairs) and time."""
        base = f"http://{self.address}"
        # What was written a moment ago cannot be found before it is flushed.
        httpx.get(f"{base}/internal/force_flush", trust_env=False, timeout=60).raise_for_status()
        answer = httpx.get(
            f"{base}/api/v1/export",
            params={"match[]": '{__name__=~"media_.*"}'},
            trust_env=False,
            timeout=60,
        )
        found: dict[Any, Any] = {}
        for line in answer.text.splitlines():
            series = json.loads(line)
            key = tuple(sorted(series["metric"].items()))
            for at, value in zip(series["timestamps"], series["values"], strict=True):
                assert at % 1000 == 0
                assert (key, at // 1000) not in found, "a sample is there twice"
                found[key, at // 1000] = value
        return found


def query_range(address: str, expression: str, start: int, end: int, step: int) -> dict[Any, float]:
    """A range query's values, by (name and labels as sorted pairs) and time."""
    answer = httpx.get(
        f"http://{address}/api/v1/query_range",
        params={"query": expression, "start": start, "end": end, "step": step},
        trust_env=False,
        timeout=60,
    ).json()
    assert answer["status"] == "success", answer
    return {
        (tuple(sorted(series["metric"].items())), int(at)): float(value)
        for series in answer["data"]["result"]
        for at, value in series["values"]
    }
