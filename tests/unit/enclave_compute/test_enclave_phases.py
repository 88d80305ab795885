"""Which call has its place in which phase, said once more than in the table and in other words."""

from __future__ import annotations

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.phases import ALLOWED, Phase, require_allowed
from protos.formats.calls import Op, Refusal

ALWAYS = {Op.STATUS, Op.CLOSE}
WITH_KEYS = {Op.ERRAND, Op.ATTEST, Op.BEGIN, Op.CHUNK, Op.FINISH, Op.BUDGET, Op.KEYS, Op.KEY_USE}
OF_THE_STATE = {Op.RESTORE, Op.PROPOSAL, Op.WITNESS, Op.RECORD}
WITH_ALL_DATA = {Op.RUN, Op.RESULT, Op.RECEIPT}

EXPECTED = {
    Phase.EMPTY: ALWAYS | {Op.BIND},
    Phase.BOUND: ALWAYS | {Op.BIND} | WITH_KEYS | OF_THE_STATE,
    Phase.COLLECTING: ALWAYS | {Op.BIND} | WITH_KEYS | OF_THE_STATE,
    Phase.READY: set(Op),
    Phase.RUNNING: set(Op),
    Phase.RELEASED: set(Op),
    Phase.CLOSED: ALWAYS,
}


def is_allowed(op: Op, phase: Phase) -> bool:
    try:
        require_allowed(op, phase)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize("phase", Phase)
def test_the_calls_of_each_phase(phase: Phase) -> None:
    assert {op for op in Op if is_allowed(op, phase)} == EXPECTED[phase]


def test_every_call_is_in_the_table() -> None:
    assert set(ALLOWED) == set(Op)


@pytest.mark.parametrize(
    ("op", "phase", "refusal"),
    [
        (Op.RUN, Phase.BOUND, Refusal.NOT_READY),
        (Op.RUN, Phase.COLLECTING, Refusal.NOT_READY),
        (Op.RUN, Phase.EMPTY, Refusal.WRONG_PHASE),
        (Op.RUN, Phase.CLOSED, Refusal.WRONG_PHASE),
        (Op.RESULT, Phase.COLLECTING, Refusal.WRONG_PHASE),
        (Op.BIND, Phase.CLOSED, Refusal.WRONG_PHASE),
    ],
)
def test_why_a_call_has_no_place(op: Op, phase: Phase, refusal: Refusal) -> None:
    with pytest.raises(RefusedError) as caught:
        require_allowed(op, phase)
    assert caught.value.refusal is refusal
