"""Makes data for every dataset of an agreement from the agreement alone: SYNTHETIC, and never like anybody's.

Keeps what the agreement promises (types, `unique`, nulls, sizes) and tries what makes a rehearsal worth
looking at: joined columns share most of their values but not all, groups are of very different size so that
some are held back, and values fall on both sides of what a query compares them with. The same agreement,
rows and seed give the same tables on every machine. Everything is made column by column.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from protos.formats.agreement import Agreement
from protos.formats.schema import Column, Dataset
from protos.plan import Plan
from scenarios.rehearsal.hints import ColumnName, compared_values, grouped_columns, joined_columns
from scenarios.rehearsal.values import GROUPS, array_of, capacity, key_numbers, spread_of

_Numbers = npt.NDArray[np.int64]
SURPLUS: Final = 1.25
"""Possible keys for each key that a dataset has: so about 4 of 5 find their match."""
NULL_SHARE: Final = 0.04
_UNIT_ROWS: Final = 4
"""Rows of one unit on average, where the agreement does not say that there is one."""
_OPTED_OUT: Final = 40
"""One of so many rows is of a unit that has opted out, where there is a list of those."""
_COMBINATIONS_ENOUGH: Final = 2**30
_CELL_BYTES: Final = 48
"""Of a value in a chunk at most, as they are made here."""


def tables(agreement: Agreement, plans: Iterable[Plan], *, rows: int, seed: int) -> dict[str, pa.Table]:
    """A table for every dataset, with `rows` rows or as many as the agreement allows."""
    plans = tuple(plans)
    making = _Making(agreement, plans, rows, seed)
    return {dataset.id: making.table(dataset) for dataset in agreement.datasets}


class _Making:
    def __init__(self, agreement: Agreement, plans: tuple[Plan, ...], rows: int, seed: int) -> None:
        self._seed = seed
        self._hints = compared_values(plans)
        self._grouped = grouped_columns(plans)
        self._class_of: dict[ColumnName, int] = {}
        for number, members in enumerate(joined_columns(agreement, plans)):
            self._class_of |= dict.fromkeys(members, number)
        lists = {item.rules.opt_out.dataset for item in agreement.datasets if item.rules.opt_out is not None}
        self._rows = {
            dataset.id: _rows(dataset, rows // _OPTED_OUT if dataset.id in lists else rows)
            for dataset in agreement.datasets
        }
        self._sizes = self._key_sizes(agreement)

    def table(self, dataset: Dataset) -> pa.Table:
        """The rows of one dataset."""
        count = self._rows[dataset.id]
        numbers = self._unique_numbers(dataset, count)
        columns = {}
        for column in dataset.columns:
            random = self._random(dataset.id, column.name)
            hints = self._hints.get((dataset.id, column.name), ())
            if column.name in numbers:
                made = numbers[column.name]
            elif (size := self._sizes.get((dataset.id, column.name))) is not None:
                # Some keys stand in many rows and most in few.
                made = key_numbers(column, (size * random.random(count) ** 1.6).astype(np.int64))
            else:
                is_grouped = (dataset.id, column.name) in self._grouped
                made = spread_of(column, hints, is_grouped=is_grouped, count=count, random=random)
            missing = random.random(count) < NULL_SHARE if self._may_miss(dataset, column) else None
            label = self._label(dataset.id, column)
            columns[column.name] = array_of(column, made, missing, label=label, hints=hints)
        return pa.table(columns)

    def _may_miss(self, dataset: Dataset, column: Column) -> bool:
        return column.nullable and column.name not in dataset.unique

    def _label(self, dataset: str, column: Column) -> str:
        """What made-up texts begin with: alike where columns are joined, so that they can be equal."""
        number = self._class_of.get((dataset, column.name))
        return (
            column.name if number is None else min(n for (_, n), c in self._class_of.items() if c == number)
        )

    def _random(self, *names: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self._seed, *(zlib.crc32(n.encode()) for n in names)]))

    def _unique_numbers(self, dataset: Dataset, count: int) -> dict[str, _Numbers]:
        """Values for the columns of `unique`, no combination twice."""
        if not dataset.unique:
            return {}
        sizes: list[int] = []
        for name in dataset.unique:  # of many columns the first ones are enough to tell rows apart
            room = math.prod(sizes) < _COMBINATIONS_ENOUGH
            sizes.append(self._sizes[dataset.id, name] if room else 1)
        random = self._random(dataset.id, *dataset.unique)
        chosen = random.choice(math.prod(sizes), size=count, replace=False)
        parts = np.unravel_index(chosen, sizes)
        return {
            name: key_numbers(dataset.column(name), part.astype(np.int64))
            for name, part in zip(dataset.unique, parts, strict=True)
        }

    def _key_sizes(self, agreement: Agreement) -> dict[ColumnName, int]:
        """How many different values there are of every column that is a key, a unit or joined on."""
        wanted: dict[ColumnName, int] = {}
        for dataset in agreement.datasets:
            count = self._rows[dataset.id]
            for name, size in _sizes_of_key(dataset, count).items():
                wanted[dataset.id, name] = size
            if dataset.privacy_unit not in dataset.unique:
                column = dataset.column(dataset.privacy_unit)
                wanted[dataset.id, column.name] = min(capacity(column), max(2, count // _UNIT_ROWS))
        sizes = dict(wanted)
        for number in set(self._class_of.values()):
            members = [name for name, known in self._class_of.items() if known == number]
            unique = [wanted[name] for name in members if name[1] in agreement.dataset(name[0]).unique]
            size = max(unique or [wanted[name] for name in members if name in wanted] or [GROUPS])
            sizes |= dict.fromkeys(members, size)
        return sizes


def _rows(dataset: Dataset, rows: int) -> int:
    fits = max(1, dataset.max_bytes // (_CELL_BYTES * len(dataset.columns)))
    room = math.prod(capacity(dataset.column(name)) for name in dataset.unique)
    # A dataset that must not be small is as large as it has to be, with units enough.
    least = max(dataset.rules.min_rows, dataset.rules.min_units * _UNIT_ROWS * 2)
    return min(max(rows, least, 1), dataset.max_rows, fits, room if dataset.unique else dataset.max_rows)


def _sizes_of_key(dataset: Dataset, count: int) -> Mapping[str, int]:
    """Different values for each column of `unique`, so that all of them together have room for every row."""
    left, sizes = math.ceil(SURPLUS * count), {}
    by_room = sorted((dataset.column(name) for name in dataset.unique), key=capacity)
    for number, column in enumerate(by_room):
        share = math.ceil(left ** (1 / (len(by_room) - number)))
        sizes[column.name] = min(capacity(column), max(1, share))
        left = math.ceil(left / sizes[column.name])
    return sizes
