"""uvicorn, configured for scrapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from exporter.web.app import Server
from exporter.web.fast_path import FastPath, factory
from exporter.web.guarded_scrapes import guarded_fast_path
from exporter.web.toolkit import Guarded, WebSecurity

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
    application: Server | Guarded
    if web.security is None:
        application, fast_path = server, FastPath(server, web.telemetry_path)
    else:
        application = guarded = web.security.wrap(server)
        fast_path = guarded_fast_path(server, guarded, web.telemetry_path)
    config = uvicorn.Config(
        application,
        http=factory(fast_path),  # type: ignore[arg-type]
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
