"""The web configuration in use: read at the start, and again whenever its files change."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from exporter.model.errors import ConfigError
from exporter.web.toolkit import config_file, tls
from exporter.web.toolkit.file_version import version
from exporter.web.toolkit.guard import Application, Guarded
from exporter.web.toolkit.logins import Logins
from exporter.web.toolkit.settings import WebConfig

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Least time between two looks at the files."""


class WebSecurity:
    """What the rest of the program needs to know of it. Use `open`, and `close` in the end.

    Requests and handshakes ask for the newest configuration, which costs a look at the files once
    a second at most, and a reading when one of them has changed. A reading with faults changes
    nothing but the log. Whether there is TLS at all is settled at the start: the sockets are
    either encrypted or not.
    """

    def __init__(
        self, outcome: config_file.Outcome, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if outcome.config is None:
            raise ConfigError(outcome.faults)
        self._config = outcome.config
        self._versions = outcome.versions
        self._clock = clock
        self._looked = clock()
        self._logins = Logins()
        self.ssl_context: ssl.SSLContext | None = None
        """For the server, which may keep it: every handshake in it uses the newest context."""
        if outcome.config.tls is not None:
            self.ssl_context = tls.live(self._newest_tls)
        for warning in outcome.config.warnings:
            log.warning("%s", warning)

    @classmethod
    def open(cls, path: Path) -> WebSecurity:
        """Read the file; ConfigError with every fault in it."""
        return cls(config_file.read(path))

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.ssl_context is None else "https"

    def wrap(self, app: Application) -> Guarded:
        """The application behind passwords, limits and headers."""
        return Guarded(app, self, logins=self._logins, clock=self._clock)

    def current(self) -> WebConfig:
        """The newest configuration without faults."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if any(version(path) != seen for path, seen in self._versions.items()):
                self.refresh()
        return self._config

    def refresh(self) -> str | None:
        """Read the files anew, changed or not; None, or why the configuration before stays.

        Logs a line either way.
        """
        outcome = config_file.read(self._config.path)
        # Remembered in failing, too: the same fault is told once, and its mending noticed.
        self._versions = outcome.versions
        problem = _problem(self._config, outcome)
        if problem is not None:
            log.warning("web configuration not changed, the one before stays in use: %s", problem)
        elif outcome.config is not None:
            self._config = outcome.config
            log.info("web configuration read anew from %s", self._config.path)
        return problem

    def close(self) -> None:
        """Let go of the threads."""
        self._logins.close()

    def _newest_tls(self) -> ssl.SSLContext:
        context = self.current().tls
        if context is None:  # `_problem` lets no such configuration in
            raise RuntimeError("a handshake without a TLS configuration")
        return context


def _problem(before: WebConfig, outcome: config_file.Outcome) -> str | None:
    if outcome.config is None:
        return "; ".join(outcome.faults)
    if outcome.empty and before.users:
        # More likely in the middle of being written than meant.
        return f"{before.path}: empty; {{}} would let everybody in"
    if (outcome.config.tls is None) != (before.tls is None):
        change = "off" if outcome.config.tls is None else "on"
        return f"{before.path}: tls_server_config: turning TLS {change} takes a restart"
    return None
