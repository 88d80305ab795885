"""What the attacker has of the system: it starts enclaves, uploads its table, runs queries, opens results.

The enclave is the shipped one (`tests.world`). The clinic is honest and uploads its data to every enclave of
the agreement that it signed. The attacker sees what insurer, analyst and operator see together: results,
refusals and receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from protos.formats.agreement import Agreement
from protos.formats.binding import KeyBundle
from protos.formats.calls import Op
from protos.formats.query import ParameterValue, Query
from protos.formats.receipt import Claims, Receipt
from tests import world
from tests.attacks_harness.agreements import MIN_UNITS, Agree
from tests.attacks_harness.population import Population
from tests.world import Enclave, RefusedByEnclaveError

Own = tuple[int, int, str, int]
"""A row of the attacker's table: account, person, label, weight."""


@dataclass(frozen=True)
class Seen:
    """All that one run shows."""

    rows: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None
    """The code, when there was no result."""
    held_back: int = 0
    """Rounded, over all rules, as the receipt reports it."""

    def row(self, **values: Any) -> Mapping[str, Any] | None:
        """The first row with these values, if there is one."""
        matching = (row for row in self.rows if all(row[key] == value for key, value in values.items()))
        return next(matching, None)


@dataclass(frozen=True)
class Life:
    """One enclave, bound and with both datasets; or one that refused to be."""

    enclave: Enclave
    agreed: Agreement
    keys: KeyBundle | None
    refusal: str | None = None

    def run(self, query: str, **parameters: ParameterValue) -> Seen:
        """One run, and its result as the analyst opens it."""
        if self.keys is None:
            return Seen(refusal=self.refusal)
        run_id = os.urandom(16)
        request = world.run_request(self.agreed, self.keys, run_id=run_id, query=query, parameters=parameters)
        try:
            self.enclave.call(Op.RUN, request, run=run_id)
        except RefusedByEnclaveError as error:
            return Seen(refusal=str(error.code))
        receipt = Receipt.decode_untrusted(self.enclave.call(Op.RECEIPT, run=run_id).body)
        held = sum(item.groups_at_most or 0 for item in Claims.decode_untrusted(receipt.claims).suppressed)
        return Seen(tuple(self.enclave.result(run_id).to_pylist()), None, held)


class System:
    """The attacker's end of one trial."""

    def __init__(self, population: Population, queries: Sequence[Query], agree: Agree, state: Path) -> None:
        self._patients = population.patients()
        self._queries = queries
        self._agree = agree
        self._state = state

    @contextmanager
    def life(self, own: Sequence[Own] = ()) -> Iterator[Life]:
        """Another enclave of the same agreement, to which both parties upload; `own` is the attacker's table,
        filled up with people who do not exist."""
        with world.simulated_enclave(self._state) as enclave:
            (root,) = enclave.roots
            agreed = self._agree(self._queries, root.sha256)
            try:
                enclave.bind(agreed)
                keys = enclave.keys()
                for dataset, rows in (("patients", self._patients), ("customers", _table(own))):
                    enclave.upload(world.seal(agreed, keys, dataset, [rows]))
            except RefusedByEnclaveError as error:
                yield Life(enclave, agreed, None, str(error.code))
                return
            yield Life(enclave, agreed, keys)


def _table(own: Sequence[Own]) -> pa.Table:
    invented = [(-number, -number, "nobody", 0) for number in range(1, MIN_UNITS + 1)]
    account, person, label, weight = zip(*own, *invented, strict=True)
    return pa.table(
        {
            "account": pa.array(account, pa.int64()),
            "person": pa.array(person, pa.int64()),
            "label": list(label),
            "weight": pa.array(weight, pa.int64()),
        }
    )
