"""Write the pictures into docs/images."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.generate import ROOT
from tools.pictures import data
from tools.pictures.plots import Picture, drawn

PICTURES = (
    Picture(
        "overview",
        ("Status", "Usage by account", "Usage over time"),
        without=("This month", "Delivered per day"),
    ),
    Picture("billing", ("This month", "Quotas")),
    Picture("jobs", ("Totals", "Volume and failures")),
    Picture(
        "exporter",
        ("Exporter", "Failures and freshness", "Vendor requests"),
        without=("Request duration", "Poll duration p95"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every picture."""
    parser = argparse.ArgumentParser(prog="tools.pictures", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images", help="the folder")
    folder: Path = parser.parse_args(arguments).to
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="media-usage-pictures-") as name:
        work = Path(name)
        pages = work / "pages.txt"
        asyncio.run(data.live_through(work, pages))
        with data.prometheus(work, pages) as source:
            for picture in PICTURES:
                file = folder / f"{picture.dashboard}.png"
                drawn(picture, source).savefig(file, dpi=100)
                print(f"{file}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
