"""The log lines of an account: one for each event, with its consequence.

A fault that lasts is logged when it begins, when a new reason appears, and when it has ended.
"""

from __future__ import annotations

import logging
import re

from exporter.polling.advice import advice

log = logging.getLogger(__name__)

MOST_REMARKS = 1000
"""The most different remarks that are logged of one account while the process runs."""

_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class AccountLog:
    """One account's log lines."""

    def __init__(self, *, provider: str, account: str) -> None:
        self._account = {"provider": provider, "account": account}
        self._logged: dict[str, set[str]] = {}
        self._troubles: set[tuple[str, str]] = set()
        self._remarked: set[tuple[str, str]] = set()
        self._catching_up: set[str] = set()

    def polled(self, *, feeds: int, failed: int, requests: int, seconds: float) -> None:
        """A poll of all feeds has ended."""
        extra = {"feeds": feeds, "failed": failed, "requests": requests}
        log.info("polled", extra={**self._account, **extra, "seconds": round(seconds, 3)})

    def failed(self, feed: str, reason: str, error: str, cause: Exception | None = None) -> None:
        """A feed's poll failed. `cause` is an exception of our own code, logged with traceback."""
        logged = self._logged.setdefault(feed, set())
        kind = reason if cause is None else f"{reason} {type(cause).__name__}"
        if kind in logged:
            return
        given = advice(reason)
        advised = any(kind in others for others in self._logged.values())
        logged.add(kind)
        log.log(
            logging.WARNING if given.passes else logging.ERROR,
            "feed failed; its counters stand still, its gauges vanish after two cadences",
            extra={
                **self._labels(feed),
                "reason": reason,
                "error": error,
                "fault": given.party,
                # Once an account: feeds fail together, and what to do is the same.
                **({} if advised else {"advice": given.todo.replace("`", "")}),
            },
            exc_info=cause,
        )

    def works_again(self, feed: str, *, failed_seconds: float, backlog_seconds: int) -> None:
        """The first poll after one or more failures succeeded."""
        self._logged.pop(feed, None)
        extra: dict[str, object] = {**self._labels(feed), "failed_seconds": round(failed_seconds)}
        if backlog_seconds:
            message = "feed works again; its counters lack the outage's older part for now"
            extra["hours_left"] = _hours(backlog_seconds)
        else:
            message = "feed works again; its counters have caught up"
        log.info(message, extra=extra)

    def catching_up(self, feed: str, *, backlog_seconds: int) -> None:
        """A part of a gap was filled; `backlog_seconds` are still left."""
        self.resolved(feed, "gap")
        extra = {**self._labels(feed), "hours_left": _hours(backlog_seconds)}
        if not backlog_seconds:
            self._catching_up.discard(feed)
            log.info("caught up after an outage; counters are complete", extra=extra)
        elif feed not in self._catching_up:
            self._catching_up.add(feed)
            log.info("catching up after an outage; counters grow by what was left out", extra=extra)
        else:
            log.debug("still catching up after an outage", extra=extra)

    def lost(self, feed: str, seconds: int) -> None:
        """The vendor has deleted data that was never requested."""
        log.warning(
            "data lost: the vendor no longer has it in any resolution; counters lack it for good",
            extra={**self._labels(feed), "hours": _hours(seconds)},
        )

    def trouble(self, feed: str, topic: str, message: str, error: Exception) -> None:
        """Something other than a poll failed: logged once, until it is `resolved`."""
        if (feed, topic) not in self._troubles:
            self._troubles.add((feed, topic))
            log.warning(message, extra={**self._labels(feed), "error": str(error)})

    def resolved(self, feed: str, topic: str) -> None:
        """The `topic` does not fail, or no longer."""
        self._troubles.discard((feed, topic))

    def remark(self, feed: str, remark: str) -> None:
        """A remark for the operator; those that differ only in names or numbers are logged once."""
        kind = feed, _PARTICULARS.sub("…", remark)
        if kind not in self._remarked and len(self._remarked) < MOST_REMARKS:
            self._remarked.add(kind)
            log.warning(remark, extra=self._labels(feed))

    def _labels(self, feed: str) -> dict[str, object]:
        return {**self._account, "feed": feed}


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 1)
