"""Who has to act on a failed poll, and how: one entry for each `reason`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from exporter.model import errors

Party = Literal["you", "vendor", "network", "exporter"]


@dataclass(frozen=True, slots=True)
class Advice:
    """`what` happened, in a few words without a full stop, and `todo`, what to do, in sentences.

    `party` is who has to act; a fault of "vendor" or "network" may end by itself.
    """

    party: Party
    what: str
    todo: str

    @property
    def passes(self) -> bool:
        """Whether later polls may succeed although nobody acts."""
        return self.party in ("vendor", "network")


LEDGER = "ledger"
"""The reason of a poll whose requests succeeded, but which could not be recorded."""

ADVICE: dict[str, Advice] = {
    errors.AuthError.reason: Advice(
        "you",
        "the credential is not accepted",
        "Make a new credential at the vendor and put it into the file that the configuration"
        " names. A changed file is noticed with the next request; a changed environment variable"
        " needs a restart.",
    ),
    errors.ForbiddenError.reason: Advice(
        "you",
        "the credential may not read this",
        "Give the credential this right at the vendor, or take the feed out of the account's"
        " `feeds` if your plan does not include it.",
    ),
    errors.NotFoundError.reason: Advice(
        "you",
        "the vendor has nothing at this address",
        "Check `url`, and what the account's configuration names: ids, streams, `api_version`."
        " If all of them are right, the vendor has retired the address: update the exporter, or"
        " take the feed out of `feeds`.",
    ),
    errors.InvalidRequestError.reason: Advice(
        "exporter",
        "the vendor refuses the question",
        "Check the names and ids in the account's configuration. If they are right, this is a"
        " mistake of the exporter: update it, and report the error if that does not help.",
    ),
    errors.RateLimitedError.reason: Advice(
        "you",
        "the vendor is asked more often than it allows",
        "Find what else uses this credential. Otherwise poll less often (`cadence`), or fewer"
        " feeds and streams.",
    ),
    errors.PollTimeoutError.reason: Advice(
        "vendor",
        "the answer did not come in time",
        "Wait: every poll tries again. If it lasts, look at the vendor's status page, raise"
        " `timeout`, or, where the poll as a whole is too long for the cadence, poll less often"
        " or fewer streams.",
    ),
    errors.NetworkError.reason: Advice(
        "network",
        "the vendor cannot be reached",
        "Check from this machine that the vendor's host name resolves and that port 443 answers:"
        " DNS, firewall, proxy, certificates. Every poll tries again.",
    ),
    errors.ServerError.reason: Advice(
        "vendor",
        "the vendor's server fails",
        "Wait: every poll tries again. If it lasts, look at the vendor's status page and tell"
        " its support.",
    ),
    errors.SchemaError.reason: Advice(
        "exporter",
        "the answer is not understood",
        "Check that `url` leads to the vendor's API and not to a sign-in page. If it does, the"
        " vendor has changed its answers: update the exporter, and report the error if that does"
        " not help.",
    ),
    errors.TooLargeError.reason: Advice(
        "vendor",
        "an answer was larger than 64 MiB and was refused",
        "Check that `url` leads to the vendor's API. If it does, report the error, and take the"
        " feed out of `feeds` until that is solved.",
    ),
    errors.TooManyPagesError.reason: Advice(
        "vendor",
        "the vendor's list does not end",
        "Wait: every poll tries again. If it lasts, report it to the vendor, and take the feed"
        " out of `feeds` until that is solved.",
    ),
    errors.RedirectError.reason: Advice(
        "you",
        "the vendor's address leads elsewhere",
        "Set `url` to the API's own address: redirects are not followed, because the credential"
        " would go along. A proxy or a sign-in page on the way does the same.",
    ),
    LEDGER: Advice(
        "you",
        "the ledger cannot be written",
        "Look for a full or read-only disk under `ledger.path` on this machine. What the vendor"
        " said is asked for again.",
    ),
}

UNKNOWN = Advice("exporter", "the poll failed", "Look at the exporter's log, and report the error.")


def advice(reason: str | None) -> Advice:
    """The advice for a value of the `reason` label."""
    return ADVICE.get(reason or "", UNKNOWN)
