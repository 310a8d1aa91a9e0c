"""The schema with which Helm refuses wrong values before it renders anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from exporter import providers
from tools import configuration
from tools.helm.values import CONFIG, VALUES

_SOMETHING = "(?=.)"
_UNLESS = re.compile(r"\(\?!((?:[^()]|\([^()]*\))*)\)")
"""Go's regular expressions know neither; the schema says the same in words of its own."""


def text() -> str:
    """values.schema.json."""
    root = _object()
    for value in VALUES:
        group, _, key = value.key.rpartition(".")
        holder = root["properties"].setdefault(group, _object()) if group else root
        judged = _config() if value.key == CONFIG else dict(value.schema)
        holder["properties"][key] = {"description": value.help, **judged}
    # Helm gives these to a chart that another one depends on.
    root["properties"]["global"] = {"type": "object"}
    document = {"$schema": "http://json-schema.org/draft-07/schema#", **root}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _object() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _config() -> dict[str, Any]:
    """The configuration's own schema, in the regular expressions of Go."""
    own: Any = configuration.schema(providers.load())
    own = _everywhere(_in_go, own)
    return {key: value for key, value in own.items() if key not in ("$schema", "title")}


def _everywhere(change: Callable[[dict[str, Any]], dict[str, Any]], part: Any) -> Any:
    if isinstance(part, dict):
        return change({key: _everywhere(change, value) for key, value in part.items()})
    if isinstance(part, list):
        return [_everywhere(change, one) for one in part]
    return part


def _in_go(part: dict[str, Any]) -> dict[str, Any]:
    pattern = part.get("pattern")
    if not isinstance(pattern, str):
        return part
    more: dict[str, Any] = {}
    if _SOMETHING in pattern:
        pattern, more["minLength"] = pattern.replace(_SOMETHING, ""), 1
    if unless := _UNLESS.search(pattern):
        more["not"] = {"pattern": pattern[: unless.start()] + unless[1]}
        pattern = pattern[: unless.start()] + pattern[unless.end() :]
    if re.search(r"\(\?[=!<]", pattern) or more.keys() & part.keys():
        raise ValueError(f"{pattern}: nothing here says this for Go")
    return {**part, "pattern": pattern, **more}
