"""Asks a running exporter whether it is healthy, for images that hold no shell and no curl."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

from exporter.model.errors import ServeError

TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER = 200


def command(chosen: SimpleNamespace) -> int:
    """`healthcheck`: ServeError if what listens on the first address is not healthy."""
    tls = False
    if chosen.web_config_file:
        from exporter.web.toolkit import load  # not light, and rarely needed

        tls = load(Path(chosen.web_config_file)).tls is not None
    problem = check(health_url(chosen.web_listen_address[0], tls=tls))
    if problem is not None:
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
    """None if `url` answers 200, else what is wrong in one line.

    The certificate is not verified: it is rarely one for the loopback, and nothing secret is sent.
    """
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        # A proxy from the environment is for vendors, not for this machine.
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=insecure),
    )
    try:
        with opener.open(url, timeout=timeout_seconds) as answer:
            status: int = answer.status
            return None if status == 200 else f"{url} answers {status}"
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_LONGEST_ANSWER).decode("utf-8", "replace")
        return f"{url} answers {error.code}: {' '.join(said.split())}".rstrip(": ")
    except TimeoutError:
        return f"{url} does not answer within {timeout_seconds:g} s"
    except urllib.error.URLError as error:
        return f"{url} cannot be reached: {error.reason}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{url} cannot be asked: {error}"
