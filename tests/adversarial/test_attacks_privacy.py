"""Attacks on privacy budgets: asking again, asking much at once, failing on purpose (18, 26, 29 to 32)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute import disclosure
from enclave_compute.errors import RefusedError
from party_client.budgets import BudgetError, budget_request, verify_budget_untrusted
from party_client.receipts import ReceiptMismatchError, require_claims_fit
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.budget import BUDGET_REQUEST_LABEL, Budget, BudgetRequest
from protos.formats.calls import Op, Refusal
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.privacy_loss import LossUnits, PrivacyCharge
from protos.formats.query import Query
from protos.formats.receipt import Claims, Receipt
from protos.formats.result import SealedResult, open_result
from protos.formats.rules import Clamp, Rules
from protos.plan import QueryRefusedError, compile_query
from protos.plan.stakes import budget_of
from tests import world
from tests.enclave_fixtures import refused
from tests.privacy_world import BANK, ONE_CELL, plan_of
from tests.world import ANALYST, PURCHASES, VISITS, Enclave

ENTRY = PrivacyEntry("publisher", "2", "0.000001", "gaussian")
MEANT = Rules(single_units=True, max_rows_per_unit=2)
SEGMENTS = ("news", "sport", "travel")
RUNS = 3
NOISY = world.query(noise=QueryNoise("declared", (SEGMENTS,)), max_runs=RUNS)


def noisy(agreed: Agreement, *queries: Query, **changes: Any) -> Agreement:
    """The world's agreement with a privacy budget for the publisher's people."""
    visits, purchases = (replace(dataset, threshold=1, rules=MEANT) for dataset in agreed.datasets)
    amount = replace(purchases.column("amount"), clamp=Clamp("0", "50"))
    purchases = replace(purchases, columns=(purchases.column("email"), amount))
    base = replace(agreed, datasets=(visits, purchases), queries=queries or (NOISY,), privacy=(ENTRY,))
    return replace(base, **changes)


@dataclass
class Ready:
    """An enclave with both datasets, and who asks it."""

    enclave: Enclave
    agreed: Agreement

    def run(self, *, run_id: bytes | None = None, **changes: Any) -> bytes:
        """Ask for a run; its id."""
        run_id = run_id or os.urandom(16)
        self.enclave.call(
            Op.RUN, world.run_request(self.agreed, self.enclave.keys(), run_id=run_id, **changes), run=run_id
        )
        return run_id

    def claims(self, run_id: bytes) -> Claims:
        return Claims.decode_untrusted(
            Receipt.decode_untrusted(self.enclave.call(Op.RECEIPT, run=run_id).body).claims
        )

    def charge(self, run_id: bytes) -> PrivacyCharge:
        (charge,) = self.claims(run_id).privacy
        return charge

    def spent(self) -> int:
        """What the enclave says is spent."""
        nonce = os.urandom(32)
        request = BudgetRequest(nonce, self.agreed.digest(), self.enclave.keys().enclave_id, ANALYST.id)
        signed = cose.sign(request.encode(), typ=BUDGET_REQUEST_LABEL, key=ANALYST.signing_key)
        answer = self.enclave.call(Op.BUDGET, signed).body
        verified = verify_budget_untrusted(
            answer, nonce=nonce, agreement=self.agreed, enclave=self.enclave.verify(self.agreed)
        )
        (account,) = verified.privacy
        return account.spent.amount


def loaded(enclave: Enclave, agreed: Agreement, visits: pa.Table = VISITS) -> Ready:
    enclave.bind(agreed)
    enclave.upload(world.seal(agreed, enclave.keys(), "visits", [visits]))
    enclave.upload(world.seal(agreed, enclave.keys(), "purchases", [PURCHASES]))
    return Ready(enclave, agreed)


@pytest.fixture
def ready(enclave: Enclave, agreed: Agreement) -> Iterator[Ready]:
    yield loaded(enclave, noisy(agreed))


def test_attack_18_averaging_over_runs_is_bounded_by_the_budget(ready: Ready) -> None:
    """Every run costs, exactly, and all that there can be cost no more than the owner allowed."""
    charges = [ready.charge(ready.run()) for _ in range(RUNS)]
    allowed = budget_of(ENTRY).allowance.in_units()
    costs = [charge.cost.amount for charge in charges]
    assert [charge.after.spent.amount for charge in charges] == [sum(costs[: n + 1]) for n in range(RUNS)]
    assert allowed[0] * 0.999 < sum(costs) <= allowed[0], "the budget is there to be used, and not exceeded"
    with refused(Refusal.NO_RUNS_LEFT):
        ready.run()
    assert ready.spent() == sum(costs), "what is refused costs nothing"


def test_attack_18_the_same_run_asked_again_has_the_same_noise(ready: Ready) -> None:
    run_id = os.urandom(16)
    request = world.run_request(ready.agreed, ready.enclave.keys(), run_id=run_id)
    seen = set()
    for _ in range(5):
        ready.enclave.call(Op.RUN, request, run=run_id)
        body = ready.enclave.call(Op.RESULT, run=run_id, receiver="analyst").body
        seen.add((body, ready.enclave.call(Op.RECEIPT, run=run_id).body))
    assert len(seen) == 1
    assert ready.spent() == ready.charge(run_id).cost.amount


def test_attack_18_noise_leaves_nothing_for_exact_differences(enclave: Enclave, agreed: Agreement) -> None:
    """A release with noise is not compared with others: holding rows back would say what is in them."""
    exact = world.query(
        id="exact", sql="SELECT COUNT(*) AS n FROM purchases AS p WHERE p.amount >= $least", max_runs=2
    )
    ready = loaded(enclave, noisy(agreed, NOISY, exact))
    for least in (0, 1):
        run_id = ready.run(parameters={"least": least})
        assert ready.claims(run_id).suppressed == (), "no rule of differences"
        assert ready.enclave.result(run_id).num_rows == len(SEGMENTS)
    first = ready.claims(ready.run(query="exact"))
    assert not any("difference" in note.rule for note in first.suppressed)


def test_attack_18_no_exact_result_of_an_owner_with_a_budget(enclave: Enclave, agreed: Agreement) -> None:
    exact = world.query(id="exact", noise=None)
    with refused(Refusal.QUERY_REFUSED):
        enclave.bind(noisy(agreed, NOISY, exact))


def test_attack_26_which_groups_exist_with_declared_keys(enclave: Enclave, agreed: Agreement) -> None:
    """One person alone in a group, and one group without anybody: neither is seen."""
    alone = pa.concat_tables([VISITS, pa.table({"email": ["zoe@x.org"], "segment": ["secret"]})])
    ready = loaded(enclave, noisy(agreed), alone)
    found = ready.enclave.result(ready.run())
    assert found.column("segment").to_pylist() == list(SEGMENTS)


def test_attack_26_nothing_but_noisy_values_tells_who_is_there(tmp_path: Path) -> None:
    """Rows, sizes, notes and claims are the same whoever is in the data, one person more or less."""
    seen = set()
    for people in (5, 4, 0):
        with world.simulated_enclave(tmp_path) as enclave:
            (root,) = enclave.roots
            ready = loaded(enclave, noisy(world.agreement(root.sha256)), VISITS.slice(0, people))
            run_id = ready.run()
            claims, table = ready.claims(run_id), ready.enclave.result(run_id)
            body = ready.enclave.call(Op.RESULT, run=run_id, receiver="analyst").body
            opened = open_result(SealedResult.decode_untrusted(body), key=ANALYST.receiving_key)
            rows = tuple(table.column("segment").to_pylist())
            nulls = sum(table.column(name).null_count for name in table.column_names)
            sizes = len(body), len(opened), len(claims.encode())
            seen.add((rows, nulls, sizes, claims.suppressed, claims.privacy, claims.runs_left))
    assert len(seen) == 1
    assert [row[0] for row in seen] == [SEGMENTS]


def test_attack_29_one_extreme_value_is_hidden_by_noise() -> None:
    """No MIN or MAX, and no sum without a clamp, of data whose owner has a budget."""
    for sql in (
        "SELECT MAX(c.age) AS x FROM customers AS c",
        "SELECT SUM(c.age) AS x FROM customers AS c",
    ):
        with pytest.raises(QueryRefusedError):
            plan_of(sql, ONE_CELL)
    noise = plan_of("SELECT SUM(p.amount) AS x FROM payments AS p", ONE_CELL, privacy=(BANK,)).noise
    assert noise is not None
    # Two rows of up to 100.00 are covered: the whole share of a run is paid for exactly that.
    scale = noise.plan.column("x").noise.scale
    assert Fraction(20_000) ** 2 / (2 * scale) <= budget_of(BANK).each_of(4).amount


def test_attack_30_many_outputs_in_one_query_cost_no_more_than_one() -> None:
    ladder = ", ".join(
        f"SUM(CASE WHEN p.amount > {n} THEN p.amount ELSE 0 END) AS over_{n}" for n in range(20)
    )
    one = plan_of("SELECT SUM(p.amount) AS over_0 FROM payments AS p", ONE_CELL, privacy=(BANK,)).noise
    many = plan_of(f"SELECT {ladder} FROM payments AS p", ONE_CELL, privacy=(BANK,)).noise
    assert one is not None
    assert many is not None
    share = budget_of(BANK).each_of(4)
    assert many.plan.cost_of("bank").is_within(share)
    assert many.plan.column("over_0").noise.variance >= 20 * one.plan.column("over_0").noise.variance


def test_attack_31_budget_bypassed_by_a_derived_table(agreed: Agreement) -> None:
    """Data behind a derived table is its owner's data; so is a list of opt-outs (see the plan's tests)."""
    flat = replace(MEANT, max_rows_per_unit=None)
    datasets = tuple(replace(dataset, rules=flat) for dataset in noisy(agreed).datasets)
    sql = "SELECT COUNT(*) AS n FROM (SELECT v.email AS email FROM visits AS v) AS d"
    for noise in (None, ONE_CELL):
        query = world.query(sql=sql, parameters=(), noise=noise)
        with pytest.raises(QueryRefusedError, match="publisher"):
            compile_query(noisy(agreed, query, datasets=datasets), query)


def test_attack_32_failing_on_purpose_spends_the_budget(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a run fails once it computes may follow from the data: it is paid for, and cannot be repeated."""
    honest = disclosure.release

    def failing(*arguments: Any, **named: Any) -> disclosure.Released:
        honest(*arguments, **named)
        raise RefusedError(Refusal.OVER_LIMIT, "as a result would that is too large")

    monkeypatch.setattr(disclosure, "release", failing)
    for _ in range(RUNS):
        with refused(Refusal.OVER_LIMIT):
            ready.run()
    spent = ready.spent()
    assert 0 < spent <= budget_of(ENTRY).allowance.in_units()[0]
    monkeypatch.setattr(disclosure, "release", honest)
    with refused(Refusal.PRIVACY_SPENT):
        ready.run()
    assert ready.spent() == spent, "what is refused before it computes costs nothing"


def test_attack_32_what_is_left_is_the_word_of_the_enclave(ready: Ready) -> None:
    assert ready.spent() == 0
    cost = ready.charge(ready.run()).cost.amount
    assert ready.spent() == cost
    # A larger budget than the enclave knows of is another agreement, for which it has no answer.
    larger = replace(ready.agreed, privacy=(replace(ENTRY, epsilon="20"),))
    _, request = budget_request(larger, ready.enclave.verify(ready.agreed), ANALYST)
    with refused(Refusal.WRONG_PLACE):
        ready.enclave.call(Op.BUDGET, request)


def test_attack_32_a_receipt_charges_the_agreed_budgets_and_no_others(ready: Ready) -> None:
    claims = ready.claims(ready.run())
    require_claims_fit(claims, ready.agreed)
    (charge,) = claims.privacy
    larger = replace(charge.after, allowed=LossUnits(charge.after.allowed.amount + 1, 2**150))
    for privacy in (
        (),
        (charge, charge),
        (replace(charge, after=larger),),
        (replace(charge, after=replace(charge.after, owner="advertiser")),),
        (replace(charge, after=replace(charge.after, noise="laplace")),),
    ):
        with pytest.raises(ReceiptMismatchError, match="privacy"):
            require_claims_fit(replace(claims, privacy=privacy), ready.agreed)


def test_attack_32_an_answer_about_other_budgets(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Budget.decode_untrusted

    def narrower(data: bytes) -> Budget:
        return replace(read(data), privacy=())

    monkeypatch.setattr(Budget, "decode_untrusted", staticmethod(narrower))
    with pytest.raises(BudgetError, match="other privacy budgets"):
        ready.spent()
