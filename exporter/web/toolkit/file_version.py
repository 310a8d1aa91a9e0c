"""Whether a file has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int] | None


def version(path: Path) -> Version:
    """Changes whenever the file is written or replaced; None while it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
