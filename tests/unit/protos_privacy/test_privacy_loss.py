"""Conversions between rho and epsilon, against the formula and against OpenDP."""

from __future__ import annotations

import math
from fractions import Fraction

import opendp.prelude as opendp
import pytest

from protos.privacy import (
    LOSS_UNIT,
    Budget,
    Loss,
    PrivacyParameterError,
    epsilon_of_rho,
    nothing,
    rho_of_epsilon,
)
from tests.noise_statistics import Mass, gaussian_mass, laplace_mass

POINTS = [
    (Fraction(1, 32), Fraction(1, 1000)),
    (Fraction(1, 1000), Fraction(1, 10**6)),
    (Fraction(1, 2), Fraction(1, 10**9)),
    (Fraction(5), Fraction(1, 10**12)),
]


@pytest.fixture(scope="module", autouse=True)
def contributed() -> None:
    opendp.enable_features("contrib")


def best_epsilon(rho: float, delta: float) -> float:
    """The smallest epsilon of the formula, by trying many alphas in floating point."""
    alphas = (1 + math.exp(step / 500) for step in range(-3000, 8000))
    return min(a * rho + (math.log(1 / delta) - a * math.log(a)) / (a - 1) + math.log(a - 1) for a in alphas)


@pytest.mark.parametrize(("rho", "delta"), POINTS)
def test_epsilon_is_never_below_the_formula_and_little_above(rho: Fraction, delta: Fraction) -> None:
    best = best_epsilon(float(rho), float(delta))
    assert best * (1 - 1e-9) <= epsilon_of_rho(rho, delta) <= best * 1.002


@pytest.mark.parametrize(("rho", "delta"), POINTS)
def test_epsilon_is_what_opendp_says(rho: Fraction, delta: Fraction) -> None:
    scale = math.sqrt(1 / (2 * float(rho)))
    space = opendp.atom_domain(T="i64"), opendp.absolute_distance(T="i64")
    measured = opendp.c.make_zCDP_to_approxDP(space >> opendp.m.then_gaussian(scale=scale))
    theirs = measured.map(1).epsilon(float(delta))  # type: ignore[no-untyped-call]
    assert theirs * (1 - 1e-9) <= float(epsilon_of_rho(rho, delta)) <= theirs * 1.002


@pytest.mark.parametrize(("rho", "delta"), POINTS)
def test_there_and_back_never_gains(rho: Fraction, delta: Fraction) -> None:
    epsilon = epsilon_of_rho(rho, delta)
    again = rho_of_epsilon(epsilon, delta)
    assert epsilon_of_rho(again, delta) <= epsilon * (1 + Fraction(1, 2**30))
    assert rho * Fraction(999, 1000) <= again <= rho * (1 + Fraction(1, 2**28))


def excess(mass: Mass, shift: int, epsilon: float, reach: int) -> float:
    """The exact delta at `epsilon` of noise with this mass on two values `shift` apart (hockey-stick)."""
    values = range(-reach, reach + 1)
    return math.fsum(max(0.0, mass(x - shift) - math.exp(epsilon) * mass(x)) for x in values)


@pytest.mark.parametrize("epsilon", [Fraction(1, 4), Fraction(1), Fraction(4)], ids=str)
@pytest.mark.parametrize("delta", [Fraction(1, 1000), Fraction(1, 10**8)], ids=str)
def test_gaussian_noise_of_a_budget_has_the_delta_it_claims(epsilon: Fraction, delta: Fraction) -> None:
    """No sampling: the whole mass function. Half of the budget's delta is for the conversion."""
    allowance = Budget(epsilon, delta, "gaussian").allowance
    for changed in (1, 7):
        variance = Fraction(changed**2) / (2 * allowance.amount)
        mass, reach = gaussian_mass(variance), 12 * math.ceil(math.sqrt(variance)) + changed
        assert excess(mass, changed, float(epsilon), reach) <= float(delta / 2)
        # Not wastefully: a third less of epsilon, or of the noise, would not hold.
        assert excess(mass, changed, float(epsilon) * 2 / 3, reach) > float(delta / 2)
        assert excess(gaussian_mass(variance * 4 / 9), changed, float(epsilon), reach) > float(delta / 2)


def test_laplace_noise_of_a_budget_has_no_delta() -> None:
    mass = laplace_mass(Fraction(3, 2))
    assert excess(mass, 3, 2.0 + 1e-9, 200) == 0
    assert excess(mass, 3, 1.99, 200) > 1e-6


def test_known_conversions_stay_as_they_are() -> None:
    """Party and enclave compute these by themselves and have to agree to the last digit."""
    assert rho_of_epsilon(Fraction(1), Fraction(1, 10**6)) == Fraction(3340343061, 2**37)
    assert epsilon_of_rho(Fraction(1, 32), Fraction(1, 1000)) == Fraction(2955400437, 2**32)


def test_no_loss_is_no_epsilon() -> None:
    assert epsilon_of_rho(Fraction(0), Fraction(1, 10**9)) == 0
    assert nothing("gaussian") == Loss("gaussian", Fraction(0), Fraction(0))


def test_losses_of_two_kinds_do_not_add_up() -> None:
    with pytest.raises(PrivacyParameterError):
        nothing("gaussian") + nothing("laplace")


@pytest.mark.parametrize(
    ("amount", "delta"),
    [(Fraction(-1), Fraction(0)), (Fraction(1), Fraction(-1)), (Fraction(1), Fraction(1))],
)
def test_a_loss_makes_sense(amount: Fraction, delta: Fraction) -> None:
    with pytest.raises(PrivacyParameterError):
        Loss("laplace", amount, delta)
    with pytest.raises(PrivacyParameterError):
        Loss("exponential", Fraction(1), Fraction(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("part", [Fraction(-1, 9), Fraction(10, 9)])
def test_a_share_is_a_part_of_the_whole(part: Fraction) -> None:
    with pytest.raises(PrivacyParameterError):
        Loss("laplace", Fraction(1), Fraction(0)).share(part)


def test_whole_units_are_on_their_side() -> None:
    third = Loss("laplace", Fraction(1, 3), Fraction(1, 7))
    down, up = third.whole_down(), third.whole_up()
    assert up.amount - down.amount == up.delta - down.delta == LOSS_UNIT
    assert down.is_within(third)
    assert third.is_within(up)
    assert down.whole_up() == down == down.whole_down()


def test_within_means_in_every_respect() -> None:
    allowed = Loss("gaussian", Fraction(2), Fraction(1, 10))
    assert allowed.is_within(allowed)
    assert not Loss("gaussian", Fraction(3), Fraction(0)).is_within(allowed)
    assert not Loss("gaussian", Fraction(0), Fraction(2, 10)).is_within(allowed)
    assert not Loss("laplace", Fraction(0), Fraction(0)).is_within(allowed)
