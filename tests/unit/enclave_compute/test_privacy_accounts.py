"""What is spent of owners' privacy budgets adds up exactly, and what does not fit is taken from nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.privacy_accounts import PrivacyAccounts
from protos.formats.calls import Refusal
from protos.formats.privacy import PrivacyEntry
from protos.plan import Plan
from protos.plan.stakes import allowance_of
from tests.privacy_world import BANK, JOINED, SELECTED, SHOP, agreement, plan_of

PURE = PrivacyEntry("shop", "2", "0", "laplace")


def cost_of(plan: Plan, owner: str) -> tuple[int, int]:
    assert plan.noise is not None
    return plan.noise.plan.cost_of(owner).in_units()


def test_spent_is_what_runs_cost() -> None:
    plan = plan_of(privacy=(SHOP, BANK), noise=SELECTED)
    accounts = PrivacyAccounts(agreement(privacy=(SHOP, BANK)))
    for runs in (1, 2, 3):
        charges = accounts.charges(plan)
        accounts.charge(plan)
        assert accounts.left() == tuple(charge.after for charge in charges)
        for charge, owner in zip(charges, ("shop", "bank"), strict=True):
            cost = cost_of(plan, owner)
            assert (charge.cost.amount, charge.cost.delta) == cost
            assert (charge.after.spent.amount, charge.after.spent.delta) == (runs * cost[0], runs * cost[1])


def test_what_there_is_in_all_is_the_owners_entry() -> None:
    for entry in (SHOP, PURE):
        (account,) = PrivacyAccounts(agreement(privacy=(entry,))).left()
        assert (account.allowed.amount, account.allowed.delta) == allowance_of(entry).in_units()
        assert account.left == account.allowed


def test_only_owners_of_data_in_the_query_are_charged() -> None:
    accounts = PrivacyAccounts(agreement(privacy=(SHOP, BANK)))
    plan = plan_of("SELECT COUNT(*) AS n FROM customers AS c GROUP BY c.region", privacy=(SHOP, BANK))
    assert [charge.after.owner for charge in accounts.charges(plan)] == ["shop"]
    accounts.charge(plan)
    assert [account.spent.amount > 0 for account in accounts.left()] == [True, False]


def test_a_plan_without_noise_costs_nothing() -> None:
    accounts = PrivacyAccounts(agreement(privacy=(SHOP,)))
    plan = plan_of(noise=None, privacy=())
    assert accounts.charges(plan) == ()
    accounts.charge(plan)
    assert [account.spent.amount for account in accounts.left()] == [0]


def test_the_last_run_that_fits_is_the_last_one_and_nobody_pays_for_the_next() -> None:
    runs = 4
    plan = plan_of(privacy=(SHOP, BANK), max_runs=runs)
    # The bank, whose budget is larger, could go on: it is not charged for what the shop refuses.
    accounts = PrivacyAccounts(agreement(privacy=(SHOP, BANK)))
    for _ in range(runs):
        accounts.charge(plan)
    spent = accounts.left()
    for refusing in (accounts.charges, accounts.charge):
        with pytest.raises(RefusedError) as caught:
            refusing(plan)
        assert caught.value.refusal is Refusal.PRIVACY_SPENT
    assert accounts.left() == spent


def test_delta_is_spent_too() -> None:
    tight = replace(SHOP, epsilon="20", delta="0.001")
    sql = f"SELECT c.region AS region, COUNT(*) AS n {JOINED} GROUP BY c.region"
    plan = plan_of(sql, SELECTED, privacy=(tight,), max_runs=1)
    assert cost_of(plan, "shop")[1] > 0
    # Under a budget with little delta the same noise does not fit.
    accounts = PrivacyAccounts(agreement(privacy=(replace(tight, delta="0.0000000001"),)))
    with pytest.raises(RefusedError, match="privacy-spent"):
        accounts.charge(plan)
