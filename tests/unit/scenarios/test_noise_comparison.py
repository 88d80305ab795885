"""A noisy table is close enough, or one figure in it is further off than its noise explains."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from protos.plan import Plan
from scenarios.errors import MismatchError
from scenarios.noise_comparison import require_close
from tests.privacy_world import SELECTED, plan_of

SQL = (
    "SELECT c.region AS region, COUNT(*) AS n, SUM(p.amount) AS total, AVG(p.amount) AS mean "
    "FROM customers AS c JOIN payments AS p ON c.email = p.email GROUP BY c.region"
)
ROWS = 10_000
EXACT = {"region": ["north", "south", "west"], "n": [ROWS, ROWS, 0], "total": ["5000.25", "0.00", "0.00"]}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(SQL)


def exact() -> pd.DataFrame:
    return pd.DataFrame({**EXACT, "mean": [0.500025, 0.0, None]})


def changed(row: int, name: str, value: Any) -> pd.DataFrame:
    table = exact().astype(object)
    table.loc[row, name] = value
    return table


def reach(plan: Plan, name: str) -> float:
    """Six standard deviations and a bit: what a thousand million runs stay within, of this many figures."""
    assert plan.noise is not None
    return math.sqrt(plan.noise.plan.column(name).noise.variance) * 6.5


def test_the_exact_table_in_any_order_is_close(plan: Plan) -> None:
    assert require_close(exact(), exact(), plan) == 8
    assert require_close(exact().iloc[::-1], exact(), plan) == 8


def test_a_figure_may_be_as_far_off_as_its_noise_and_not_further(plan: Plan) -> None:
    near, far = ROWS - round(reach(plan, "n") * 0.9), ROWS - round(reach(plan, "n") * 1.2)
    assert require_close(changed(1, "n", near), exact(), plan) == 8
    with pytest.raises(MismatchError, match="row 2: n is further off"):
        require_close(changed(1, "n", far), exact(), plan)


def test_sums_are_held_against_noise_in_their_smallest_unit(plan: Plan) -> None:
    near, far = reach(plan, "total") * 0.9 / 100, reach(plan, "total") * 1.2 / 100
    assert require_close(changed(0, "total", f"{5000.25 + near:.2f}"), exact(), plan) == 8
    with pytest.raises(MismatchError, match="row 1: total"):
        require_close(changed(0, "total", f"{5000.25 + far:.2f}"), exact(), plan)


def test_means_of_many_rows_are_close_and_of_none_anything_in_the_clamp(plan: Plan) -> None:
    with pytest.raises(MismatchError, match="row 1: mean"):
        require_close(changed(0, "mean", 20.0), exact(), plan)
    assert require_close(changed(0, "mean", 1.0), exact(), plan) == 8
    assert require_close(changed(2, "mean", 99.0), exact(), plan) == 9
    with pytest.raises(MismatchError, match="row 3: mean"):
        require_close(changed(2, "mean", 101.0), exact(), plan)


def test_blank_figures_are_not_compared(plan: Plan) -> None:
    assert require_close(changed(0, "n", None), exact(), plan) == 7
    blank = exact().assign(n=None, total=None, mean=None)
    with pytest.raises(MismatchError, match="every figure is blank"):
        require_close(blank, exact(), plan)


@pytest.mark.parametrize(
    "released",
    [exact().iloc[:2], changed(0, "region", "east"), changed(0, "region", "south"), exact()[["n", "region"]]],
    ids=["fewer", "another", "twice", "columns"],
)
def test_other_groups_or_columns_are_none_of_it(plan: Plan, released: pd.DataFrame) -> None:
    with pytest.raises(MismatchError):
        require_close(released, exact(), plan)


def test_without_declared_noise_there_is_nothing_to_compare_by() -> None:
    for other in (plan_of(SQL, None, privacy=()), plan_of(SQL, SELECTED)):
        with pytest.raises(MismatchError, match="no noise over declared groups"):
            require_close(exact(), exact(), other)
