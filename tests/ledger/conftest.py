import pytest

from tests.ledger.disk import Clock
from tests.ledger.implementations import IMPLEMENTATIONS
from tests.ledger.polls import NOW


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture(params=IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
def storage(request, tmp_path, clock):
    return request.param(tmp_path, clock)


@pytest.fixture
def ledger(storage):
    ledger = storage.open()
    yield ledger
    ledger.close()
