"""What the guards cost: the same query over the same tables in one engine, without them and with more.

Prints JSON: for each query and level the seconds of each round; the rounds go through all levels in turn. The
first level is what an analyst would write who may see everything; each further one is what the enclave does
under an agreement with one more guard.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from enclave_compute import disclosure
from enclave_compute.differencing import Asked, Differencing
from enclave_compute.engine import Engine
from party_client.agreements import load_agreement
from party_client.datasets import Reading, encode_chunks, open_source
from protos.formats.agreement import Agreement
from protos.formats.rules import Clamp
from protos.formats.schema import Dataset
from protos.plan import Plan, compile_query
from tests.bench import workload

_ROWS_PER_UNIT: Final = 10
_CLAMP: Final = Clamp("100.00", "9000.00")
_OTHER_SQL: Final = """
SELECT a.segment AS segment, COUNT(*) AS n FROM a JOIN b ON a.key = b.key GROUP BY a.segment
"""
"""An earlier release to compare with: every row of the query has all its people in a row of it."""
_NEARLY_SQL: Final = """
SELECT a.segment AS segment, a.region AS region, COUNT(*) AS n FROM a JOIN b ON a.key = b.key
WHERE b.amount < 999000 GROUP BY a.segment, a.region
"""
"""An earlier release with the same groups, and all but a thousandth of the people in each."""
_ANY_SQL: Final = "SELECT COUNT(*) AS n FROM a"
_UNGUARDED: Final = "_unguarded"


def main() -> None:
    """`python -m tests.bench.guards AGREEMENT A-FILE B-FILE MEMORY-MIB ROUNDS`."""
    agreement = load_agreement(Path(sys.argv[1]))
    engine = _loaded(agreement, dict(zip(("a", "b"), sys.argv[2:4], strict=True)), int(sys.argv[4]))
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in workload.GUARDED_SQL}
    for _ in range(int(sys.argv[5])):
        for name, sql in workload.GUARDED_SQL.items():
            taken[name].setdefault("none", []).append(_unguarded_s(engine, agreement, sql))
            for level, guarded, earlier in _levels(agreement):
                taken[name].setdefault(level, []).append(_guarded_s(engine, guarded, sql, earlier))
    print(json.dumps(taken))


def _loaded(agreement: Agreement, files: dict[str, str], memory_mib: int) -> Engine:
    engine = Engine(memory_mib, agreement.limits.threads)
    for dataset_id, file in files.items():
        dataset, source = agreement.dataset(dataset_id), open_source(Path(file))
        engine.create(dataset)
        for chunk in encode_chunks(Reading(source, dataset), dataset, compression="none", source=source):
            engine.append_untrusted(dataset_id, bytes(chunk.plaintext))
        engine.finish(dataset_id)
    return engine


def _levels(agreement: Agreement) -> Iterator[tuple[str, Agreement, list[str]]]:
    """(name, agreement with these rules, earlier queries that have been released)."""
    clamped = replace(agreement, datasets=tuple(map(_clamped, agreement.datasets)))
    bounded = replace(clamped, datasets=tuple(map(_bounded, clamped.datasets)))
    yield "thresholds", agreement, []
    yield "thresholds, clamps", clamped, []
    yield "thresholds, clamps, differences", clamped, [_OTHER_SQL]
    yield "thresholds, clamps, differences that must be counted", clamped, [_NEARLY_SQL]
    yield "thresholds, clamps, rows per unit", bounded, []
    yield "all of them", bounded, [_OTHER_SQL]


def _clamped(dataset: Dataset) -> Dataset:
    columns = tuple(
        replace(column, clamp=_CLAMP) if column.name == "amount" else column for column in dataset.columns
    )
    return replace(dataset, columns=columns)


def _bounded(dataset: Dataset) -> Dataset:
    return replace(dataset, rules=replace(dataset.rules, max_rows_per_unit=_ROWS_PER_UNIT))


def _guarded_s(engine: Engine, agreement: Agreement, sql: str, earlier: list[str]) -> float:
    before = [_plan(agreement, other, query_id=f"earlier_{n}") for n, other in enumerate(earlier)]
    plan = _plan(agreement, sql)
    guard = Differencing([plan, *before])
    for other in before:
        disclosure.release(engine, other, {}, guard=guard)
        guard.remember(Asked(other, {}))
    began_s = time.perf_counter()
    disclosure.release(engine, plan, {}, guard=guard)
    return time.perf_counter() - began_s


def _unguarded_s(engine: Engine, agreement: Agreement, sql: str) -> float:
    """The text as it stands, over the engine's own tables, through the door that the guards use as well."""
    with engine.execute(_plan(agreement, _ANY_SQL), {}) as computed:
        began_s = time.perf_counter()
        computed.make(f"CREATE TEMP TABLE {_UNGUARDED} AS {sql}")
        taken_s = time.perf_counter() - began_s
        computed.drop([_UNGUARDED])
    return taken_s


def _plan(agreement: Agreement, sql: str, *, query_id: str = "query") -> Plan:
    return compile_query(agreement, replace(agreement.queries[0], id=query_id, sql=sql))


if __name__ == "__main__":
    main()
