"""HTML that cannot be forgotten to be escaped: every `str` is text, only `Html` is markup."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

VOID = frozenset({"link", "meta"})
"""Elements without an end."""


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that is fit to be sent."""

    markup: str

    def __str__(self) -> str:
        return self.markup


Child = Html | str | None


def text(child: Child) -> str:
    """Markup for `child`; None stands for nothing."""
    if child is None:
        return ""
    return child.markup if isinstance(child, Html) else escape(child)


def tag(name: str, /, *children: Child, **attributes: str) -> Html:
    """One element. A final underscore of an attribute is dropped, others become hyphens.

    Attributes without a value are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    end = "" if name in VOID else f"</{name}>"
    return Html(f"<{name}{written}>{''.join(map(text, children))}{end}")


def join(*children: Child, between: str = "") -> Html:
    """Several, one after the other."""
    return Html(escape(between).join(map(text, children)))
