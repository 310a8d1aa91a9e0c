"""The fast path behind a web configuration: for scrapes whose password was checked before."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from exporter.credentials import Secret
from exporter.web.app import Server
from exporter.web.fast_path import FastPath, Headers
from exporter.web.toolkit import Guarded
from exporter.web.toolkit.guard import authorization


@dataclass(frozen=True, slots=True)
class _Key:
    page: object
    authorization: Secret | None


class GuardedResponses:
    """The server's ready responses, for requests that `guarded` admits at once.

    What else there is to decide (a first login, a wrong password, no token left) is left to ASGI.
    """

    def __init__(self, server: Server, guarded: Guarded) -> None:
        self._server = server
        self._guarded = guarded

    def representation(self, headers: Headers) -> object | None:
        """A key for what a request with these headers asks for, and as whom."""
        page = self._server.representation(headers)
        header = authorization(headers)
        return _Key(page, None if header is None else Secret(header.decode("latin-1")))

    def ready_response(self, key: object) -> bytes | None:
        """The whole response; None if ASGI has to answer this time."""
        if not isinstance(key, _Key):
            return None
        config = self._guarded.current()
        response = self._server.ready_response(key.page, config.headers)
        header = None if key.authorization is None else key.authorization.reveal().encode("latin-1")
        # Last, as it takes a token.
        if response is None or not self._guarded.admits_at_once(config, header):
            return None
        return response


def guarded_fast_path(server: Server, guarded: Guarded, path: str) -> FastPath:
    """The fast path to `server`'s page at `path`. Requests are kept as digests only."""
    secret = os.urandom(32)

    def digest(request: bytes) -> bytes:
        return hashlib.blake2b(request, key=secret).digest()

    return FastPath(GuardedResponses(server, guarded), path, remembered_as=digest)
