"""What all attacks share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Connections that an emulated vendor cut off are left to its side's garbage collection."""
    for item in items:
        if HERE in item.path.parents:
            ignore = "ignore::pytest.PytestUnraisableExceptionWarning"
            item.add_marker(pytest.mark.filterwarnings(ignore))


@pytest.fixture(autouse=True)
def leftovers() -> Iterator[None]:
    """They are collected with the test that left them, not in the middle of another one."""
    yield
    gc.collect()
