"""What leaves of a query with noise: values off by the stated noise, in cells that no unit decides on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from enclave_compute import noisy_release
from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from party_client.expected_noise import preview
from protos.formats.privacy import NoiseKind, PrivacyEntry, QueryNoise
from protos.formats.rules import Clamp
from protos.formats.schema import Dataset
from protos.plan import Plan
from protos.privacy import Noise
from tests.engine_world import rows_of
from tests.noise_statistics import allowed_gap, gap, gaussian_mass, laplace_mass
from tests.privacy_world import (
    BANK,
    BRANCHES,
    CUSTOMERS,
    JOINED,
    ONE_CELL,
    PAYMENTS,
    REGIONS,
    SELECTED,
    SHOP,
    customer,
    engine_with,
    payment,
    plan_of,
)

CELLS = 1000
BY_AGE = "SELECT c.age AS age, COUNT(*) AS n, SUM(p.amount) AS total"
AGES = QueryNoise("declared", (tuple(range(CELLS)),))
LOUD: dict[str, Any] = {"privacy": (replace(BANK, epsilon="20"),), "max_runs": 1}
"""So little noise that what would be wrong without a bound is seen beside it."""


def noise_on(plan: Plan, column: str) -> Noise:
    assert plan.noise is not None
    return plan.noise.plan.column(column).noise


def released(plan: Plan, engine: Engine) -> Released:
    return release(engine, plan, {})


def customers(regions: Sequence[str]) -> list[tuple[Any, ...]]:
    return [customer(number, region) for number, region in enumerate(regions)]


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_values_are_off_by_the_stated_noise_and_by_no_less(kind: NoiseKind) -> None:
    plan = plan_of(
        f"{BY_AGE} {JOINED} GROUP BY c.age", AGES, privacy=(PrivacyEntry("shop", "2", "0.000001", kind),)
    )
    mass = gaussian_mass if kind == "gaussian" else laplace_mass
    scales = noise_on(plan, "n").scale, noise_on(plan, "total").scale
    counts, sums = [], []
    for _ in range(4):  # enclaves that have just started
        engine = engine_with([customer(1, "north")], [payment(1, "7.25")] * 2)
        for age, n, total in rows_of(released(plan, engine)):
            exact = (2, Decimal("14.50")) if age == 30 else (0, Decimal(0))
            counts.append(n - exact[0])
            sums.append(int((total - exact[1]) * 100))
    assert len(counts) == 4 * CELLS
    assert gap(counts, mass(scales[0])) <= allowed_gap(len(counts))
    assert gap(counts, mass(scales[0] / 4)) > allowed_gap(len(counts)), "less noise would be noticed"
    # Of large numbers the distribution function changes little from one to the next: look at hundreds.
    hundreds = [value // 100 for value in sums]
    coarse = Fraction(scales[1], 10_000 if kind == "gaussian" else 100)
    assert gap(hundreds, mass(coarse)) <= allowed_gap(len(sums)) + 0.02
    assert gap(hundreds, mass(coarse / 4)) > allowed_gap(len(sums)) + 0.02


def test_noise_is_drawn_anew_for_every_release() -> None:
    engine, plan = engine_with(customers(REGIONS), [payment(0)]), plan_of()
    assert len({rows_of(released(plan, engine))[0] for _ in range(5)}) == 5


def test_declared_groups_are_shown_whoever_is_there_and_no_others() -> None:
    plan = plan_of()
    one = customers(["north", "mars"]), [payment(0), payment(1)]
    nobody: tuple[list[Any], list[Any]] = ([], [])
    shown = [released(plan, engine_with(*rows)) for rows in (one, nobody)]
    assert [[row[0] for row in rows_of(found)] for found in shown] == [list(REGIONS)] * 2
    assert len({(found.rows, len(found.table_ipc), found.suppressed) for found in shown}) == 1


def test_without_a_group_by_there_is_one_row_also_over_nothing() -> None:
    sql = "SELECT COUNT(*) AS n, SUM(p.points) AS s, AVG(p.amount) AS m FROM payments AS p"
    ((n, points, _),) = rows_of(released(plan_of(sql, ONE_CELL, **LOUD), engine_with()))
    assert abs(n) < 100
    assert abs(points) < 1000


def test_a_unit_counts_with_so_many_rows_and_clamped_values() -> None:
    sql = "SELECT COUNT(*) AS n, SUM(p.amount) AS total, COUNT(DISTINCT p.email) AS people FROM payments AS p"
    plan = plan_of(sql, ONE_CELL, **LOUD)
    extreme = [payment(1, "9999999999.99") for _ in range(1000)]
    ((n, total, people),) = rows_of(released(plan, engine_with(payments=extreme)))
    assert abs(n - 2) < 30, "not 1000"
    assert abs(total - 200) < 3000, "two rows of at most 100.00"
    assert abs(people - 1) < 30


def test_means_are_kept_within_the_clamp_and_missing_over_nobody() -> None:
    sql = "SELECT c.region AS region, AVG(p.amount) AS mean " + f"{JOINED} GROUP BY c.region"
    plan = plan_of(sql, QueryNoise("declared", (tuple(sorted([*REGIONS, *map(str, range(60))])),)))
    found = [mean for _, mean in rows_of(released(plan, engine_with()))]
    assert None in found
    assert all(mean is None or 0 <= mean <= 100 for mean in found)


def test_floors_hold_for_noisy_numbers_of_units() -> None:
    careful: tuple[Dataset, ...] = (replace(CUSTOMERS, threshold=5000), PAYMENTS, BRANCHES)
    rows = customers(["north"] * 20), [payment(number) for number in range(20)]
    declared = released(plan_of(datasets=careful), engine_with(*rows))
    assert rows_of(declared) == [(region, None, None) for region in REGIONS]
    selected = released(plan_of(noise=SELECTED, datasets=careful), engine_with(*rows))
    assert rows_of(selected) == []


def test_a_value_that_few_support_has_a_floor_of_its_own() -> None:
    careful = (CUSTOMERS, replace(PAYMENTS, threshold=300), BRANCHES)
    sql = "SELECT COUNT(*) AS n, SUM(p.points) AS points FROM payments AS p"
    plan = plan_of(sql, ONE_CELL, datasets=careful, **LOUD)
    rows = [payment(number, points=1 if number < 20 else None) for number in range(900)]
    ((n, points),) = rows_of(released(plan, engine_with(payments=rows)))
    assert abs(n - 900) < 100
    assert points is None, "20 of 900 have points"


def test_selected_groups_have_many_units() -> None:
    regions = ["north"] * 400 + ["mars"] + ["south"] * 400
    plan = plan_of(noise=SELECTED)
    rows = customers(regions), [payment(number) for number in range(len(regions))]
    found = rows_of(released(plan, engine_with(*rows)))
    assert [row[0] for row in found] == ["north", "south"], "one person never makes a group appear"


def test_more_groups_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noisy_release, "SELECTED_CELLS_MAX", 2)
    rows = customers(REGIONS), [payment(number) for number in range(3)]
    with pytest.raises(RefusedError, match="over-limit"):
        released(plan_of(noise=SELECTED), engine_with(*rows))
    released(plan_of(noise=SELECTED), engine_with(rows[0][:2], rows[1]))


def test_what_is_held_back_is_said_the_same_way_for_any_data() -> None:
    plan = plan_of(noise=SELECTED)
    full = customers(["north"] * 400), [payment(number) for number in range(400)]
    notes = [released(plan, engine_with(*rows)).suppressed for rows in (full, ([], []))]
    assert notes[0] == notes[1]
    assert [note.groups_at_most for note in notes[0]] == [None]
    assert "for shop" in notes[0][0].rule


def test_numbers_beyond_the_types_are_cut_off_and_nothing_fails() -> None:
    wide = replace(
        PAYMENTS,
        columns=tuple(
            replace(column, clamp=replace(column.clamp, high=str(2**63 - 1)))
            if column.name == "points" and column.clamp is not None
            else column
            for column in PAYMENTS.columns
        ),
    )
    sql = "SELECT SUM(p.points) AS points FROM payments AS p"
    plan = plan_of(sql, ONE_CELL, datasets=(CUSTOMERS, wide, BRANCHES), **LOUD)
    most = [payment(number, points=2**63 - 1) for number in range(2000)]
    ((points,),) = rows_of(released(plan, engine_with(payments=most)))
    assert points == 2**63 - 1, "the sum has 75 bits; a sum of 64 bits would be NULL"


@pytest.mark.parametrize("people", [0, 1, 500])
def test_decimals_keep_their_sign_and_their_zeros(people: int) -> None:
    """Noise of a cent or so on sums of -0.02 a unit."""
    cents = replace(
        PAYMENTS,
        columns=tuple(
            replace(column, clamp=Clamp("-0.01", "0.00")) if column.name == "amount" else column
            for column in PAYMENTS.columns
        ),
    )
    sql = "SELECT SUM(p.amount) AS total FROM payments AS p"
    plan = plan_of(sql, ONE_CELL, datasets=(CUSTOMERS, cents, BRANCHES), **LOUD)
    engine = engine_with(payments=[payment(number % people, "-3.00") for number in range(2 * people)])
    for _ in range(20):
        ((total,),) = rows_of(released(plan, engine))
        assert abs(total + Decimal("0.02") * people) < Decimal("0.15")


def test_the_preview_is_about_what_is_released() -> None:
    plan = plan_of()
    assert plan.noise is not None
    expected = {item.output: item for item in preview(plan.noise.plan, rows=100).outputs}
    found = [rows_of(released(plan, engine_with()))[0][1] for _ in range(40)]
    assert sum(abs(n) > expected["n"].half_width_95 for n in found) <= 15, "5 % of 40, wrong once in 1e9"


def test_two_protected_owners_have_their_rows_joined() -> None:
    plan = plan_of(privacy=(SHOP, BANK))
    rows = customers(["north"] * 3000), [payment(number) for number in range(3000)]
    found = rows_of(released(plan, engine_with(*rows)))
    assert abs(found[0][1] - 3000) < 500
