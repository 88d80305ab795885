"""Which call is allowed when: the life of an enclave as one table.

EMPTY → BOUND → COLLECTING → READY → RUNNING → RELEASED … → CLOSED. There is no way back to EMPTY and no way
to another agreement. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from enclave_compute.errors import RefusedError
from protos.formats.calls import Op, Refusal


class Phase(StrEnum):
    """Where an enclave is in its life."""

    EMPTY = "empty"
    """Started; knows no agreement and has no keys."""
    BOUND = "bound"
    """Bound to one agreement, which is locked into PCR16; its keys exist; no dataset has begun."""
    COLLECTING = "collecting"
    """At least one dataset has begun; not all have been accepted."""
    READY = "ready"
    """Every dataset of the agreement has been accepted; nothing has been released."""
    RUNNING = "running"
    """A query is being computed."""
    RELEASED = "released"
    """At least one result has left; further runs may be asked for."""
    CLOSED = "closed"
    """The keys are gone; the process is about to end."""


_BOUND_AND_LATER: Final = frozenset(Phase) - {Phase.EMPTY, Phase.CLOSED}
_COMPLETE: Final = frozenset({Phase.READY, Phase.RUNNING, Phase.RELEASED})

ALLOWED: Final[dict[Op, frozenset[Phase]]] = {
    Op.STATUS: frozenset(Phase),
    Op.BIND: frozenset(Phase) - {Phase.CLOSED},
    Op.ATTEST: _BOUND_AND_LATER,
    Op.BEGIN: _BOUND_AND_LATER,
    Op.CHUNK: _BOUND_AND_LATER,
    Op.FINISH: _BOUND_AND_LATER,
    Op.ERRAND: _BOUND_AND_LATER,
    Op.RESTORE: _BOUND_AND_LATER,
    Op.PROPOSAL: _BOUND_AND_LATER,
    Op.WITNESS: _BOUND_AND_LATER,
    Op.RECORD: _BOUND_AND_LATER,
    Op.RUN: _COMPLETE,
    Op.RESULT: _COMPLETE,
    Op.RECEIPT: _COMPLETE,
    Op.BUDGET: _BOUND_AND_LATER,
    Op.KEYS: _BOUND_AND_LATER,
    Op.KEY_USE: _BOUND_AND_LATER,
    Op.CLOSE: frozenset(Phase),
}
"""BIND stays allowed so that a repeated binding to the same agreement can be answered; another agreement is
refused there. BEGIN, CHUNK and FINISH stay allowed so that a late repetition is answered as it was before."""

NEEDS_STATE: Final = frozenset(
    {
        *(Op.BEGIN, Op.CHUNK, Op.FINISH, Op.RUN, Op.RESULT, Op.RECEIPT, Op.BUDGET),
        *(Op.KEYS, Op.KEY_USE),
    }
)
"""Where the agreement has `state`, these wait until it has been taken up."""


def require_allowed(op: Op, phase: Phase) -> None:
    """Raises `RefusedError` when `op` has no place in `phase`."""
    if phase in ALLOWED[op]:
        return
    refusal = Refusal.NOT_READY if op is Op.RUN and phase in _BOUND_AND_LATER else Refusal.WRONG_PHASE
    raise RefusedError(refusal, f"{op} in phase {phase}")
