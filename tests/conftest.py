"""What all tests share: the table of attacks, and what `make quick` leaves out."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.attack.reporting import attack, pytest_collection_modifyitems, pytest_terminal_summary

__all__ = ["attack", "pytest_collection_modifyitems", "pytest_terminal_summary"]

OUTSIDE = frozenset({"socket.bind", "socket.connect", "subprocess.Popen", "os.posix_spawn"})
"""What Python reports when a program goes beyond its own process."""

_guarded: list[str] = []


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if _guarded and event in OUTSIDE:
        raise RuntimeError(f"{event} in a quick test: mark {_guarded[-1]} with pytest.mark.sockets")


sys.addaudithook(_refuse)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-sockets", action="store_true", help="fail a test that opens a socket or a process"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """With --no-sockets, a test stays within its process."""
    if item.config.getoption("--no-sockets"):
        _guarded.append(item.nodeid)
    try:
        return (yield)
    finally:
        _guarded.clear()
