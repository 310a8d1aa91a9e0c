"""The committed dashboards, as Grafana will read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import promql_parser

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana" / "dashboards"
FOLDER_TO_IMPORT = ROOT / "grafana" / "import"
Json: TypeAlias = dict[str, Any]


def _read(folder: Path) -> Mapping[str, Json]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


DASHBOARDS = _read(FOLDER)
TO_IMPORT = _read(FOLDER_TO_IMPORT)
"""Those with an input for the data source."""

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})")
_QUERY = re.compile(r"label_values\((.+), (\w+)\)")


def panels(dashboard: Json) -> Iterator[Json]:
    """Every panel but the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def targets(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield panel, target


def variables(dashboard: Json) -> list[Json]:
    found: list[Json] = dashboard["templating"]["list"]
    return found


def events(dashboard: Json) -> list[Json]:
    found: list[Json] = dashboard["annotations"]["list"]
    return found


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Every PromQL expression and where it stands, selectors of variables included."""
    for panel, target in targets(dashboard):
        yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in events(dashboard):
        yield annotation["name"], annotation["expr"]
    for variable in variables(dashboard):
        if variable["type"] == "query":
            selector, _ = label_values(variable)
            if selector != variable["query"]:
                yield variable["name"], selector


def label_values(variable: Json) -> tuple[str, str]:
    """The selector and the label of a variable's query."""
    found = _QUERY.fullmatch(variable["query"])
    assert found, variable["query"]
    return found[1], found[2]


def replaced(text: str, values: Mapping[str, str]) -> str:
    """`text` as Grafana sends it; what is no variable stays, as `$1` does."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), text)


def legend_labels(text: str) -> set[str]:
    """The labels that a legend or a heading shows."""
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))


def parsed(expression: str, **values: str) -> Any:
    """The expression's tree; windows are `values`, variables within quotes stay."""
    windows = {"__range": "6h", "__rate_interval": "1m", "__interval": "5m", **values}
    return promql_parser.parse(replaced(expression, windows))


def nodes(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node of a tree, with those above it, the nearest last."""
    yield tree, above
    below = [
        getattr(tree, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")
    ]
    for node in [*below, *(getattr(tree, "args", None) or [])]:
        if node is not None:
            yield from nodes(node, (*above, tree))


def selectors(expression: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    for node, above in nodes(parsed(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            yield node, above
