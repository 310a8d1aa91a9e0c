"""What the garbage collector is told of series."""

import gc

from exporter.exposition.garbage_collection import SERIES_PER_FREEZE, SeriesFreezer


def test_many_new_series_are_frozen_once() -> None:
    """Series are taken out of the garbage collector's sight when many have come, not each time."""
    gc.unfreeze()
    try:
        freezer = SeriesFreezer()
        freezer.update(SERIES_PER_FREEZE - 1)
        assert gc.get_freeze_count() == 0
        freezer.update(SERIES_PER_FREEZE)
        frozen = gc.get_freeze_count()
        assert frozen > 0
        freezer.update(SERIES_PER_FREEZE + 1)
        assert gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()
