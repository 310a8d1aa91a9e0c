"""The monitoring mixin: dashboards and rules for those who deploy them by jsonnet.

It lies in the repository's root because jsonnet-bundler takes over one folder with what is below
it, and the files that are imported lie in several.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

from tools.dashboards.generated import FILES as DASHBOARDS

ROOT = Path(__file__).parent.parent

_BEGIN = """\
// Made by `make generate` from the lists of dashboards and of rule files.
//
// A monitoring mixin: grafanaDashboards by file name, prometheusAlerts and prometheusRules as
// documents of rule groups. Everything is imported as it is; there is nothing to configure.
local groups(texts) = std.flatMap(function(text) std.parseYaml(text).groups, texts);

"""


def text() -> str:
    """The mixin's jsonnet."""
    alerts, records = _rule_files()
    dashboards = {f"media-usage-{Path(path).stem}.json": path for path in sorted(DASHBOARDS)}
    lines = ["{", "  grafanaDashboards+:: {"]
    lines += [f"    '{name}': import '{path}'," for name, path in dashboards.items()]
    lines.append("  },")
    for name, paths in (("prometheusAlerts", alerts), ("prometheusRules", records)):
        lines += [f"  {name}+:: {{", "    groups+: groups(["]
        lines += [f"      importstr '{path}'," for path in paths]
        lines += ["    ]),", "  },"]
    return _BEGIN + "\n".join([*lines, "}"]) + "\n"


def bundle() -> str:
    """What jsonnet-bundler reads of a package: that this one needs no other."""
    return json.dumps({"version": 1, "dependencies": [], "legacyImports": True}, indent=2) + "\n"


def _rule_files() -> tuple[Sequence[str], Sequence[str]]:
    """The files of alerts and those of recording rules; ValueError for one that has both."""
    alerts: list[str] = []
    records: list[str] = []
    for file in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml")):
        groups = yaml.safe_load(file.read_text("utf-8"))["groups"]
        kinds = {"alert" in rule for group in groups for rule in group["rules"]}
        path = file.relative_to(ROOT).as_posix()
        if len(kinds) != 1:
            raise ValueError(f"{path}: expected either alerts or recording rules, found both")
        (alerts if kinds == {True} else records).append(path)
    return alerts, records


FILES: Final[dict[str, Callable[[], str]]] = {"mixin.libsonnet": text, "jsonnetfile.json": bundle}
