"""Attacks that an owner's rules are made against: small inputs, fan-out, outliers, other receivers, haste."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from enclave_compute.nsm import Nsm
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.receipt import Claims, Receipt
from protos.formats.rules import Clamp, OptOut
from protos.formats.schema import Dataset
from tests import engine_world, world
from tests.adversarial.test_attacks_disclosure import CLAIMS, JOIN, PATIENTS, patients
from tests.enclave_fixtures import refused
from tests.engine_world import rows_of, run, with_column
from tests.world import Enclave

DAY_MS = 86_400_000


def ruled(dataset: Dataset, **rules: Any) -> Dataset:
    return replace(dataset, rules=replace(dataset.rules, **rules))


def with_rules(agreed: Agreement, dataset: str, **rules: Any) -> Agreement:
    datasets = tuple(ruled(item, **rules) if item.id == dataset else item for item in agreed.datasets)
    return replace(agreed, datasets=datasets)


def bought(*people: str) -> pa.Table:
    return pa.table({"email": list(people), "amount": pa.array([1] * len(people), pa.int64())})


# --- 18 -----------------------------------------------------------------------------------------------------


def result_with_least(enclave: Enclave, agreed: Agreement, least: int) -> tuple[list[Any], list[str]]:
    """What a run with this parameter releases, and the rule on differences if it held something back."""
    run_id = os.urandom(16)
    request = world.run_request(agreed, enclave.keys(), run_id=run_id, parameters={"least": least})
    enclave.call(Op.RUN, request, run=run_id)
    receipt = Receipt.decode_untrusted(enclave.call(Op.RECEIPT, run=run_id).body)
    notes = Claims.decode_untrusted(receipt.claims).suppressed
    held = [item.rule for item in notes if "difference" in item.rule and item.groups_at_most]
    return enclave.result(run_id).to_pylist(), held


def test_attack_18_one_run_less_another(enclave: Enclave, agreed: Agreement) -> None:
    """The second run leaves out one person that the first one had: the difference would be theirs."""
    enclave.bind(agreed)
    people = [f"{n}@x.org" for n in range(5)]
    visits = pa.table({"email": people, "segment": ["sport"] * 5})
    bought_for = pa.table({"email": people, "amount": pa.array([10, 20, 30, 40, 50], pa.int64())})
    for dataset, rows in (("visits", visits), ("purchases", bought_for)):
        enclave.upload(world.seal(agreed, enclave.keys(), dataset, [rows]))
    first, _ = result_with_least(enclave, agreed, 0)
    assert first == [{"segment": "sport", "purchases": 5, "total": 150}]
    second, held = result_with_least(enclave, agreed, 11)
    assert second == [], "140 would tell that 0@x.org bought for 10"
    assert held == ["a difference of fewer than 2 units from an earlier release"]
    third, _ = result_with_least(enclave, agreed, 21)
    assert third == [], "two less than the first run, but one less than the second, which was held back"


def test_attack_18_a_total_less_its_parts() -> None:
    """One patient of the wrong age: the group is held back, and so is the total that would give it away."""
    rows = patients([(n, "a" if n < 9 else "b", 1) for n in range(10)])
    engine = Engine(engine_world.MEMORY_MIB, 2)
    engine_world.load(engine, PATIENTS, rows)
    total = engine_world.plan_of("SELECT COUNT(*) AS n FROM patients", datasets=(PATIENTS,))
    by_town = "SELECT COUNT(*) AS n FROM patients GROUP BY town"
    parts = replace(engine_world.plan_of(by_town, datasets=(PATIENTS,)), query="parts")
    guard = Differencing([parts, total])
    assert rows_of(release(engine, parts, {}, guard=guard)) == [(9,)]
    assert rows_of(release(engine, total, {}, guard=guard)) == [(10,)], "before the parts have left"
    guard.remember(Asked(total, {}))
    assert rows_of(release(engine, parts, {}, guard=guard)) == []


# --- 19 -----------------------------------------------------------------------------------------------------


def test_attack_19_a_dataset_made_small_to_probe_for_members(enclave: Enclave, agreed: Agreement) -> None:
    """The advertiser sends a known member and its target: a list of two tells whether the target is in it."""
    strict = with_rules(agreed, "purchases", min_rows=4, min_units=4)
    enclave.bind(strict)
    probe = world.seal(strict, enclave.keys(), "purchases", [bought("ann@x.org", "bob@x.org")])
    with refused(Refusal.TOO_SMALL):
        enclave.upload(probe)
    padded = world.seal(strict, enclave.keys(), "purchases", [bought("ann@x.org", *["bob@x.org"] * 3)])
    with refused(Refusal.TOO_SMALL):  # rows are not units
        enclave.upload(padded)
    enclave.upload(
        world.seal(strict, enclave.keys(), "purchases", [bought(*(f"{n}@x.org" for n in range(4)))])
    )


def test_attack_19_a_required_join_gives_the_prober_its_probe() -> None:
    """What `joined_with` does not help against: it makes the prober's table part of every query."""
    required = ruled(PATIENTS, joined_with=("claims",))
    rows = patients([(n, "a", 1) for n in range(5)])
    lax = replace(CLAIMS, threshold=2)
    seen = []
    for target in (4, 77):  # a member and a stranger, beside four whom the prober knows to be members
        claims = engine_world.table(lax, [(n, n, 1) for n in (0, 1, 2, 3, target)])
        seen.append(rows_of(run(f"SELECT COUNT(*) AS n {JOIN}", {required: rows, lax: claims})))
    assert seen == [[(5,)], []], "the threshold is reached if and only if the target is a member"


# --- 20, 29 -------------------------------------------------------------------------------------------------


def test_attack_20_fan_out_after_the_join() -> None:
    """One patient with a thousand claims is one row of its owner's data and most of what is counted."""
    people = patients([(n, "a", 1) for n in range(10)])
    claims = [(0, m, 100) for m in range(1000)] + [(n, 1000 + n, 1) for n in range(1, 10)]
    sql = f"SELECT COUNT(*) AS n, SUM(c.amount) AS s {JOIN}"
    for rules, expected in (({}, (1009, 100_009)), ({"max_rows_per_unit": 3}, (12, 309))):
        owned = ruled(PATIENTS, **rules)
        rows = rows_of(run(sql, {owned: people, CLAIMS: engine_world.table(CLAIMS, claims)}))
        assert rows == [expected]


def test_attack_20_bound_of_one_owner_is_not_spent_by_another() -> None:
    """The insurer's contracts are bounded as well, each owner's units by its own rule."""
    people = patients([(n, "a", 1) for n in range(6)])
    claims = engine_world.table(CLAIMS, [(n, contract, 1) for n in range(6) for contract in range(5)])
    sql = f"SELECT COUNT(*) AS n {JOIN}"
    bounded = ruled(CLAIMS, max_rows_per_unit=4)
    assert rows_of(run(sql, {PATIENTS: people, bounded: claims})) == []  # 4 of each contract: 4 patients
    loose = ruled(CLAIMS, max_rows_per_unit=5)
    assert rows_of(run(sql, {PATIENTS: people, loose: claims})) == [(25,)]


@pytest.mark.parametrize("outlier", [10**6, -(10**6)])
def test_attack_29_one_extreme_value_shows_its_owner(outlier: int) -> None:
    score = replace(
        PATIENTS.column("score"),
        uses=frozenset({"sum", "avg", "min", "max"}),
        clamp=Clamp("0", "100"),
    )
    clamped = with_column(PATIENTS, score)
    people = patients([(n, "a", 50) for n in range(9)] + [(9, "a", outlier)])
    sql = "SELECT SUM(score) AS s, AVG(score) AS a, MIN(score) AS l, MAX(score) AS h FROM patients"
    ((total, mean, low, high),) = rows_of(run(sql, {clamped: people}))
    end = 100 if outlier > 0 else 0
    assert (total, mean) == (450 + end, (450 + end) / 10)
    assert (low, high) == (min(50, end), max(50, end))


def test_attack_29_a_clamp_that_leaves_one_value_behind_a_sum() -> None:
    """Clamped to 100, nine of ten scores make the sum's argument a division by zero: one is left."""
    score = replace(PATIENTS.column("score"), clamp=Clamp("0", "100"))
    clamped = with_column(PATIENTS, score)
    people = patients([(n, "a", 200) for n in range(9)] + [(9, "a", 50)])
    sql = "SELECT COUNT(*) AS n, SUM(1000 // (score - 100)) AS s FROM patients"
    assert rows_of(run(sql, {PATIENTS: people})) == [(10, 70)]
    found = run(sql, {clamped: people})
    assert rows_of(found) == [(10, None)]
    assert found.suppressed[-1].groups_at_most == 10


# --- 42 and every other rule about queries ----------------------------------------------------------------


RULES: dict[str, Callable[[Agreement], Agreement]] = {
    "analyses": lambda agreed: with_rules(agreed, "visits", analyses=("list",)),
    "nothing": lambda agreed: with_rules(agreed, "visits", analyses=()),
    "custom": lambda agreed: with_rules(agreed, "visits", analyses=("custom",)),
    "joined_with": lambda agreed: with_rules(agreed, "visits", joined_with=()),
    "forbidden": lambda agreed: with_rules(agreed, "purchases", forbidden=("amount",)),
    "opt_out": lambda agreed: with_rules(
        replace(agreed, datasets=(agreed.datasets[0], _opt_out_list(agreed.datasets[1]))),
        "visits",
        opt_out=OptOut("purchases", "email"),
    ),
}


def _opt_out_list(dataset: Dataset) -> Dataset:
    email = dataset.column("email")
    return with_column(dataset, replace(email, uses=email.uses | {"opt_out"}))


@pytest.mark.parametrize("rule", RULES)
def test_attack_33_an_agreement_whose_query_breaks_a_rule_is_not_bound(
    enclave: Enclave, agreed: Agreement, rule: str
) -> None:
    with refused(Refusal.QUERY_REFUSED):
        enclave.bind(RULES[rule](agreed))
    enclave.bind(agreed)


def test_attack_42_receivers_beyond_an_owners_rule(enclave: Enclave, agreed: Agreement) -> None:
    """Everybody signed a query for the analyst; the publisher's own rule names the publisher alone."""
    for receivers in ((), ("publisher",), ("advertiser", "publisher")):
        with refused(Refusal.QUERY_REFUSED):
            enclave.bind(with_rules(agreed, "visits", receivers=receivers))
    enclave.bind(with_rules(agreed, "visits", receivers=("analyst", "publisher")))


# --- budgets ------------------------------------------------------------------------------------------------


def ready(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    for name, table in (("visits", world.VISITS), ("purchases", world.PURCHASES)):
        enclave.upload(world.seal(agreed, enclave.keys(), name, [table]))


def test_attack_16_windows_are_charged_once_and_by_the_modules_clock(
    enclave: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry is free, a refused run as well, and the parent's clock has no say."""
    daily = replace(agreed, queries=(world.query(per_day=1, max_runs=3),))
    ready(enclave, daily)
    start_ms = enclave.nsm.now_ms()
    clock = {"now_ms": start_ms}
    monkeypatch.setattr(Nsm, "now_ms", lambda _: clock["now_ms"])
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    run_id = os.urandom(16)
    request = world.run_request(daily, enclave.keys(), run_id=run_id)
    enclave.call(Op.RUN, request)
    enclave.call(Op.RUN, request)
    clock["now_ms"] = start_ms + DAY_MS - 1000
    for _ in range(3):
        with refused(Refusal.NO_RUNS_NOW):
            enclave.call(Op.RUN, world.run_request(daily, enclave.keys()))
    clock["now_ms"] = start_ms + DAY_MS
    second = os.urandom(16)
    enclave.call(Op.RUN, world.run_request(daily, enclave.keys(), run_id=second))
    clock["now_ms"] = start_ms  # set back: nothing is free again
    with refused(Refusal.NO_RUNS_NOW):
        enclave.call(Op.RUN, world.run_request(daily, enclave.keys()))
    for used, left in ((run_id, 2), (second, 1)):
        receipt = Receipt.decode_untrusted(enclave.call(Op.RECEIPT, run=used).body)
        claims = Claims.decode_untrusted(receipt.claims)
        assert [(charge.window, charge.before, charge.after) for charge in claims.budget] == [
            ("query", left + 1, left),
            ("agreement", left + 3, left + 2),
            ("day", 1, 0),
        ]
        assert claims.runs_left == left
