"""A dashboard's queries asked of promtool's Prometheus with made-up series.

Its time begins on 1 January 1970, a month of 31 days.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.grafana.documents import DASHBOARDS, replaced, targets
from tests.support.components import promtool

EVERYTHING = dict.fromkeys(("job", "instance", "provider", "account"), ".+")


def query(dashboard: str, title: str, letter: str = "A") -> str:
    """The query with this letter of the panel with this title, with everything chosen."""
    for panel, target in targets(DASHBOARDS[dashboard]):
        if (panel["title"], target["refId"]) == (title, letter):
            return replaced(target["expr"], EVERYTHING)
    raise LookupError(title)


def assert_answers(
    folder: Path, series: dict[str, str], expected: list[tuple[str, str, dict[str, float]]]
) -> None:
    """`expected` are queries, when they are asked, and values by series."""
    test = {
        "interval": "6h",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": at,
                "exp_samples": [{"labels": k, "value": v} for k, v in samples.items()],
            }
            for expression, at, samples in expected
        ],
    }
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [], "evaluation_interval": "6h", "tests": [test]}))
    done = subprocess.run(
        [promtool(), "test", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
