"""The emulators' world: deterministic, additive, and with changes that do what they say."""

import time
from itertools import pairwise

import pytest

from exporter.emulators.world import BEGINNING, DAY, HOUR, Stream, World

NOW = 1_700_000_000 // DAY * DAY + 10 * HOUR + 1234
BYTES = ("vendor", "live", "abc", "US", "bytes_out")
VIEWS = ("vendor", "live", "abc", "US", "views")


def test_two_worlds_of_one_seed_agree():
    """Amounts, levels and streams are a function of seed, key and time alone."""
    one, other = World(seed=7), World(seed=7)
    other.amount(VIEWS, NOW - DAY, NOW, now=NOW)  # what was asked before does not matter
    assert one.amount(BYTES, NOW - DAY, NOW, now=NOW) == other.amount(
        BYTES, NOW - DAY, NOW, now=NOW
    )
    assert one.level(BYTES, now=NOW) == other.level(BYTES, now=NOW)
    assert one.streams("a", "b", now=NOW) == other.streams("a", "b", now=NOW)


def test_another_seed_is_another_world():
    """The seed decides amounts and stream ids."""
    one, other = World(seed=1), World(seed=2)
    assert one.amount(BYTES, NOW - DAY, NOW, now=NOW) != other.amount(
        BYTES, NOW - DAY, NOW, now=NOW
    )
    assert one.streams("a", "b", now=NOW)[0].id != other.streams("a", "b", now=NOW)[0].id


@pytest.mark.parametrize("key", [BYTES, VIEWS])
@pytest.mark.parametrize("change", ["none", "late", "revised", "grown"])
def test_neighbouring_windows_sum_to_the_whole(key, change):
    """However a window is cut, its parts sum to it exactly, under every change."""
    world = World()
    start, end = NOW - 200 * DAY - 77, NOW - 5000
    if change == "late":
        world.late(("vendor", "live"), NOW - 3 * DAY - 100, NOW - 2 * DAY, NOW + 1)
    if change == "revised":
        world.revise(("vendor",), NOW // HOUR * HOUR - 30 * HOUR, 2, 7)
    if change == "grown":
        world.grow(("vendor", "live"), NOW - 3 * DAY - 100, NOW - DAY, units=10**6 + 3, since=NOW)
        world.late(("vendor", "live"), NOW - 2 * DAY, NOW - 2 * DAY + 17, NOW + 1)
    cuts = sorted({start, end, *(start + step * 7919 * 53 for step in range(41)), NOW - 107_000})
    parts = [world.amount(key, a, b, now=NOW) for a, b in pairwise(cuts)]
    assert min(parts) >= 0
    assert sum(parts) == world.amount(key, start, end, now=NOW) > 0


def test_data_ends_at_the_published_edge():
    """Between two publications nothing changes; the next one adds."""
    world = World(publish_seconds=900)
    start, edge = NOW - DAY, NOW // 900 * 900
    until_edge = world.amount(BYTES, start, edge, now=NOW)
    assert world.amount(BYTES, start, NOW, now=edge) == until_edge
    assert world.amount(BYTES, start, NOW, now=edge + 899) == until_edge
    assert world.amount(BYTES, start, NOW + DAY, now=edge + DAY) > until_edge


def test_amounts_are_of_plausible_size():
    """An hour's bytes, seconds and counts have the size of a real stream's."""
    world = World()
    sizes = {"bytes_in": 10**8, "bytes_out": 10**8, "view_seconds": 10**3, "views": 1}
    for quantity, least in sizes.items():
        mean = world.amount(("v", "f", "s", quantity), NOW - 8 * DAY, NOW, now=NOW) / (8 * 24)
        assert least / 2 <= mean <= least * 1000


def test_days_have_busy_and_quiet_hours():
    """The hours of a day differ by more than a factor of two."""
    world = World()
    midnight = NOW // DAY * DAY - DAY
    hours = [
        world.amount(BYTES, midnight + i * HOUR, midnight + (i + 1) * HOUR, now=NOW)
        for i in range(24)
    ]
    assert max(hours) > 2 * min(hours)


def test_late_data_appears_when_it_is_due():
    """Late data is invisible before its time, and then as if it had always been there."""
    punctual, world = World(), World()
    start = NOW // HOUR * HOUR - 5 * HOUR
    world.late(("vendor", "live", "abc"), start, start + HOUR, NOW)
    assert world.amount(BYTES, start, start + HOUR, now=NOW - 1) == 0
    assert world.amount(("vendor", "live", "x", "views"), start - DAY, NOW, now=NOW - 1) > 0
    assert world.amount(BYTES, start - HOUR, NOW, now=NOW) == punctual.amount(
        BYTES, start - HOUR, NOW, now=NOW
    )


def test_a_revision_scales_one_hour_of_its_keys():
    """A revised hour is scaled down to a whole number; other hours and keys stay."""
    plain, world = World(), World()
    hour = NOW // HOUR * HOUR - 5 * HOUR
    world.revise(("vendor", "live", "abc"), hour, 1, 3)
    was = plain.amount(BYTES, hour, hour + HOUR, now=NOW)
    assert world.amount(BYTES, hour, hour + HOUR, now=NOW) == was // 3
    for start in (hour - HOUR, hour + HOUR):
        assert world.amount(BYTES, start, start + HOUR, now=NOW) == plain.amount(
            BYTES, start, start + HOUR, now=NOW
        )
    other = ("vendor", "live", "other", "views")
    assert world.amount(other, hour, hour + HOUR, now=NOW) == plain.amount(
        other, hour, hour + HOUR, now=NOW
    )


def test_a_revision_starts_on_an_hour():
    """Only whole hours can be revised."""
    with pytest.raises(ValueError, match="starts on an hour"):
        World().revise((), NOW, 1, 2)


def test_a_stream_has_nothing_before_its_birth():
    """An added stream is listed from its birth, and has traffic from then only."""
    world = World()
    before = world.version
    world.add_stream("vendor", "live", Stream("new", "new", archived=False, born=NOW - HOUR))
    key = ("vendor", "live", "new", "bytes_out")
    assert world.version > before
    assert "new" not in {stream.id for stream in world.streams("vendor", "live", now=NOW - DAY)}
    assert world.streams("vendor", "live", now=NOW)[-1].id == "new"
    assert world.amount(key, NOW - DAY, NOW - HOUR, now=NOW) == 0
    assert world.amount(key, NOW - DAY, NOW, now=NOW) == world.amount(key, NOW - HOUR, NOW, now=NOW)


def test_streams_have_awkward_names_and_stable_order():
    """Ids and names are unique, in one order, and some names need escaping."""
    found = World(streams=12).streams("vendor", "live", now=NOW)
    assert len({stream.id for stream in found}) == len({stream.name for stream in found}) == 12
    names = "".join(stream.name for stream in found)
    assert all(character in names for character in ' "\\é京')
    assert World(streams=3).streams("vendor", "live", now=NOW) == found[:3]


def test_nothing_is_older_than_the_beginning():
    """A window of all time is that since the world's beginning."""
    world = World()
    assert world.amount(BYTES, 0, BEGINNING, now=NOW) == 0
    assert world.amount(BYTES, 0, NOW, now=NOW) == world.amount(BYTES, BEGINNING, NOW, now=NOW)


def test_levels_stay_in_range_and_move():
    """A level is in 0..top and not always the same."""
    world = World()
    values = {world.level(VIEWS, now=NOW + minute * 60, top=9) for minute in range(300)}
    assert values == set(range(10))


def test_what_is_published_and_not_late_is_final():
    """A window is final once it is published and no part of it is still to come or to grow."""
    world = World()
    assert world.final(NOW - DAY, NOW // 900 * 900, now=NOW)
    assert not world.final(NOW - DAY, NOW // 900 * 900 + 1, now=NOW)
    world.late((), NOW - 2 * HOUR, NOW - HOUR, NOW + 5)
    assert not world.final(NOW - DAY, NOW - HOUR, now=NOW)
    assert world.final(NOW - DAY, NOW - HOUR, now=NOW + 5)
    world.grow((), NOW - 2 * HOUR, NOW - HOUR, units=9, since=NOW + 60)
    assert not world.final(NOW - DAY, NOW - HOUR, now=NOW + 59)
    assert world.final(NOW - DAY, NOW - HOUR, now=NOW + 60)
    assert world.final(NOW - DAY, NOW - 2 * HOUR, now=NOW + 59)


def test_a_thousand_streams_of_a_day_are_fast():
    """24,000 hours are answered in far less than the time a client waits."""
    world = World()
    begun = time.process_time()
    for stream in range(1000):
        key = ("vendor", "live", str(stream), "bytes_out")
        for hour in range(24):
            world.amount(key, NOW - DAY + hour * HOUR, NOW - DAY + (hour + 1) * HOUR, now=NOW)
    assert time.process_time() - begun < 1


def test_growth_comes_when_it_is_due_and_once():
    """Growth adds its units to its span from its instant on, to each key under its prefix."""
    plain, world = World(), World()
    start = NOW // HOUR * HOUR - 5 * HOUR
    before = world.version
    world.grow(("vendor", "live", "abc"), start, start + HOUR, units=1000, since=NOW)
    assert world.version > before
    for now, added in ((NOW - 1, 0), (NOW, 1000), (NOW + DAY, 1000)):
        for key in (BYTES, VIEWS):
            was = plain.amount(key, start, start + HOUR, now=now)
            assert world.amount(key, start, start + HOUR, now=now) == was + added
            was = plain.amount(key, start - DAY, NOW, now=now)
            assert world.amount(key, start - DAY, NOW, now=now) == was + added
    other = ("vendor", "live", "other", "views")
    assert world.amount(other, start, NOW, now=NOW) == plain.amount(other, start, NOW, now=NOW)


def test_growth_reaches_an_hour_of_silence():
    """What revising cannot make of nothing, growth does; and a revision scales it not."""
    world = World()
    midnight = NOW // DAY * DAY - DAY
    key, hour = next(
        (key, hour)
        for stream in range(50)
        for hour in range(midnight, midnight + DAY, HOUR)
        if world.amount(key := ("v", "f", str(stream), "bytes"), hour, hour + HOUR, now=NOW) == 0
    )
    world.grow(key[:3], hour, hour + HOUR, units=77, since=NOW)
    assert world.amount(key, hour, hour + HOUR, now=NOW) == 77
    world.revise(key[:3], hour, 1, 7)
    assert world.amount(key, hour, hour + HOUR, now=NOW) == 77


def test_growth_waits_for_what_is_late():
    """In a span that is late growth, too, stays away until the span is published."""
    world = World()
    hour = NOW // HOUR * HOUR - 5 * HOUR
    world.late((), hour, hour + HOUR, NOW + 60)
    world.grow((), hour, hour + HOUR, units=77, since=NOW)
    assert world.amount(BYTES, hour, hour + HOUR, now=NOW) == 0
    whole = World().amount(BYTES, hour, hour + HOUR, now=NOW + 60)
    assert world.amount(BYTES, hour, hour + HOUR, now=NOW + 60) == whole + 77


def test_growth_needs_a_span_and_units():
    """Growth of nothing, or over no time, is a mistake."""
    with pytest.raises(ValueError, match="grows"):
        World().grow((), NOW, NOW, units=1, since=NOW)
    with pytest.raises(ValueError, match="grows"):
        World().grow((), NOW, NOW + 1, units=0, since=NOW)
