"""For any bounds and budgets: more never costs less, sums never fall short, and a share is never exceeded."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from protos.privacy import (
    Budget,
    Contribution,
    Loss,
    Noise,
    NoisyOutput,
    Stake,
    epsilon_of_rho,
    nothing,
    plan_noise,
    rho_of_epsilon,
    sensitivity,
)
from protos.privacy.loss import MECHANISMS
from protos.privacy.rounding import exp_down, exp_up, ln_down, ln_up, short_down, short_up
from protos.privacy.tails import tail

positive = st.fractions(min_value=Fraction(1, 10**12), max_value=10**12).filter(bool)
amounts = st.fractions(min_value=Fraction(1, 10**9), max_value=50)
deltas = st.integers(3, 30).map(lambda digits: Fraction(1, 10**digits))
mechanisms = st.sampled_from(MECHANISMS)
contributions = st.builds(Contribution, *[st.integers(1, 1000)] * 3)


@settings(deadline=None)
@given(positive, positive)
def test_rounding_is_monotone(x: Fraction, y: Fraction) -> None:
    low, high = sorted((x, y))
    for function in (ln_down, ln_up, short_down, short_up):
        assert function(low) <= function(high)
    for function in (exp_down, exp_up):
        assert function(-high) <= function(-low)


@settings(deadline=None)
@given(amounts, amounts, deltas)
def test_more_rho_is_more_epsilon(x: Fraction, y: Fraction, delta: Fraction) -> None:
    low, high = sorted((x, y))
    assert epsilon_of_rho(low, delta) <= epsilon_of_rho(high, delta)
    assert epsilon_of_rho(low, delta) <= epsilon_of_rho(low, delta / 10)


@settings(deadline=None)
@given(amounts, deltas)
def test_epsilon_is_never_below_the_best_and_never_above_the_simple_bound(
    rho: Fraction, delta: Fraction
) -> None:
    """rho + 2 sqrt(rho ln(1/delta)) of Bun and Steinke is weaker; the formula's infimum is the floor."""
    r, d = float(rho), float(delta)
    epsilon = float(epsilon_of_rho(rho, delta))
    alphas = (1 + math.exp(step / 400) for step in range(-2000, 9000))
    best = min(a * r + (math.log(1 / d) - a * math.log(a)) / (a - 1) + math.log(a - 1) for a in alphas)
    assert best * 0.9995 - 1e-9 <= epsilon <= r + 2 * math.sqrt(r * math.log(1 / d)) + 1e-9


@settings(deadline=None)
@given(st.fractions(min_value=Fraction(1, 1000), max_value=20), deltas)
def test_a_rho_for_an_epsilon_keeps_it(epsilon: Fraction, delta: Fraction) -> None:
    rho = rho_of_epsilon(epsilon, delta)
    assert 0 < rho < epsilon
    assert epsilon_of_rho(rho, delta) <= epsilon * (1 + Fraction(1, 2**30))
    assert epsilon_of_rho(rho * Fraction(101, 100), delta) > epsilon


@settings(deadline=None)
@given(mechanisms, st.lists(st.tuples(amounts, deltas), max_size=20))
def test_losses_add_up_exactly_and_in_any_order(
    mechanism: str, parts: list[tuple[Fraction, Fraction]]
) -> None:
    losses = [Loss(mechanism, *part) for part in parts]  # type: ignore[arg-type]
    forwards, backwards = nothing(mechanism), nothing(mechanism)  # type: ignore[arg-type]
    for loss in losses:
        after = forwards + loss
        assert forwards.is_within(after)
        forwards = after
    for loss in reversed(losses):
        backwards += loss
    assert forwards == backwards
    assert forwards.amount == sum(amount for amount, _ in parts)


OUTPUTS = (
    NoisyOutput("n", "rows", weight=2),
    NoisyOutput("u", "units", owner="a"),
    NoisyOutput("s", "sum", low=-500, high=3),
    NoisyOutput("m", "mean", low=17, high=99, counted_by="n"),
)


@settings(deadline=None, max_examples=40)
@given(
    mechanisms,
    st.lists(st.tuples(contributions, st.fractions(Fraction(1, 100), 20), deltas), min_size=1, max_size=3),
    st.integers(1, 20),
)
def test_no_run_costs_more_than_its_share_and_all_runs_keep_the_promise(
    mechanism: str, owners: list[tuple[Contribution, Fraction, Fraction]], runs: int
) -> None:
    budgets = [Budget(epsilon, delta, mechanism) for _, epsilon, delta in owners]  # type: ignore[arg-type]
    stakes = [
        Stake("abc"[index], contribution, budget.each_of(runs))
        for index, ((contribution, _, _), budget) in enumerate(zip(owners, budgets, strict=True))
    ]
    plan = plan_noise(OUTPUTS, stakes, keys="selected")
    for stake, budget in zip(stakes, budgets, strict=True):
        cost = plan.cost_of(stake.owner)
        assert cost.is_within(stake.share)
        assert cost == cost.whole_down()
        spent = nothing(cost.mechanism)
        for _ in range(runs):
            spent = budget.require_left(spent, cost)
        assert budget.epsilon_spent(spent) <= budget.epsilon


Row = tuple[str, str, int, int]
"""Unit of owner a, unit of owner b, group, value."""
rows = st.lists(
    st.tuples(*[st.sampled_from("123")] * 2, st.integers(0, 3), st.integers(-500, 500)), max_size=25
)


def exact_columns(table: list[Row]) -> dict[str, list[int]]:
    """What the engine would compute for `OUTPUTS` and for selecting keys, with values clamped and centred."""
    by_group = [[row for row in table if row[2] == group] for group in range(4)]
    mean = OUTPUTS[3]
    return {
        "n": [len(group) for group in by_group],
        "u": [len({a for a, _, _, _ in group}) for group in by_group],
        "b.units": [len({b for _, b, _, _ in group}) for group in by_group],
        "s": [sum(min(3, value) for _, _, _, value in group) for group in by_group],
        "m.sum": [
            sum(max(mean.low, min(mean.high, value)) - mean.centre for _, _, _, value in group)
            for group in by_group
        ],
    }


@settings(deadline=None)
@given(rows, st.sampled_from("123"), st.integers(0, 1))
def test_no_unit_changes_a_column_by_more_than_its_sensitivity(
    table: list[Row], unit: str, owner: int
) -> None:
    gone = [row for row in table if row[owner] == unit]
    per_group = Counter(row[2] for row in gone)
    contribution = Contribution(max(1, len(gone)), max(1, len(per_group)), max([1, *per_group.values()]))
    share = Loss("gaussian", Fraction(1), Fraction(1, 10**6)).whole_down()
    stakes = [Stake("a", contribution, share), Stake("b", contribution, share)]
    plan = plan_noise(OUTPUTS, stakes, keys="selected")
    before, after = exact_columns(table), exact_columns([row for row in table if row[owner] != unit])
    assert {column.exact.name for column in plan.columns} == before.keys()
    for column in plan.columns:
        name = column.exact.name
        changes = [x - y for x, y in zip(before[name], after[name], strict=True)]
        own = column.exact.owner == "ab"[owner]
        most = sensitivity(column.exact.measure, contribution, own=own, largest=column.exact.largest)
        assert sum(map(abs, changes)) <= most.l1
        assert sum(change**2 for change in changes) <= most.l2_squared


@settings(deadline=None)
@given(mechanisms, st.lists(contributions, min_size=1, max_size=3), contributions)
def test_another_owner_or_a_wider_bound_never_means_less_noise(
    mechanism: str, bounds: list[Contribution], more: Contribution
) -> None:
    share = Loss(mechanism, Fraction(1, 3), Fraction(1, 10**7)).whole_down()  # type: ignore[arg-type]
    stakes = [Stake("abc"[index], bound, share) for index, bound in enumerate(bounds)]
    before = plan_noise(OUTPUTS, stakes, keys="declared")
    after = plan_noise(OUTPUTS, [*stakes, Stake("z", more, share)], keys="declared")
    wider = Contribution(*(bound * 2 for bound in vars(bounds[0]).values()))
    widened = plan_noise(OUTPUTS, [Stake("a", wider, share), *stakes[1:]], keys="declared")
    for column in before.columns:
        name, scale = column.exact.name, column.noise.scale
        assert after.column(name).noise.scale >= scale
        assert widened.column(name).noise.scale >= scale


@settings(deadline=None)
@given(mechanisms, st.fractions(Fraction(1, 10), 10**9), st.integers(1, 10**5))
def test_tail_bounds_are_probabilities_that_fall(mechanism: str, scale: Fraction, reach: int) -> None:
    noise = Noise(mechanism, scale)  # type: ignore[arg-type]
    assert 0 < tail(noise, reach + 1) <= tail(noise, reach) <= 1
