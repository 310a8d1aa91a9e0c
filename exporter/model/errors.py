"""The exporter's errors: one class for each kind that is handled differently.

    ExporterError                    printed in one line on stderr, exit 1
    ├── ConfigError                  a list of faults, each with file, line and key
    ├── CredentialError              a credential that cannot be read
    ├── LedgerError                  the ledger cannot be opened or is not one
    │   └── LedgerWriteError         the ledger is open, but a write failed (disk full, ...)
    │       ├── LedgerUnknownError   whether a write is stored is not known
    │       └── LeaseLostError       another replica holds the account now
    ├── ServeError                   an address that cannot be listened on
    └── PollError                    a feed could not be polled; `reason` is the metric's label
        ├── AuthError                auth
        ├── ForbiddenError           forbidden
        ├── NotFoundError            not_found
        ├── InvalidRequestError      invalid_request
        ├── RateLimitedError         rate_limited
        ├── PollTimeoutError         timeout
        ├── NetworkError             network
        ├── ServerError              server
        ├── SchemaError              schema
        ├── TooLargeError            too_large
        ├── TooManyPagesError        too_many_pages
        └── RedirectError            redirect

Messages are shown to people and logged. They never contain a credential or any text of a vendor's
error body: one vendor echoes the API key in its 401.
"""

from __future__ import annotations

from typing import ClassVar


class ExporterError(Exception):
    """An error that a person has to fix; `str()` describes it in one line."""


class ConfigError(ExporterError):
    """One or more faults in a configuration file; `faults` holds a line for each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class CredentialError(ExporterError):
    """A credential's file or environment variable cannot be read."""


class LedgerError(ExporterError):
    """The ledger cannot be opened: missing rights, held by another process, not a ledger."""


class LedgerWriteError(LedgerError):
    """A transaction could not be written; it was rolled back as a whole."""


class LedgerUnknownError(LedgerWriteError):
    """The connection broke while a transaction was committed: it is stored as a whole, or not at all.

    Until the next write to the same Book, or until the account is loaded anew, nobody knows which.
    """


class LeaseLostError(LedgerWriteError):
    """Another replica has taken the account over, or writes to it: nothing was written."""


class ServeError(ExporterError):
    """An address cannot be listened on."""


class PollError(ExporterError):
    """A feed's poll failed. `reason` is its label on `media_exporter_poll_failures_total`."""

    reason: ClassVar[str] = "network"


class AuthError(PollError):
    """The vendor rejects the credential."""

    reason = "auth"


class ForbiddenError(PollError):
    """The credential is valid, but has no right to this, or the plan does not include it."""

    reason = "forbidden"


class NotFoundError(PollError):
    """404 or 410."""

    reason = "not_found"


class InvalidRequestError(PollError):
    """400 or 422: the vendor refuses the request itself."""

    reason = "invalid_request"


class RateLimitedError(PollError):
    """429, also after the retries that fit into the cadence."""

    reason = "rate_limited"


class PollTimeoutError(PollError):
    """No complete answer within the timeout, or before the deadline."""

    reason = "timeout"


class NetworkError(PollError):
    """No connection, or one that broke: DNS, refused, TLS, reset."""

    reason = "network"


class ServerError(PollError):
    """5xx."""

    reason = "server"


class SchemaError(PollError):
    """An answer that is not what the vendor documents; `path` says where in it."""

    reason = "schema"


class TooLargeError(PollError):
    """An answer over 64 MiB."""

    reason = "too_large"


class TooManyPagesError(PollError):
    """A list that does not end within 10,000 pages."""

    reason = "too_many_pages"


class RedirectError(PollError):
    """A redirect; it is not followed, because it would carry the credential elsewhere."""

    reason = "redirect"


REASONS: tuple[str, ...] = tuple(
    error.reason
    for error in (
        AuthError,
        ForbiddenError,
        NotFoundError,
        InvalidRequestError,
        RateLimitedError,
        PollTimeoutError,
        NetworkError,
        ServerError,
        SchemaError,
        TooLargeError,
        TooManyPagesError,
        RedirectError,
    )
)
"""Every value of the `reason` label."""
