"""What an operator learns of one person from sizes, codes and reports alone (23, 24, 26)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.receipt import Claims, Receipt
from protos.formats.rules import Rules
from tests import world
from tests.enclave_fixtures import refused
from tests.world import Enclave

CROWD = [(f"{n}@x.org", "sport" if n % 2 else "news") for n in range(12)]


def seen_of_a_run(folder: Path, people: Sequence[tuple[str, str]], amounts: Sequence[int]) -> dict[str, Any]:
    """Everything of an honest run that passes through the coordinator and has a size or a value."""
    visits = pa.table({"email": [mail for mail, _ in people], "segment": [segment for _, segment in people]})
    bought = pa.table(
        {"email": [mail for mail, _ in people], "amount": pa.array(amounts, pa.int64())},
    )
    with world.simulated_enclave(folder) as enclave:
        (root,) = enclave.roots
        agreed = world.agreement(root.sha256)
        enclave.bind(agreed)
        for dataset, rows in (("visits", visits), ("purchases", bought)):
            enclave.upload(world.seal(agreed, enclave.keys(), dataset, [rows]))
        run_id = os.urandom(16)
        answer = enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id), run=run_id)
        receipt = Receipt.decode_untrusted(enclave.call(Op.RECEIPT, run=run_id).body)
        claims = Claims.decode_untrusted(receipt.claims)
        return {
            "header": set(answer.header),
            "receivers": answer.header["receivers"],
            "result bytes": len(enclave.call(Op.RESULT, run=run_id, receiver="analyst").body),
            "claims bytes": len(receipt.claims),
            "held back": claims.suppressed,
            "runs left": claims.runs_left,
            "budget": [(charge.window, charge.after) for charge in claims.budget],
        }


@pytest.mark.parametrize("amount", [1, 100_000, 2**63 - 1])
def test_attack_24_one_person_more_moves_no_size_and_no_report(tmp_path: Path, amount: int) -> None:
    """In groups that leave anyway; with an amount, at worst, that makes the sum overflow."""
    amounts = [5] * len(CROWD)
    without = seen_of_a_run(tmp_path / "without", CROWD, amounts)
    present = seen_of_a_run(tmp_path / "present", [*CROWD, ("ann@x.org", "news")], [*amounts, amount])
    assert present == without


def test_attack_24_one_person_in_a_group_of_their_own_moves_nothing(tmp_path: Path) -> None:
    """The group is held back, and reported as if there were none."""
    amounts = [5] * len(CROWD)
    without = seen_of_a_run(tmp_path / "without", CROWD, amounts)
    present = seen_of_a_run(tmp_path / "present", [*CROWD, ("ann@x.org", "chess")], [*amounts, 5])
    assert present == without
    assert max(item.groups_at_most for item in present["held back"]) == 10


def test_attack_23_a_dataset_that_is_too_small_is_told_by_its_code(
    enclave: Enclave, agreed: Agreement
) -> None:
    """What is not hidden: a row more or less where an owner's `min_rows` stands, which the owner chose."""
    least = tuple(
        replace(item, rules=Rules(min_rows=3)) if item.id == "visits" else item for item in agreed.datasets
    )
    asking = replace(agreed, datasets=least)
    enclave.bind(asking)
    table = pa.table({"email": ["a@x.org", "b@x.org"], "segment": ["news", "news"]})
    with refused(Refusal.TOO_SMALL):
        enclave.upload(world.seal(asking, enclave.keys(), "visits", [table]))


def test_attack_26_a_group_below_the_threshold_is_not_in_the_result(tmp_path: Path) -> None:
    """Nor in its size: any number of groups that are held back leaves the same bytes."""
    sizes = set()
    for alone in (0, 1, 9):
        people = CROWD + [(f"alone{n}@x.org", f"segment{n}") for n in range(alone)]
        found = seen_of_a_run(tmp_path / str(alone), people, [5] * len(people))
        sizes.add((found["result bytes"], found["runs left"]))
    assert len(sizes) == 1
