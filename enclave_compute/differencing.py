"""Whether a result, beside those that have left before, would say something about too few.

One released row less another is an answer about whoever stands behind one and not behind the other; so is a
total less its parts. So the units behind every row that is to leave, and behind all of them together, are
compared with those of every earlier release of this enclave that used the same dataset, one dataset after the
other. A row that differs from an earlier one, but by fewer units than the strictest owner asks for, is held
back; equal sets say nothing new about anybody.

Of an earlier release the sizes and prints of its sets are kept, in the engine's memory; the sets themselves
are made again, exact, when those do not settle it. An agreement under which nothing but one and the same
result can leave costs nothing here. Follows `protos/plan/README.md`, "Differences".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from enclave_compute.engine import Computed
from protos.formats.query import ParameterValue
from protos.plan import Plan
from protos.plan.unit_sets import (
    UNSETTLED,
    UnitSets,
    members_statement,
    remove_statement,
    rows_statement,
    too_similar_statement,
    unsettled_statement,
    whole_statement,
)

_ANY_UNSETTLED: Final = f"SELECT COUNT(*) FROM {UNSETTLED}"  # noqa: S608


@dataclass(frozen=True)
class Asked:
    """What a release was computed from: with the same data, it says which one it was."""

    plan: Plan
    parameters: Mapping[str, ParameterValue]

    def is_comparable_to(self, other: Asked) -> bool:
        """Whether the two may differ in somebody whom an owner of both protects."""
        is_another = (self.plan.query, self.parameters) != (other.plan.query, other.parameters)
        return is_another and _may_differ_by_too_few(self.plan, other.plan)


@dataclass(frozen=True)
class _Release:
    """One release and the tables with the sizes and prints of its sets."""

    asked: Asked
    sets: UnitSets


class Differencing:
    """The guard of one enclave life. Not thread-safe: the caller lets one run at a time in."""

    def __init__(self, plans: Collection[Plan]) -> None:
        """`plans`: all that can ever be run."""
        self._plans = plans
        self._released: list[_Release] = []
        self._newest: _Release | None = None
        self._count = 0

    def is_needed(self, plan: Plan) -> bool:
        """Whether there can be another release that one of `plan` is to be compared with."""
        return any(
            (plan.parameters or other.query != plan.query) and _may_differ_by_too_few(plan, other)
            for other in self._plans
        )

    def hold_back(self, computed: Computed, asked: Asked) -> int | None:
        """Takes the rows out of `computed` that are too like an earlier release; how many.

        `computed` has hidden columns for sets. None: there was nothing to compare with. Raises
        `RefusedError` when memory does not suffice.
        """
        new = self._laid_down(computed, asked)
        comparable = [other for other in self._released if asked.is_comparable_to(other.asked)]
        if not comparable:
            return None
        comparison = _Comparison(computed, new)
        similar = {row for old in comparable for row in comparison.too_similar(old)}
        if not similar:
            return 0
        return computed.remove(remove_statement(asked.plan, new.sets, sorted(similar)))

    def remember(self, asked: Asked) -> None:
        """What `asked` was computed from has left: later results are compared with it, if they have to be."""
        newest = self._newest
        # The newest one may be of a run that failed afterwards, before one that needs no comparison.
        if newest is None or newest.asked != asked:
            return
        if all(asked != other.asked for other in self._released):
            self._released.append(newest)
            self._newest = None

    def _laid_down(self, computed: Computed, asked: Asked) -> _Release:
        if self._newest is not None:
            # It never left.
            computed.drop([self._newest.sets.rows, self._newest.sets.whole])
        self._count += 1
        self._newest = _Release(asked, UnitSets(f"release_{self._count}"))
        computed.make(rows_statement(asked.plan, self._newest.sets))
        computed.make(whole_statement(asked.plan, self._newest.sets))
        return self._newest


class _Comparison:
    """One new release beside earlier ones. What it lays down goes with the rows of the new one."""

    def __init__(self, computed: Computed, new: _Release) -> None:
        self._computed = computed
        self._new = new
        self._laid_down: set[str] = set()

    def too_similar(self, old: _Release) -> Iterator[int]:
        """The numbers of the new sets that differ from one of `old` by too few."""
        for new_unit, old_unit, required_units in _pairs(self._new.asked.plan, old.asked.plan):
            sets = (self._new.sets, new_unit, old.sets, old_unit)
            self._computed.make(unsettled_statement(*sets, required_units=required_units))
            if self._computed.numbers_of_rows(_ANY_UNSETTLED) != [0]:
                self._lay_down_members(self._new, new_unit)
                self._lay_down_members(old, old_unit)
                statement = too_similar_statement(*sets, required_units=required_units)
                yield from self._computed.numbers_of_rows(statement)
        self._forget_members(old)

    def _lay_down_members(self, release: _Release, unit: int) -> None:
        table = release.sets.members(unit)
        if table not in self._laid_down:
            statement = members_statement(release.asked.plan, release.sets, unit)
            self._computed.make(statement, release.asked.parameters)
            self._laid_down.add(table)

    def _forget_members(self, release: _Release) -> None:
        tables = {release.sets.members(unit) for unit in range(len(release.asked.plan.counted))}
        self._computed.drop(sorted(tables))
        self._laid_down -= tables


def _pairs(new: Plan, old: Plan) -> Iterator[tuple[int, int, int]]:
    """(unit of the new plan, unit of the old one, fewest units they may differ by), for the common datasets.

    Datasets that are joined on their units are counted in one column, and compared once.
    """
    pairs: dict[tuple[int, int], int] = {}
    for mine in new.thresholds:
        for other in old.thresholds:
            if mine.dataset == other.dataset:
                pair = new.counted.index(mine.counted), old.counted.index(other.counted)
                required_units = max(mine.required_units, other.required_units)
                pairs[pair] = max(required_units, pairs.get(pair, 0))
    yield from ((*pair, required_units) for pair, required_units in pairs.items())


def _may_differ_by_too_few(one: Plan, other: Plan) -> bool:
    """Where a single unit is enough for a row, no difference is too small."""
    shared = _datasets(one) & _datasets(other)
    return bool(shared) and any(
        threshold.required_units > 1 for plan in (one, other) for threshold in plan.thresholds
    )


def _datasets(plan: Plan) -> set[str]:
    return {threshold.dataset for threshold in plan.thresholds}
