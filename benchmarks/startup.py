"""How long the command line takes: what is typed, what a container runs often, and the start."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fixtures import configuration, serve
from benchmarks.installation import installed, interpreter
from benchmarks.machine import LOAD_CPU, SERVER_CPU, free_port, pinned, running
from benchmarks.results import Result, median

ROUNDS = 15
STREAMS = 10


def milliseconds(command: Sequence[str]) -> float:
    """From the start of `command` to its end, on one processor."""
    began = time.perf_counter()
    subprocess.run(pinned(SERVER_CPU, command), check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def milliseconds_to_ready(folder: Path, vendor: str) -> float:
    """From the start of `serve` with an empty ledger until its account was polled."""
    for old in folder.glob("usage.db*"):
        old.unlink()
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        pinned(SERVER_CPU, serve(configuration(folder, vendor), port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not ready(port):
            time.sleep(0.002)
        return (time.perf_counter() - began) * 1000
    finally:
        process.terminate()
        process.wait()


def ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measure() -> list[Result]:
    """Side by side with an interpreter that does nothing."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        vendor_port, port = free_port(), free_port()
        log = folder / "log"
        vendor = [sys.executable, "-m", "benchmarks.vendor", str(vendor_port), str(STREAMS)]
        asked = ["healthcheck", "--web.listen-address", f"127.0.0.1:{port}"]
        commands = {
            "bare": [str(interpreter()), "-c", "pass"],
            "--help": [*installed(), "--help"],
            "--version": [*installed(), "--version"],
            "healthcheck": [*installed(), *asked],
        }
        took: dict[str, list[float]] = {name: [] for name in (*commands, "serve")}
        (folder / "served").mkdir()
        with (
            running(vendor, cpu=LOAD_CPU, log=log, port=vendor_port),
            running(
                serve(configuration(folder / "served"), port), cpu=LOAD_CPU, log=log, port=port
            ),
        ):
            for _ in range(ROUNDS):
                for what, command in commands.items():
                    took[what].append(milliseconds(command))
                took["serve"].append(
                    milliseconds_to_ready(folder, f"http://127.0.0.1:{vendor_port}")
                )
    bare = median(took["bare"])

    def row(what: str, at: str, target: float, *, beyond: float = 0.0) -> Result:
        whole = median(took[what])
        note = f"{whole:.0f} ms with its {beyond:.0f} ms" if beyond else ""
        return Result(
            f"`{what}`" + (" beyond the interpreter's start" if beyond else ""),
            at,
            whole - beyond,
            "ms",
            target=target,
            at_least=False,
            note=note,
        )

    return [
        row("--help", "whole process", 100),
        row("--version", "whole process", 100),
        row("healthcheck", "a healthy exporter", 60, beyond=bare),
        row("serve", f"empty ledger, {STREAMS} streams, until ready", 400, beyond=bare),
    ]
