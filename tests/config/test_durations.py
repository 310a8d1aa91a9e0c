"""Lengths of time as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import durations


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1y", 31_536_000_000),
        ("1y2w3d4h5m6s7ms", 33_019_506_007),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text, milliseconds):
    """Units are Prometheus's, a year has 365 days."""
    assert durations.milliseconds(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1",
        "15",
        "s",
        "1m1h",
        "1h1h",
        "1.5h",
        "-1h",
        "1 h",
        "1h ",
        "1M",
        "١s",
        "1h\n",
        "00",
        "9" * 5000 + "s",
    ],
)
def test_what_is_not_a_duration_is_refused(text):
    """Guessing a unit, or an order, would be worse."""
    with pytest.raises(ValueError):  # noqa: PT011 – Python's own for the 5,000 digits
        durations.milliseconds(text)


@settings(deadline=None)
@given(milliseconds=st.integers(0, 10**13))
def test_a_written_duration_reads_as_the_same(milliseconds):
    """Nothing is lost by showing a duration."""
    assert durations.milliseconds(durations.written(milliseconds / 1000)) == milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (60, "1m"), (5400, "1h30m"), (0.5, "500ms"), (34560000, "400d")],
)
def test_a_duration_is_written_shortly(seconds, text):
    """Large units first, none that is zero."""
    assert durations.written(seconds) == text
