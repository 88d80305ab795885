"""Whether a result, beside those that have left before, would say something about too few.

One released row less another is an answer about whoever stands behind one and not behind the other; so is a
total less its parts. So the units behind every row that is to leave, and behind all of them together, are
compared with those of every earlier release of this enclave that used the same dataset: as exact sets, one
dataset after the other. A row that differs from an earlier one, but by fewer units than the strictest owner
asks for, is held back; equal sets say nothing new about anybody.

Earlier releases are not kept: the data is, so their sets are made again when there is something to compare.
An agreement under which nothing but one and the same result can leave costs nothing here.
Follows `protos/plan/README.md`, "Differences".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from enclave_compute.engine import Computed
from protos.formats.query import ParameterValue
from protos.plan import Plan
from protos.plan.unit_sets import (
    UnitSets,
    members_statements,
    remove_statement,
    sets_statements,
    too_similar_statement,
)

_NEW: Final = UnitSets("new")
_OLD: Final = UnitSets("old")


@dataclass(frozen=True)
class Asked:
    """What a release was computed from: with the same data, it says which one it was."""

    plan: Plan
    parameters: Mapping[str, ParameterValue]

    def is_comparable_to(self, other: Asked) -> bool:
        """Whether the two may differ in somebody whom an owner of both protects."""
        shared = _datasets(self.plan) & _datasets(other.plan)
        return bool(shared) and (self.plan.query, self.parameters) != (other.plan.query, other.parameters)


def hold_back_similar(computed: Computed, asked: Asked, earlier: Sequence[Asked]) -> int:
    """Takes rows out of `computed` that are too like an `earlier` one; how many. Each has hidden groups.

    `earlier` are those that `asked` is comparable to. Raises `RefusedError` when memory does not suffice.
    """
    similar: set[int] = set()
    with _laid_down(computed, _NEW, asked):
        for other in earlier:
            with _laid_down(computed, _OLD, other):
                for statement in _comparisons(asked.plan, other.plan):
                    similar.update(computed.numbers_of_rows(statement))
        return computed.remove(remove_statement(asked.plan, _NEW, sorted(similar))) if similar else 0


@contextmanager
def _laid_down(computed: Computed, sets: UnitSets, asked: Asked) -> Iterator[None]:
    """The sets of one release, as temporary tables."""
    try:
        for statement in members_statements(asked.plan, sets):
            computed.make(statement, asked.parameters)
        for statement in sets_statements(asked.plan, sets):
            computed.make(statement)
        yield
    finally:
        computed.drop(sets.tables(asked.plan))


def _comparisons(new: Plan, old: Plan) -> Iterator[str]:
    for mine in new.thresholds:
        for other in old.thresholds:
            if mine.dataset == other.dataset:
                yield too_similar_statement(
                    _NEW,
                    new.counted.index(mine.counted),
                    _OLD,
                    old.counted.index(other.counted),
                    required_units=max(mine.required_units, other.required_units),
                )


def _datasets(plan: Plan) -> set[str]:
    return {threshold.dataset for threshold in plan.thresholds}
