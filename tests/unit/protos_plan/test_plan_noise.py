"""Which queries get noise, how much, and which are refused because what one unit changes is not bounded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from party_client.expected_noise import preview
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.plan import Plan, QueryRefusedError, compile_query
from protos.plan.plan import Noise
from protos.plan.stakes import runs_with_noise
from protos.privacy import Budget
from tests.engine_world import column
from tests.privacy_world import (
    BANK,
    BRANCHES,
    CUSTOMERS,
    JOINED,
    ONE_CELL,
    OPT_OUTS,
    OPTED,
    PAYMENTS,
    SELECTED,
    SHOP,
    SQL,
    agreement,
    asking,
    plan_of,
    with_rules,
)

ALONE = "SELECT SUM(p.amount) AS total, COUNT(*) AS n FROM payments AS p"
PURE = PrivacyEntry("shop", "2", "0", "laplace")


def noise_of(plan: Plan) -> Noise:
    assert plan.noise is not None
    return plan.noise


def test_a_query_without_budgets_has_no_noise() -> None:
    assert plan_of(noise=None, privacy=()).noise is None
    assert plan_of(ALONE, None, privacy=(SHOP,)).noise is None, "it reads nothing of the shop"


def test_every_output_is_charged_within_the_share_of_one_run() -> None:
    noise = noise_of(plan_of())
    assert noise.visible == ("n", "total")
    share = Budget(Fraction(2), Fraction("0.000001"), "gaussian").each_of(4)
    cost = noise.plan.cost_of("shop")
    assert cost.is_within(share)
    assert cost.amount > share.amount * Fraction(999, 1000), "the share is used up"


def test_both_owners_share_one_unit_and_the_strictest_budget_holds() -> None:
    alone, both = noise_of(plan_of()), noise_of(plan_of(privacy=(SHOP, BANK)))
    assert [cost for cost in both.plan.costs if cost[0] == "shop"] == list(alone.plan.costs)
    assert [column.noise for column in both.plan.columns] == [column.noise for column in alone.plan.columns]
    assert both.plan.cost_of("bank") == both.plan.cost_of("shop"), "one person is in both"


def test_the_smallest_number_of_rows_of_a_unit_holds_for_both() -> None:
    bounded = (with_rules(CUSTOMERS, max_rows_per_unit=1), PAYMENTS, BRANCHES)
    stricter = noise_of(plan_of(datasets=bounded)).plan.column("n").noise.variance
    assert stricter < noise_of(plan_of()).plan.column("n").noise.variance
    only_one = (with_rules(CUSTOMERS, max_rows_per_unit=None), PAYMENTS, BRANCHES)
    assert noise_of(plan_of(datasets=only_one)) == noise_of(plan_of()), "one bound is enough for one unit"


def test_a_budget_is_shared_over_all_runs_with_noise() -> None:
    first, second = asking(max_runs=3), asking(id="other", max_runs=2)
    exact = asking(ALONE, None, id="exact", max_runs=9)
    agreed = agreement(first, second, exact)
    assert runs_with_noise(agreed) == 5
    assert runs_with_noise(replace(agreed, limits=replace(agreed.limits, max_runs=4))) == 4
    budget = Budget(Fraction(2), Fraction("0.000001"), "gaussian")
    costs = [noise_of(compile_query(agreed, query)).plan.cost_of("shop") for query in (first, second)]
    spent = costs[0].share(Fraction(0))
    for cost in (costs[0], costs[0], costs[0], costs[1], costs[1]):
        spent = budget.require_left(spent, cost)


def test_weights_divide_the_share() -> None:
    even = noise_of(plan_of()).plan
    heavy = noise_of(plan_of(noise=QueryNoise("declared", (("north", "south", "west"),), (("n", 9),)))).plan
    assert heavy.column("n").noise.variance < even.column("n").noise.variance
    assert heavy.column("total").noise.variance > even.column("total").noise.variance


def test_a_mean_is_over_the_rows_that_are_counted_anyway() -> None:
    sql = "SELECT AVG(p.amount) AS mean, COUNT(*) AS n FROM payments AS p"
    names = [item.name for item in noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,))).measured]
    assert names == ["mean.sum", "n"]
    # COUNT(*) counts rows without points as well.
    sql = "SELECT AVG(p.points) AS mean, COUNT(*) AS n, COUNT(p.points) AS k FROM payments AS p"
    found = noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,)))
    assert [item.name for item in found.measured] == ["mean.sum", "n", "k"]
    (mean,) = [output for output in found.plan.outputs if output.name == "mean"]
    assert mean.counted_by == "k"


def test_sums_are_bounded_by_clamps_also_inside_a_case() -> None:
    sql = "SELECT SUM(CASE WHEN p.amount > 5 THEN p.amount ELSE 0 END) AS total FROM payments AS p"
    (output,) = noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,))).plan.outputs
    assert (output.low, output.high) == (0, 10_000), "in cents"
    sql = "SELECT SUM(CASE WHEN p.amount > 5 THEN 1 ELSE -2 END) AS votes FROM payments AS p"
    (output,) = noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,))).plan.outputs
    assert (output.low, output.high) == (-2, 1)


def test_one_cell_is_one_group_and_declared_cells_bound_the_groups() -> None:
    sql = "SELECT COUNT(DISTINCT p.email) AS people FROM payments AS p"
    bounded = (CUSTOMERS, with_rules(PAYMENTS, max_rows_per_unit=50), BRANCHES)
    one = noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,), datasets=bounded)).plan
    assert (
        one.column("people").noise
        == noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,), datasets=(CUSTOMERS, PAYMENTS, BRANCHES)))
        .plan.column("people")
        .noise
    ), "a unit counts once, however many rows it has"


def test_thresholds_become_floors_for_noisy_numbers_of_units() -> None:
    careful = (replace(CUSTOMERS, threshold=20), PAYMENTS, BRANCHES)
    found = noise_of(plan_of(datasets=careful))
    assert (found.required_units, found.row_floors) == (20, ("_units_0",))
    assert "_units_0" in [item.name for item in found.measured]
    assert found.visible == ("n", "total")
    none = noise_of(plan_of())
    assert (none.required_units, none.row_floors) == (1, ())


def test_values_that_not_all_rows_support_have_floors_of_their_own() -> None:
    careful = (CUSTOMERS, replace(PAYMENTS, threshold=20), BRANCHES)
    sql = "SELECT COUNT(*) AS n, SUM(p.points) AS points FROM payments AS p"
    found = noise_of(plan_of(sql, ONE_CELL, privacy=(BANK,), datasets=careful))
    assert found.value_floors == (("points", ("_units_0_support_0",)),)


def test_a_threshold_of_an_owner_without_a_budget_is_a_floor_too() -> None:
    sql = (
        "SELECT b.town AS town, COUNT(*) AS n FROM payments AS p JOIN branches AS b ON p.branch = b.branch "
        "GROUP BY b.town"
    )
    careful = (CUSTOMERS, PAYMENTS, replace(BRANCHES, threshold=3))
    noise = QueryNoise("declared", (("bern", "thun"),))
    found = noise_of(plan_of(sql, noise, privacy=(BANK,), datasets=careful))
    assert (found.required_units, found.row_floors) == (3, ("_units_0", "_units_1"))
    kinds = {output.name: output.kind for output in found.plan.outputs}
    assert kinds == {"n": "rows", "_units_0": "units", "_units_1": "rows"}


def test_selected_keys_have_a_threshold_for_every_owner_on_one_count() -> None:
    found = noise_of(plan_of(noise=SELECTED, privacy=(SHOP, BANK))).plan
    assert {threshold.owner for threshold in found.thresholds} == {"shop", "bank"}
    assert {threshold.column for threshold in found.thresholds} == {"_units_0"}
    assert all(found.cost_of(owner).delta > 0 for owner in ("shop", "bank"))
    assert preview(found, rows=100).least_units["shop"] > 1


def test_a_threshold_of_the_owners_own_holds_for_selected_keys() -> None:
    careful = (replace(CUSTOMERS, threshold=5000), PAYMENTS, BRANCHES)
    found = noise_of(plan_of(noise=SELECTED, datasets=careful)).plan
    assert [threshold.least for threshold in found.thresholds] == [5000]


def test_a_distinct_count_that_is_output_selects_keys_as_well() -> None:
    sql = f"SELECT c.region AS region, COUNT(DISTINCT p.email) AS people {JOINED} GROUP BY c.region"
    found = noise_of(plan_of(sql, SELECTED)).plan
    assert [output.name for output in found.outputs] == ["people"]
    assert [threshold.column for threshold in found.thresholds] == ["people"]


def test_an_own_list_of_opt_outs_moves_rows_of_the_same_unit_only() -> None:
    assert plan_of(ALONE, ONE_CELL, privacy=(BANK,), datasets=(CUSTOMERS, OPTED, OPT_OUTS)).noise


LEFT = "SELECT COUNT(*) AS n FROM payments AS p LEFT JOIN customers AS c ON p.email = c.email"
TWO_UNITS = "SELECT COUNT(*) AS n FROM payments AS p JOIN branches AS b ON p.branch = b.branch"
DERIVED = "SELECT COUNT(*) AS n FROM (SELECT p.email AS email FROM payments AS p) AS d"
LIST = "SELECT DISTINCT c.email AS email FROM customers AS c JOIN payments AS p ON c.email = p.email"
REGISTRY = PrivacyEntry("registry", "2", "0.000001", "gaussian")
BOUNDED_BRANCHES = with_rules(BRANCHES, max_rows_per_unit=3)
LISTABLE = tuple(
    with_rules(dataset, analyses=("aggregation", "list"), max_rows_per_unit=None)
    for dataset in (replace(CUSTOMERS, columns=(column("email", "text", "join", "output"),)), PAYMENTS)
)
UNBOUNDED = (CUSTOMERS, with_rules(PAYMENTS, max_rows_per_unit=None), BRANCHES)
FOREIGN_LIST = replace(OPT_OUTS, owner="shop")
OTHER_COLUMN = replace(OPT_OUTS, columns=(*OPT_OUTS.columns, column("device", "text")), privacy_unit="device")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an exact result": ({"noise": None}, "shop has a privacy budget in this agreement: no exact result"),
    "noise nobody asked for": ({"privacy": ()}, "`noise` is for queries over data of an owner"),
    "two kinds of noise": (
        {"privacy": (SHOP, replace(BANK, noise="laplace"))},
        "shop asks for gaussian noise and bank for laplace",
    ),
    "a list": (
        {"sql": LIST, "noise": SELECTED, "datasets": LISTABLE},
        "a list shows single units, and shop has a privacy budget",
    ),
    "a derived table": (
        {"sql": DERIVED, "noise": ONE_CELL, "privacy": (BANK,), "datasets": UNBOUNDED},
        "the derived table d in a query over data of bank",
    ),
    "the optional side of a LEFT JOIN": (
        {"sql": LEFT, "noise": ONE_CELL},
        "customers of shop, who has a privacy budget, stands on the right of a LEFT JOIN",
    ),
    "two units": (
        {"sql": TWO_UNITS, "noise": ONE_CELL, "privacy": (BANK, REGISTRY)},
        r"payments.email of bank and branches.branch of registry are not one column",
    ),
    "rows of another unit bounded as well": (
        {
            "sql": TWO_UNITS,
            "noise": ONE_CELL,
            "privacy": (BANK,),
            "datasets": (CUSTOMERS, PAYMENTS, BOUNDED_BRANCHES),
        },
        "registry bounds the rows of branches.branch, which is another unit than that of bank",
    ),
    "any number of rows": (
        {"sql": ALONE, "noise": ONE_CELL, "privacy": (BANK,), "datasets": UNBOUNDED},
        "bank has a privacy budget, and payments has no `max_rows_per_unit`",
    ),
    "a list of opt-outs of another owner with a budget": (
        {"sql": ALONE, "noise": ONE_CELL, "privacy": (SHOP,), "datasets": (CUSTOMERS, OPTED, FOREIGN_LIST)},
        "shop has a privacy budget, and its list optouts decides which rows of payments there are",
    ),
    "the same without noise": (
        {"sql": ALONE, "noise": None, "privacy": (SHOP,), "datasets": (CUSTOMERS, OPTED, FOREIGN_LIST)},
        "shop has a privacy budget in this agreement: no exact result",
    ),
    "a list of opt-outs by another column": (
        {"sql": ALONE, "noise": ONE_CELL, "privacy": (BANK,), "datasets": (CUSTOMERS, OPTED, OTHER_COLUMN)},
        "bank has a privacy budget, and its list optouts decides",
    ),
    "a sum without a clamp": (
        {"sql": "SELECT SUM(c.age) AS years FROM customers AS c", "noise": ONE_CELL},
        "years adds up customers.age of shop, which has no `clamp`",
    ),
    "a sum of a computed value": (
        {"sql": "SELECT SUM(p.points * 2) AS x FROM payments AS p", "noise": ONE_CELL, "privacy": (BANK,)},
        "x adds up a computed value",
    ),
    "a largest value": (
        {"sql": "SELECT MAX(c.age) AS oldest FROM customers AS c", "noise": ONE_CELL},
        "oldest: MAX is a value of one unit",
    ),
    "distinct values of another column": (
        {"sql": "SELECT COUNT(DISTINCT c.age) AS ages FROM customers AS c", "noise": ONE_CELL},
        r"ages: COUNT\(DISTINCT …\) of something else than the privacy unit of shop",
    ),
    "no number at all": (
        {"sql": "SELECT c.region AS region FROM customers AS c GROUP BY c.region"},
        "a query with noise has at least one aggregate",
    ),
    "too few domains": ({"noise": ONE_CELL}, "`noise` declares 0 domains for 1 GROUP BY expressions"),
    "a domain of another type": (
        {"noise": QueryNoise("declared", ((1, 2),))},
        "GROUP BY expression 1 is text, and its declared values are not",
    ),
    "a domain of dates": (
        {
            "sql": "SELECT c.joined AS joined, COUNT(*) AS n FROM customers AS c GROUP BY c.joined",
            "noise": QueryNoise("declared", (("2026-01-01",),)),
        },
        "GROUP BY expression 1 is date, for which no values can be declared",
    ),
    "selecting one row": ({"sql": ALONE, "noise": SELECTED, "privacy": (BANK,)}, "without GROUP BY"),
    "selecting with delta 0": (
        {"noise": SELECTED, "privacy": (PURE,)},
        "shop has a privacy budget with delta 0: its data cannot select group keys",
    ),
    "a weight of nothing": (
        {"noise": QueryNoise("selected", (), (("region", 2),))},
        "`noise` gives a weight to region, which is not an aggregate",
    ),
    "a sum of nothing but zeros": (
        {
            "sql": "SELECT SUM(CASE WHEN p.amount > 5 THEN 0 END) AS x FROM payments AS p",
            "noise": ONE_CELL,
            "privacy": (BANK,),
        },
        "x is over values that can only be one number",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_bounded_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryRefusedError, match=message) as refused:
        plan_of(**changes)
    assert refused.value.hint


def test_the_refusals_are_about_the_budget_and_nothing_else() -> None:
    for changes, _ in REFUSED.values():
        exact = {**changes, "noise": None, "privacy": ()}
        assert plan_of(**exact).noise is None
    assert plan_of(SQL, noise=None, privacy=()).noise is None
