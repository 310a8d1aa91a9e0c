"""The sorts of panel that the dashboards consist of, each with everything a reader needs.

A panel has a title, a unit and a text for when there is no data; none of them can be left out. It
has a description where the title leaves something open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Literal, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    geomap,
    heatmap,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.common import (
    FrameGeometrySource,
    MapLayerOptions,
    ReduceDataOptions,
    StackingConfig,
    TableSortByFieldState,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

INTERVAL = "5m"
"""The least time between two points. Data steps every quarter of an hour, a minute or two after
the vendor has published; points 15 minutes apart would show it a whole step late."""

BYTES = units.BytesSI
COUNT = units.Short
WHOLE = units.LocaleFormat
"""A count to the last one. What `increase` gives of one is rarely whole."""

HOURS = MINUTES = units.LocaleFormat
"""Time as vendors bill it; the title or the heading says which. Grafana's own units of time turn
to days and weeks as numbers grow."""

SECONDS = units.Seconds
RATIO = units.PercentUnit
AGE = units.DurationSeconds
INSTANT = units.DatetimeISO
"""An instant, in milliseconds."""

MONEY = units.LocaleFormat
"""An amount of money: Grafana knows a unit for each currency, none for that of a label."""

CENTS = 2
"""The decimals of money."""

FLAG = units.BoolYesNo

NOTHING = "Nothing to show"

Panel: TypeAlias = (
    timeseries.Panel
    | stat.Panel
    | table.Panel
    | bargauge.Panel
    | statetimeline.Panel
    | heatmap.Panel
    | geomap.Panel
)
P = TypeVar(
    "P",
    timeseries.Panel,
    stat.Panel,
    table.Panel,
    bargauge.Panel,
    statetimeline.Panel,
    heatmap.Panel,
    geomap.Panel,
)
Steps: TypeAlias = Mapping[float, str]
"""From which value on which colour; green below the first."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a panel says of itself."""

    title: str
    description: str = ""
    nothing: str = NOTHING


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column of values: its heading, its instant query, its unit."""

    heading: str
    expression: str
    unit: str = WHOLE
    decimals: int | None = None
    steps: Steps = field(default_factory=dict)
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def number(
    words: Words,
    expression: str,
    unit: str = COUNT,
    *,
    steps: Steps | None = None,
    texts: Mapping[str, tuple[str, str]] | None = None,
    legend: str | None = None,
    most: float | None = None,
) -> stat.Panel:
    """One number, as it is now; with a `legend` one for each series, which it names.

    `texts` are shown in place of values, each with its colour. `most` is for a quantile: the
    greatest bound of its histogram, in seconds.
    """
    panel = _described(stat.Panel(), words, unit)
    query = _instant(expression, "A")
    if legend is not None:
        query.legend_format(legend)
        panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    panel.with_target(query)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(common.BigValueGraphMode.NONE)
    coloured = steps is not None or texts is not None
    panel.color_mode(
        common.BigValueColorMode.BACKGROUND if coloured else common.BigValueColorMode.NONE
    )
    panel.thresholds(_thresholds(steps or {}))
    if texts:
        panel.mappings(_mappings(texts))
    if most is not None:
        panel.mappings(_beyond(most))
    return panel


def lines(
    words: Words,
    queries: Mapping[str, str],
    unit: str = COUNT,
    *,
    stacked: bool = False,
    interval: str = INTERVAL,
    least: float | None = 0,
    greatest: float | None = None,
    most: float | None = None,
) -> timeseries.Panel:
    """Values over time; `queries` are expressions by their legends, `most` is as for `number`."""
    panel = _described(timeseries.Panel(), words, unit)
    for letter, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False):
        panel.with_target(_over_time(expression, letter, legend))
    panel.interval(interval)
    panel.line_width(1).fill_opacity(25 if stacked else 10).span_nulls(False)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.stacking(
        StackingConfig().mode(common.StackingMode.NORMAL if stacked else common.StackingMode.NONE)
    )
    panel.legend(_legend()).tooltip(
        VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    if least is not None:
        panel.min(least)
    if greatest is not None:
        panel.max(greatest)
    if most is not None:
        panel.mappings(_beyond(most))
    return panel


def compared(
    words: Words, queries: tuple[str, str], legends: tuple[str, str], unit: str, *, last: str
) -> timeseries.Panel:
    """The time `last` against the time before it, which is dashed; hour by hour."""
    panel = lines(words, dict(zip(legends, queries, strict=True)), unit, interval="1h")
    dashed = common.LineStyle(fill="dash", dash=[6, 6])
    grey = FieldColor().mode(FieldColorModeId.FIXED).fixed_color("gray").build()
    properties = {"custom.lineStyle": dashed, "custom.fillOpacity": 0, "color": grey}
    panel.override_by_name(legends[1], _properties(properties))
    return panel.time_from(last)


def bars(
    words: Words, queries: Mapping[str, str], unit: str, *, interval: str, last: str
) -> timeseries.Panel:
    """One stacked bar for each `interval` of the time `last`."""
    panel = lines(words, queries, unit, stacked=True, interval=interval)
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    return panel.time_from(last)


def ranking(
    words: Words, expression: str, legend: str, unit: str = COUNT, *, steps: Steps | None = None
) -> bargauge.Panel:
    """A bar for each series, as they are now; all of one colour where no `steps` are given."""
    panel = _described(bargauge.Panel(), words, unit).min(0)
    panel.with_target(_instant(expression, "A").legend_format(legend))
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    panel.orientation(common.VizOrientation.HORIZONTAL)
    panel.display_mode(common.BarGaugeDisplayMode.BASIC)
    if steps is None:
        panel.color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
    else:
        panel.color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        panel.thresholds(_thresholds(steps))
    return panel


def places(words: Words, expression: str, unit: str = COUNT) -> geomap.Panel:
    """A map with a circle on each country, as they are now; by the label `country`, codes of ISO.

    What has no place on it, such as `unknown`, is left out.
    """
    panel = _described(geomap.Panel(), words, unit).min(0)
    panel.with_target(_instant(expression, "A").format(PromQueryFormat.TABLE))
    panel.color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
    place = FrameGeometrySource().mode(common.FrameGeometrySourceMode.LOOKUP)
    place.lookup("country").gazetteer("public/gazetteer/countries.json")
    circles = MapLayerOptions().type("markers").name("Countries").location(place).tooltip(True)
    circles.config(
        {
            "showLegend": False,
            "style": {
                "size": {"field": "Value", "fixed": 5, "min": 4, "max": 30},
                "color": {"fixed": "blue"},
                "opacity": 0.5,
                "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
            },
        }
    )
    panel.basemap(MapLayerOptions().type("default").name("Map"))
    panel.view(geomap.MapViewConfig().id("zero").lat(20).lon(0).zoom(1))
    panel.controls(geomap.ControlsOptions().show_zoom(True).mouse_wheel_zoom(False))
    return panel.layers([circles])


def states(
    words: Words, expression: str, legend: str, texts: Mapping[str, tuple[str, str]]
) -> statetimeline.Panel:
    """A band for each series that says what it was when."""
    panel = _described(statetimeline.Panel(), words, FLAG)
    panel.with_target(_over_time(expression, "A", legend)).interval(INTERVAL)
    panel.mappings(_mappings(texts)).show_value(common.VisibilityMode.NEVER)
    return panel.legend(_legend())


def spread(words: Words, expression: str, unit: str = SECONDS) -> heatmap.Panel:
    """How a histogram's observations spread over its buckets, over time."""
    panel = _described(heatmap.Panel(), words, COUNT)
    panel.with_target(_over_time(expression, "A", "{{le}}").format(PromQueryFormat.HEATMAP))
    panel.interval(INTERVAL).calculate(False)
    panel.y_axis(heatmap.YAxisConfig().unit(unit))
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME)
    return panel.color(colours.scheme("Blues").steps(64))


def grid(
    words: Words,
    keys: Mapping[str, str],
    columns: Sequence[Column],
    *,
    sort: str,
    links: Mapping[str, str] | None = None,
    time_from: str | None = None,
) -> table.Panel:
    """A table: one row for each combination of the labels in `keys`, which maps them to headings.

    `sort` is the heading of the column whose greatest value comes first; `links` are addresses
    by heading.
    """
    panel = _described(table.Panel(), words, COUNT).no_value("–")  # in every empty cell
    for letter, column in zip(ascii_uppercase, columns, strict=False):
        panel.with_target(_instant(column.expression, letter).format(PromQueryFormat.TABLE))
        properties: dict[str, object] = {"unit": column.unit}
        if column.unit == WHOLE:
            properties["decimals"] = 0
        if column.decimals is not None:
            properties["decimals"] = column.decimals
        if column.texts:
            properties["mappings"] = _mappings(column.texts)
        if column.steps or column.texts:
            properties["thresholds"] = _thresholds(column.steps).build()
            properties["custom.cellOptions"] = common.TableColorTextCellOptions()
        panel.override_by_name(column.heading, _properties(properties))
    for heading, address in (links or {}).items():
        link = DashboardLink(f"Open {heading.lower()}").url(address).build()
        panel.override_by_name(heading, _properties({"links": [link]}))
    # A single query's column is called Value, those of several Value #A, Value #B, …
    values = (
        ["Value"]
        if len(columns) == 1
        else [f"Value #{letter}" for letter, _ in zip(ascii_uppercase, columns, strict=False)]
    )
    headings = [*keys.values(), *(column.heading for column in columns)]
    names = [*keys, *values]
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": dict(zip(names, headings, strict=True)),
            },
        )
    )
    panel.sort_by([TableSortByFieldState().display_name(sort).desc(True)])
    if time_from is not None:
        panel.time_from(time_from)
    return panel


def _described(panel: P, words: Words, unit: str) -> P:
    panel.title(words.title).unit(unit)
    if words.description:
        panel.description(words.description)
    panel.no_value(words.nothing).datasource(DATASOURCE)
    return panel


def _over_time(expression: str, letter: str, legend: str) -> Dataquery:
    query = Dataquery().expr(expression).ref_id(letter).legend_format(legend)
    return query.datasource(DATASOURCE).range()


def _instant(expression: str, letter: str) -> Dataquery:
    return Dataquery().expr(expression).ref_id(letter).datasource(DATASOURCE).instant()


def _legend() -> VizLegendOptions:
    placement: Literal[common.LegendPlacement.BOTTOM] = common.LegendPlacement.BOTTOM
    return (
        VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(placement)
        .show_legend(True)
    )


def _thresholds(steps: Steps) -> ThresholdsConfig:
    marks = [Threshold(color="green"), *(Threshold(value, color) for value, color in steps.items())]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(marks)


def _mappings(texts: Mapping[str, tuple[str, str]]) -> list[ValueMapping]:
    return [
        ValueMap(
            options={
                value: ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, (text, colour)) in enumerate(texts.items())
            }
        )
    ]


def _beyond(most: float) -> list[ValueMapping]:
    """A quantile among the observations above a histogram's greatest bound is given as that bound."""
    size, name = next(
        (size, name) for size, name in ((3600, "h"), (60, "min"), (1, "s")) if most >= size
    )
    text = ValueMappingResult(text=f"> {most / size:g} {name}", index=0)
    return [ValueMap(options={f"{most:g}": text})]


def _properties(values: Mapping[str, object]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(id_val=name, value=value) for name, value in values.items()]
