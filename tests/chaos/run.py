"""Kills one process per round, at random moments, and counts what was lost: `python -m tests.chaos.run`.

Prints a line for every round and totals. Exit status 0 if every promise of `docs/reliability.md` was kept.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos import work
from tests.chaos.plan import Round, draw
from tests.chaos.premises import Premises
from tests.chaos.rounds import Account, Rounds


@contextmanager
def prepared(folder: Path) -> Iterator[Rounds]:
    """Rounds can be played; the agreement is in force and the pace is taken. Raises if even that fails."""
    people = work.people()
    with Premises(folder, people, lambda release: work.agreement(people, release)) as premises:
        premises.start_coordinator()
        premises.put_agreement()
        rounds = Rounds(premises)
        control = rounds.play(None)
        assert not control.faults, control.faults
        yield rounds


def line(account: Account) -> str:
    """One row of the table."""
    one = account.round
    assert one is not None
    happened = "; ".join([*account.happened, *(f"FAULT: {fault}" for fault in account.faults)])
    return (
        f"{one.number:>3}  {one.victim:<11}  {one.stage:<8}  {account.took_s:5.1f} s  "
        f"{account.moment} -> {happened or 'nobody noticed'}"
    )


def totals(accounts: list[Account]) -> list[str]:
    """Rounds and faults by victim."""
    played: Counter[str] = Counter()
    faulty: Counter[str] = Counter()
    for account in accounts:
        assert account.round is not None
        played[account.round.victim] += 1
        faulty[account.round.victim] += bool(account.faults)
    lines = [f"{victim:<11}  {played[victim]:>3} rounds, {faulty[victim]} with a fault" for victim in played]
    return [*lines, f"{'all':<11}  {len(accounts):>3} rounds, {faulty.total()} with a fault"]


def main(arguments: list[str] | None = None) -> int:
    """Plays the rounds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="random unless given; printed")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the rounds to play, of all drawn")
    parser.add_argument("--keep", type=Path, help="an empty folder that is left for inspection")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    plan = [one for one in draw(seed, options.rounds) if not options.only or one.number in options.only]
    print(f"{len(plan)} rounds, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="concordat-chaos-") as temporary:
        accounts = _play(plan, options.keep or Path(temporary))
    print("\n".join(totals(accounts)))
    return 1 if any(account.faults for account in accounts) else 0


def _play(plan: list[Round], folder: Path) -> list[Account]:
    accounts = []
    with prepared(folder) as rounds:
        print(f"undisturbed: {rounds.pace}", flush=True)
        for one in plan:
            accounts.append(rounds.play(one))
            print(line(accounts[-1]), flush=True)
    return accounts


if __name__ == "__main__":
    sys.exit(main())
