"""Addresses to listen on: `:10032`, `127.0.0.1:10032`, `[::1]:10032`."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from exporter.model.errors import ServeError

BACKLOG = 2048


def listen(address: str) -> socket.socket:
    """A socket that listens on `address`; `:PORT` means every interface, IPv4 and IPv6.

    Raises ServeError, saying which address and why.
    """
    host, port = _split(address)
    try:
        if not host:
            return _listen_on_all(port)
        family, _, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _bound(family, where)
    except UnicodeError as error:  # a host that cannot be written as a name
        raise ServeError(f"cannot listen on {address}: no such address") from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ServeError(
            f"cannot listen on {address}: {(why or 'no such address').lower()}"
        ) from error


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not digits or int(port) > 65535:
        raise ServeError(f"cannot listen on {address!r}: expected HOST:PORT or :PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ServeError(f"cannot listen on {address!r}: an IPv6 address has to be in brackets")
    return host, int(port)


def _listen_on_all(port: int) -> socket.socket:
    with suppress(OSError):
        if socket.has_dualstack_ipv6():
            return _bound(socket.AF_INET6, ("::", port), dualstack=True)
    return _bound(socket.AF_INET, ("", port))


def _bound(family: int, where: tuple[object, ...], *, dualstack: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dualstack))
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def bound_address(listener: socket.socket) -> str:
    """`HOST:PORT` as it was bound; `:PORT` for every interface."""
    host, port = listener.getsockname()[:2]
    if host in ("::", "0.0.0.0"):  # noqa: S104 -- compared, not bound
        return f":{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown_address(listener: socket.socket) -> str:
    """`HOST:PORT` of a listening socket, as it goes into a URL on this machine."""
    address = bound_address(listener)
    return f"localhost{address}" if address.startswith(":") else address
