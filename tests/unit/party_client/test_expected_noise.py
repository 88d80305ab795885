"""The error that is announced is the error that is met."""

from __future__ import annotations

import statistics
from fractions import Fraction

import pytest

from enclave_compute.noise import add_noise
from enclave_compute.samplers import Sampler
from party_client.expected_noise import preview
from protos.privacy import (
    Budget,
    Contribution,
    NoisyOutput,
    PrivacyParameterError,
    Stake,
    plan_noise,
)
from protos.privacy.loss import Mechanism

ROWS = 1000
CELLS = 4000
OUTPUTS = (
    NoisyOutput("n", "rows"),
    NoisyOutput("u", "units", owner="shop"),
    NoisyOutput("s", "sum", low=0, high=500),
    NoisyOutput("m", "mean", low=-300, high=500, scale=1),
)
EXACT = {"n": ROWS, "u": ROWS, "s": ROWS * 200, "m.sum": ROWS * 350, "m.rows": ROWS}
TYPICAL = {"s": Fraction(200), "m": Fraction(35)}


@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_errors_are_as_announced(mechanism: Mechanism) -> None:
    budget = Budget(Fraction(2), Fraction(1, 10**6), mechanism)
    stakes = [Stake("shop", Contribution(2, 2, 2), budget.each_of(3))]
    plan = plan_noise(OUTPUTS, stakes, keys="declared")
    announced = preview(plan, rows=ROWS, typical=TYPICAL)
    assert announced.least_units == {}
    noisy = add_noise(plan, {name: [value] * CELLS for name, value in EXACT.items()}, Sampler())
    truth = {"n": ROWS, "u": ROWS, "s": 200 * ROWS, "m": 35.0}
    for expected in announced.outputs:
        values = [float(value or 0) for value in noisy.values[expected.output]]
        errors = [value - truth[expected.output] for value in values]
        met = statistics.pstdev(errors)
        assert 0.85 * met <= expected.standard_deviation <= 1.15 * met
        outside = sum(abs(error) > expected.half_width_95 for error in errors)
        assert 0.02 < outside / CELLS < 0.08
        assert expected.relative == pytest.approx(expected.half_width_95 / truth[expected.output])


def test_less_epsilon_means_more_error() -> None:
    def error(epsilon: Fraction) -> float:
        budget = Budget(epsilon, Fraction(1, 10**6), "gaussian")
        stakes = [Stake("shop", Contribution(1, 1, 1), budget.allowance)]
        plan = plan_noise(OUTPUTS[:1], stakes, keys="selected")
        shown = preview(plan, rows=100)
        assert shown.least_units == {"shop": plan.thresholds[0].least}
        return shown.outputs[0].half_width_95

    errors = [error(Fraction(epsilon, 10)) for epsilon in (1, 5, 10, 40)]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == 4


def test_without_a_typical_value_the_middle_of_the_clamp_is_taken() -> None:
    budget = Budget(Fraction(2), Fraction(0), "laplace")
    plan = plan_noise(
        [NoisyOutput("s", "sum", low=-5, high=5), NoisyOutput("m", "mean", low=0, high=8)],
        [Stake("shop", Contribution(1, 1, 1), budget.allowance)],
        keys="declared",
    )
    total, mean = preview(plan, rows=50).outputs
    assert total.relative is None
    assert mean.relative == pytest.approx(mean.half_width_95 / 4)


def test_a_group_has_rows() -> None:
    budget = Budget(Fraction(2), Fraction(0), "laplace")
    plan = plan_noise([OUTPUTS[0]], [Stake("shop", Contribution(1, 1, 1), budget.allowance)], keys="declared")
    with pytest.raises(PrivacyParameterError):
        preview(plan, rows=0)
