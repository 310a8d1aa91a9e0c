"""One thread for work that takes much processor or disk time, done in the order it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Worker:
    """Runs functions on one thread, one after the other, so that the event loop stays free.

    The ledger has one writer, and blocks are rendered by the thread that changed the totals, so
    neither needs a lock.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `work`; once begun, it is not interrupted by cancelling the caller."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Let the work that was handed over finish, and end the thread."""
        self._executor.shutdown(wait=True)
