"""Requests and responses of the emulators on raw ASGI: as much HTTP as four JSON APIs need."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. `path` is percent-decoded and starts with a slash."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case
    body: bytes = b""

    def first(self, name: str) -> str | None:
        """The first value of a query parameter; None when it was not sent."""
        return next((value for key, value in self.params if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """Every value of a repeated query parameter, in the order sent."""
        return tuple(value for key, value in self.params if key == name)

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)

    def without(self, name: str) -> "Request":
        """The same request as if the query parameter `name` had not been sent."""
        params = tuple(pair for pair in self.params if pair[0] != name)
        return Request(self.method, self.path, params, self.headers, self.body)

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer …`; None when there is none."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password of `Authorization: Basic …`; None when absent or malformed."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (user, password) if colon else None

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body; the last of equal names wins."""
        return dict(parse_qsl(self.body.decode("latin-1"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. `chunks`, when given, is sent after `body` and without a Content-Length."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    chunks: AsyncIterator[bytes] | None = field(default=None, compare=False)


def json_answer(value: object, status: int = 200, *, content_type: str = JSON) -> Response:
    """`value` as JSON in UTF-8, names outside ASCII left as they are."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, body, content_type)


async def read_request(scope: Scope, receive: Receive, *, prefix: str = "") -> Request:
    """The request of an ASGI scope, with `prefix` taken off its path."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(
        method=scope["method"],
        path=scope["path"].removeprefix(prefix) or "/",
        params=tuple(parse_qsl(query, keep_blank_values=True)),
        headers=tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        body=b"".join(parts),
    )


def head(response: Response, *, length: int | None) -> Message:
    """The message that starts an answer; `length` None leaves the Content-Length out."""
    headers = [("content-type", response.content_type), *response.headers]
    if length is not None:
        headers.append(("content-length", str(length)))
    return {
        "type": "http.response.start",
        "status": response.status,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }


async def send_response(send: Send, response: Response) -> None:
    """Send an answer whole, or piece by piece when it has `chunks`."""
    if response.chunks is None:
        await send(head(response, length=len(response.body)))
        await send({"type": "http.response.body", "body": response.body})
        return
    await send(head(response, length=None))
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    async for chunk in response.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
