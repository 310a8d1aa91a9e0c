"""What passes between the process and systemd: its state, and sockets that systemd listens on.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

from exporter.model.errors import ServeError

log = logging.getLogger(__name__)

FIRST_SOCKET = 3
"""The descriptor of the first socket that is handed down; the others follow it."""

SEND_TIMEOUT_SECONDS = 1.0
"""How long one notification may block when the service manager does not read."""


class ServiceManager:
    """Sends notifications to the socket `NOTIFY_SOCKET`; does nothing where that is not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

    def ready(self, status: str = "") -> None:
        """The start or a reload is complete; `status` is shown by `systemctl status`."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload begins; `ready` has to follow, also where the reload fails."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """The shutdown has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's keep-alive, due every `watchdog_interval` seconds.

        The service manager restarts a process that does not send it in time.
        """
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # An address that begins with @ is in the abstract namespace: a NUL stands for the @.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_TIMEOUT_SECONDS)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            # At worst the service manager restarts the process; that is no reason to stop here.
            log.warning("the service manager does not hear %s: %s", lines[0], error.strerror)


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text else []


def watchdog_interval(environment: Mapping[str, str], process: int) -> float | None:
    """Seconds between two calls of `alive`: half of the watchdog's timeout for the pid `process`.

    None if the service manager has no watchdog for it.
    """
    allowed = environment.get("WATCHDOG_USEC", "")
    watched = environment.get("WATCHDOG_PID", "")
    if not allowed.isascii() or not allowed.isdigit() or watched not in ("", str(process)):
        return None
    return int(allowed) / 2_000_000 or None


def activated_sockets(environment: Mapping[str, str], process: int) -> list[socket.socket]:
    """The listening TCP sockets that a `.socket` unit hands to the pid `process`, at least one.

    ServeError if there is none, or if something else was handed over.
    """
    handed = environment.get("LISTEN_FDS", "")
    number = int(handed) if handed.isascii() and handed.isdigit() and len(handed) < 5 else 0
    if not number or environment.get("LISTEN_PID") != str(process):
        raise ServeError(
            "--web.systemd-socket: systemd handed over no socket (LISTEN_FDS, LISTEN_PID);"
            " expected to be started by a .socket unit"
        )
    return [_listening(descriptor) for descriptor in range(FIRST_SOCKET, FIRST_SOCKET + number)]


def _listening(descriptor: int) -> socket.socket:
    """The socket behind `descriptor`, which nothing that is started from here inherits."""
    try:
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ServeError(
            f"--web.systemd-socket: descriptor {descriptor}: {error.strerror};"
            " expected a listening socket"
        ) from error
    tcp = listener.family in (socket.AF_INET, socket.AF_INET6)
    if not tcp or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ServeError(
            f"--web.systemd-socket: descriptor {descriptor} does not listen on a TCP port;"
            " expected ListenStream= with a port in the .socket unit"
        )
    listener.setblocking(False)
    return listener
