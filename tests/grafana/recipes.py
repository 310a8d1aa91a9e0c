"""The recipes of docs/recipes.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
_LABEL = re.compile(r"`(\w+)`")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One section: its heading, its query, and the labels by which the page says there are rows."""

    question: str
    query: str
    labels: frozenset[str]
    watch_out: str


def recipes() -> list[Recipe]:
    """All of them, in the page's order; a section that is not made like the others raises."""
    sections = re.split(r"^### (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [_recipe(*pair) for pair in zip(sections[::2], sections[1::2], strict=True)]


def _recipe(question: str, text: str) -> Recipe:
    parts = re.fullmatch(
        r"\n```promql\n(.+?)```\n\nOne row for each (.+?): (.+?)\n\nWatch out: (.+?)(?:\n## .*)?",
        text,
        re.DOTALL,
    )
    if parts is None:
        raise ValueError(
            f"{PAGE}: {question}: expected a query, its rows, and what to watch out for"
        )
    return Recipe(question, parts[1], frozenset(_LABEL.findall(parts[2])), parts[4].strip())
