"""The implementations of the ledger's contract; a test with `storage` or `ledger` runs on each."""

from contextlib import AbstractContextManager
from pathlib import Path

from exporter.ledger.contract import History, Ledger
from exporter.ledger.sqlite import SqliteLedger
from exporter.ledger.sqlite.offline import reading
from tests.ledger.disk import HOLD_SECONDS, copy_ledger, failing


class Sqlite:
    """Storage for one ledger below `folder`."""

    def __init__(self, folder: Path, clock) -> None:
        self.path = folder / "usage.db"
        self.copy = folder / "killed.db"
        self.clock = clock

    def open(self, path: Path | None = None) -> Ledger:
        """The ledger, made when missing; one that is open must be closed before."""
        return SqliteLedger.open(path or self.path, clock=self.clock, hold_seconds=HOLD_SECONDS)

    def failing(self, ledger, *, statement: int):
        """Let the `statement`-th statement from now on fail; the object says whether it `failed`.

        Whatever the storage holds at that instant can be opened with `after_failure`.
        """
        return failing(ledger, statement=statement, copy_to=self.copy)

    def after_failure(self) -> Ledger:
        """What a process that was killed when the statement failed left behind."""
        return self.open(self.copy)

    def after_kill(self) -> Ledger:
        """What a process that is killed now leaves behind."""
        copy_ledger(self.path, self.copy)
        return self.open(self.copy)

    def history(self) -> AbstractContextManager[History]:
        """The ledger as another process sees it."""
        return reading(self.path)


IMPLEMENTATIONS = {
    "sqlite": Sqlite,
}
