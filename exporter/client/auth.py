"""Signing in at a vendor: with the credential itself, or with a token fetched with it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import httpx
import msgspec

from exporter.credentials import CurrentCredential, Secret, is_header_text
from exporter.model.errors import SchemaError

Header: TypeAlias = tuple[bytes, bytes]
Post: TypeAlias = Callable[[str, tuple[Header, ...], bytes], Awaitable[bytes]]
"""Posts a form to a URL with these headers besides the usual ones; returns the answer's body."""


class Authenticator(Protocol):
    """Supplies the `Authorization` header of an account's requests."""

    async def authorization(self, post: Post) -> bytes:
        """The header's value; `post` sends a form, for a value that has to be fetched."""

    def renew(self, refused: bytes) -> bool:
        """Whether it is worth trying again after `refused`, the header's value, was rejected."""


class BearerAuth:
    """Sends the credential as it is."""

    def __init__(self, credential: CurrentCredential) -> None:
        self._credential = credential

    async def authorization(self, post: Post) -> bytes:  # noqa: ARG002 -- needs none
        return _bearer(self._credential.secret())

    def renew(self, refused: bytes) -> bool:
        return _bearer(self._credential.secret()) != refused


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float = 1800


class TokenAuth:
    """Fetches a token with an app's key and secret, and renews it before it expires.

    When several requests need a token at the same time, only one of them fetches it. The token
    comes from `url`. The key and secret are sent to no other host, and the token is never sent to
    that one.
    """

    def __init__(self, *, key: CurrentCredential, secret: CurrentCredential, url: str) -> None:
        self._key = key
        self._secret = secret
        self._url = str(httpx.URL(url).copy_with(userinfo=b""))
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._fetched_with: tuple[Secret, Secret] | None = None
        self._renew_at = 0.0

    async def authorization(self, post: Post) -> bytes:
        token = self._current()
        if token is None:
            async with self._lock:
                token = self._current()  # another request may have fetched it meanwhile
                if token is None:
                    token = await self._fetch(post)
        return _bearer(token)

    def renew(self, refused: bytes) -> bool:
        if self._token is not None and _bearer(self._token) == refused:
            self._token = None
        return True

    def _current(self) -> Secret | None:
        if self._token is None or asyncio.get_running_loop().time() >= self._renew_at:
            return None
        app = self._key.secret(), self._secret.secret()
        return self._token if app == self._fetched_with else None

    async def _fetch(self, post: Post) -> Secret:
        key, secret = self._key.secret(), self._secret.secret()
        asked_at = asyncio.get_running_loop().time()
        basic = base64.b64encode(f"{key.reveal()}:{secret.reveal()}".encode())
        body = await post(
            self._url,
            (
                (b"Authorization", b"Basic " + basic),
                (b"Content-Type", b"application/x-www-form-urlencoded"),
            ),
            b"grant_type=client_credentials",
        )
        where = httpx.URL(self._url).host
        try:
            answer = msgspec.json.decode(body, type=_TokenAnswer, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # From None: the original error may quote the answer.
            raise SchemaError(f"{where}: the answer holds no access token") from None
        if not answer.access_token or not is_header_text(answer.access_token):
            raise SchemaError(f"{where}: the access token is not one that can be sent")
        self._token = Secret(answer.access_token)
        self._fetched_with = key, secret
        # A fifth of the token's lifetime is longer than any request takes.
        self._renew_at = asked_at + 0.8 * answer.expires_in
        return self._token


def _bearer(secret: Secret) -> bytes:
    return f"Bearer {secret.reveal()}".encode("latin-1")
