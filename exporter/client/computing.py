"""Computations that may take long, kept from holding up the event loop, which answers scrapes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

MANY = 5_000
"""So many rows, levels or names take some milliseconds."""


async def computed(size: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `work`, computed in a thread when it is about more than MANY things.

    `work` must not change what others read. Once begun, it is not interrupted by cancelling the
    caller.
    """
    if size > MANY:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
