"""What `--version` says, in the form of Prometheus' own programs."""

from __future__ import annotations

import platform
from pathlib import Path

from exporter import __version__

REVISION = Path(__file__).parent.parent / "REVISION"
"""Holds the commit that an image was built from; it is written by the build."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def version(program: str) -> str:
    """Version, revision (`unknown` where the build did not say), Python and platform, in lines."""
    machine = platform.machine()
    return (
        f"{program}, version {__version__} (revision: {revision()})\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {platform.system().lower()}/{_MACHINES.get(machine, machine)}"
    )


def revision() -> str:
    """The commit that this was built from, or `unknown`."""
    try:
        return REVISION.read_text("utf-8").strip() or "unknown"
    except OSError:
        return "unknown"
