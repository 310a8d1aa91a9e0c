"""What a poll changes in the ledger, decided without a database, a clock or a change in memory.

The rule, in plain words:

* A bucket is a stretch of time, `(start, width)` in seconds, with an amount for each series. What
  the vendor said last of a bucket is its amount: to be told the same again changes nothing.
* A wider bucket stands in for the narrower ones of the same series that lie inside it, whichever
  came first. Narrower ones are deleted when a wider one comes, and are not recorded under it.
  The one bucket of a total since ever lies beside all others and stands in for none.
* A series' *truth* is what its buckets add up to, together with those that retention has
  compacted into it. Reports about compacted time are ignored.
* What a series *exposes* is the greatest truth there ever was. It never falls: when the vendor
  lowers a bucket, later growth is first used up by the difference.
* An event counts once, by its id, however often it is told.
* Streams, and combinations of labels, beyond the account's limit keep series of their own that
  are not shown; their growth is added to the series whose label is `__other__`. Once decided, it
  stays so.
* A counter that appears after its feed's first poll is shown at 0 for a while, and one that grows
  after its feed was not polled for long at its old total, so that Prometheus sees the increase.

`PriorState` are the stored buckets, events, jobs and series that the decision reads. `decide` makes
`Changes` of it, and `apply` puts them into the Book once the transaction that wrote them is
committed.
"""

from exporter.ledger.decision.changes import Changes, PriorState, apply
from exporter.ledger.decision.deciding import decide
from exporter.ledger.decision.rule import Bucket, covers, expose

__all__ = ["Bucket", "Changes", "PriorState", "apply", "covers", "decide", "expose"]
