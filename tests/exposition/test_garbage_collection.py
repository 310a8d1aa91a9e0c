"""What the garbage collector is told of series."""

import gc

from exporter.exposition.garbage_collection import FROZEN_AT_LEAST, SeriesFreezer


def test_many_new_series_are_frozen_once() -> None:
    """Series are taken out of the garbage collector's sight when many have come, not each time."""
    gc.unfreeze()
    try:
        freezer = SeriesFreezer()
        freezer.note(FROZEN_AT_LEAST - 1)
        assert gc.get_freeze_count() == 0
        freezer.note(FROZEN_AT_LEAST)
        frozen = gc.get_freeze_count()
        assert frozen > 0
        freezer.note(FROZEN_AT_LEAST + 1)
        assert gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()
