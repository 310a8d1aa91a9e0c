"""The rule on its own: what buckets add up to, and what is shown of it."""

import calendar

from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.ledger.decision import covers, expose
from exporter.model import DAY, HOUR, Step
from tests.ledger.model import truth

START = 1_704_067_200  # 2024-01-01

_hours = [START + day * DAY + hour * HOUR for day in (0, 1, 30, 31, 59) for hour in (0, 1, 23)]
BUCKETS = sorted(
    {(hour, HOUR) for hour in _hours}
    | {(Step.DAY.floor(hour), DAY) for hour in _hours}
    | {(Step.MONTH.floor(hour), Step.MONTH.width(Step.MONTH.floor(hour))) for hour in _hours}
)
reports = some.lists(some.tuples(some.sampled_from(BUCKETS), some.integers(0, 2**53)), max_size=40)


def month_of(start):
    year_month = 1 if start < START + 31 * DAY else 2
    days = calendar.monthrange(2024, year_month)[1]
    return START if year_month == 1 else START + 31 * DAY, days * DAY


def counted(buckets):
    """The truth by another road: walk down from months to hours and take the widest there is."""
    total = 0
    for (start, width), amount in buckets.items():
        month = month_of(start)
        day = (start - start % DAY, DAY)
        wider = {month, day} - {(start, width)}
        if width == DAY:
            wider = {month}
        if width > DAY:
            wider = set()
        if not wider & buckets.keys():
            total += amount
    return total


@settings(deadline=None)
@given(reports)
def test_the_truth_is_the_sum_of_what_no_wider_bucket_covers(told):
    assert truth(dict(told)) == counted(dict(told))


@settings(deadline=None)
@given(reports)
def test_what_is_exposed_never_falls_and_is_never_below_the_truth(told):
    buckets: dict[tuple[int, int], int] = {}
    exposed = 0
    for bucket, amount in told:
        buckets[bucket] = amount
        now = expose(exposed, truth(buckets))
        assert now >= exposed
        assert now >= truth(buckets)
        exposed = now


@settings(deadline=None)
@given(reports)
def test_once_the_truth_has_caught_up_exposed_equals_it(told):
    buckets: dict[tuple[int, int], int] = {}
    exposed = 0
    for bucket, amount in told:
        buckets[bucket] = amount
        exposed = expose(exposed, truth(buckets))
    behind = exposed - truth(buckets)
    buckets[START + 90 * DAY, HOUR] = behind
    assert expose(exposed, truth(buckets)) == truth(buckets)


@settings(deadline=None)
@given(reports.flatmap(lambda told: some.tuples(some.just(dict(told)), some.permutations(told))))
def test_the_truth_depends_on_the_newest_reports_alone(case):
    newest, told = case
    buckets: dict[tuple[int, int], int] = {}
    for bucket, _ in told:
        buckets[bucket] = newest[bucket]
    assert truth(buckets) == truth(newest)


@settings(deadline=None)
@given(some.sampled_from(BUCKETS), some.sampled_from(BUCKETS))
def test_a_bucket_covers_another_when_all_of_it_lies_inside_a_wider_one(wide, narrow):
    inside = set(range(narrow[0], sum(narrow), HOUR)) <= set(range(wide[0], sum(wide), HOUR))
    assert covers(wide, narrow) == (inside and wide != narrow)


def test_a_wider_zero_takes_back_what_the_narrower_ones_said():
    assert truth({(START, HOUR): 5, (START + HOUR, HOUR): 7, (START, DAY): 0}) == 0


def test_a_downward_revision_is_paid_back_out_of_later_growth():
    shown = [0]
    for hours in ({0: 100}, {0: 60}, {0: 60, 1: 30}, {0: 60, 1: 30, 2: 30}):
        buckets = {(START + hour * HOUR, HOUR): amount for hour, amount in hours.items()}
        shown.append(expose(shown[-1], truth(buckets)))
    assert shown == [0, 100, 100, 100, 120]
