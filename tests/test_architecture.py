"""What docs/architecture.md says of the rooms and of a byte count's way is so."""

from __future__ import annotations

import re
import sys
import threading
import tomllib
from pathlib import Path
from types import FrameType
from typing import Any

import exporter
from tests.support.simulation import Simulation

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGE = Path(exporter.__file__).parent
ROOMS = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
STEPS = re.findall(r"^\d+\. `(exporter/[\w/]+\.py)` `([\w.]+)`", TEXT, re.MULTILINE)


def test_the_rooms_are_those_of_the_tree() -> None:
    """Every package and module of the first level, but for the two that only start the program."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(ROOMS) == modules | packages
    assert len(ROOMS) == len(set(ROOMS))


def test_the_rooms_stand_in_the_order_of_the_layers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    floor = {
        room: number
        for number, layer in enumerate(layers)
        for room in re.findall(r"\w+", layer)
        if room != "__main__"
    }
    assert floor.keys() == set(ROOMS)
    assert [floor[room] for room in ROOMS] == sorted(floor.values())
    assert len(layers) <= 10


class Trace:
    """The functions of the package that are called, each as (file, name), in their order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(str(PACKAGE)):
            name = frame.f_code.co_qualname
            self.calls.append((str(Path(file).relative_to(PACKAGE.parent)), name))


async def test_one_poll_goes_the_way_that_is_described(tmp_path: Path) -> None:
    """Step by step: each function that is named is first called after the one before it."""
    assert len(STEPS) == len(re.findall(r"^\d+\. ", TEXT, re.MULTILINE))
    trace = Trace()
    threading.setprofile(trace)  # for the ledger's thread, which begins with the exporter
    try:
        simulation = Simulation(
            tmp_path, providers=["wowza"], accounts={"wowza": {"feeds": ["vod_streams"]}}
        )
        async with simulation.running() as exporter:
            (collector,) = exporter.collectors
            trace.calls.clear()
            sys.setprofile(trace)
            try:
                assert await collector.poll()
            finally:
                sys.setprofile(None)
    finally:
        threading.setprofile(None)
    seen = [position for file, name in STEPS if (position := first(trace, file, name)) >= 0]
    assert len(seen) == len(STEPS), [step for step in STEPS if first(trace, *step) < 0]
    assert seen == sorted(seen)


def first(trace: Trace, file: str, name: str) -> int:
    """Where in the trace the function is first called; -1 if it is not."""
    for position, (called, qualified) in enumerate(trace.calls):
        if called == file and (qualified == name or qualified.endswith(f".{name}")):
            return position
    return -1
