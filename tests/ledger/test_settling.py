"""Which buckets are final, and that a final one that changes is told of."""

import pytest

from exporter.ledger import Ledger
from exporter.ledger.settling import Revised
from exporter.model import DAY, Window
from exporter.model.measures import DELIVERED_BYTES
from tests.history.ledgers import BEGAN, Notebook, hour
from tests.support.simulation import Simulation

LIVE = ("live",)


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def delivered(number, amount):
    return [(DELIVERED_BYTES, LIVE, number, amount)]


def test_a_bucket_that_changes_while_it_settles_is_nothing_to_tell(notebook):
    """That is what settling is for."""
    assert notebook.poll(delivered(0, 5), at=2) == []
    assert notebook.poll(delivered(0, 7), at=3) == []
    assert notebook.poll(delivered(0, 7), at=30) == []


def test_a_settled_bucket_that_changes_is_told_once(notebook):
    """With how many there are and where they lie."""
    notebook.poll([*delivered(0, 5), *delivered(1, 5)], at=20)
    revised = notebook.poll([*delivered(0, 4), *delivered(1, 5), *delivered(2, 1)], at=21)
    assert revised == [Revised("account", 2, Window(hour(0), hour(3)))]
    assert notebook.poll([*delivered(0, 4), *delivered(2, 1)], at=22) == []
    assert len(notebook.poll(delivered(0, 3), at=23)) == 1


def test_hours_that_a_settled_day_takes_the_place_of_are_told(notebook):
    """They are no more in the ledger, yet they may have been written elsewhere."""
    notebook.poll(delivered(1, 5), at=8)
    notebook.poll(delivered(60, 1), at=70, gap=Window(hour(5), hour(48)))
    revised = notebook.poll(
        [(DELIVERED_BYTES, LIVE, 0, 9)], at=70, width=DAY, filled=Window(hour(5), hour(48))
    )
    assert revised == [Revised("account", 1, Window(hour(1), hour(2)))]


def test_what_is_folded_into_the_totals_is_not_told(notebook):
    """Nothing has changed then."""
    notebook.poll(delivered(1, 5), at=80)
    assert notebook.ledger.compact(notebook.book, "account", BEGAN + DAY) == 1
    assert notebook.poll(delivered(79, 1), at=81) == []


async def test_the_page_and_the_log_say_that_a_settled_bucket_changed(tmp_path, caplog):
    """With what it means and where to read on."""
    world = Simulation(tmp_path, providers=["millicast"])
    labels = {"provider": "millicast", "account": "live", "feed": "account"}
    name = "media_exporter_settled_buckets_revised_total"
    async with world.running() as exporter:
        assert await world.poll()
        assert world.value(name, **labels) == 0
        ledger = exporter.shared.ledger
        assert isinstance(ledger, Ledger)
        ledger.connection.execute(
            "UPDATE bucket SET amount = amount + 1 WHERE (feed, start, width, series) IN"
            " (SELECT feed, start, width, series FROM bucket WHERE feed ="
            " (SELECT id FROM feed WHERE name = 'account') ORDER BY start LIMIT 1)"
        )
        world.now += 900
        with caplog.at_level("WARNING"):
            assert await world.poll()
        # Revised by hand, and back again by the poll that looked at it once more.
        assert world.value(name, **labels) == 1
    (record,) = [one for one in caplog.records if "docs/history.md" in one.getMessage()]
    assert record.buckets == 1
