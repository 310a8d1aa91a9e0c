"""Wowza Video's error answers.

Every error is `{"meta": {status, code, title, message, description, links}}`, codes and wording as
in the vendor's OpenAPI 2.0. Its rate-limit page documents 429 without a body; the same shape is
assumed there and for statuses of gateways.
"""

import json
from http import HTTPStatus

from exporter.emulators.http import Response

CONTENT_TYPE = "application/json; charset=utf-8"

MISSING_TOKEN = "ERR-401-NoApiKey"

# status: code, title, message
KNOWN = {
    400: ("ERR-400-BadRequest", "Bad Request Error", "The request is malformed."),
    401: ("ERR-401-InvalidToken", "JWT is invalid", "Token is invalid."),
    403: ("ERR-403-RecordUnaccessible", "Record Unaccessible Error", "Access is denied."),
    404: (
        "ERR-404-RecordNotFound",
        "Record Not Found Error",
        "The requested resource couldn't be found.",
    ),
    410: (
        "ERR-410-RecordDeleted",
        "Record Deleted Error",
        "The requested resource has been deleted.",
    ),
    422: ("ERR-422-RecordInvalid", "Record Invalid Error", "The request couldn't be processed."),
    429: ("ERR-429-TooManyRequests", "Too Many Requests Error", "Too many requests."),
}


class Refusal(Exception):
    """The vendor will not answer this request, with this status."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def error_body(status: int, *, reason: str = "", code: str = "") -> bytes:
    """The error body for `status`; `reason` is added to the message, `code` replaces the usual."""
    phrase = HTTPStatus(status).phrase
    usual, title, message = KNOWN.get(
        status, (f"ERR-{status}-{phrase.title().replace(' ', '')}", f"{phrase} Error", phrase)
    )
    meta = {
        "status": status,
        "code": code or usual,
        "title": title,
        "message": f"{message} {reason}".strip(),
        "description": "",
        "links": [],
    }
    return json.dumps({"meta": meta}).encode()


def refuse(status: int, *, reason: str = "", code: str = "") -> Response:
    """The whole error answer."""
    return Response(status, error_body(status, reason=reason, code=code), CONTENT_TYPE)
