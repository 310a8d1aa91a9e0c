"""The program that renders charts, built from its source: Debian has no package of it.

`python -m tests.support.helm` builds it where Go is, once for a user, which takes minutes;
`make test` begins with that.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "v3.22.0"
OLDEST_MINOR = 18
"""Helm 3.18 brought the judge of values that is asked here for its messages."""


def find() -> Path | None:
    """The program that was built, or another one on the PATH that does."""
    built = _built()
    if built.exists():
        return built
    other = shutil.which("helm")
    return Path(other) if other and _fits(other) else None


def build() -> str | None:
    """Build the program unless one is there; returns in one line why it cannot be built."""
    built = _built()
    built.parent.mkdir(parents=True, exist_ok=True)
    with (built.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find():
            return None
        if not shutil.which("go"):
            return "there is no Go"
        print(f"helm {VERSION}: built from source, once; this takes minutes", flush=True)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            done = subprocess.run(
                ["go", "install", f"helm.sh/helm/v3/cmd/helm@{VERSION}"],
                env={**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return (done.stderr.strip().splitlines() or ["go install says nothing"])[-1]
            # Seen by others when it is whole.
            (Path(folder) / "helm").replace(built)
    return None


def main() -> None:
    """Never fails: whether a missing program matters is for the tests to say."""
    if why := build():
        print(f"helm is not built: {why}", flush=True)


def _built() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "media-usage-exporter" / f"helm-{VERSION}" / "helm"


def _fits(program: str) -> bool:
    said = subprocess.run(
        [program, "version", "--template={{.Version}}"], capture_output=True, text=True, check=False
    )
    version = re.match(r"v3\.(\d+)", said.stdout)
    return version is not None and int(version[1]) >= OLDEST_MINOR


if __name__ == "__main__":
    main()
