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
