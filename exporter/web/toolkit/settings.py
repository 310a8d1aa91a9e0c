"""A web configuration that was read without faults."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.credentials import Secret


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bucket of `burst` tokens that gains one every `interval_seconds`; a request takes one."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The content of the file and of the files that it names.

    `tls` is None where plain HTTP is served. `users` maps names to bcrypt hashes; without any,
    no password is needed. `headers` are added to every response. `warnings` are for the log.
    """

    path: Path
    tls: ssl.SSLContext | None = None
    users: Mapping[bytes, Secret] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()
