"""Names that vendors give, as PostgreSQL's text can hold them: without the character NUL."""

from __future__ import annotations


def stored(name: str) -> str:
    """The name as it stands in a row; most are unchanged."""
    if "\x00" not in name and "\\" not in name:
        return name
    return name.replace("\\", "\\\\").replace("\x00", "\\0")


def named(text: str) -> str:
    """The name that a row holds."""
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\0", "\x00") for part in text.split("\\\\"))
