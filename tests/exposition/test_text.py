"""Lines that every parser reads back as what was written."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition.text import TEXT_FORMATS, Family, Format, labels_text, number, scaled
from exporter.model.measures import CATALOGUE
from tests.exposition.plain import NASTY

anything = some.text(alphabet=some.characters(), max_size=30)


def samples(text, format):
    if format is Format.TEXT:
        families = list(parse_text(text))
    else:
        families = list(parse_openmetrics(text + "# EOF\n"))
    (family,) = families
    return family, family.samples


def printed(value):
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


@settings(deadline=None, max_examples=300)
@given(anything, anything)
@example(NASTY, "\ud800")
@example("\\n", '\\"')
@example("\\", "}")
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_labels_of_any_text_are_read_back(format, one, two):
    line = f"media_viewers{{{labels_text((('kind', one), ('stream', two)))}}} 7\n"
    page = Family("media_viewers", "gauge", "Viewers.").header(format).decode() + line
    _, (sample,) = samples(page.encode("utf-8", "replace").decode(), format)
    assert sample.labels == {"kind": printed(one), "stream": printed(two)}
    assert sample.value == 7


def test_no_label_carries_a_nul():
    """Prometheus refuses a whole page for one of them."""
    assert "\x00" not in labels_text((("stream", "a\x00b"),))


def test_a_label_stays_on_its_line():
    assert labels_text((("stream", "a\nb"),)) == r'stream="a\nb"'


@settings(deadline=None)
@given(
    some.text(some.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
)
@example('a "quoted" word, a \\ and\na line')
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_a_help_text_is_read_back(format, help_text):
    page = Family("media_viewers", "gauge", f"x{help_text}x").header(format).decode()
    family, _ = samples(page + "media_viewers 1\n", format)
    assert family.documentation == f"x{help_text}x"


def test_only_openmetrics_escapes_quotes_in_help_texts():
    family = Family("media_views", "counter", 'The "views".')
    assert family.header(Format.OPENMETRICS) == (
        b'# HELP media_views The \\"views\\".\n# TYPE media_views counter\n'
    )
    assert family.header(Format.TEXT) == (
        b'# HELP media_views_total The "views".\n# TYPE media_views_total counter\n'
    )


@pytest.mark.parametrize("format", TEXT_FORMATS)
@pytest.mark.parametrize("measure", CATALOGUE, ids=lambda measure: measure.name)
def test_every_familys_header_is_read_back(measure, format):
    if measure.type == "histogram":
        suffixes = ['_bucket{le="+Inf"}', "_count", "_sum"]
    else:
        suffixes = [""]
    page = Family.of(measure).header(format).decode()
    family, found = samples(page + "".join(f"{measure.name}{s} 1\n" for s in suffixes), format)
    assert family.name == measure.name.removesuffix("_total")
    assert family.type == measure.type
    assert family.documentation == measure.help
    assert len(found) == len(suffixes)


@settings(deadline=None)
@given(some.one_of(some.integers(), some.floats(allow_nan=False, allow_infinity=False)))
@example(-0.0)
@example(1e22)
@example(0.1)
@example(float(2**53))
def test_a_number_reads_back_as_itself(value):
    text = number(value)
    assert float(text) == float(value)
    assert not text.endswith(".0") or abs(value) >= 2**53


@settings(deadline=None)
@given(some.integers(0, 2**63 - 1), some.sampled_from([1, 1000]))
def test_an_amount_reads_back_as_the_nearest_number_of_units(amount, resolution):
    assert float(scaled(amount, resolution)) == amount / resolution


@settings(deadline=None)
@given(some.integers(0, 2**62), some.integers(0, 5000))
def test_a_growing_amount_never_reads_smaller(amount, more):
    assert float(scaled(amount + more, 1000)) >= float(scaled(amount, 1000))


def test_whole_amounts_have_no_point():
    assert scaled(5000, 1000) == "5"
    assert scaled(5001, 1000) == "5.001"
    assert math.isclose(float(scaled(1, 1000)), 0.001)
