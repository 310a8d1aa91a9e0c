import pytest

from tests.ledger.disk import Clock
from tests.ledger.implementations import IMPLEMENTATIONS
from tests.ledger.polls import NOW
from tests.support.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture(params=IMPLEMENTATIONS)
def storage(request, clock):
    return request.param(request, clock)


@pytest.fixture
def ledger(storage):
    ledger = storage.open()
    yield ledger
    ledger.close()
