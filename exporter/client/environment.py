"""Checks the environment's proxies and certificate authorities before httpx reads them.

httpx raises an error of a different class for each variable that it cannot use, names none of them,
and takes some values that can never work, such as a blank host.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import IPv6Address
from pathlib import Path
from urllib.request import getproxies

import httpx

from exporter.model import extras
from exporter.model.errors import ExporterError

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_PROXY = "expected the address of a proxy, such as http://proxy.example.com:3128"
_AUTHORITIES = "expected a file with certificates of authorities in PEM"


class Authorities:
    """The TLS context that all clients of the process use, made when the first one needs it.

    To read a machine's authorities takes up to a tenth of a second of processor time.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context; raises as `check` when it is to be made."""
        if self._context is None:
            check()
            self._context = httpx.create_ssl_context()
        return self._context


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise ExporterError for a variable that requests cannot be made with.

    The message is one line that names the variable and what was expected. It never has the
    variable's value where that may hold the password of a proxy.
    """
    for name, fault in (*_proxies(environment), *_authorities(environment)):
        raise ExporterError(f"environment variable {name}: {fault}")


def names_a_proxy() -> bool:
    """Whether some host may have to be asked through a proxy, by what httpx looks at."""
    proxies = getproxies()
    return any(proxies.get(scheme) for scheme in ("http", "https", "all"))


def _proxies(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variable and fault, for each that is wrong."""
    variable, hosts = _variable(environment, "no_proxy")
    entries = [entry.strip() for entry in hosts.split(",") if entry.strip()]
    if "*" in entries:
        return []  # no proxy is used at all
    faults: list[tuple[str, str]] = []
    for proxy in PROXIES:
        name, address = _variable(environment, proxy)
        fault = _proxy_fault(address) if address else None
        if fault is not None:
            faults.append((name, fault))
    for entry in entries:
        if not _names_hosts(entry):
            why = f"{entry!r} names no host; expected names and addresses parted by commas"
            faults.append((variable, f"{why}, such as localhost,.example.com,10.0.0.1,::1"))
    return faults


def _variable(environment: Mapping[str, str], lower: str) -> tuple[str, str]:
    """The name and value that are in force: as everywhere, in small letters before capitals."""
    if lower in environment:
        return lower, environment[lower]
    return lower.upper(), environment.get(lower.upper(), "")


def _proxy_fault(address: str) -> str | None:
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL:
        return f"not an address; {_PROXY}"
    if url.scheme not in ("http", "https", "socks5", "socks5h"):
        return f"no proxy is asked by {url.scheme!r}; {_PROXY}, or one of https or socks5"
    if not url.host or "%" in url.host or (url.port or 0) > 65535:
        return f"no host or port to connect to; {_PROXY}"
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        return f"a SOCKS proxy needs socksio: {extras.install('socks')}"
    return None


def _names_hosts(entry: str) -> bool:
    """Whether httpx can read it as the hosts that are asked without a proxy."""
    try:
        IPv6Address(entry.partition("/")[0])
    except ValueError:
        try:
            httpx.URL(entry if "://" in entry else f"all://*{entry}")
        except httpx.InvalidURL:
            return False
    return True


def _authorities(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variable and fault, for the one that httpx uses."""
    file, folders = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            return [("SSL_CERT_FILE", f"{file} holds no certificate; {_AUTHORITIES}")]
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or "no such file"
            return [("SSL_CERT_FILE", f"{file} cannot be read: {why}; {_AUTHORITIES}")]
    elif folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        return [("SSL_CERT_DIR", f"{folders} is no folder; expected one with certificates in PEM")]
    return []
