"""The recipe for a settled bucket that changed, as docs/history.md gives it, on a Prometheus."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from exporter.history.reader import Choice
from exporter.model import HOUR
from exporter.model.measures import DELIVERED_BYTES
from tests.history.ledgers import Notebook, hour
from tests.support.components import prometheus, promtool
from tests.support.processes import Prometheus

pytestmark = pytest.mark.sockets

DOCUMENT = Path(__file__).parents[2] / "docs" / "history.md"


@pytest.fixture
def notebook(tmp_path):
    (tmp_path / "exporter").mkdir()
    notebook = Notebook(tmp_path / "exporter")
    yield notebook
    notebook.close()


def fill(folder: Path, document: str) -> None:
    (folder / "history.om").write_text(document)
    subprocess.run(
        [
            *(promtool(), "tsdb", "create-blocks-from", "openmetrics"),
            *("--max-block-duration=768h", folder / "history.om", folder / "tsdb"),
        ],
        check=True,
        capture_output=True,
    )


def test_the_recipe_puts_the_new_value_in_place_of_the_old_one(notebook, tmp_path):
    """Without the deletion, as the document says, the old value stays."""
    text = DOCUMENT.read_text()
    assert "delete_series" in text
    assert re.search(r"--storage\.tsdb\.retention\.time", text)
    notebook.poll([(DELIVERED_BYTES, ("live",), number, 10) for number in range(24)], at=30)
    fill(tmp_path, notebook.document())
    notebook.poll([(DELIVERED_BYTES, ("live",), 5, 70)], at=31)
    revised = notebook.document(Choice(start=hour(5)))
    server = Prometheus(
        prometheus(),
        tmp_path,
        "global: {}\n",
        "--storage.tsdb.retention.time=100y",
        "--web.enable-admin-api",
    )

    def totals() -> dict[int, float]:
        found = server.query_range("media_delivered_bytes_total", hour(1), hour(24), HOUR)
        return {at: value for (_, at), value in found.items()}

    before = {hour(number): 10 * number for number in range(1, 25)}
    after = {at: value if at <= hour(5) else value + 60 for at, value in before.items()}
    with server:
        assert totals() == before
        admin = f"http://{server.address}/api/v1/admin/tsdb"
        chosen: dict[str, str | int] = {
            "match[]": '{__name__=~"media_.*_total",account="live"}',
            "start": hour(5),
            "end": hour(48),
        }
        for step, parameters in (("delete_series", chosen), ("clean_tombstones", {})):
            answer = httpx.post(f"{admin}/{step}", params=parameters, trust_env=False, timeout=30)
            assert answer.status_code == 204
    fill(tmp_path, revised)
    with server:
        assert totals() == after
