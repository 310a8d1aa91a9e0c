"""What all attacks share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def leftovers() -> Iterator[None]:
    """What a test leaves unclosed is found out with this test, not in the middle of another one."""
    yield
    gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first: at the end, one process would run them and others none."""
    items.sort(key=lambda item: item.path.name != "test_month.py")
