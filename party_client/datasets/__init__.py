"""Decides whether a party's own data is what it agreed to give, and turns it into chunks ready to be sealed.

Reads the party's own files and DataFrames. What comes out of `read_dataset` has exactly the agreed columns,
types and rules; whatever does not is refused by row and column, never by value. General layout: one module
per kind of source (`csv_file`, `parquet_file`, `frame`) behind `sources`; `conform` judges columns, `reading`
rows and limits, `uniqueness` keys; `chunks` encodes. Memory is bounded by the block size: no step holds a
dataset. Followed: protos/README.md, "Sealed datasets".
"""

from party_client.datasets.chunks import Chunk, encode_chunks
from party_client.datasets.errors import (
    ColumnsError,
    DatasetError,
    RowProblem,
    RowsError,
    SourceChangedError,
    SourceFileError,
    TooMuchDataError,
)
from party_client.datasets.reading import Reading
from party_client.datasets.sources import CsvSettings, Source, open_source

__all__ = [
    "Chunk",
    "ColumnsError",
    "CsvSettings",
    "DatasetError",
    "Reading",
    "RowProblem",
    "RowsError",
    "Source",
    "SourceChangedError",
    "SourceFileError",
    "TooMuchDataError",
    "encode_chunks",
    "open_source",
]
