"""What the parties agree on: one canonical byte string whose digest names the agreement everywhere.

An `Agreement` checks itself when it is made: every name it refers to exists, every list that must not be
empty is not, identifiers are distinct. Decoding is strict, so two parties that see the same digest see the
same agreement. It is in force only with all signatures: see `approvals`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from protos.formats import limits
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    encode,
    require_fields,
    require_int,
    require_list,
    require_text,
)
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.identifiers import AGREEMENT_LABEL, agreement_digest, require_slug
from protos.formats.key_ring import KEYS_MAX, AgreedKey, require_key_references
from protos.formats.kms import StateTerms
from protos.formats.participants import Participant, Release
from protos.formats.privacy import PrivacyEntry
from protos.formats.query import RUNS_MAX, Query
from protos.formats.rule_references import require_rule_references
from protos.formats.schema import Dataset

LOGGED: Final = frozenset({"nothing", "phases"})
TICK_MAX_S: Final = 300


@dataclass(frozen=True)
class Limits:
    """What one enclave life may use. The enclave refuses to start a run beyond them."""

    memory_mib: int
    threads: int
    max_runs: int
    """Runs of all queries together."""
    tick_s: int = 0
    """The outcome of a run is seen after a whole number of so many seconds; 0: as soon as it is known."""

    def __post_init__(self) -> None:
        require_int(self.memory_mib, what="limits: memory_mib", low=64, high=2**22)
        require_int(self.threads, what="limits: threads", low=1, high=limits.THREADS_MAX)
        require_int(self.max_runs, what="limits: max_runs", low=1, high=RUNS_MAX)
        require_int(self.tick_s, what="limits: tick_s", high=TICK_MAX_S)

    def to_value(self) -> Value:
        """The limits as they stand in the agreement."""
        return {
            "memory_mib": self.memory_mib,
            "threads": self.threads,
            "max_runs": self.max_runs,
            "tick_s": self.tick_s,
        }


@dataclass(frozen=True)
class Agreement:
    """See the module. Times are whole seconds since 1970-01-01T00:00:00Z; `valid_until_s` is exclusive."""

    id: str
    title: str
    purpose: str
    valid_from_s: int
    valid_until_s: int
    parties: tuple[Participant, ...]
    analysts: tuple[Participant, ...]
    datasets: tuple[Dataset, ...]
    queries: tuple[Query, ...]
    releases: tuple[Release, ...]
    limits: Limits
    logged: str = "nothing"
    """What the enclave may write to its console: `nothing`, or the names of the `phases` it enters."""
    privacy: tuple[PrivacyEntry, ...] = ()
    """Owners no exact result of whose data leaves, and what each allows; at most one entry a party."""
    release_quorum: int | None = None
    """So many parties together may accept further releases or end some; None: nobody may."""
    state: StateTerms | None = None
    """How an enclave's state may outlive it; None: it ends with the enclave."""
    keys: tuple[AgreedKey, ...] = ()
    """Keys that the enclave makes, and keeps. With keys there may be no datasets and no queries."""

    def __post_init__(self) -> None:
        require_slug(self.id, what="agreement id")
        require_text(self.title, what="title", max_characters=limits.TEXT_MAX_CHARACTERS)
        require_text(self.purpose, what="purpose", max_characters=limits.TEXT_MAX_CHARACTERS)
        require_int(self.valid_from_s, what="valid_from_s")
        require_int(self.valid_until_s, what="valid_until_s")
        if self.valid_from_s >= self.valid_until_s:
            raise FormatError("validity: the agreement ends before it begins")
        if self.logged not in LOGGED:
            raise FormatError(f"logged: got {self.logged!r}, expected one of {sorted(LOGGED)}")
        self._require_counts()
        if self.release_quorum is not None:
            require_int(self.release_quorum, what="release_quorum", low=1, high=len(self.parties))
        self._require_distinct()
        self._require_references()

    def _require_counts(self) -> None:
        computes = bool(self.datasets or self.queries or not self.keys)
        for what, items, most, is_needed in (
            ("parties", self.parties, limits.PARTIES_MAX, True),
            ("datasets", self.datasets, limits.DATASETS_MAX, computes),
            ("queries", self.queries, limits.QUERIES_MAX, computes),
            ("releases", self.releases, limits.PARTIES_MAX, True),
        ):
            if not is_needed <= len(items) <= most:
                raise FormatError(
                    f"{what}: got {len(items)}, expected 1 to {most} (empty means nothing is allowed)"
                )
        require_list(list(self.analysts), what="analysts", max_items=limits.PARTIES_MAX)
        require_list(list(self.privacy), what="privacy", max_items=limits.PARTIES_MAX)
        require_list(list(self.keys), what="keys", max_items=KEYS_MAX)

    def _require_distinct(self) -> None:
        people = [*self.parties, *self.analysts]
        _require_distinct("participant id", (person.id for person in people))
        _require_distinct("signing key", (person.signing_key.hex() for person in people))
        _require_distinct("dataset id", (dataset.id for dataset in self.datasets))
        _require_distinct("query id", (query.id for query in self.queries))
        _require_distinct("key id", (key.id for key in self.keys))
        _require_distinct("privacy of", (entry.owner for entry in self.privacy))
        _require_distinct(
            "release", (release.pcr0.hex() + release.root_sha256.hex() for release in self.releases)
        )

    def _require_references(self) -> None:
        owners = {party.id for party in self.parties}
        people = owners | {analyst.id for analyst in self.analysts}
        for dataset in self.datasets:
            if dataset.owner not in owners:
                raise FormatError(f"dataset {dataset.id}: owner {dataset.owner!r} is not a party")
        for query in self.queries:
            if strangers := sorted({*query.run_by, *query.receivers} - people):
                raise FormatError(f"query {query.id}: names {strangers}, who are neither party nor analyst")
        for entry in self.privacy:
            if entry.owner not in owners:
                raise FormatError(f"privacy: owner {entry.owner!r} is not a party")
        if self.state is not None and (
            strangers := sorted({self.state.party, *self.state.witnesses} - owners)
        ):
            raise FormatError(f"state: names {strangers}, who are no parties")
        require_rule_references(self.datasets, self.queries, people)
        require_key_references(self.keys, parties=owners, people=people)

    def participant(self, participant_id: str) -> Participant:
        """The party or analyst with this id; KeyError when there is none."""
        return {person.id: person for person in (*self.parties, *self.analysts)}[participant_id]

    def dataset(self, dataset_id: str) -> Dataset:
        """The dataset with this id; KeyError when there is none."""
        return {dataset.id: dataset for dataset in self.datasets}[dataset_id]

    def query(self, query_id: str) -> Query:
        """The query with this id; KeyError when there is none."""
        return {query.id: query for query in self.queries}[query_id]

    def key(self, key_id: str) -> AgreedKey:
        """The key of the ring with this id; KeyError when there is none."""
        return {key.id: key for key in self.keys}[key_id]

    def digest(self) -> bytes:
        """The 48 bytes that name this agreement."""
        return self._digest

    def encode(self) -> bytes:
        """Canonical bytes; what `digest` is over. `LimitExceededError` when there are too many to be read."""
        return self._encoded

    # Both once: every approval is compared with the digest of these bytes, which may be a megabyte.
    @cached_property
    def _digest(self) -> bytes:
        return agreement_digest(self.encode())

    @cached_property
    def _encoded(self) -> bytes:
        encoded = encode(
            {
                "label": AGREEMENT_LABEL,
                "id": self.id,
                "title": self.title,
                "purpose": self.purpose,
                "valid_from_s": self.valid_from_s,
                "valid_until_s": self.valid_until_s,
                "parties": [item.to_value() for item in self.parties],
                "analysts": [item.to_value() for item in self.analysts],
                "datasets": [item.to_value() for item in self.datasets],
                "queries": [item.to_value() for item in self.queries],
                "releases": [item.to_value() for item in self.releases],
                "limits": self.limits.to_value(),
                "logged": self.logged,
                "privacy": [item.to_value() for item in self.privacy],
                "release_quorum": self.release_quorum,
                "state": None if self.state is None else self.state.to_value(),
                "keys": [item.to_value() for item in self.keys],
            }
        )
        if len(encoded) > limits.AGREEMENT_MAX_BYTES:
            raise LimitExceededError(
                f"agreement: got {len(encoded)} bytes, expected at most {limits.AGREEMENT_MAX_BYTES}"
            )
        return encoded

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Agreement:
        """The agreement that `data` encodes; `FormatError` says what is wrong with it."""
        fields = decode_map_untrusted(
            data, label=AGREEMENT_LABEL, keys=_KEYS, max_bytes=limits.AGREEMENT_MAX_BYTES
        )

        def items(key: str, most: int) -> list[Value]:
            return require_list(fields[key], what=key, max_items=most)

        bounds = require_fields(
            fields["limits"], frozenset({"memory_mib", "threads", "max_runs", "tick_s"}), what="limits"
        )
        return cls(
            id=fields["id"],
            title=fields["title"],
            purpose=fields["purpose"],
            valid_from_s=fields["valid_from_s"],
            valid_until_s=fields["valid_until_s"],
            parties=tuple(map(Participant.from_value_untrusted, items("parties", limits.PARTIES_MAX))),
            analysts=tuple(map(Participant.from_value_untrusted, items("analysts", limits.PARTIES_MAX))),
            datasets=tuple(map(Dataset.from_value_untrusted, items("datasets", limits.DATASETS_MAX))),
            queries=tuple(map(Query.from_value_untrusted, items("queries", limits.QUERIES_MAX))),
            releases=tuple(map(Release.from_value_untrusted, items("releases", limits.PARTIES_MAX))),
            limits=Limits(**bounds),
            logged=require_text(fields["logged"], what="logged", max_characters=limits.NAME_MAX_CHARACTERS),
            privacy=tuple(map(PrivacyEntry.from_value_untrusted, items("privacy", limits.PARTIES_MAX))),
            release_quorum=fields["release_quorum"],
            state=None if fields["state"] is None else StateTerms.from_value_untrusted(fields["state"]),
            keys=tuple(map(AgreedKey.from_value_untrusted, items("keys", KEYS_MAX))),
        )


_KEYS: Final = frozenset(
    {
        *("id", "title", "purpose", "valid_from_s", "valid_until_s", "limits", "logged"),
        *("parties", "analysts", "datasets", "queries", "releases", "privacy", "release_quorum", "state"),
        "keys",
    }
)


def _require_distinct(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FormatError(f"{what} {name[:64]!r} stands twice")
        seen.add(name)
