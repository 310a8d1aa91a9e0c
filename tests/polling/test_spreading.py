"""Accounts are spread evenly over the replicas, and move only when they have to."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.ledger.leases import AccountKey, Holder
from exporter.polling.spreading import Moves, plan_moves
from tests.polling.leases import LEASE_SECONDS, Database


class Replicas:
    """Some replicas that ask in turn."""

    def __init__(self, accounts: int) -> None:
        self.database = Database()
        self.wanted = {AccountKey("acme", f"account {number:03}") for number in range(accounts)}
        self.living: list[Holder] = []
        self.configured: dict[Holder, set[AccountKey]] = {}

    def join(self, name: str) -> None:
        self.living.append(Holder(name, "token"))

    def die(self, position: int) -> Holder:
        """Without a word, so that its leases have to run out."""
        return self.living.pop(position)

    def leave(self, position: int) -> None:
        gone = self.living.pop(position)
        self.database.seen_by(gone).leave(self.held(gone))

    def held(self, one: Holder) -> dict[AccountKey, int]:
        rows = self.database.rows.items()
        return {key: row.epoch for key, row in rows if row.holder == one}

    def turn(self, one: Holder) -> Moves:
        leases = self.database.seen_by(one)
        wanted = self.configured.get(one, self.wanted)
        standing = leases.renew(self.held(one), wanted)
        moves = plan_moves(one, wanted, standing)
        held = self.held(one)
        leases.release({key: held[key] for key in moves.give_up})
        leases.acquire({key: standing.leases[key].epoch for key in moves.take})
        return moves

    def round(self) -> None:
        for one in self.living:
            self.turn(one)
        self.database.now += LEASE_SECONDS / 6

    def settle(self) -> None:
        for _ in range(12 + 2 * len(self.wanted)):
            self.round()

    def counts(self) -> Counter:
        now = self.database.now
        rows = self.database.rows.values()
        return Counter(row.holder for row in rows if row.holder and row.until > now)


@settings(max_examples=60, deadline=None)
@given(
    accounts=some.integers(0, 23),
    events=some.lists(some.sampled_from(["join", "die", "leave"]), min_size=1, max_size=8),
    chance=some.randoms(use_true_random=False),
)
def test_every_account_is_held_and_all_replicas_hold_about_as_many(accounts, events, chance):
    """Whoever joins, leaves or dies."""
    replicas = Replicas(accounts)
    replicas.join("first")
    for number, event in enumerate(events):
        if event == "join" or len(replicas.living) == 1:
            replicas.join(f"replica {number}")
        else:
            position = chance.randrange(len(replicas.living))
            (replicas.die if event == "die" else replicas.leave)(position)
        replicas.settle()
        counts = replicas.counts()
        assert sum(counts.values()) == accounts
        shares = [counts[one] for one in replicas.living]
        assert max(shares) - min(shares) <= 1
        before = len(replicas.database.takeovers)
        replicas.settle()
        assert len(replicas.database.takeovers) == before, "nothing moves once it is even"


def test_only_as_many_accounts_move_as_a_new_replica_needs():
    replicas = Replicas(12)
    for name in "abc":
        replicas.join(name)
    replicas.settle()
    before = len(replicas.database.takeovers)
    replicas.join("d")
    replicas.settle()
    assert len(replicas.database.takeovers) - before == 3
    assert set(replicas.counts().values()) == {3}


def test_only_the_accounts_of_a_replica_that_leaves_move():
    replicas = Replicas(12)
    for name in "abc":
        replicas.join(name)
    replicas.settle()
    gone = replicas.living[1]
    theirs = set(replicas.held(gone))
    before = len(replicas.database.takeovers)
    replicas.leave(1)
    replicas.settle()
    moved = [key for key, _ in replicas.database.takeovers[before:]]
    assert sorted(moved) == sorted(theirs)


def test_while_a_configuration_is_rolled_out_every_account_of_either_is_held():
    """A new account only by those that know it, an old one only by those that do not."""
    replicas = Replicas(6)
    for name in "abcd":
        replicas.join(name)
    replicas.settle()
    gone, *rest = sorted(replicas.wanted)
    changed = {*rest, AccountKey("acme", "new")}
    for one in replicas.living[:2]:
        held = replicas.held(one)
        if gone in held:
            replicas.database.seen_by(one).release({gone: held[gone]})
        replicas.configured[one] = changed
    replicas.settle()
    holders = {key: one for one in replicas.living for key in replicas.held(one)}
    assert holders.keys() == replicas.wanted | changed
    assert holders[gone] in replicas.living[2:]
    assert holders[AccountKey("acme", "new")] in replicas.living[:2]
    before = len(replicas.database.takeovers)
    replicas.settle()
    assert len(replicas.database.takeovers) == before


def test_what_a_dead_replica_held_is_taken_once_its_leases_have_run_out():
    replicas = Replicas(4)
    for name in "ab":
        replicas.join(name)
    replicas.settle()
    replicas.die(0)
    theirs = replicas.living[0]
    replicas.turn(theirs)
    assert len(replicas.held(theirs)) == 2, "they may still be in use"
    replicas.database.now += LEASE_SECONDS
    replicas.turn(theirs)
    assert len(replicas.held(theirs)) == 4
