"""Panels as matplotlib draws them, where their dashboard has them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from tools.generate import ROOT
from tools.pictures.data import DAY, HOUR, Json, ask, times

CAPTION = "Plotted with matplotlib: the demo’s data, by the dashboard’s queries. Not a screenshot of Grafana."
PAPER, CARD, INK, FAINT = "#f4f5f7", "#ffffff", "#24292e", "#7a828a"
COLOURS = ("#3274d9", "#56a64b", "#e0762b", "#a352cc", "#37a2a2", "#e02f44", "#b8860b", "#6e7781")
GOOD = {"green": "#56a64b", "orange": "#ff9830", "red": "#e02f44"}
DURATIONS = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000)

mpl.rcParams |= {"font.size": 8, "font.family": "DejaVu Sans", "axes.edgecolor": "#d0d4d9"}


@dataclass(frozen=True, slots=True)
class Picture:
    """Some sections of one dashboard, `without` whole lines of panels of these titles."""

    dashboard: str
    sections: tuple[str, ...]
    without: tuple[str, ...] = ()


def drawn(picture: Picture, source: httpx.Client) -> Figure:
    """The sections of a dashboard, laid out as there."""
    dashboard = json.loads((ROOT / f"grafana/dashboards/{picture.dashboard}.json").read_text())
    chosen: list[tuple[Json, int]] = []
    y = skipped = 0
    inside = False
    for panel in dashboard["panels"]:
        box = panel["gridPos"]
        if panel["type"] == "row":
            inside = panel["title"] in picture.sections
        if not inside or panel["title"] in picture.without:
            if box.get("x", 0) + box["w"] >= 24:
                skipped += box["h"]
            continue
        chosen.append((panel, box.get("y", 0) - skipped))
        y = max(y, box.get("y", 0) - skipped + box["h"])
    rows = y + 2.2  # for title and caption
    figure = Figure(figsize=(12, rows * 0.3), facecolor=PAPER)
    figure.text(
        0.012, 1 - 0.75 / rows, dashboard["title"], size=13, weight="bold", color=INK, va="center"
    )
    figure.text(
        0.988, 0.45 / rows, CAPTION, size=7.5, color=FAINT, ha="right", va="center", style="italic"
    )
    for panel, top in chosen:
        box = panel["gridPos"]
        left, width = box.get("x", 0) / 24, box["w"] / 24
        place = (
            0.006 + left * 0.988,
            1 - (top + 1.3 + box["h"]) / rows,
            width * 0.988,
            box["h"] / rows,
        )
        if panel["type"] == "row":
            figure.text(
                place[0] + 0.006,
                place[1] + 0.4 / rows,
                panel["title"],
                size=9.5,
                color=INK,
                weight="bold",
                va="center",
            )
            continue
        _card(
            figure,
            panel,
            place,
            [ask(source, panel, target) for target in panel["targets"]],
        )
    return figure


def _card(
    figure: Figure, panel: Json, place: tuple[float, float, float, float], results: list[list[Json]]
) -> None:
    x, y, width, height = place
    tall = figure.get_figheight()
    gap_x, gap_y = 0.04 / 12, 0.04 / tall
    card = figure.add_axes(
        (x + gap_x, y + gap_y, width - 2 * gap_x, height - 2 * gap_y), facecolor=CARD
    )
    card.set(xticks=[], yticks=[])
    for side in card.spines.values():
        side.set_color("#dcdfe3")
    inch = 1 / (tall * (height - 2 * gap_y))
    card.text(
        0.08 / (12 * width),
        1 - 0.12 * inch,
        panel["title"],
        transform=card.transAxes,
        size=7.5 if panel["type"] == "stat" else 8.5,
        weight="bold",
        color=INK,
        va="center",
    )
    kind = panel["type"]
    if kind == "stat":
        _numbers(card, panel, results[0])
    elif kind == "table":
        _table(card, panel, results, inch)
    elif kind == "bargauge":
        _bars(card, panel, results[0], inch)
    elif kind == "timeseries":
        axes = figure.add_axes(
            (x + 0.62 / 12, y + 0.62 / tall, width - 0.75 / 12, height - 0.95 / tall)
        )
        _lines(axes, panel, results)


def _numbers(card: Axes, panel: Json, result: list[Json]) -> None:
    """The number of each series side by side, with their names under them where there are names."""
    if not result:
        nothing = panel["fieldConfig"]["defaults"]["noValue"]
        _centred(card, 0.5, 0.4, nothing, size=min(11, _size(panel, [nothing])))
        return
    named = panel["options"].get("textMode") == "value_and_name"
    defaults = panel["fieldConfig"]["defaults"]
    values = [shown(defaults, float(series["value"][1])) for series in result]
    size = _size(panel, [text for text, _ in values])
    for position, (series, (text, colour)) in enumerate(zip(result, values, strict=True)):
        x = (position + 0.5) / len(result)
        if panel["options"]["colorMode"] != "background":
            colour = INK
        _centred(card, x, 0.45 if named else 0.4, text, size=size, colour=colour)
        if named:
            name = legend(panel["targets"][0], series["metric"])
            _centred(card, x, 0.18, name, size=7.5, colour=FAINT)


def _size(panel: Json, texts: Sequence[str]) -> float:
    """The size of letters in points with which texts side by side do not run into each other."""
    points = panel["gridPos"]["w"] * 36 / len(texts)  # a column of the grid is half an inch
    return float(min(17.0, points / (0.8 * (max(map(len, texts)) + 1))))


def _centred(card: Axes, x: float, y: float, text: str, *, size: float, colour: str = INK) -> None:
    card.text(
        x,
        y,
        text,
        transform=card.transAxes,
        size=size,
        color=colour,
        ha="center",
        va="center",
        weight="bold",
    )


def shown(defaults: Json, value: float) -> tuple[str, str]:
    """A value's text and colour by the unit, the thresholds and the mappings of a field."""
    text, colour = written(value, defaults.get("unit", ""), defaults.get("decimals")), INK
    for step in (defaults.get("thresholds") or {"steps": []})["steps"]:
        if value >= (step.get("value") or -math.inf):
            colour = GOOD[step["color"]]
    for mapping in defaults.get("mappings") or []:
        found = mapping["options"].get(f"{value:g}")
        if found is not None:
            text = found["text"]
            colour = GOOD.get(found.get("color", ""), colour)
    return text, colour


def legend(target: Json, labels: Json) -> str:
    """What a series is called: the target's legend with the series' labels in it."""
    return re.sub(
        r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), str(target["legendFormat"])
    )


def _bars(card: Axes, panel: Json, result: list[Json], inch: float) -> None:
    """A horizontal bar for each series, the longest first."""
    defaults = panel["fieldConfig"]["defaults"]
    if not result:
        nothing = defaults["noValue"]
        _centred(card, 0.5, 0.4, nothing, size=min(8.5, _size(panel, [nothing])), colour=FAINT)
        return
    ordered = sorted(result, key=lambda series: -float(series["value"][1]))
    most = max(float(series["value"][1]) for series in ordered) or 1.0
    height = min(0.26 * inch, (1 - 0.4 * inch) / len(ordered))
    for number, series in enumerate(ordered):
        value = float(series["value"][1])
        y = 1 - 0.4 * inch - (number + 0.5) * height
        text, colour = shown(defaults, value)
        if defaults["color"]["mode"] == "fixed":
            colour = COLOURS[0]
        name = legend(panel["targets"][0], series["metric"])
        style: Json = {"transform": card.transAxes, "size": 7.5, "va": "center"}
        card.text(0.28, y, name, color=INK, ha="right", **style)
        bar = Rectangle((0.3, y - 0.35 * height), 0.52 * value / most, 0.7 * height)
        bar.set(transform=card.transAxes, facecolor=colour, alpha=0.75)
        card.add_patch(bar)
        card.text(0.31 + 0.52 * value / most, y, text, color=INK, **style)


def _table(card: Axes, panel: Json, results: list[list[Json]], inch: float) -> None:
    organised = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    columns = sorted(organised["indexByName"], key=organised["indexByName"].get)
    keys = [name for name in columns if not name.startswith("Value")]
    headings = [organised["renameByName"][name] for name in columns]
    overrides = {
        override["matcher"]["options"]: {
            one["id"]: one.get("value") for one in override["properties"]
        }
        for override in panel["fieldConfig"]["overrides"]
    }
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for result, heading in zip(results, headings[len(keys) :], strict=True):
        for series in result:
            key = tuple(series["metric"].get(name, "") for name in keys)
            rows.setdefault(key, {})[heading] = float(series["value"][1])
    sort = panel["options"]["sortBy"][0]["displayName"]
    ordered = sorted(rows.items(), key=lambda row: -row[1].get(sort, -1))
    for column, heading in enumerate(headings):
        at = (column + 0.1) / len(headings)
        card.text(
            at,
            1 - 0.42 * inch,
            heading,
            transform=card.transAxes,
            size=7.5,
            color=FAINT,
            va="center",
        )
        for number, (key, values) in enumerate(ordered):
            style = overrides.get(heading, {})
            colour = INK
            if column < len(keys):
                text = key[column]
            elif heading in values:
                text, colour = shown(style, values[heading])
            else:
                text, colour = "–", FAINT
            card.text(
                at,
                1 - (0.7 + 0.27 * number) * inch,
                text,
                transform=card.transAxes,
                size=8.5,
                color=colour,
                va="center",
            )


def _lines(axes: Axes, panel: Json, results: list[list[Json]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    x = list(times(panel))
    curves: list[tuple[str, list[float]]] = []
    for target, result in zip(panel["targets"], results, strict=True):
        for series in result:
            known = {int(float(at)): float(value) for at, value in series["values"]}
            name = legend(target, series["metric"])
            curves.append((name, [known.get(at, math.nan) for at in x]))
    curves.sort(key=lambda one: -sum(value for value in one[1] if not math.isnan(value)))
    if not curves:
        axes.text(0.5, 0.5, defaults["noValue"], transform=axes.transAxes, ha="center", color=FAINT)
    if stacked and curves:
        values = [[0.0 if math.isnan(value) else value for value in one] for _, one in curves]
        names = [name for name, _ in curves]
        if custom.get("drawStyle") == "bars":
            _stacked_bars(axes, x, names, values)
        else:
            axes.stackplot(x, values, labels=names, colors=COLOURS, alpha=0.75)
    else:
        for number, (name, line) in enumerate(curves):
            colour, style = _line_style(panel, name, COLOURS[number % len(COLOURS)])
            axes.plot(x, line, label=name, color=colour, ls=style, lw=1.1)
    half = (x[1] - x[0]) / 2 if custom.get("drawStyle") == "bars" else 0
    axes.set_xlim(x[0] - half, x[-1] + half)
    if defaults.get("min") == 0:
        axes.set_ylim(bottom=0)
    days = (x[-1] - x[0]) / DAY
    apart, form = (4 * HOUR, "%H:%M") if days <= 1 else (math.ceil(days / 8) * DAY, "%m-%d")
    axes.xaxis.set_major_locator(MultipleLocator(apart))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: f"{datetime.fromtimestamp(at, UTC):{form}}")
    )
    axes.tick_params(colors=FAINT, labelsize=7, length=2)
    axes.grid(visible=True, color="#eceef0", lw=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _scale(axes, defaults.get("unit", ""))
    if curves:
        long = max(len(name) for name, _ in curves) > 22
        _legend(axes, columns=4 - long if panel["gridPos"]["w"] >= 12 else 2)


def _stacked_bars(axes: Axes, x: list[int], names: list[str], values: list[list[float]]) -> None:
    below = [0.0] * len(x)
    for number, (name, heights) in enumerate(zip(names, values, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(
            x,
            heights,
            bottom=below,
            width=0.8 * (x[1] - x[0]),
            color=colour,
            alpha=0.75,
            label=name,
        )
        below = [low + height for low, height in zip(below, heights, strict=True)]


def _line_style(panel: Json, name: str, colour: str) -> tuple[str, str]:
    """The colour and style of a line: grey and dashed where the panel says dashes."""
    for override in panel["fieldConfig"]["overrides"] or ():
        properties = {one["id"] for one in override["properties"]}
        if override["matcher"]["options"] == name and "custom.lineStyle" in properties:
            return FAINT, "--"
    return colour, "-"


def _scale(axes: Axes, unit: str) -> None:
    """Round numbers on the axis, also of minutes, hours and days."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    low, high = axes.get_ylim()
    if unit == "s" and high - low > DURATIONS[0]:
        step = next((one for one in DURATIONS if (high - low) / one <= 6), DURATIONS[-1])
        axes.yaxis.set_major_locator(MultipleLocator(step))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=unit == "short" and high >= 2))


def _legend(axes: Axes, *, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    most = 2 * columns
    if len(labels) > most:
        labels = [*labels[: most - 1], f"and {len(labels) - most + 1} more"]
    axes.legend(
        handles[:most],
        labels,
        loc="upper center",
        bbox_to_anchor=(0.47, -0.11),
        ncols=columns,
        columnspacing=1.2,
        fontsize=6.5,
        frameon=False,
        labelcolor=INK,
        handlelength=1.1,
    )


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """A number as a person reads it; the units are Grafana's ids."""
    if unit == "dateTimeAsIso":
        instant = f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M}"
        return instant.removesuffix(" 00:00")
    if unit == "decbytes":
        return _scaled(
            value, (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)), " B"
        )
    if unit in ("s", "dtdurations"):
        return _scaled(value, (("d", 86400), ("h", 3600), ("min", 60)), " s")
    if unit == "locale":
        text = f"{value:,.{3 if decimals is None else decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if decimals is not None and abs(value) < 1e3:
        return f"{value:.{decimals}f}"
    return _scaled(value, (("M", 1e6), ("k", 1e3)), "")


def _scaled(value: float, scales: Sequence[tuple[str, float]], otherwise: str) -> str:
    for name, size in scales:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}{otherwise}" if value else f"0{otherwise}"
