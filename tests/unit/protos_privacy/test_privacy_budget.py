"""An owner's budget lets through what fits and charges nothing for what does not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from protos.formats.limits import DELTA_MAX, DELTA_MIN, EPSILON_MAX, EPSILON_MIN
from protos.privacy import (
    LOSS_UNIT,
    Budget,
    BudgetExceededError,
    Loss,
    PrivacyParameterError,
    epsilon_of_rho,
    nothing,
)
from protos.privacy.budget import RUNS_MAX

GAUSSIAN = Budget(Fraction(1), Fraction(1, 10**6), "gaussian")
LAPLACE = Budget(Fraction(1), Fraction(1, 10**6), "laplace")
PURE = Budget(Fraction(1), Fraction(0), "laplace")
BUDGETS = pytest.mark.parametrize("budget", [GAUSSIAN, LAPLACE, PURE], ids=["gaussian", "laplace", "pure"])


def test_allowances() -> None:
    assert LAPLACE.allowance == Loss("laplace", Fraction(1), Fraction(1, 10**6)).whole_down()
    assert PURE.allowance == Loss("laplace", Fraction(1), Fraction(0))
    allowance = GAUSSIAN.allowance
    assert 0 <= Fraction(1, 2 * 10**6) - allowance.delta < LOSS_UNIT
    assert epsilon_of_rho(allowance.amount, Fraction(1, 2 * 10**6)) <= 1 + Fraction(1, 2**30)


@BUDGETS
def test_as_many_runs_as_planned_fit_and_not_one_more(budget: Budget) -> None:
    cost, spent = budget.each_of(7), nothing(budget.mechanism)
    for _ in range(7):
        spent = budget.require_left(spent, cost)
    assert 0 <= budget.allowance.amount - spent.amount < 7 * LOSS_UNIT
    with pytest.raises(BudgetExceededError):
        budget.require_left(spent, cost)


@BUDGETS
def test_what_is_spent_stays_within_the_promise(budget: Budget) -> None:
    third = budget.epsilon_spent(budget.each_of(3))
    whole = budget.epsilon_spent(budget.allowance)
    assert 0 < third < whole <= budget.epsilon
    assert whole >= budget.epsilon * Fraction(9, 10)
    assert budget.epsilon_spent(nothing(budget.mechanism)) == 0


def test_delta_is_a_budget_too() -> None:
    with pytest.raises(BudgetExceededError):
        PURE.require_left(nothing("laplace"), Loss("laplace", Fraction(0), Fraction(1, 10**20)))
    with pytest.raises(BudgetExceededError):
        GAUSSIAN.require_left(nothing("gaussian"), Loss("gaussian", Fraction(0), Fraction(1, 10**6)))


def test_a_loss_that_was_never_allowed_has_no_epsilon() -> None:
    with pytest.raises(BudgetExceededError):
        GAUSSIAN.epsilon_spent(Loss("gaussian", Fraction(10), Fraction(0)))


def test_noise_of_the_other_kind_is_not_charged() -> None:
    with pytest.raises(PrivacyParameterError):
        PURE.require_left(nothing("gaussian"), nothing("laplace"))


@pytest.mark.parametrize(
    ("epsilon", "delta", "mechanism"),
    [
        (Fraction(0), Fraction(1, 10**6), "gaussian"),
        (Fraction(-1), Fraction(1, 10**6), "gaussian"),
        (Fraction(21), Fraction(1, 10**6), "gaussian"),
        (Fraction(1), Fraction(0), "gaussian"),
        (Fraction(1), Fraction(1, 100), "gaussian"),
        (Fraction(1), Fraction(1, 10**31), "laplace"),
        (Fraction(1), Fraction(-1, 10**6), "laplace"),
        (Fraction(1, 10**41) + 1, Fraction(0), "laplace"),
        (Fraction(1), Fraction(1, 10**6), "uniform"),
    ],
)
def test_budgets_without_a_promise_are_refused(epsilon: Fraction, delta: Fraction, mechanism: str) -> None:
    with pytest.raises(PrivacyParameterError):
        Budget(epsilon, delta, mechanism)  # type: ignore[arg-type]


def test_the_ends_of_what_is_allowed_are_allowed() -> None:
    finest = Fraction(1) + Fraction(1, 10**40)
    for epsilon in (EPSILON_MIN, EPSILON_MAX, finest):
        for delta in (DELTA_MIN, DELTA_MAX):
            assert Budget(epsilon, delta, "gaussian").each_of(RUNS_MAX).amount > 0


@pytest.mark.parametrize("runs", [0, -1, 10**6 + 1])
def test_a_budget_is_for_a_number_of_runs(runs: int) -> None:
    with pytest.raises(PrivacyParameterError):
        GAUSSIAN.each_of(runs)
