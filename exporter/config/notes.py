"""The faults and warnings of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from exporter.config import nodes


@dataclass(slots=True)
class Notes:
    """Remarks on places in a file, a line each: `FILE:LINE: KEY: TEXT`."""

    path: Path
    _notes: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, node: yaml.Node, key: str, text: str) -> None:
        line = nodes.line(node)
        self._notes.append((line, f"{self.path}:{line}: {key}: {text}"))

    def in_order(self) -> list[str]:
        """By line, and as they were added within one."""
        return [text for _, text in sorted(self._notes, key=lambda note: note[0])]
