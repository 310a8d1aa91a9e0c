"""The stream names for which the vendor can report usage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LONGEST_NAME: Final = 128


def reportable(name: str) -> bool:
    """Whether the vendor can report usage of a stream with this name."""
    # Asked of every stream in every poll: a generator takes five times as long.
    return (
        0 < len(name) <= LONGEST_NAME and "/" not in name and "*" not in name and "--" not in name
    )


def unreportable(names: Iterable[str]) -> tuple[str, ...]:
    """The remark about names that are left out, if there are any."""
    left_out = sorted({name for name in names if not reportable(name)})
    if not left_out:
        return ()
    return (
        f"the vendor reports no usage for stream names with '/', '*' or '--', or of more than"
        f" {LONGEST_NAME} characters; left out: {len(left_out)}, such as {left_out[0][:40]!r}",
    )
