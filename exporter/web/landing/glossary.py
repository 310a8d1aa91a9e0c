"""What the words on the page mean, at its end."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.polling.advice import ADVICE, Advice, Party
from exporter.web.landing.html import Child, Html, join, tag

OWNERS: dict[Party, str] = {
    "you": "yours to mend",
    "vendor": "the vendor's",
    "network": "the network's",
    "exporter": "the exporter's",
}
"""Whose a fault is."""

STATES = (
    ("working", "The newest poll succeeded."),
    ("catching up", "It succeeded, and what an outage left out is still being filled in."),
    ("waiting", "Not polled since the exporter started. What the ledger knows is shown."),
    (
        "failing",
        "The newest poll failed. Counters stand still and catch up later; gauges vanish after two"
        " cadences. Nothing is lost while the vendor still has the data.",
    ),
)

FIGURES = (
    (
        "Newest data",
        "The end of the newest bucket of time that the vendor has filled. Feeds of present"
        " values, such as viewers now, have none.",
    ),
    ("To catch up", "How much of the time that an outage left out is still to be asked for."),
    (
        "Requests",
        "What polling takes with the streams known now. Further pages of long lists and repeated"
        " attempts come on top.",
    ),
    ("Streams folded", "Streams beyond `limits.streams`, summed up under the name `__other__`."),
)


def glossary() -> Html:
    """States, reasons and figures."""
    return tag(
        "section",
        tag("h2", "What the words mean", id="help"),
        tag("h3", "States"),
        _definitions(STATES),
        tag("h3", "Reasons of failures"),
        _definitions((reason, _explained(given)) for reason, given in ADVICE.items()),
        tag("h3", "Figures"),
        _definitions((name, prose(meaning)) for name, meaning in FIGURES),
        class_="glossary",
        aria_labelledby="help",
    )


def prose(sentences: str) -> Html:
    """Text whose `quoted` parts are code."""
    return join(
        *(tag("code", part) if odd % 2 else part for odd, part in enumerate(sentences.split("`")))
    )


def sentence(words: str) -> str:
    """With a capital letter."""
    return words[:1].upper() + words[1:]


def _definitions(pairs: Iterable[tuple[str, Child]]) -> Html:
    return tag("dl", *(tag("div", tag("dt", word), tag("dd", said)) for word, said in pairs))


def _explained(given: Advice) -> Html:
    return join(
        f"{sentence(given.what)}. ",
        tag("b", f"{sentence(OWNERS[given.party])}."),
        " ",
        prose(given.todo),
    )
