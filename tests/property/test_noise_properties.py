"""The exact numbers under noise change, when one unit is taken out, by no more than the noise was made for.

This is what the accounting cannot see and the statement has to guarantee (`docs/privacy.md`). Whatever the
data is: units with many rows, in many groups, in one dataset alone, extreme and missing values.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.engine import Engine
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.schema import Dataset
from protos.plan import Plan
from protos.plan.noise_sql import numbers_select
from protos.plan.stakes import runs_with_noise
from protos.privacy import Contribution, mean_sum_column, sensitivity
from tests.engine_world import MEMORY_MIB, load, table
from tests.privacy_world import (
    BANK,
    BRANCHES,
    CUSTOMERS,
    DECLARED,
    JOINED,
    ONE_CELL,
    OPT_OUTS,
    OPTED,
    PAYMENTS,
    REGIONS,
    SHOP,
    agreement,
    customer,
    payment,
    plan_of,
    with_rules,
)

BOUND = 2
PEOPLE = range(6)
ALL = "COUNT(*) AS n, COUNT(p.points) AS k, SUM(p.amount) AS total, AVG(p.points) AS mean"
CASES: dict[str, dict[str, Any]] = {
    "one owner's rows joined with the other's": {
        "sql": f"SELECT c.region AS region, {ALL} {JOINED} GROUP BY c.region",
        "noise": DECLARED,
        "privacy": (SHOP,),
    },
    "both owners": {
        "sql": f"SELECT c.region AS region, {ALL} {JOINED} WHERE p.amount >= 2 GROUP BY c.region",
        "noise": DECLARED,
        "privacy": (SHOP, BANK),
    },
    "a ladder of cases": {
        "sql": "SELECT SUM(CASE WHEN p.amount > 5 THEN p.amount ELSE 0 END) AS high, "
        "SUM(CASE WHEN p.amount > 5 THEN -3 WHEN p.amount > 1 THEN p.points END) AS votes, "
        "COUNT(DISTINCT p.email) AS people FROM payments AS p",
        "noise": ONE_CELL,
        "privacy": (BANK,),
    },
    "beside the rows of another unit": {
        "sql": "SELECT b.town AS town, COUNT(*) AS n, COUNT(DISTINCT p.email) AS people "
        "FROM payments AS p JOIN branches AS b ON p.branch = b.branch GROUP BY b.town",
        "noise": QueryNoise("declared", (("bern", "thun"),)),
        "privacy": (BANK,),
    },
    "before a LEFT JOIN": {
        "sql": f"SELECT c.region AS region, {ALL} {JOINED.replace('JOIN', 'LEFT JOIN')} GROUP BY c.region",
        "noise": DECLARED,
        "privacy": (SHOP,),
        "datasets": (CUSTOMERS, with_rules(PAYMENTS, max_rows_per_unit=None), BRANCHES),
    },
    "with a list of those who opted out": {
        "sql": f"SELECT {ALL} FROM payments AS p",
        "noise": ONE_CELL,
        "privacy": (BANK,),
        "datasets": (CUSTOMERS, OPTED, BRANCHES, OPT_OUTS),
    },
    "with floors": {
        "sql": f"SELECT c.region AS region, {ALL} {JOINED} GROUP BY c.region",
        "noise": DECLARED,
        "privacy": (SHOP, BANK),
        "datasets": tuple(
            Dataset(**{**vars(dataset), "threshold": 3}) for dataset in (CUSTOMERS, PAYMENTS, BRANCHES)
        ),
    },
}
CUSTOMER_ROWS = st.lists(
    st.builds(customer, st.sampled_from(PEOPLE), st.sampled_from([*REGIONS, "mars"])),
    unique_by=lambda row: row[0],
    max_size=6,
)
PAYMENT_ROWS = st.lists(
    st.builds(
        payment,
        st.sampled_from(PEOPLE),
        st.sampled_from(["-5.00", "0.00", "3.00", "100.00", "99999.99"]),
        st.sampled_from([None, -100, 1, 100]),
    ),
    max_size=14,
)
OPTING_OUT = st.sets(st.sampled_from(PEOPLE))
Rows = dict[str, list[tuple[Any, ...]]]


def cells(plan: Plan, datasets: tuple[Dataset, ...], rows: Rows) -> list[dict[str, int]]:
    """The exact numbers of every declared cell, in the order of their keys."""
    assert plan.noise is not None
    engine = Engine(MEMORY_MIB, threads=1)
    for dataset in datasets:
        load(engine, dataset, table(dataset, rows[dataset.id]))
    names = [item.name for item in plan.noise.measured]
    keys = ", ".join(f'"_group_{number}"' for number in range(len(plan.groups))) or "1"
    with engine.execute(plan, {}) as computed:
        select = numbers_select(plan.noise).replace('ORDER BY "_cell"', f"ORDER BY {keys}")
        found = computed.texts(select)
    return [dict(zip(names, map(int, row), strict=True)) for row in found]


def centred(plan: Plan, found: list[dict[str, int]], name: str) -> list[int]:
    """A column as noise is added to it: of a mean, what is above and below its middle."""
    assert plan.noise is not None
    for output in plan.noise.plan.outputs:
        if mean_sum_column(output.name) == name:
            return [cell[name] - output.centre * cell[output.rows_column()] for cell in found]
    return [cell[name] for cell in found]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@settings(max_examples=25, deadline=None)
@given(customers=CUSTOMER_ROWS, payments=PAYMENT_ROWS, opted_out=OPTING_OUT, person=st.sampled_from(PEOPLE))
def test_one_unit_changes_no_more_than_its_owner_was_told(
    case: dict[str, Any],
    customers: list[tuple[Any, ...]],
    payments: list[tuple[Any, ...]],
    opted_out: set[int],
    person: int,
) -> None:
    datasets = case.get("datasets", (CUSTOMERS, PAYMENTS, BRANCHES))
    plan = plan_of(**case)
    assert plan.noise is not None
    email = f"c{person}@x.org"
    rows: Rows = {
        "customers": customers,
        "payments": [(*row[:3], "bt"[number % 2]) for number, row in enumerate(payments)],
        "branches": [("b", "bern"), ("t", "thun")],
        "optouts": [(f"c{number}@x.org",) for number in sorted(opted_out)],
    }
    for entry in case["privacy"]:
        held = [dataset.id for dataset in datasets if dataset.owner == entry.owner]
        without = {
            name: [row for row in found if name not in held or row[0] != email]
            for name, found in rows.items()
        }
        before, after = cells(plan, datasets, rows), cells(plan, datasets, without)
        assert len(before) == len(after)
        contribution = Contribution(BOUND, min(BOUND, len(before)), BOUND)
        for item in plan.noise.plan.columns:
            of = sensitivity(item.exact.measure, contribution, own=True, largest=item.exact.largest)
            changes = [
                one - other
                for one, other in zip(
                    centred(plan, before, item.exact.name), centred(plan, after, item.exact.name), strict=True
                )
            ]
            assert sum(map(abs, changes)) <= of.l1, item.exact.name
            assert sum(change**2 for change in changes) <= of.l2_squared, item.exact.name


ENTRIES = st.builds(
    lambda epsilon, delta: (epsilon, delta),
    st.sampled_from(["0.1", "1", "2.5", "20"]),
    st.sampled_from(["0.000001", "0.001"]),
)


@settings(max_examples=40, deadline=None)
@given(
    shop=ENTRIES,
    bank=ENTRIES,
    keys=st.sampled_from(["declared", "selected"]),
    threshold=st.sampled_from([1, 9]),
)
def test_another_privacy_entry_never_widens(
    shop: tuple[str, str], bank: tuple[str, str], keys: str, threshold: int
) -> None:
    """Every column has as much noise or more, every threshold is as high or higher, every floor holds."""
    noise = DECLARED if keys == "declared" else QueryNoise("selected")
    datasets = tuple(
        Dataset(**{**vars(dataset), "threshold": threshold}) for dataset in (CUSTOMERS, PAYMENTS, BRANCHES)
    )
    entries = PrivacyEntry("shop", *shop, "gaussian"), PrivacyEntry("bank", *bank, "gaussian")
    alone = plan_of(noise=noise, privacy=entries[:1], datasets=datasets).noise
    both = plan_of(noise=noise, privacy=entries, datasets=datasets).noise
    assert alone is not None
    assert both is not None
    for one, other in zip(alone.plan.columns, both.plan.columns, strict=True):
        assert one.exact == other.exact
        assert one.noise.scale <= other.noise.scale
    least = {item.owner: item.least for item in both.plan.thresholds}
    assert all(least[item.owner] >= item.least for item in alone.plan.thresholds)
    assert (both.row_floors, both.value_floors) == (alone.row_floors, alone.value_floors)
    assert both.required_units == alone.required_units
    assert runs_with_noise(agreement(privacy=entries)) == runs_with_noise(agreement(privacy=entries[:1]))
