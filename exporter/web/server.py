"""uvicorn, configured for scrapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from exporter.web.app import Server
from exporter.web.connections import Connection
from exporter.web.fast_path import FastPath, factory
from exporter.web.toolkit import WebSecurity

STOPPING_SECONDS = 3
"""How long scrapes that have begun may take after the signal to stop."""

IDLE_SECONDS = 75
"""How long a connection may wait for its next request: longer than most scrape intervals."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the command line sets for HTTP."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    lifecycle: bool = False
    created_timestamps: bool = False
    process_metrics: bool = True
    security: WebSecurity | None = None


def http_server(server: Server, web: WebOptions) -> WebServer:
    """A uvicorn server for the application `server`; its `serve` takes the sockets."""
    config = uvicorn.Config(
        server if web.security is None else web.security.wrap(server),
        # The fast path knows nothing of passwords, rate limits and headers of a web configuration.
        http=Connection  # type: ignore[arg-type]
        if web.security is not None
        else factory(FastPath(server, web.telemetry_path)),
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOPPING_SECONDS,
    )
    config.load()
    if web.security is not None:
        config.ssl = web.security.ssl_context
    return WebServer(config)


class WebServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
