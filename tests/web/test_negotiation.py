"""Clients get the format and the encoding that they like best, by RFC 9110."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.exposition import Format
from exporter.web.negotiation import accepts_gzip, choose_format

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,"
    "*/*;q=0.2"
)
MESSAGE = "io.prometheus.client.MetricFamily"
PROTOBUF = f"application/vnd.google.protobuf;proto={MESSAGE}"
TEXT_ONLY = "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_3_5, OPENMETRICS),
        (PROMETHEUS_PROTOBUF, Format.PROTOBUF),
        (f"{PROTOBUF};encoding=text;q=0.6,text/plain", TEXT),
        (f"{PROTOBUF};encoding=compact-text;q=0.6,text/plain;q=0.1", TEXT),
        (f"{PROTOBUF.replace('Family', 'Families')};encoding=delimited", TEXT),
        ("application/vnd.google.protobuf", TEXT),
        (f"{PROTOBUF};encoding=delimited", Format.PROTOBUF),
        (
            f"{PROTOBUF.upper().replace('IO.PROMETHEUS.CLIENT.METRICFAMILY', MESSAGE)};"
            'ENCODING="delimited"',
            Format.PROTOBUF,
        ),
        (f"{PROTOBUF};encoding=delimited;q=0,*/*", TEXT),
        (f"{PROTOBUF};encoding=delimited;q=0.5,text/plain", TEXT),
        (TEXT_ONLY, TEXT),
        (BROWSER, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/*", OPENMETRICS),
        ("application/openmetrics-text;q=0, */*", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=0.2, text/plain; q=0.3", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=0.3, text/plain; q=0.2", OPENMETRICS),
        ("text/plain;q=0.5, application/openmetrics-text;version=1.0.0;q=0.5", OPENMETRICS),
        ("text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0", TEXT),
        ("text/*;q=0.1, application/openmetrics-text;q=0.2", OPENMETRICS),
        ("text/*, text/plain;q=0, application/openmetrics-text;q=0.1", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text;VERSION=1.0.0", OPENMETRICS),
        ('application/openmetrics-text;version="1.0.0"', OPENMETRICS),
        ("image/png", TEXT),
        ("text/plain;q=0, image/png", TEXT),
        (";;;,,,q=,/;q=x", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=7", TEXT),
        ("application/openmetrics-text;q=", TEXT),
        ("application/openmetrics-text," * 100_000, OPENMETRICS),
    ],
)
def test_the_format_is_the_one_that_the_client_likes_best(accept, format):
    assert choose_format(accept)[0] is format


@pytest.mark.parametrize(
    ("accept", "escaping"),
    [
        (PROMETHEUS_2_42, ""),
        (PROMETHEUS_3_5, "allow-utf-8"),
        (PROMETHEUS_3_5.replace("allow-utf-8", "underscores"), "underscores"),
        ('application/openmetrics-text; Escaping="dots"', "dots"),
        ("application/openmetrics-text;escaping=values;q=0.1,*/*;q=0", "values"),
        ("application/openmetrics-text;version=1.0.0,*/*;escaping=dots", ""),
        ("application/openmetrics-text;escaping=none", ""),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", ""),
        ("application/openmetrics-text;escaping=dots;q=0.1,text/plain;q=0.2", ""),
    ],
)
def test_the_escaping_is_that_of_the_range_that_decided(accept, escaping):
    assert choose_format(accept)[1] == escaping


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("identity;q=1, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("deflate", False),
        ("", False),
        ("gzip;q=nonsense", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(accept_encoding, gzip):
    assert accepts_gzip(accept_encoding) is gzip


@settings(deadline=None)
@given(some.text(alphabet='text/plain;,=q0.1*"\\ \t\x00ü', max_size=60))
def test_nonsense_is_answered_like_anything_else(header):
    assert choose_format(header)[0] in Format
    assert accepts_gzip(header) in (True, False)
