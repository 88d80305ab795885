"""What is shown follows from noisy values alone; it saturates, and fails on nothing."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.noise import add_noise
from enclave_compute.samplers import Sampler
from protos.privacy import (
    Contribution,
    Loss,
    Mechanism,
    NoisePlan,
    NoisyOutput,
    Stake,
    epsilon_of_rho,
    plan_noise,
)
from protos.privacy.outputs import DECIMAL_MAX, INT64_MAX
from protos.privacy.plan import Keys
from tests.noise_statistics import (
    allowed_gap,
    gap,
    gaussian_mass,
    laplace_mass,
    largest_probability,
    least_probability,
)

CELLS = 80_000


def share(mechanism: Mechanism, amount: Fraction, delta: Fraction = Fraction(0)) -> Loss:
    return Loss(mechanism, amount, delta).whole_down()


def plan(
    *outputs: NoisyOutput,
    mechanism: Mechanism = "gaussian",
    amount: Fraction = Fraction(1, 2),
    delta: Fraction = Fraction(1, 10**6),
    contribution: Contribution | None = None,
    keys: Keys = "declared",
) -> NoisePlan:
    bound = contribution or Contribution(1, 1, 1)
    return plan_noise(outputs, [Stake("shop", bound, share(mechanism, amount, delta))], keys=keys)


def quiet() -> Sampler:
    """All noise that it draws is 0: what is left is everything but the noise."""
    return _Quiet()


class _Quiet(Sampler):
    def gaussian(self, squared_scale: Fraction, count: int) -> list[int]:
        return [0] * count

    def laplace(self, scale: Fraction, count: int) -> list[int]:
        return [0] * count


def test_counts_get_the_noise_of_the_plan() -> None:
    noisy = add_noise(plan(NoisyOutput("n", "rows")), {"n": [1000] * CELLS}, Sampler())
    values = [int(value or 0) - 1000 for value in noisy.values["n"]]
    assert noisy.shown == range(CELLS)
    assert gap(values, gaussian_mass(Fraction(1))) <= allowed_gap(CELLS)  # 1 / (2 * 1/2)


def test_sums_get_the_noise_of_the_plan() -> None:
    clamped = NoisyOutput("s", "sum", low=-50, high=20)
    noisy = add_noise(plan(clamped, mechanism="laplace"), {"s": [-7] * CELLS}, Sampler())
    values = [int(value or 0) + 7 for value in noisy.values["s"]]
    assert gap(values, laplace_mass(Fraction(100))) <= allowed_gap(CELLS)  # 50 / (1/2)


def test_without_noise_the_values_are_exact() -> None:
    """Everything but the noise: the sampler here draws zeros."""
    outputs = (
        NoisyOutput("n", "rows"),
        NoisyOutput("u", "units", owner="shop"),
        NoisyOutput("s", "sum", low=0, high=500),
        NoisyOutput("m", "mean", low=100, high=300, scale=2),
        NoisyOutput("c", "mean", low=0, high=9, counted_by="n"),
    )
    exact = {
        "n": [4, 0, -2],
        "u": [3, 0, 1],
        "s": [900, 0, 7],
        "m.sum": [813, 0, 250],
        "m.rows": [4, 0, 1],
        "c.sum": [18, 0, 5],
    }
    noisy = add_noise(plan(*outputs), exact, quiet())
    assert noisy.values == {
        "n": [4, 0, -2],
        "u": [3, 0, 1],
        "s": [900, 0, 7],
        "m": [2.0325, None, 2.5],
        "c": [4.5, None, None],
    }


def test_a_mean_stays_inside_its_clamp() -> None:
    mean = NoisyOutput("m", "mean", low=-10, high=10)
    exact = {"m.sum": [0, 0, 100, -100], "m.rows": [1, 0, 3, 3]}
    assert add_noise(plan(mean), exact, quiet()).values["m"] == [0.0, None, 10.0, -10.0]
    loud = add_noise(
        plan(mean, amount=Fraction(1, 10**6)), {"m.sum": [0] * 500, "m.rows": [5] * 500}, Sampler()
    )
    values = loud.values["m"]
    assert any(value is None for value in values)
    assert all(-10 <= value <= 10 for value in values if value is not None)


def test_only_the_distance_from_the_centre_of_a_mean_is_measured() -> None:
    centred = plan(NoisyOutput("m", "mean", low=1000, high=1010))
    around_zero = plan(NoisyOutput("m", "mean", low=-5, high=5))
    assert centred.columns[0].noise == around_zero.columns[0].noise
    assert add_noise(centred, {"m.sum": [10_070], "m.rows": [10]}, quiet()).values["m"] == [1007.0]


@pytest.mark.parametrize(("limit", "low"), [(INT64_MAX, -(10**18)), (DECIMAL_MAX, -(10**26))])
def test_whole_numbers_saturate(limit: int, low: int) -> None:
    total = NoisyOutput("s", "sum", low=low, high=0, limit=limit)
    far = 10 * limit
    noisy = add_noise(plan(total), {"s": [far, -far, limit, -limit] * 50}, Sampler()).values["s"]
    assert noisy[0::4] == [limit] * 50
    assert noisy[1::4] == [-limit] * 50
    assert all(value is not None and -limit <= value <= limit for value in noisy)
    assert any(value != limit for value in noisy[2::4])


def test_cells_that_nobody_is_in_have_noise_too() -> None:
    exact = {"n": [0] * 200}
    assert set(add_noise(plan(NoisyOutput("n", "rows")), exact, Sampler()).values["n"]) > {-1, 0, 1}


def test_selected_keys_are_those_over_the_threshold() -> None:
    selecting = plan(NoisyOutput("n", "rows"), keys="selected")
    (threshold,) = selecting.thresholds
    least = threshold.least
    exact = {"n": [10, 20, 30], "shop.units": [least, least - 1, least + 1]}
    noisy = add_noise(selecting, exact, quiet())
    assert list(noisy.shown) == [0, 2]
    assert noisy.values == {"n": [10, 30]}


def test_each_owner_has_a_threshold_of_its_own() -> None:
    loss = share("gaussian", Fraction(1, 2), Fraction(1, 10**6))
    stakes = [Stake("shop", Contribution(1, 1, 1), loss), Stake("club", Contribution(1, 1, 1), loss)]
    selecting = plan_noise([NoisyOutput("n", "rows")], stakes, keys="selected")
    least = {threshold.owner: threshold.least for threshold in selecting.thresholds}
    many = 10 * max(least.values())
    exact = {
        "n": [1, 2, 3],
        "shop.units": [many, least["shop"] - 1, many],
        "club.units": [least["club"] - 1, many, many],
    }
    assert list(add_noise(selecting, exact, quiet()).shown) == [2]


def test_a_count_that_selects_is_the_count_that_is_shown() -> None:
    """Two different draws for one number would cost the budget twice."""
    selecting = plan(NoisyOutput("u", "units", owner="shop"), keys="selected")
    noisy = add_noise(selecting, {"u": [30] * 500}, Sampler())
    assert [column.exact.name for column in selecting.columns] == ["u"]
    (threshold,) = selecting.thresholds
    assert all(value is not None and value >= threshold.least for value in noisy.values["u"])


@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_a_unit_alone_is_shown_no_more_often_than_its_delta_says(mechanism: Mechanism) -> None:
    delta, amount = Fraction(1, 5), Fraction(1, 200)
    selecting = plan(
        NoisyOutput("n", "rows"), mechanism=mechanism, amount=amount, delta=delta, keys="selected"
    )
    shown = len(add_noise(selecting, {"n": [1] * CELLS, "shop.units": [1] * CELLS}, Sampler()).shown)
    claimed = selecting.cost_of("shop").delta
    assert claimed <= delta
    assert least_probability(shown, CELLS) <= claimed
    # And the claim is close: half of it would be refuted.
    assert least_probability(shown, CELLS) > claimed / 2


def refuted_epsilon(counting: NoisePlan, delta: float) -> float:
    """The largest epsilon that draws for neighbouring counts, 0 and 1, refute; by the event "at least 1"."""
    hits = {}
    for exact in (0, 1):
        values = add_noise(counting, {"n": [exact] * CELLS}, Sampler()).values["n"]
        hits[exact] = sum(value is not None and value >= 1 for value in values)
    return math.log((least_probability(hits[1], CELLS) - delta) / largest_probability(hits[0], CELLS))


def test_neighbours_are_told_apart_no_better_than_epsilon_says() -> None:
    counting = plan(NoisyOutput("n", "rows"), mechanism="laplace", amount=Fraction(1))
    refuted = refuted_epsilon(counting, delta=0)
    assert refuted <= 1
    assert refuted > 0.9  # the event is the best one there is: less noise than claimed would be found out


def test_neighbours_are_told_apart_no_better_than_rho_says() -> None:
    rho, delta = Fraction(1, 2), Fraction(1, 5)
    claimed = epsilon_of_rho(rho, delta)
    assert refuted_epsilon(plan(NoisyOutput("n", "rows"), amount=rho), float(delta)) <= claimed
    assert refuted_epsilon(plan(NoisyOutput("n", "rows"), amount=9 * rho), float(delta)) > claimed


def test_only_noise_differs_between_two_calls() -> None:
    outputs = (NoisyOutput("n", "rows"), NoisyOutput("m", "mean", low=0, high=10))
    selecting = plan(*outputs, keys="selected")
    exact = {"n": [40] * 50, "m.sum": [200] * 50, "m.rows": [40] * 50, "shop.units": [40] * 50}

    def once(seed: int) -> object:
        return add_noise(selecting, exact, Sampler(random.Random(seed).randbytes))

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_columns_that_are_not_the_plans_are_refused() -> None:
    counting = plan(NoisyOutput("n", "rows"), NoisyOutput("s", "sum", low=0, high=9))
    with pytest.raises(RefusedError):
        add_noise(counting, {"n": [1]}, Sampler())
    with pytest.raises(RefusedError):
        add_noise(counting, {"n": [1], "s": [1, 2]}, Sampler())


def test_no_cells_are_no_error() -> None:
    assert add_noise(plan(NoisyOutput("n", "rows")), {"n": []}, Sampler()).values == {"n": []}
    selecting = plan(NoisyOutput("n", "rows"), keys="selected")
    assert add_noise(selecting, {"n": [], "shop.units": []}, Sampler()).values == {"n": []}
