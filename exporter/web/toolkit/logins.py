"""Passwords against bcrypt hashes, without holding the event loop up and without telling names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from exporter.credentials import Secret

LONGEST_PASSWORD = 72
"""Bytes. bcrypt sees no more than these: longer passwords would be equal to their beginnings."""
THREADS = 2
MOST_WAITING = 64
"""Logins being computed or waiting for it; more would only wait longer than clients do."""
MOST_REMEMBERED = 256

UNKNOWN = "abcdefghijklmnopqrstuu" + 31 * "."
"""Salt and digest of nobody; no known password fits."""


class TooManyLoginsError(Exception):
    """More logins wait to be computed than can be soon."""


class Logins:
    """Who has logged in successfully is remembered, by a digest that is worthless elsewhere.

    Failures are not: each costs its full price, which is what makes guessing slow.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="login")
        self._waiting = 0

    async def accept(self, users: Mapping[bytes, Secret], name: bytes, password: bytes) -> bool:
        """Whether the password is that user's. Raises TooManyLoginsError."""
        known = users.get(name)
        hashed = (known.reveal() if known is not None else unknown_hash(users)).encode()
        digest = self._digest(name, password, hashed)
        if digest in self._good:
            self._good.move_to_end(digest)
            return True
        if self._waiting >= MOST_WAITING:
            raise TooManyLoginsError
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            fits = await loop.run_in_executor(self._pool, matches, password, hashed)
        finally:
            self._waiting -= 1
        accepted = fits and known is not None
        if accepted:
            self._good[digest] = None
            if len(self._good) > MOST_REMEMBERED:
                self._good.popitem(last=False)
        return accepted

    def close(self) -> None:
        """Forget those that wait; one that is being computed ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            digest.update(b"%d:" % len(part) + part)
        return digest.digest()


def unknown_hash(users: Mapping[bytes, Secret]) -> str:
    """What an unknown user's password is held against: it takes as long as the dearest hash."""
    cost = max((one.reveal().split("$")[2] for one in users.values()), default="10")
    return f"$2b${cost}${UNKNOWN}"


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether the password has that hash. One that is too long takes as long, and never does."""
    try:
        same = bcrypt.checkpw(password[:LONGEST_PASSWORD], hashed)
    except ValueError:
        return False
    return same and len(password) <= LONGEST_PASSWORD


def credentials(header: bytes | None) -> tuple[bytes, bytes] | None:
    """Name and password out of an Authorization header; None if it is not a Basic one."""
    scheme, _, encoded = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None
