"""What a web configuration says."""

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
    """One reading of the file, with everything that it refers to loaded.

    `tls` is None where plain HTTP is served. `users` maps names to bcrypt hashes; without any,
    everybody is let in. `headers` are added to every answer. `warnings` are lines for people.
    """

    path: Path
    tls: ssl.SSLContext | None = None
    users: Mapping[bytes, Secret] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()
