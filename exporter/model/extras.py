"""Libraries that only some configurations need, and how to install them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "parquet": ("pyarrow>=17",),
    "postgres": ("psycopg[binary]>=3.2",),
    "remote-write": ("cramjam>=2.9", "protobuf>=5.29"),
    "socks": ("socksio>=1.0",),
}
"""What each extra of this distribution installs, as pyproject.toml has it."""


def install(extra: str) -> str:
    """The command that installs an extra's libraries where this program looks for them.

    It names the libraries themselves: the distribution may have come from a file.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *EXTRAS[extra]])
