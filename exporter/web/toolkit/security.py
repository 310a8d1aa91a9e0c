"""The web configuration in use: read at the start, and again whenever its files change."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from exporter.credentials import file_version
from exporter.model.errors import ConfigError
from exporter.web.toolkit import config_file, tls
from exporter.web.toolkit.guard import Application, Guarded
from exporter.web.toolkit.logins import Logins
from exporter.web.toolkit.settings import WebConfig

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""Least time between two checks whether files have changed."""


class WebSecurity:
    """The web configuration with what it needs at run time. Use `open`, and `close` in the end.

    Requests and handshakes use the newest configuration: at most once a second the files are
    checked for changes, and read again if there are any. If they then have faults, these are
    logged and the configuration in use stays. TLS can be turned on or off only by a restart, as
    the sockets are either encrypted or not.
    """

    def __init__(
        self, outcome: config_file.Outcome, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if outcome.config is None:
            raise ConfigError(outcome.faults)
        self._config = outcome.config
        self._versions = outcome.versions
        self._clock = clock
        self._checked_at = clock()
        self._logins = Logins()
        self.ssl_context: ssl.SSLContext | None = None
        """For the server to keep: each of its handshakes uses the newest configuration."""
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
        """The application with authentication, rate limit and headers in front of it."""
        return Guarded(app, self, logins=self._logins, clock=self._clock)

    def current(self) -> WebConfig:
        """The newest configuration that had no faults."""
        now = self._clock()
        if now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            if any(file_version(path) != seen for path, seen in self._versions.items()):
                self.refresh()
        return self._config

    def refresh(self) -> str | None:
        """Read the files again, changed or not; None, or why the configuration in use stays.

        Logs a line either way.
        """
        outcome = config_file.read(self._config.path)
        # Also after faults: they are logged once, and the next change of the files is noticed.
        self._versions = outcome.versions
        problem = _problem(self._config, outcome)
        if problem is not None:
            log.warning("web configuration not changed, the one before stays in use: %s", problem)
        elif outcome.config is not None:
            self._config = outcome.config
            log.info("web configuration read anew from %s", self._config.path)
        return problem

    def close(self) -> None:
        """Stop the threads."""
        self._logins.close()

    def _newest_tls(self) -> ssl.SSLContext:
        context = self.current().tls
        if context is None:  # `_problem` refuses such a configuration
            raise RuntimeError("a handshake without a TLS configuration")
        return context


def _problem(before: WebConfig, outcome: config_file.Outcome) -> str | None:
    if outcome.config is None:
        return "; ".join(outcome.faults)
    if outcome.empty and before.users:
        # More likely a file that is just being written than an intended change.
        return f"{before.path}: empty; {{}} would let everybody in"
    if (outcome.config.tls is None) != (before.tls is None):
        change = "off" if outcome.config.tls is None else "on"
        return f"{before.path}: tls_server_config: turning TLS {change} takes a restart"
    return None
