"""Programs that are not Python, which tests hold this one against.

What is missing is installed from Debian by root. In CI (`CI=true`) its absence is a failure,
elsewhere the test is skipped.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import helm as helm_program

_LOCK = "media-usage-exporter-apt.lock"


def promtool() -> Path:
    """Checks rules, metrics and web configurations."""
    return _program("prometheus", "promtool")


def prometheus() -> Path:
    """The server."""
    return _program("prometheus", "prometheus")


def prometheus_3() -> Path:
    """A Prometheus 3, which Debian does not have yet; see CONTRIBUTING.md."""
    named = os.environ.get("PROMETHEUS_3")
    if not named:
        pytest.skip("the variable PROMETHEUS_3 names no Prometheus 3")
    return Path(named)


def alertmanager() -> Path:
    """The server; Debian gives the program another name."""
    return _program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")


def amtool() -> Path:
    """Checks configurations and routes of the Alertmanager."""
    return _program("prometheus-alertmanager", "amtool")


def chromium() -> Path:
    """The browser, which runs without a screen, too."""
    return _program("chromium", "chromium", "chromium-browser", "google-chrome")


def faketime() -> Path:
    """The library that, loaded before a program, makes its clock another one."""
    _program("faketime", "faketime")
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def systemd_analyze() -> Path:
    """Judges units."""
    return _program("systemd", "systemd-analyze")


def buildah() -> Path:
    """Builds images without a daemon."""
    return _program("buildah", "buildah")


def debootstrap() -> Path:
    """Makes a Debian in a folder."""
    return _program("debootstrap", "debootstrap")


def rpm() -> Path:
    """Reads RPM packages."""
    return _program("rpm", "rpm")


def system_python() -> Path:
    """The distribution's Python of the running version, which the packages need."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return _program(name, f"/usr/bin/{name}")


def own_machine() -> None:
    """Whether a copy of this machine can be mounted, which forgets what is done in it."""
    if os.geteuid() != 0:
        _missing("only root can mount a copy of this machine")
    trial = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root && mount -t overlay"
    trial += " overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root"
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", trial], capture_output=True)
    if tried.returncode:
        _missing(f"no copy of this machine can be mounted: {tried.stderr.decode().strip()}")


def package_index(output: str) -> None:
    """Reads what pip wrote as it failed: is it because no index answers?"""
    if "Failed to establish a new connection" in output or "NameResolutionError" in output:
        _missing("no package index answers, from which the packages are made")


def kustomize() -> tuple[Path, str]:
    """The command that renders a folder. Debian's is too old: it knows no `components`."""
    ways = (("kustomize", "build"), ("kubectl", "kustomize"))
    commands = [(found, verb) for name, verb in ways if (found := _found((name,)))]
    if not commands:
        _missing("neither kustomize nor kubectl (1.27 or newer) is there")
    return commands[0]


def helm() -> Path:
    """Renders charts."""
    return helm_program.find() or _missing(
        "helm 3.18 or newer is missing; where Go is, `python -m tests.support.helm` builds it"
    )


def victoria_metrics() -> Path:
    """The single-node server."""
    return _program("victoria-metrics", "victoria-metrics")


def postgresql() -> Path:
    """The folder with the programs of the server, which are not on the PATH."""
    return _program("postgresql", "initdb", folders="lib/postgresql/*/bin").parent


def pgbouncer() -> Path:
    """The pooler of PostgreSQL's connections."""
    return _program("pgbouncer", "pgbouncer", folders="sbin")


@cache
def _program(package: str, *names: str, folders: str = "") -> Path:
    path = _found(names, folders)
    why = "and only root on Debian can install it"
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        why = _install(package, names, folders)
        path = _found(names, folders)
    if path is None:
        _missing(f"{names[0]} (Debian package {package}) is missing, {why}")
    return path


def _missing(text: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _found(names: tuple[str, ...], folders: str = "") -> Path | None:
    """The first of these programs on the PATH, or in the last of such folders below /usr."""
    others = sorted(map(str, Path("/usr").glob(folders)), reverse=True) if folders else []
    path = os.pathsep.join([os.environ["PATH"], *others])
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)


def _install(package: str, names: tuple[str, ...], folders: str) -> str:
    """Install the package, one test process at a time; returns why it cannot be used."""
    # RUNLEVEL=1 keeps packages from starting daemons.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with (Path(tempfile.gettempdir()) / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _found(names, folders):  # another process has installed it meanwhile
            return ""
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            try:
                done = subprocess.run(
                    ["apt-get", "-o", "DPkg::Lock::Timeout=60", *command],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=90,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"and apt-get {command[0]} took too long"
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                return f"and apt-get {command[0]} failed: {last}"
    return "and its package does not hold it"
