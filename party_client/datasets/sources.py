"""Where a dataset may come from, and how the right reader is chosen: CSV, Parquet or a pandas DataFrame.

A `Source` gives record batches whose columns are the agreed ones, by name and in order, in whatever types the
source has; `reading` judges them. It can be read again from the start, which is what resuming an upload does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

from party_client.datasets.errors import ColumnsError, SourceFileError
from party_client.datasets.stable_file import Fingerprint
from protos.formats.schema import Dataset

if TYPE_CHECKING:
    from pandas import DataFrame

_CSV_SUFFIXES: Final = {".csv", ".tsv", ".txt"}
_PARQUET_SUFFIXES: Final = {".parquet", ".pq"}
_NAMES_SHOWN: Final = 8


@dataclass(frozen=True)
class CsvSettings:
    """What cannot be seen from a CSV file with certainty, so it is said."""

    delimiter: str = ","
    nulls: tuple[str, ...] = ("",)
    """Unquoted cells that mean "no value". A quoted empty cell is an empty text."""


class Source(Protocol):
    """One party's data, readable any number of times."""

    @property
    def name(self) -> str:
        """What people call it: the file's path, or "DataFrame"."""

    @property
    def size_bytes(self) -> int | None:
        """How much there is to read, for showing progress; None when that is not known."""

    @property
    def position_bytes(self) -> int:
        """How much of `size_bytes` the pass that is going on has read."""

    def batches(self, dataset: Dataset) -> Iterator[pa.RecordBatch]:
        """All rows, in order, with the columns of `dataset` in order and in the source's own types.

        Raises `DatasetError`.
        """

    def fingerprint(self) -> Fingerprint | None:
        """What tells this state of the source from a later one; None when only the content can tell."""


def open_source(
    data: Path | str | DataFrame, *, csv: CsvSettings | None = None, ignore_extra: bool = False
) -> Source:
    """The source behind a file name (.csv, .tsv, .parquet) or a DataFrame.

    With `ignore_extra`, columns that are not in the agreement are left out instead of refused; they are never
    sent. Raises `SourceFileError`.
    """
    # Readers are imported when they are needed: pandas and Parquet cost a second and 60 MB.
    if not isinstance(data, Path | str):
        from party_client.datasets.frame import FrameSource  # noqa: PLC0415

        return FrameSource(data, ignore_extra=ignore_extra)
    path = Path(data)
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        from party_client.datasets.parquet_file import ParquetSource  # noqa: PLC0415

        return ParquetSource(path, ignore_extra=ignore_extra)
    if path.suffix.lower() in _CSV_SUFFIXES:
        from party_client.datasets.csv_file import CsvSource  # noqa: PLC0415

        tabs = CsvSettings("\t") if path.suffix.lower() == ".tsv" else CsvSettings()
        return CsvSource(path, csv or tabs, ignore_extra=ignore_extra)
    raise SourceFileError(
        f"{path}: the name does not say what it is, expected .csv, .tsv or .parquet",
        hint="rename the file, or convert it to CSV in UTF-8",
    )


def require_columns(names: list[str], dataset: Dataset, *, source: str, ignore_extra: bool) -> None:
    """Raises `ColumnsError` unless `names` are the columns of `dataset`, in any order, each once."""
    agreed = [column.name for column in dataset.columns]
    missing = [name for name in agreed if name not in names]
    extra = sorted(set(names) - set(agreed))
    twice = sorted({name for name in names if name in agreed and names.count(name) > 1})
    where = f"{source}: dataset {dataset.id}"
    if missing:
        folded = {name.strip().lower(): name for name in extra}
        similar = [f"{folded[name]!r} is not {name!r}" for name in missing if name in folded]
        if len(missing) == len(agreed) and not similar:  # what stands there may be data, which is never shown
            found = "the first line holds none of the agreed names"
        else:
            found = f"found {_listed(extra)} besides the agreed ones" if extra else "found no others"
        raise ColumnsError(
            f"{where}: missing columns {_listed(missing)}; {found}",
            hint="; ".join(similar) or "the first line of a CSV file must name the columns as agreed",
        )
    if twice:
        raise ColumnsError(f"{where}: columns {_listed(twice)} stand twice", hint="name each column once")
    if extra and not ignore_extra:
        raise ColumnsError(
            f"{where}: columns {_listed(extra)} are not in the agreement ({len(extra)} in all)",
            hint="remove them, or say --ignore-extra: they are then left out and never sent",
        )


def _listed(names: list[str]) -> str:
    # A column that is not agreed may be called anything: only its printable beginning is shown.
    shown = ", ".join(ascii(name[:40]) for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")
