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
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from tools.generate import ROOT
from tools.pictures.data import HOUR, TIMES, Json, ask

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
        _number(card, panel, results[0])
    elif kind == "table":
        _table(card, panel, results, inch)
    elif kind == "timeseries":
        axes = figure.add_axes(
            (x + 0.62 / 12, y + 0.62 / tall, width - 0.75 / 12, height - 0.95 / tall)
        )
        _lines(axes, panel, results)


def _number(card: Axes, panel: Json, result: list[Json]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    text, colour = defaults["noValue"], INK
    size = 11.0
    if result:
        value = float(result[0]["value"][1])
        size = 17
        text = written(value, defaults.get("unit", ""))
        if panel["options"]["colorMode"] == "background":
            steps = [
                step
                for step in defaults["thresholds"]["steps"]
                if value >= (step.get("value") or -math.inf)
            ]
            colour = GOOD[steps[-1]["color"]]
            for mapping in defaults.get("mappings") or []:
                if f"{value:g}" in mapping["options"]:
                    found = mapping["options"][f"{value:g}"]
                    text, colour = found["text"], GOOD[found["color"]]
    card.text(
        0.5,
        0.4,
        text,
        transform=card.transAxes,
        size=size,
        color=colour,
        ha="center",
        va="center",
        weight="bold",
    )


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
                value = values[heading]
                text = written(value, str(style.get("unit", "")))
                for step in (style.get("thresholds") or {"steps": []})["steps"]:
                    if value >= (step.get("value") or -math.inf):
                        colour = GOOD[step["color"]]
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
    curves: list[tuple[str, list[float]]] = []
    for target, result in zip(panel["targets"], results, strict=True):
        for series in result:
            labels = series["metric"]
            legend = str(target["legendFormat"])
            for name in re.findall(r"\{\{(\w+)\}\}", legend):
                legend = legend.replace(f"{{{{{name}}}}}", labels.get(name, ""))
            known = {int(float(at)): float(value) for at, value in series["values"]}
            curves.append((legend, [known.get(at, math.nan) for at in TIMES]))
    curves.sort(key=lambda one: -sum(value for value in one[1] if not math.isnan(value)))
    x = list(TIMES)
    if not curves:
        axes.text(0.5, 0.5, defaults["noValue"], transform=axes.transAxes, ha="center", color=FAINT)
    if stacked and curves:
        values = [[0.0 if math.isnan(value) else value for value in one] for _, one in curves]
        axes.stackplot(
            x, values, labels=[legend for legend, _ in curves], colors=COLOURS, alpha=0.75
        )
    else:
        for number, (legend, line) in enumerate(curves):
            axes.plot(x, line, label=legend, color=COLOURS[number % len(COLOURS)], lw=1.1)
    axes.set_xlim(x[0], x[-1])
    if defaults.get("min") == 0:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MultipleLocator(4 * HOUR))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: f"{datetime.fromtimestamp(at, UTC):%H:%M}")
    )
    axes.tick_params(colors=FAINT, labelsize=7, length=2)
    axes.grid(visible=True, color="#eceef0", lw=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _scale(axes, defaults.get("unit", ""))
    if curves:
        long = max(len(legend) for legend, _ in curves) > 22
        _legend(axes, columns=4 - long if panel["gridPos"]["w"] >= 12 else 2)


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


def written(value: float, unit: str) -> str:
    """A number as a person reads it; the units are Grafana's ids."""
    if unit == "decbytes":
        return _scaled(
            value, (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)), " B"
        )
    if unit in ("s", "dtdurations"):
        return _scaled(value, (("d", 86400), ("h", 3600), ("min", 60)), " s")
    if unit == "locale":
        return f"{value:,.0f}"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    return _scaled(value, (("M", 1e6), ("k", 1e3)), "")


def _scaled(value: float, scales: Sequence[tuple[str, float]], otherwise: str) -> str:
    for name, size in scales:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}{otherwise}" if value else f"0{otherwise}"
