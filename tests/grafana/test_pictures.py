"""What the pictures of the documentation make of a dashboard."""

import re

import httpx
import pytest
from matplotlib.figure import Figure

from tests.grafana.documents import DASHBOARDS, Json, expressions, panels
from tools.pictures.data import END, replaced, times
from tools.pictures.plots import Picture, drawn, written

pytestmark = pytest.mark.sockets

DAY = 86400


def answering(results: dict[str, list[Json]]) -> httpx.Client:
    """A Prometheus that knows the series of these expressions, and none of others."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = next(
            (series for text, series in results.items() if text in request.url.params["query"]), []
        )
        return httpx.Response(200, json={"status": "success", "data": {"result": found}})

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://prometheus")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def panel(dashboard: str, title: str) -> Json:
    return next(one for one in panels(DASHBOARDS[dashboard]) if one["title"] == title)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_variable_is_left_in_a_query(name: str):
    for title, expression in expressions(DASHBOARDS[name]):
        assert not re.search(r'\$__|=~"[^"]*\$', replaced(expression, DAY)), title


def test_a_matcher_with_an_alternative_keeps_it():
    assert replaced('ALERTS{job=~"$job|", a="$1"}', DAY) == 'ALERTS{job=~".+|", a="$1"}'


def test_a_panel_of_several_numbers_shows_each_with_its_name():
    ratio = "media_included_used_ratio"
    series = [
        {"metric": {"account": account}, "value": [END, value]}
        for account, value in (("live", "1.1"), ("vod", "0.5"))
    ]
    figure = drawn(Picture("overview", ("Status",)), answering({ratio: series}))
    assert {"live", "110 %", "vod", "50 %"} <= set(texts(figure))


def test_a_ranking_shows_a_bar_for_each_series():
    series = [
        {"metric": {"account": "live", "charge": charge}, "value": [END, "0.8"]}
        for charge in ("delivery", "transcoding")
    ]
    ratio = "media_included_used_ratio"
    figure = drawn(Picture("billing", ("Quotas",)), answering({ratio: series}))
    assert {"live delivery", "live transcoding", "80 %"} <= set(texts(figure))


def test_times_are_those_of_the_panel():
    week = times(panel("overview", "Delivered per hour, this week and last"))
    assert (week.step, week[-1] - week[0]) == (3600, 7 * DAY)
    days = times(panel("billing", "Cost per day"))
    assert (days.step, days[-1] - days[0], days[0] % DAY) == (DAY, 30 * DAY, 0)


def test_a_table_shows_texts_in_place_of_values():
    feed = {"provider": "wowza", "account": "vod", "feed": "viewers"}
    series = [{"metric": feed, "value": [END, "1"]}]
    figure = drawn(
        Picture("exporter", ("Feeds",)), answering({"media_exporter_poll_success": series})
    )
    assert {"viewers", "OK"} <= set(texts(figure))


def test_numbers_have_the_decimals_and_the_unit_of_their_panel():
    assert written(2972.256, "locale", 2) == "2,972.26"
    assert written(2972.0, "locale", 2) == "2,972"
    assert written(6.02, "short", 0) == "6"
    assert written(1777939200000, "dateTimeAsIso") == "2026-05-05"
