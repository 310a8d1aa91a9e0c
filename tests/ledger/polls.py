"""Polls that the tests of ledgers record."""

from exporter.ledger import Poll
from exporter.model import DAY, HOUR, Event, Level, Usage, Window, measures

NOW = 1_704_067_200 + 10 * DAY
"""2024-01-11, 00:00 UTC."""


def delivered(amount, start=NOW - HOUR, width=HOUR):
    return Usage(measures.DELIVERED_BYTES, ("live",), start, width, amount)


def a_rich_poll(at=NOW):
    """One that writes to every table."""
    return Poll(
        feed="usage",
        at=at,
        usage=(
            delivered(1),
            delivered(50, NOW - 3 * DAY, DAY),
            *(
                Usage(measures.STREAM_VIEWS, ("live", name), NOW - HOUR, HOUR, 7)
                for name in "abcde"
            ),
        ),
        events=(Event("job", NOW - 60, NOW, ((measures.JOBS_FINISHED, ("/x", "success")),)),),
        revisited=True,
        unfinished={"running": NOW - 7 * HOUR},
        newest=NOW,
        gap=Window(NOW - 9 * DAY, NOW - 4 * DAY),
        streams=("a", "b"),
        listed=True,
        discovered=("c", "d", "z"),
        described=(Level(measures.STREAM_INFO, ("vod", "a", "Film", "false"), 1),),
    )
