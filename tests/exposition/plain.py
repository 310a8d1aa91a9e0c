"""A page written in the most straightforward way, to compare the cached one with."""

import json
import math
from itertools import groupby

from exporter.exposition import Format
from exporter.ledger import Book, Series
from exporter.model import Measure
from exporter.model.measures import CATALOGUE

NASTY = 'quote " newline \n backslash \\ tab \t return \r next \x85\u2028 four \U0001f3a5 nul \x00 '


def escaped(value: str) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value.replace("\x00", "\ufffd")


def line(name, pairs, value):
    labels = ",".join(f'{key}="{escaped(text)}"' for key, text in pairs)
    return f"{name}{{{labels}}} {value}\n"


def value_text(amount, resolution):
    if amount % resolution == 0:
        return str(amount // resolution)
    return json.dumps(amount / resolution)


def header(measure, format):
    help_text = measure.help.replace("\\", "\\\\").replace("\n", "\\n")
    name = measure.name
    if format is Format.OPENMETRICS:
        help_text = help_text.replace('"', '\\"')
        name = name.removesuffix("_total")
    return f"# HELP {name} {help_text}\n# TYPE {name} {measure.type}\n"


def histogram_lines(measure, opening, named):
    def bound_of(item):
        return float(item[0][-1])

    for labels, group in groupby(sorted(named.items()), key=lambda item: item[0][:-1]):
        amounts = {key[-1]: amount for key, amount in group}
        pairs = [*opening, *zip(measure.labels, labels, strict=True)]
        bounds = [bound for bound in amounts if bound not in ("count", "sum")]
        for bound in sorted(bounds, key=float):
            yield line(f"{measure.name}_bucket", [*pairs, ("le", bound)], amounts[bound])
        yield line(f"{measure.name}_count", pairs, amounts["count"])
        yield line(f"{measure.name}_sum", pairs, value_text(amounts["sum"], measure.resolution))


def page(accounts, format, now, *, created=False):
    """`accounts` are (book, {measure: {labels: level}}) in their order."""
    text = ""
    for measure in CATALOGUE:
        lines = []
        for book, levels in accounts:
            opening = [("provider", book.provider), ("account", book.account)]
            if measure.type == "gauge":
                for labels, value in levels.get(measure, {}).items():
                    if not math.isnan(value):
                        whole = float(value).is_integer() and abs(value) < 2**53
                        pairs = [*opening, *zip(measure.labels, labels, strict=True)]
                        lines.append(line(measure.name, pairs, int(value) if whole else value))
                continue
            named = {one.labels: book.value(one, now) for one in book.shown(measure)}
            if measure.type == "histogram":
                lines += histogram_lines(measure, opening, named)
                continue
            for labels, amount in named.items():
                pairs = [*opening, *zip(measure.labels, labels, strict=True)]
                lines.append(line(measure.name, pairs, value_text(amount, measure.resolution)))
                if created and format is Format.OPENMETRICS:
                    name = measure.name.removesuffix("_total") + "_created"
                    lines.append(line(name, pairs, book.series[measure][labels].created))
        if lines:
            text += header(measure, format) + "".join(lines)
    return text


class Shelf:
    """Books made by hand, as the ledger would make them."""

    def __init__(self):
        self._id = 0

    def book(self, provider="millicast", account="studio", **totals):
        return Book(1, provider, account, 100, **totals)

    def put(self, book: Book, measure: Measure, labels, exposed, *, held=None, into=None):
        self._id += 1
        one = Series(
            id=self._id, measure=measure, labels=labels, exposed=exposed, created=1000 + self._id
        )
        one.into = into
        book.series.setdefault(measure, {})[labels] = one
        if held is not None:
            book.holds[one] = held
        return one

    def put_histogram(self, book, measure, labels, *, sum=0, counts=None):
        counts = counts or range(1, len(measure.buckets) + 2)
        for bound, count in zip(
            (*map(str, map(float, measure.buckets)), "+Inf"), counts, strict=True
        ):
            self.put(book, measure, (*labels, bound), count)
        self.put(book, measure, (*labels, "count"), counts[-1])
        self.put(book, measure, (*labels, "sum"), sum)
