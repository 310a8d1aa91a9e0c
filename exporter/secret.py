"""A value that will not print itself."""

from __future__ import annotations


class Secret:
    """A credential. Every way of printing it shows `********`; only `reveal()` gives it away.

    Equality compares the content, so that a rotated credential can be noticed.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    def __str__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str | tuple[object, ...]:
        # Pickles and deep copies are ways of printing, too.
        raise TypeError("a Secret is not serialised")
