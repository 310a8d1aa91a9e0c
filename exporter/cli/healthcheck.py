"""Asks a running exporter whether it is healthy, for images that hold no shell and no curl.

A container runs it every few seconds. So it asks over a socket: `http.client` and `ssl` alone would
take as long to import as all the rest takes.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import SplitResult, urlsplit

TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER = 200
_LONGEST_READ = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


def command(chosen: SimpleNamespace) -> int:
    """`healthcheck`: ServeError if what listens on the first address is not healthy."""
    tls = False
    if chosen.web_config_file:
        from exporter.web.toolkit import load  # not light, and rarely needed

        tls = load(Path(chosen.web_config_file)).tls is not None
    problem = check(health_url(chosen.web_listen_address[0], tls=tls))
    if problem is not None:
        from exporter.model.errors import ServeError  # only to say what is wrong

        raise ServeError(problem)
    return 0


def health_url(listen_address: str, *, tls: bool = False) -> str:
    """Where the exporter that listens on `listen_address` answers on this machine."""
    host, _, port = listen_address.rpartition(":")
    # To listen on every address is to listen on the loopback, too.
    if host in ("", "0.0.0.0"):  # noqa: S104 -- compared, not bound
        host = "127.0.0.1"
    elif host == "[::]":
        host = "[::1]"
    return f"{'https' if tls else 'http'}://{host}:{port}/-/healthy"


def check(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str | None:
    """None if `url` answers 200 in time, else what is wrong in one line.

    No proxy of the environment is asked: those are for vendors, not for this machine.
    """
    try:
        answer = _get(urlsplit(url), time.monotonic() + timeout_seconds)
    except TimeoutError:
        return f"{url} does not answer within {timeout_seconds:g} s"
    except (OSError, ValueError) as error:
        return f"{url} cannot be reached: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line = _STATUS_LINE.match(head)
    if status_line is None:
        return f"{url} does not answer in HTTP"
    status = int(status_line[1])
    if status == 200:
        return None
    said = body[:_LONGEST_ANSWER].decode("utf-8", "replace")
    return f"{url} answers {status}: {' '.join(said.split())}".rstrip(": ")


def _get(url: SplitResult, deadline: float) -> bytes:
    """The whole answer, as far as it is of interest.

    TimeoutError at `deadline`, a moment of the monotonic clock, however slowly bytes come.
    OSError without a connection, ValueError for what is no URL of a web server.
    """
    if url.scheme not in ("http", "https") or url.hostname is None:
        raise ValueError("this is no URL of a web server")
    asked = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n"
    address = (url.hostname, url.port or (443 if url.scheme == "https" else 80))
    answer = b""
    with (
        socket.create_connection(address, _left(deadline)) as plain,
        _secured(plain) if url.scheme == "https" else plain as connection,
    ):
        connection.sendall(asked.encode("ascii"))
        while len(answer) < _LONGEST_READ:
            connection.settimeout(_left(deadline))
            piece = connection.recv(_LONGEST_READ)
            if not piece:
                break
            answer += piece
    return answer


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _secured(connection: socket.socket) -> socket.socket:
    """TLS over `connection`. The certificate is not verified.

    It is rarely one for the loopback, and nothing secret is sent.
    """
    import ssl  # takes longer than all else here

    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    return insecure.wrap_socket(connection)
