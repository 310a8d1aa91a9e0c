"""Files that are made from the code, so that the two cannot disagree.

``python -m tools.generate`` writes those that differ; ``--check`` only names them and fails.
To add one, give `GENERATED` its path and a function without arguments that returns its text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import (
    command_line,
    configuration,
    kubernetes,
    metrics,
    mixin,
    provider_guide,
    request_costs,
)
from tools.dashboards.generated import FILES as DASHBOARDS
from tools.dashboards.generated import FILES_TO_IMPORT
from tools.helm.generated import FILES as HELM

ROOT = Path(__file__).parent.parent

GENERATED: dict[str, Callable[[], str]] = {
    "docs/command-line.md": command_line.documentation,
    "docs/configuration.md": configuration.documentation,
    "schema/config.schema.json": configuration.json_schema,
    "docs/metrics.md": metrics.documentation,
    "docs/request-costs.md": request_costs.documentation,
    "docs/adding-a-provider.md": provider_guide.documentation,
    **DASHBOARDS,
    **FILES_TO_IMPORT,
    **kubernetes.FILES,
    **mixin.FILES,
    **HELM,
}


def differing(generated: Mapping[str, Callable[[], str]], root: Path) -> dict[Path, str]:
    """The text that each missing or outdated file under `root` should have."""
    texts = {root / path: make() for path, make in generated.items()}
    return {
        path: text
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 only under ``--check``, and only if a file differs."""
    parser = argparse.ArgumentParser(prog="tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if stale")
    check = parser.parse_args(arguments).check
    texts = differing(GENERATED, ROOT)
    for path in texts:
        name = path.relative_to(ROOT)
        print(f"{name}: outdated; run `make generate`" if check else f"{name}: written")
    if not check:
        write(texts)
    return 1 if check and texts else 0


if __name__ == "__main__":
    sys.exit(main())
