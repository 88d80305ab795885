"""A few rounds of `tests.chaos`, one for each kind of loss, and fifty for those who have the time.

What is promised stands in docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.diary import ACKNOWLEDGED, BEGUN, SENT, Entry, faults
from tests.chaos.plan import Round, Stage, Victim, draw
from tests.chaos.rounds import Rounds
from tests.chaos.run import main, prepared

KILLS = (
    Round(1, Victim.COORDINATOR, Stage.UPLOAD, fraction=0.3, down_s=0.2),
    Round(2, Victim.PARTY, Stage.UPLOAD, fraction=0.6, down_s=0.0),
    Round(3, Victim.MACHINE, Stage.UPLOAD, fraction=0.5, down_s=0.0),
    Round(4, Victim.COORDINATOR, Stage.RUN, fraction=0.2, down_s=0.0),
    Round(5, Victim.ENCLAVE, Stage.RUN, fraction=0.05, down_s=0.0),
)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    with prepared(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize("one", KILLS, ids=[f"{one.victim}-{one.stage}" for one in KILLS])
def test_a_killed_process_costs_nothing_that_was_promised(rounds: Rounds, one: Round) -> None:
    assert rounds.play(one).faults == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills_cost_nothing_that_was_promised() -> None:
    assert main(["--rounds", "50", "--seed", "2013"]) == 0


def test_the_same_seed_kills_the_same() -> None:
    assert draw(7, 50) == draw(7, 50)
    assert draw(7, 50) != draw(8, 50)
    assert {(one.stage, one.victim) for one in draw(7, 50)} >= {(one.stage, one.victim) for one in KILLS}


def test_a_chunk_that_was_lost_or_sent_twice_does_not_go_unnoticed() -> None:
    begun, sent = Entry(BEGUN, "a", 0), [Entry(SENT, "a", number) for number in range(4)]
    stored = Entry(ACKNOWLEDGED, "a", 3)
    assert faults([begun, *sent, stored, Entry(BEGUN, "a", 3), sent[3]]) == []
    assert faults([begun, *sent, stored, Entry(BEGUN, "b", 0), Entry(SENT, "b", 0)]) == []
    assert "later only 2" in faults([begun, *sent, stored, Entry(BEGUN, "a", 2)])[0]
    assert "chunk 2 was sent again" in faults([begun, *sent, stored, Entry(BEGUN, "a", 3), sent[2]])[0]
