"""Fuzz target: what an enclave is offered as its state, and what a witness says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from enclave_compute.errors import RefusedError
from enclave_compute.state.chain import entry_untrusted
from enclave_compute.state.content import Content, StateKey
from enclave_compute.state.offered import Offered
from protos.formats.errors import FormatError
from protos.formats.state import LedgerEvent, StateProposal, StateRecord, StateStatement
from tests.conformance.formats import sample_state, samples
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.sample_kms import KEY_SERVICE
from tests.fuzz.runner import run

SEEDS = messages_of("ledger-event", "state-content", "state-record", "state-proposal", "state-statement")
READERS: tuple[Callable[[bytes], Any], ...] = (
    LedgerEvent.decode_untrusted,
    StateProposal.decode_untrusted,
    StateStatement.decode_untrusted,
    StateRecord.decode_untrusted,
    Content.decode_untrusted,
    entry_untrusted,
)
KEY = StateKey(sample_state.STATE_DATA_KEY, list(sample_state.SHARES.values()))


def one_input(data: bytes) -> None:
    """`data` means one thing or nothing; of records only the genuine one opens, whatever is offered first."""
    for read in READERS:
        with contextlib.suppress(FormatError):
            assert read(data).encode() == data
    offered = Offered(samples.agreement().digest(), KEY_SERVICE)
    with contextlib.suppress(FormatError, RefusedError):
        offered.add_untrusted(data)
        offered.add_untrusted(data)
    assert len(offered.records) <= 1
    for record in offered.records:
        with contextlib.suppress(FormatError, RefusedError):
            KEY.open_untrusted(record)
            assert record == sample_state.record()


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
