"""Which feeds of which vendors give a metric, from the providers themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.billing import gauges
from exporter.model import Measure, Provider
from exporter.model.measures import CATALOGUE
from exporter.polling.months import BEFORE, SUMS

VENDORS: Final = {
    "millicast": "Dolby Millicast",
    "dolby_media": "Dolby.io Media",
    "wowza": "Wowza Video",
    "livepeer": "Livepeer Studio",
}
"""What vendors call themselves, in the order of the README."""

BILLING: Final = tuple(one for one in CATALOGUE if one in vars(gauges).values())
"""The gauges that only accounts under `billing` have."""

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Source:
    """A feed that gives a metric: `option` is the setting that it takes, empty if none."""

    feed: str
    default: bool
    option: str = ""

    def __str__(self) -> str:
        name = f"**`{self.feed}`**" if self.default and not self.option else f"`{self.feed}`"
        return f"{name} with `{self.option}: true`" if self.option else name


def sources(measure: Measure, provider: Provider) -> Iterator[Source]:
    """The feeds that give `measure`, in the provider's order."""
    options: dict[str, Any] = {option.key: option.default for option in provider.options}
    switches = [option.key for option in provider.options if option.default is False]
    for name in provider.feed_names:
        default = name in provider.default_feeds
        for switch in ("", *switches):
            chosen = options | ({switch: True} if switch else {})
            (feed,) = provider.feeds([name], chosen)
            if measure in feed.measures:
                yield Source(name, default, switch)
                break


def of_months(measure: Measure) -> frozenset[Measure]:
    """The counters that a gauge of the month to date, or of the month before, adds up."""
    return frozenset(
        counter for counter, (month, _) in SUMS.items() if measure in (month, BEFORE.get(month))
    )


def overview(known: Mapping[str, Provider]) -> str:
    """A table with a row for each metric that feeds give, and a column for each vendor."""
    head = " | ".join(VENDORS[name] for name in VENDORS if name in known)
    lines = [f"| metric | {head} |", f"|---|{'---|' * len(known)}"]
    for measure in CATALOGUE:
        cells = [_cell(measure, known[name]) for name in VENDORS if name in known]
        if any(cell != NOTHING for cell in cells):
            link = f"[`{measure.name}`](#{measure.name})"
            lines.append(f"| {link} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(measure: Measure, provider: Provider) -> str:
    """The feeds of one vendor; for a sum over a month, those of the counters that it adds up."""
    counters: Iterable[Measure] = of_months(measure) or (measure,)
    found = {str(source) for counter in counters for source in sources(counter, provider)}
    order = [f"`{name}`" for name in provider.feed_names]
    return (
        ", ".join(sorted(found, key=lambda text: order.index(f"`{text.split('`')[1]}`"))) or NOTHING
    )
