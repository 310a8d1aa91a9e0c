"""Checks passwords against bcrypt hashes, in threads, in a time that does not reveal user names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import bcrypt

from exporter.credentials import Secret

MAX_PASSWORD_BYTES = 72
"""Bytes. bcrypt ignores all further ones, so longer passwords are refused."""
THREADS = 2
MAX_WAITING = 64
"""Checks that run or wait for a thread; with more, clients would time out before their turn."""
MAX_WAITING_OF_A_CLIENT = 8
"""Of these, checks for one client's address: who guesses passwords leaves room for others."""
MAX_CACHED = 256
NICENESS = 10
"""Checks get the processor after scrapes and polls."""

UNUSED_HASH = "abcdefghijklmnopqrstuu" + 31 * "."
"""Salt and digest of a hash to which no password is known."""


class TooManyLoginsError(Exception):
    """Too many checks of passwords are waiting already."""


class Logins:
    """Caches successful logins, as digests with a random key that only this process has.

    Failed ones are not cached: each takes the full time of bcrypt, which makes guessing slow.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._successful: OrderedDict[bytes, None] = OrderedDict()
        self._pool = ThreadPoolExecutor(
            THREADS, thread_name_prefix="login", initializer=_yield_to_others
        )
        self._waiting: Counter[str] = Counter()

    def is_cached(self, users: Mapping[bytes, Secret], name: bytes, password: bytes) -> bool:
        """Whether this is the user's password, as was found before; False if that is not known."""
        known = users.get(name)
        if known is None:
            return False
        digest = self._digest(name, password, known.reveal().encode())
        if digest not in self._successful:
            return False
        self._successful.move_to_end(digest)
        return True

    async def accept(
        self, users: Mapping[bytes, Secret], name: bytes, password: bytes, *, client: str
    ) -> bool:
        """Whether this is the user's password; `client` is the address that it came from.

        Raises TooManyLoginsError.
        """
        if self.is_cached(users, name, password):
            return True
        if self._waiting.total() >= MAX_WAITING or self._waiting[client] >= MAX_WAITING_OF_A_CLIENT:
            raise TooManyLoginsError
        known = users.get(name)
        hashed = (known.reveal() if known is not None else unknown_hash(users)).encode()
        self._waiting[client] += 1
        try:
            loop = asyncio.get_running_loop()
            is_match = await loop.run_in_executor(self._pool, matches, password, hashed)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        accepted = is_match and known is not None
        if accepted:
            self._successful[self._digest(name, password, hashed)] = None
            if len(self._successful) > MAX_CACHED:
                self._successful.popitem(last=False)
        return accepted

    def close(self) -> None:
        """Cancel the checks that wait; running ones end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            digest.update(b"%d:" % len(part) + part)
        return digest.digest()


def _yield_to_others() -> None:
    """Lower this thread's priority. On Linux, each thread has one of its own."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def unknown_hash(users: Mapping[bytes, Secret]) -> str:
    """A hash to check for unknown users, with the highest cost of all users' hashes.

    Without it, a fast refusal would reveal that the user does not exist.
    """
    cost = max((one.reveal().split("$")[2] for one in users.values()), default="10")
    return f"$2b${cost}${UNUSED_HASH}"


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether the password has that hash; False, after the same time, for one that is too long."""
    try:
        same = bcrypt.checkpw(password[:MAX_PASSWORD_BYTES], hashed)
    except ValueError:
        return False
    return same and len(password) <= MAX_PASSWORD_BYTES


def credentials(header: bytes | None) -> tuple[bytes, bytes] | None:
    """Name and password from an Authorization header; None if it is not a Basic one."""
    scheme, _, encoded = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None
