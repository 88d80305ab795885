"""Fuzz target: an agreement is refused with a `FormatError`, or it is exactly the bytes that were read."""

from __future__ import annotations

from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = messages_of("agreement", "cbor")


def one_input(data: bytes) -> None:
    """Decodes, and looks up every name that the agreement refers to."""
    try:
        agreement = Agreement.decode_untrusted(data)
    except FormatError:
        return
    assert agreement.encode() == data
    for dataset in agreement.datasets:
        assert not agreement.dataset(dataset.id).column(dataset.privacy_unit).nullable
        assert agreement.participant(dataset.owner) in agreement.parties
    for query in agreement.queries:
        assert [agreement.participant(name).id for name in query.receivers] == list(query.receivers)
        assert [agreement.participant(name).id for name in query.run_by] == list(query.run_by)


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
