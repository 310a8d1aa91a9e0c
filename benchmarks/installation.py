"""The program as its users have it: a wheel, compiled, with what it needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PLACE = _ROOT / "build" / "installed"
_REQUIREMENTS = _ROOT / "requirements" / "runtime.txt"

DEVELOPED = (sys.executable, "-m", "exporter")
"""The program as it is developed; it has all extras."""


@cache
def interpreter() -> Path:
    """Python of the installation, which is made from the sources as they are now."""
    python = _PLACE / "bin" / "python"
    done = _PLACE / "requirements.txt"
    if not done.exists() or done.read_bytes() != _REQUIREMENTS.read_bytes():
        _run([sys.executable, "-m", "venv", "--clear", str(_PLACE)])
        _pip(python, "install", "--require-hashes", "--requirement", str(_REQUIREMENTS))
        done.write_bytes(_REQUIREMENTS.read_bytes())
    wheels = _PLACE / "wheel"
    for old in wheels.glob("*.whl"):
        old.unlink()
    _pip(
        Path(sys.executable),
        *("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(_ROOT)),
    )
    (wheel,) = wheels.glob("*.whl")
    _pip(python, "install", "--no-deps", "--force-reinstall", str(wheel))
    return python


def installed() -> tuple[str, ...]:
    """The command that runs the program."""
    return (str(interpreter().with_name("media-usage-exporter")),)


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, cwd=_ROOT)
