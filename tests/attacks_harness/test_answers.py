"""What the attacker makes of noisy answers, and what bounds anything that could be made of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from protos.plan import QueryRefusedError, compile_query
from tests.attacks_harness.agreements import GENEROUS_BUDGET, ORDINARY_BUDGET, STRICTNESSES
from tests.attacks_harness.answers import Answers, ByIllness, is_ill, weigh
from tests.attacks_harness.attack import NOTHING
from tests.attacks_harness.catalogue import ATTACKS
from tests.attacks_harness.promise import at_most, by_epsilon, by_rho, changes_of, promised

REFUSED_WITH_NOISE = {"weights of one's own", "MAX"}
NOISY = [strictness for strictness in STRICTNESSES.values() if strictness.privacy is not None]


def counted(well: float, ill: float, *, has_target: bool = True, deviation: float = 0.2) -> ByIllness:
    return ByIllness(Answers((well,) * 3, deviation), Answers((ill,) * 3, deviation), has_target)


@pytest.mark.parametrize("target", [0, 1])
def test_of_people_with_known_illnesses(target: int) -> None:
    belief = is_ill([counted(2 + 1 - target, 1 + target)], known=(0, 0, 1))
    assert (belief > 0.99) if target else (belief < 0.01)


@pytest.mark.parametrize("target", [0, 1])
def test_of_two_groups_with_the_same_unknown_people(target: int) -> None:
    groups = [counted(3 + 1 - target, 2 + target), counted(3, 2, has_target=False)]
    belief = is_ill(groups, unknown=5)
    assert (belief > 0.99) if target else (belief < 0.01)


def test_a_share_of_unknown_people_is_what_it_says() -> None:
    """Exact numbers of a group say of each member what the share says."""
    assert is_ill([counted(1, 3)], unknown=3) == pytest.approx(3 / 4, abs=1e-6)


def test_blanks_speak_for_the_smaller_number() -> None:
    blanks = Answers((None,) * 10, 2.0, (3.0,), threshold=5)
    assert blanks.log_likelihood(0) > blanks.log_likelihood(1) > blanks.log_likelihood(9)
    assert Answers((None,), 2.0).log_likelihood(0) == Answers((None,), 2.0).log_likelihood(9)


def test_no_answers_are_no_belief() -> None:
    nothing = Answers((), 1.0)
    assert is_ill([ByIllness(nothing, nothing, has_target=True)]) == NOTHING
    assert weigh(1e9, 0) == pytest.approx(1)
    assert weigh(0, 1e9) == pytest.approx(0)


def test_bounds() -> None:
    """By hand: e / (1 + e), e^2 / (1 + e^2), and two enclaves with each."""
    expected = {(1, 1): 0.7311, (2, 1): 0.8808, (1, 2): 0.8808, (2, 2): 0.9820}
    for (changes, enclaves), bound in expected.items():
        found = by_epsilon(ORDINARY_BUDGET, changes=changes, enclaves=enclaves)
        assert found == pytest.approx(bound, abs=1e-4)
        assert found > 1 / (1 + math.exp(-changes * enclaves)), "delta is added"
        assert 0.5 < by_rho(ORDINARY_BUDGET, changes=changes, enclaves=enclaves) < found
    laplace = replace(ORDINARY_BUDGET, noise="laplace", delta="0")
    assert by_rho(laplace, changes=1, enclaves=1) == 1


def test_bounds_of_the_attacks() -> None:
    for attack in ATTACKS:
        assert at_most(attack, ORDINARY_BUDGET) < promised(attack, ORDINARY_BUDGET) < 1
        assert at_most(attack, ORDINARY_BUDGET) < at_most(attack, GENEROUS_BUDGET)
        assert changes_of(attack) == (1 if attack.secret == "member" else 2)
    assert {attack.name for attack in ATTACKS if attack.enclaves == 2} == {"differencing, two enclaves"}


def test_queries_with_noise_are_bound() -> None:
    """Else the attack would be stopped by a mistake of its own."""
    refused = set()
    for attack in ATTACKS:
        for strictness in NOISY:
            agreed = strictness.agree(attack.form(has_noise=True).queries, bytes(32))
            try:
                assert all(compile_query(agreed, query).noise for query in agreed.queries)
            except QueryRefusedError:
                refused.add(attack.name)
    assert refused == REFUSED_WITH_NOISE == {attack.name for attack in ATTACKS if not attack.with_noise}
