"""What a run shows beside the values that leave: gaps, order, sizes, times, and who sees them.

Every sentence describes something that the enclave does for this query; see `protos/plan/README.md`, "What
leaves", and `docs/threat-model.md`, "What is not promised".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from party_client.leak_report.noisy_observations import (
    NOISY_RECEIPT,
    NOT_COMPARED,
    noisy_blanks,
    noisy_rows,
    noisy_size,
    noisy_suppression,
)
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.result import SMALLEST_BUCKET_BYTES
from protos.plan import Plan

RECEIVERS: Final = "receivers"
COORDINATOR: Final = "coordinator"
_WIDTHS_BYTES: Final = {
    "bool": 0,
    "date": 4,
    "decimal": 16,
    "float64": 8,
    "hex128": 36,
    "int64": 8,
    "text": 4,
    "timestamp": 8,
}
"""What a value takes in a result at least, in whole bytes."""


@dataclass(frozen=True)
class Observation:
    """One thing that can be seen of a run, and by whom."""

    topic: str
    seen_by: tuple[str, ...]
    """Participants' ids, or "coordinator"."""
    sentence: str


def observations(agreement: Agreement, query: Query, plan: Plan) -> tuple[Observation, ...]:
    """What shows beside the released values, in the order in which people ask."""
    everybody = (*query.receivers, COORDINATOR)
    return (
        *(Observation("suppression", everybody, text) for text in _suppression(plan)),
        Observation("earlier releases", everybody, _earlier(plan, agreement)),
        *(Observation("blank figures", query.receivers, text) for text in _blanks(plan)),
        Observation("order", query.receivers, _ORDER),
        Observation("number of rows", query.receivers, _rows(plan)),
        Observation("size of the result", (COORDINATOR,), _size(plan)),
        Observation("size of the data", (COORDINATOR,), _DATA),
        Observation("time", (COORDINATOR,), _time(agreement.limits.tick_s)),
        Observation("receipt", everybody, _RECEIPT if plan.noise is None else NOISY_RECEIPT),
    )


_EARLIER: Final = (
    "A row is held back as well when its units differ from those of an earlier release by too few. So what "
    "leaves depends on what ran before, and a row that is missing now can be there in another enclave."
)
_EARLIER_WITH_STATE: Final = (
    "A row is held back as well when its units differ from those of an earlier release by too few. So what "
    "leaves depends on what ran before, also in the enclaves whose state this one took up."
)
_ORDER: Final = (
    "Rows leave in the ascending order of all their values: their order says nothing about the order of rows "
    "in anybody's data."
)
_DATA: Final = (
    "The size of every dataset when it is sealed is not hidden: roughly how many rows it has follows from it."
)
_RECEIPT: Final = (
    "The receipt is signed but not sealed: who can see it reads which query ran, with which choices, who "
    "asked, and what was held back, rounded."
)


def _time(tick_s: int) -> str:
    if not tick_s:
        return (
            "When a run is asked for and how long it takes is not hidden and not rounded: it takes longer "
            "the more rows are read and find a match."
        )
    return (
        f"When a run is asked for is not hidden. Its outcome is seen after a whole number of {tick_s:,} s, "
        "so that only a much longer run shows; who owns the machine sees how busy the enclave is meanwhile."
    )


def _earlier(plan: Plan, agreement: Agreement) -> str:
    if plan.noise is not None:
        return NOT_COMPARED
    return _EARLIER if agreement.state is None else _EARLIER_WITH_STATE


def _suppression(plan: Plan) -> Iterator[str]:
    if plan.noise is not None:
        yield from noisy_suppression(plan, plan.noise)
        return
    required = plan.thresholds[0].required_units
    if plan.analysis == "list":
        yield (
            f"The whole list is missing when fewer than {required:,} units of some owner are in it, a few "
            "or none. The receipt says that it is, and under which rule."
        )
        return
    what = "A row" if plan.groups else "The only row of the result"
    yield (
        f"{what} with fewer than {required:,} units of some owner behind it is missing. The receipt says "
        "under which rules rows can be missing and how many are at most: 10, 100, 1,000 and so on."
    )
    if not plan.groups:
        yield "An empty result therefore says that some owner has too few units behind it, and which one."


def _blanks(plan: Plan) -> Iterator[str]:
    if plan.noise is not None:
        yield from noisy_blanks(plan.noise)
    elif plan.supports:
        yield (
            "A figure that is made from some rows of a group only is blank when fewer than "
            f"{plan.thresholds[0].required_units:,} units of some owner are behind those. The receipt says "
            "in how many rows at most."
        )


def _rows(plan: Plan) -> str:
    if plan.noise is not None:
        return noisy_rows(plan, plan.noise)
    if plan.analysis == "list":
        return "Exactly how many rows are in the list; or none at all."
    if not plan.groups:
        return "One row, or none."
    return "Exactly how many rows leave, and, in powers of ten, how many are held back at most."


def _size(plan: Plan) -> str:
    row_bytes = max(1, sum(_WIDTHS_BYTES[output.expression.type.kind] for output in plan.outputs))
    least = SMALLEST_BUCKET_BYTES
    text = (
        f"The sealed result has {least:,}, {2 * least:,}, {4 * least:,} … bytes, up to "
        f"{limits.RESULT_MAX_BYTES + 4:,}, and nothing between."
    )
    if plan.noise is not None:
        return f"{text} {noisy_size(plan.noise)}"
    if not plan.groups and plan.analysis != "list":
        return text
    return (
        f"{text} A row takes {row_bytes:,} bytes or more, so the smallest size means at most "
        f"{least // row_bytes:,} rows, and every further one about twice as many."
    )
