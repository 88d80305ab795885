"""How much noise a run gets, what it costs each owner, and which keys it may show."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations_with_replacement

import opendp.prelude as opendp
import pytest

from protos.privacy import (
    CELLS_MAX,
    LOSS_UNIT,
    Contribution,
    Loss,
    Noise,
    NoisyOutput,
    PrivacyParameterError,
    Sensitivity,
    Stake,
    all_keys,
    plan_noise,
    sensitivity,
)
from protos.privacy.loss import Mechanism
from protos.privacy.tails import reach_of, tail
from tests.noise_statistics import gaussian_mass, laplace_mass

ONE = Contribution(1, 1, 1)
COUNT = NoisyOutput("n", "rows")


def stake(
    owner: str = "shop",
    contribution: Contribution = ONE,
    amount: Fraction = Fraction(1, 2),
    delta: Fraction = Fraction(1, 10**6),
    mechanism: Mechanism = "gaussian",
) -> Stake:
    return Stake(owner, contribution, Loss(mechanism, amount, delta).whole_down())


def test_one_column_takes_the_whole_share() -> None:
    plan = plan_noise([COUNT], [stake()], keys="declared")
    assert plan.columns[0].noise == Noise("gaussian", Fraction(1))
    assert plan.cost_of("shop") == Loss("gaussian", Fraction(1, 2), Fraction(0))
    assert plan.thresholds == ()
    with pytest.raises(KeyError):
        plan.column("m")


def test_laplace_scales_by_the_sum_of_changes() -> None:
    bounded = stake(contribution=Contribution(3, 3, 3), mechanism="laplace")
    plan = plan_noise([NoisyOutput("s", "sum", low=-7, high=2)], [bounded], keys="declared")
    assert plan.columns[0].noise == Noise("laplace", Fraction(42))
    assert plan.cost_of("shop").amount == Fraction(1, 2)


def test_weights_divide_the_share() -> None:
    light, heavy = NoisyOutput("a", "rows"), NoisyOutput("b", "rows", weight=3)
    plan = plan_noise([light, heavy], [stake(mechanism="laplace")], keys="declared")
    scales = [column.noise.scale for column in plan.columns]
    assert scales[0] == 8
    assert 0 <= scales[1] - Fraction(8, 3) <= Fraction(1, 2**29)
    assert Fraction(1, 2) - Fraction(1, 2**29) <= plan.cost_of("shop").amount <= Fraction(1, 2)


def test_the_owner_who_needs_most_decides_and_nobody_pays_for_more() -> None:
    careful = stake("club", Contribution(4, 4, 4), Fraction(1, 8))
    plan = plan_noise([COUNT], [stake(), careful], keys="declared")
    assert plan.columns[0].noise == Noise("gaussian", Fraction(64))  # 4² / (2 * 1/8)
    assert plan.cost_of("club").amount == Fraction(1, 8)
    assert plan.cost_of("shop").amount == Fraction(1, 128)


def test_a_mean_is_a_sum_and_a_count() -> None:
    mean = NoisyOutput("m", "mean", low=10, high=21)
    plan = plan_noise([mean], [stake()], keys="declared")
    assert [(column.exact.name, column.exact.largest) for column in plan.columns] == [
        ("m.sum", 6),
        ("m.rows", 1),
    ]
    shared = plan_noise(
        [COUNT, NoisyOutput("m", "mean", low=10, high=21, counted_by="n")], [stake()], keys="declared"
    )
    assert [column.exact.name for column in shared.columns] == ["n", "m.sum"]


def test_units_of_another_owner_count_as_rows() -> None:
    contribution = Contribution(rows=9, groups=4, rows_per_group=5)
    assert sensitivity("units", contribution, own=True, largest=1) == Sensitivity(4, 4)
    assert sensitivity("units", contribution, own=False, largest=1) == Sensitivity(9, 25 + 16)
    assert sensitivity("rows", contribution, own=True, largest=1) == Sensitivity(9, 41)
    assert sensitivity("sum", contribution, own=True, largest=10) == Sensitivity(90, 4100)


def test_units_need_less_noise_for_their_own_owner_than_for_another() -> None:
    spread = Contribution(rows=9, groups=4, rows_per_group=5)
    units = NoisyOutput("u", "units", owner="shop")
    alone = plan_noise([units], [stake(contribution=spread)], keys="declared")
    assert alone.columns[0].noise == Noise("gaussian", Fraction(4))
    beside = plan_noise([units], [stake(), stake("club", spread)], keys="declared")
    assert beside.columns[0].noise == Noise("gaussian", Fraction(41))


def test_units_that_are_everybodys_are_counted_once_for_all() -> None:
    many = Contribution(9, 9, 9)
    stakes = [stake("shop", many), stake("bank", many)]
    outputs = [COUNT, NoisyOutput("people", "units", owner="shop")]
    shared = plan_noise(outputs, stakes, keys="selected", shared_units="people")
    apart = plan_noise(outputs, stakes, keys="selected")
    assert [column.exact.name for column in shared.columns] == ["n", "people"]
    assert [column.exact.name for column in apart.columns] == ["n", "people", "bank.units"]
    assert [(item.owner, item.column) for item in shared.thresholds] == [
        ("shop", "people"),
        ("bank", "people"),
    ]
    assert shared.cost_of("shop") == shared.cost_of("bank")
    assert shared.column("people").noise.scale < apart.column("people").noise.scale
    with pytest.raises(PrivacyParameterError, match="n is no output of kind units"):
        plan_noise(outputs, stakes, keys="selected", shared_units="n")


@pytest.mark.parametrize("rows", range(1, 6))
@pytest.mark.parametrize("groups", range(1, 4))
@pytest.mark.parametrize("rows_per_group", range(1, 5))
def test_sensitivity_is_the_largest_of_all_ways_to_place_rows(
    rows: int, groups: int, rows_per_group: int
) -> None:
    l1 = l2_squared = units = 0
    for number in range(rows + 1):
        for placed in combinations_with_replacement(range(groups), number):
            sizes = Counter(placed).values()
            if not sizes or max(sizes) <= rows_per_group:
                l1, l2_squared = max(l1, sum(sizes)), max(l2_squared, sum(size**2 for size in sizes))
                units = max(units, len(sizes))
    contribution = Contribution(rows, groups, rows_per_group)
    assert sensitivity("rows", contribution, own=True, largest=1) == Sensitivity(l1, l2_squared)
    assert sensitivity("units", contribution, own=True, largest=1).l1 == min(rows, groups) >= units


NOISES = [
    Noise("laplace", Fraction(1, 2)),
    Noise("laplace", Fraction(20)),
    Noise("gaussian", Fraction(1, 3)),
    Noise("gaussian", Fraction(1)),
    Noise("gaussian", Fraction(900)),
]


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_tails_are_bounds_and_close(noise: Noise) -> None:
    mass = (laplace_mass if noise.mechanism == "laplace" else gaussian_mass)(noise.scale)
    deviation = math.ceil(math.sqrt(noise.variance))
    for reach in range(1, 6 * deviation, max(1, deviation // 3)):
        true = math.fsum(mass(x) for x in range(reach, reach + 60 * deviation))
        assert true * (1 - 1e-9) <= tail(noise, reach)
        # The bound for gaussian noise is for the tail: it is wasteful near the middle.
        if noise.mechanism == "laplace" or reach >= 2 * deviation:
            assert tail(noise, reach) <= true * 1.3


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_tails_fall(noise: Noise) -> None:
    bounds = [tail(noise, reach) for reach in range(200)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 1
    for probability in (Fraction(1, 10), Fraction(1, 10**9)):
        reach = reach_of(noise, probability)
        assert tail(noise, reach) <= probability
        assert reach == 1 or tail(noise, reach - 1) > probability


def test_the_threshold_is_the_least_that_delta_allows() -> None:
    bounded = stake(contribution=Contribution(6, 2, 3))
    plan = plan_noise([COUNT], [bounded], keys="selected")
    (threshold,) = plan.thresholds
    noise = plan.column("shop.units").noise
    assert threshold.column == "shop.units"
    cost = plan.cost_of("shop").delta
    assert 0 <= cost - 2 * tail(noise, threshold.least - 1) < LOSS_UNIT
    assert cost <= bounded.share.delta
    assert 2 * tail(noise, threshold.least - 2) > bounded.share.delta


def test_an_owner_can_ask_for_a_higher_threshold() -> None:
    plan = plan_noise([COUNT], [Stake("shop", ONE, stake().share, required_units=500)], keys="selected")
    assert plan.thresholds[0].least == 500
    assert plan.cost_of("shop").delta == LOSS_UNIT  # next to nothing, rounded up


def test_thresholds_cost_the_delta_that_opendp_says() -> None:
    """OpenDP shows a key whose noisy count is *over* its threshold, we from the threshold on."""
    opendp.enable_features("contrib")
    keys = opendp.map_domain(opendp.atom_domain(T=str), opendp.atom_domain(T="i64"))
    distance = opendp.l01inf_distance(opendp.absolute_distance(T="i64"))
    for least in (20, 41):
        measured = opendp.m.make_laplace_threshold(keys, distance, scale=2.0, threshold=least - 1)
        epsilon, delta = measured.map((1, 1, 1))  # type: ignore[no-untyped-call]
        assert epsilon == 0.5
        assert float(tail(Noise("laplace", Fraction(2)), least - 1)) == pytest.approx(delta, rel=1e-6)


def test_all_keys_of_a_domain() -> None:
    assert all_keys([["a", "b"], [1, None]]) == [("a", 1), ("a", None), ("b", 1), ("b", None)]
    assert all_keys([]) == [()]
    for domains in ([["a", "a"]], [["a"], []], [range(CELLS_MAX + 1)]):
        with pytest.raises(PrivacyParameterError):
            all_keys(domains)
    assert len(all_keys([range(CELLS_MAX)])) == CELLS_MAX


REFUSED_OUTPUTS = {
    "a mean without a range": {"kind": "mean", "low": 4, "high": 4},
    "a sum without a clamp": {"kind": "sum"},
    "a clamp the wrong way round": {"kind": "sum", "low": 1, "high": 0},
    "a clamp that is too wide": {"kind": "sum", "high": 10**26 + 1},
    "units of nobody": {"kind": "units"},
    "rows of somebody": {"kind": "rows", "owner": "shop"},
    "no weight": {"kind": "rows", "weight": 0},
}


@pytest.mark.parametrize("fields", REFUSED_OUTPUTS.values(), ids=REFUSED_OUTPUTS.keys())
def test_outputs_without_a_bound_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(PrivacyParameterError):
        NoisyOutput("x", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outputs", "stakes"),
    [
        ([COUNT], [stake(), stake("club", mechanism="laplace")]),
        ([COUNT], [stake(amount=Fraction(0))]),
        ([COUNT], [Stake("shop", ONE, Loss("gaussian", Fraction(1, 3), Fraction(1, 8)))]),
        ([COUNT], [stake(delta=Fraction(0))]),
        ([COUNT, COUNT], [stake()]),
        ([NoisyOutput("u", "units", owner="club")], [stake()]),
        ([NoisyOutput("m", "mean", low=0, high=1, counted_by="n")], [stake()]),
        (
            [NoisyOutput("u", "units", owner="shop"), NoisyOutput("m", "mean", high=1, counted_by="u")],
            [stake()],
        ),
    ],
)
def test_plans_without_a_guarantee_are_refused(outputs: list[NoisyOutput], stakes: list[Stake]) -> None:
    with pytest.raises(PrivacyParameterError):
        plan_noise(outputs, stakes, keys="selected")


def test_stakes_are_one_for_each_owner_and_at_least_one() -> None:
    with pytest.raises(PrivacyParameterError, match="got no owner"):
        plan_noise([COUNT], [], keys="declared")
    with pytest.raises(PrivacyParameterError, match="one stake"):
        plan_noise([COUNT], [stake(), stake()], keys="declared")


def test_keys_alone_can_be_selected_but_not_declared() -> None:
    assert [column.exact.name for column in plan_noise([], [stake()], keys="selected").columns] == [
        "shop.units"
    ]
    with pytest.raises(PrivacyParameterError):
        plan_noise([], [stake()], keys="declared")


@pytest.mark.parametrize("bounds", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (10**6 + 1, 1, 1)])
def test_contributions_are_bounded(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(PrivacyParameterError):
        Contribution(*bounds)


def test_noise_has_a_scale() -> None:
    with pytest.raises(PrivacyParameterError):
        Noise("laplace", Fraction(0))
