"""Fuzz target: each part of an agreement by itself is refused with a `FormatError`, or makes sense."""

from __future__ import annotations

from protos.formats import limits
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError
from protos.formats.participants import Participant, Release
from protos.formats.query import Parameter, Query
from protos.formats.schema import Column, Dataset
from tests.conformance.formats.samples import FLIGHTS, QUERY, WIND, agreement
from tests.fuzz.runner import run

PARTS = (Column, Dataset, Parameter, Query, Participant, Release)
VALUES = [FLIGHTS.to_value(), WIND.to_value(), QUERY.to_value()]
VALUES += [agreement().parties[0].to_value(), agreement().releases[0].to_value()]
VALUES += [column.to_value() for column in FLIGHTS.columns]
VALUES += [parameter.to_value() for parameter in QUERY.parameters]
SEEDS = [encode(value) for value in VALUES]


def one_input(data: bytes) -> None:
    """Reads `data` as each kind of part; what is accepted has the same value again."""
    try:
        value = decode_untrusted(data, max_bytes=limits.MIB, what="part")
    except FormatError:
        return
    for part in PARTS:
        try:
            made = part.from_value_untrusted(value)
        except FormatError:
            continue
        assert encode(made.to_value()) == data
        if isinstance(made, Column):
            assert made.kind
        if isinstance(made, Dataset):
            assert not made.column(made.privacy_unit).nullable


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
