"""Fuzz target: changes of releases count as parties signed them, or are refused; whoever wrote the bytes.

A party may have written them too: the same bytes are also tried as a change that all parties sign.
"""

from __future__ import annotations

from protos.formats.errors import ConcordatError
from protos.release.change import ReleaseChange
from protos.release.history import (
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)
from tests.conformance.formats.samples import agreement
from tests.conformance.release import samples
from tests.conformance.release.refused import messages_of
from tests.fuzz.runner import run

AGREEMENT = agreement()
ROOTS = {release.root_sha256 for release in AGREEMENT.releases}
SEEDS = [*messages_of("changed-agreement"), *messages_of("release-change")]


def one_input(data: bytes) -> None:
    """Reads `data` as an agreement with changes, and as a change that everybody signed."""
    try:
        agreed = verify_changes_untrusted(*read_changed_agreement_untrusted(data))
    except ConcordatError:
        pass
    else:
        assert agreed.encode() == data
        assert data in SEEDS, "nobody signed that"
    try:
        change = ReleaseChange.decode_untrusted(data)
        after = verify_changes_untrusted(AGREEMENT, [samples.signed(change)])
    except ConcordatError:
        return
    assert change.encode() == data
    for release in after.releases:
        assert release.root_sha256 in ROOTS
        assert release.valid_until_s is None or release.valid_until_s <= AGREEMENT.valid_until_s


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
