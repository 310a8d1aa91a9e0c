"""Processes pinned to a processor, their costs, and Debian programs to compare with."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SERVER_CPU = "0"
LOAD_CPU = "1"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def pinned(cpu: str, command: Sequence[str]) -> list[str]:
    """`command` on one processor, where there are two and taskset."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "--cpu-list", cpu, *command]
    return list(command)


def program(package: str, name: str) -> str | None:
    """The path of a Debian program, installed by root when missing; None if it is not to be had."""
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(
                ["apt-get", "-qq", *arguments], env=environment, check=False, capture_output=True
            )
        found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], *, cpu: str, log: Path, port: int) -> Iterator[int]:
    """The pid of `command` while it listens on `port`."""
    with log.open("ab") as output:
        process = subprocess.Popen(pinned(cpu, command), stdout=output, stderr=output)
    try:
        wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} does not listen")


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
