"""Amounts, instants and labels are read exactly or refused."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from exporter.model import LARGEST_AMOUNT, values
from exporter.model.errors import SchemaError
from exporter.model.values import refuse_repeated_keys


@pytest.mark.parametrize(
    ("value", "scale", "parts"),
    [
        (0, 1, 0),
        (10.472, 1000, 10472),
        (0.1, 60_000, 6000),
        (1.0005, 1000, 1000),  # half to even, of the decimal that was written
        (1.0645, 1000, 1064),  # … while its nearest float is above the half
        (1e3, 1, 1000),
        (LARGEST_AMOUNT, 1, LARGEST_AMOUNT),
    ],
)
def test_an_amount_is_scaled_as_it_was_written(value, scale, parts):
    assert values.amount(value, scale=scale, path="$") == parts


@given(some.integers(0, LARGEST_AMOUNT // 1000))
def test_whole_amounts_are_exact(value):
    assert values.amount(value, scale=1000, path="$") == value * 1000


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        (-1, 1),
        (-0.001, 1),
        (LARGEST_AMOUNT + 1, 1),
        (LARGEST_AMOUNT, 1000),
        (math.inf, 1),
        (math.nan, 1),
    ],
)
def test_an_impossible_amount_is_refused_with_its_path(value, scale):
    with pytest.raises(SchemaError, match=r"^\$\.data\.bytesIn: "):
        values.amount(value, scale=scale, path="$.data.bytesIn")


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_an_impossible_level_is_refused(value):
    with pytest.raises(SchemaError):
        values.level(value, path="$")


def test_a_level_keeps_its_type():
    assert values.level(0.25, path="$") == 0.25


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2021-08-10T05:16:31.494Z", 1628572591494),
        ("2021-08-10T05:16:31.494999999Z", 1628572591494),
        ("2021-08-10T07:16:31+02:00", 1628572591000),
        ("2021-08-10T05:16:31", 1628572591000),
        ("2021-08-10", 1628553600000),
        (1628572591494, 1628572591494),
    ],
)
def test_instants_are_utc_and_cut_to_milliseconds(text, milliseconds):
    assert values.milliseconds(text, path="$") == milliseconds
    assert values.instant(text, path="$") == milliseconds // 1000


@pytest.mark.parametrize("text", ["", "yesterday", "2022-01-26T12:60:00Z", -1, math.inf])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(SchemaError, match=r"^\$\.at: "):
        values.instant(text, path="$.at")


def test_an_error_quotes_no_text_of_a_vendor():
    """Whatever stands there may be a secret."""
    with pytest.raises(SchemaError) as caught:
        values.instant("hunter2", path="$.at")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "label"),
    [(None, "unknown"), ("", "unknown"), ("  ", "unknown"), (" a b ", "a b"), (720, "720")],
)
def test_labels_name_what_the_vendor_leaves_out(value, label):
    assert values.label(value) == label


@pytest.mark.parametrize(
    ("value", "country"),
    [
        ("us", "US"),
        ("DE", "DE"),
        (" France ", "FR"),
        ("Atlantis", "Atlantis"),
        ("ÖÄ", "ÖÄ"),
        ("1A", "1A"),
        ("", "unknown"),
    ],
)
def test_a_country_is_a_code_and_one_that_nobody_knows_the_vendors_name(value, country):
    assert values.country(value) == country


@pytest.mark.parametrize(
    ("value", "device"),
    [
        ("desktop", "Desktop"),
        ("MOBILE", "Mobile"),
        ("smart_tv", "Smart TV"),
        ("SmartTV", "Smart TV"),
        ("smart-tv", "Smart TV"),
        ("iPhone", "iPhone"),
        ("Pixel 8", "Pixel 8"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_sorts_of_device_have_one_spelling_and_models_are_as_they_are(value, device):
    assert values.device(value) == device


@pytest.mark.parametrize("text", ["-1", "9007199254740993", "true", '"1"', "1.5"])
def test_whole_amounts_are_checked_while_decoding(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=values.Whole)


@pytest.mark.parametrize("text", ["-0.5", "1e17", "9007199254740993", "null"])
def test_numbers_are_checked_while_decoding(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=values.Number)


@pytest.mark.parametrize(
    "body",
    [
        b'{"bytes":1,"bytes":2}',
        b'{"a":[{"b":{"c":1,"d":2,"c":3}}]}',
        b'{"bytes":1,"\\u0062ytes":2}',
        b'{"a":1,"a":1}',
    ],
)
def test_an_object_with_a_key_twice_is_refused(body: bytes) -> None:
    """Which of two equal keys counts, nobody knows."""
    with pytest.raises(SchemaError, match="twice"):
        refuse_repeated_keys(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}',
        b'{"a:":"b:c","d\\u003a":": : :"}',
        b'[1,"x"]',
        b"0",
        b'{"\\u003a":1}',
    ],
)
def test_keys_that_come_once_each_are_no_reason_to_refuse(body: bytes) -> None:
    """Neither colons in names and texts nor the same key in other objects are repetitions."""
    refuse_repeated_keys(body)


@pytest.mark.parametrize("value", [0, 7, 22886, 22886.0, 1e3, LARGEST_AMOUNT])
def test_a_count_may_be_written_with_a_fraction_of_nothing(value):
    found = values.whole(value, path="$")
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", [7.5, -1, -1.0, math.nan, math.inf, LARGEST_AMOUNT + 1])
def test_anything_else_is_no_count(value):
    with pytest.raises(SchemaError, match=r"\$\.views"):
        values.whole(value, path="$.views")


@pytest.mark.parametrize(
    "value", [None, "", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, "1999-12-31T23:59:59Z"]
)
def test_no_vendor_was_there_before_the_year_2000(value):
    """Servers write such times where there is none."""
    assert values.moment(value, path="$") is None


def test_the_year_2000_is_a_time():
    assert values.moment("2000-01-01T00:00:00Z", path="$") == 946_684_800_000
    with pytest.raises(SchemaError):
        values.moment("yesterday", path="$")
