"""What a service manager is told: systemd's notification protocol, over its datagram socket.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

SENDING_SECONDS = 1.0
"""How long a manager that does not read may hold us up."""


class Supervisor:
    """Speaks to whoever listens at `NOTIFY_SOCKET`; to nobody, where that is not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

    def ready(self, status: str = "") -> None:
        """Started, or reloaded."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """The configuration is read anew; `ready` has to follow, whatever comes of it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """On the way out."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Due once in every `watchdog_interval`; the manager restarts what falls silent."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def _send(self, *lines: str) -> None:
        if not lines or not self._address.startswith(("/", "@")):
            return
        # An address that begins with @ is in the abstract namespace: a NUL stands for the @.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SENDING_SECONDS)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            # A manager that does not hear us restarts us; that is no reason to stop by ourselves.
            log.warning("the service manager does not hear %s: %s", lines[0], error.strerror)


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text else []


def watchdog_interval(environment: Mapping[str, str], process: int) -> float | None:
    """Seconds between two `alive`: half of what the manager allows `process`; None if it does not watch."""
    allowed = environment.get("WATCHDOG_USEC", "")
    watched = environment.get("WATCHDOG_PID", "")
    if not allowed.isascii() or not allowed.isdigit() or watched not in ("", str(process)):
        return None
    return int(allowed) / 2_000_000 or None
