"""Budgets of runs: how many of a query there may be in which time, and what is left of them.

A window slides: "per day" is any 24 hours, ending now, and not a day of the calendar, at whose midnight twice
as many runs could be had within a minute. Lengths are in seconds and never depend on a calendar or a zone.

Privacy budgets (`privacy_loss`) and uses of keys (`key_budget`) stand beside them. What is left is asked for
by a signed request and answered by a statement that the enclave signs with the key of its attested bundle.
Follows `protos/README.md`, "Budget". Raises `FormatError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats import limits
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_list,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, require_slug
from protos.formats.key_budget import KeyBudget
from protos.formats.key_ring import KEYS_MAX
from protos.formats.privacy_loss import PrivacySpent
from protos.formats.query import RUNS_MAX, Query

BUDGET_REQUEST_LABEL: Final = "concordat/budget-request/v1"
BUDGET_LABEL: Final = "concordat/budget/v1"
WINDOWS_S: Final = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
"""Sliding windows, by their length."""
IN_ALL: Final = ("query", "agreement")
"""Runs of this query, and of all queries together, in one enclave life."""
WINDOWS: Final = (*IN_ALL, *WINDOWS_S)


def window_limits(query: Query, *, all_queries: int) -> dict[str, int]:
    """Window → runs, for every window that limits `query`, in the order of `WINDOWS`."""
    asked = {
        "query": query.max_runs,
        "agreement": all_queries,
        "day": query.per_day,
        "week": query.per_week,
        "month": query.per_month,
    }
    return {window: runs for window, runs in asked.items() if runs is not None}


@dataclass(frozen=True)
class WindowLeft:
    """How many runs a window still lets through at some time."""

    window: str
    limit: int
    left: int

    def __post_init__(self) -> None:
        _require_window(self.window)
        require_int(self.limit, what="budget: limit", low=1, high=RUNS_MAX)
        require_int(self.left, what="budget: left", high=self.limit)

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {"window": self.window, "limit": self.limit, "left": self.left}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> WindowLeft:
        """Inverse of `to_value`."""
        return cls(**require_fields(value, frozenset({"window", "limit", "left"}), what="budget window"))


@dataclass(frozen=True)
class Charge:
    """What one run took from a window: always one run."""

    window: str
    limit: int
    before: int
    after: int

    def __post_init__(self) -> None:
        _require_window(self.window)
        require_int(self.limit, what="charge: limit", low=1, high=RUNS_MAX)
        require_int(self.before, what="charge: before", low=1, high=self.limit)
        if require_int(self.after, what="charge: after") != self.before - 1:
            raise FormatError(f"charge: {self.before} before and {self.after} after a run, expected one less")

    def to_value(self) -> Value:
        """As it stands in claims."""
        return {"window": self.window, "limit": self.limit, "before": self.before, "after": self.after}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Charge:
        """Inverse of `to_value`."""
        return cls(**require_fields(value, frozenset({"window", "limit", "before", "after"}), what="charge"))


@dataclass(frozen=True)
class BudgetRequest:
    """A participant asks an enclave what is left."""

    nonce: bytes
    agreement_digest: bytes
    enclave_id: bytes
    requested_by: str

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `BUDGET_REQUEST_LABEL`."""
        return encode(
            {
                "label": BUDGET_REQUEST_LABEL,
                "nonce": self.nonce,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "requested_by": self.requested_by,
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> BudgetRequest:
        """Parse the payload of a signed request."""
        fields = decode_map_untrusted(
            data,
            label=BUDGET_REQUEST_LABEL,
            keys=frozenset({"nonce", "agreement", "enclave", "requested_by"}),
            max_bytes=limits.RUN_REQUEST_MAX_BYTES,
        )
        return cls(
            nonce=require_bytes(fields["nonce"], what="nonce", length=limits.NONCE_BYTES),
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            requested_by=require_slug(fields["requested_by"], what="requested_by"),
        )


@dataclass(frozen=True)
class QueryBudget:
    """What is left of one query."""

    query: str
    windows: tuple[WindowLeft, ...]

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {"query": self.query, "windows": [window.to_value() for window in self.windows]}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> QueryBudget:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"query", "windows"}), what="query budget")
        windows = require_list(fields["windows"], what="windows", max_items=len(WINDOWS), min_items=1)
        return cls(
            query=require_slug(fields["query"], what="query"),
            windows=tuple(map(WindowLeft.from_value_untrusted, windows)),
        )


@dataclass(frozen=True)
class Budget:
    """The enclave's answer: what is left of every query at one time of the security module's clock."""

    nonce: bytes
    agreement_digest: bytes
    enclave_id: bytes
    at_s: int
    queries: tuple[QueryBudget, ...]
    privacy: tuple[PrivacySpent, ...] = ()
    """Of every owner with a privacy budget, in the order of the agreement."""
    keys: tuple[KeyBudget, ...] = ()
    """Of every key of the ring, in the order of the agreement."""
    sequence: int = 0
    """Of the ledger's last entry; 0: there is none yet."""
    head: bytes = bytes(DIGEST_BYTES)
    """The ledger's head after it."""

    def __post_init__(self) -> None:
        require_int(self.sequence, what="budget: sequence")
        if (self.sequence == 0) != (self.head == bytes(DIGEST_BYTES)):
            raise FormatError("budget: a head if and only if the ledger has an entry")

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `BUDGET_LABEL` by the key of the enclave's bundle."""
        return encode(
            {
                "label": BUDGET_LABEL,
                "nonce": self.nonce,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "at_s": self.at_s,
                "queries": [query.to_value() for query in self.queries],
                "privacy": [account.to_value() for account in self.privacy],
                "keys": [key.to_value() for key in self.keys],
                "sequence": self.sequence,
                "head": self.head,
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Budget:
        """Parse the payload of a signed answer."""
        fields = decode_map_untrusted(
            data,
            label=BUDGET_LABEL,
            keys=_BUDGET_KEYS,
            max_bytes=limits.BUDGET_MAX_BYTES,
        )
        queries = require_list(fields["queries"], what="queries", max_items=limits.QUERIES_MAX)
        privacy = require_list(fields["privacy"], what="privacy", max_items=limits.PARTIES_MAX)
        keys = require_list(fields["keys"], what="keys", max_items=KEYS_MAX)
        if not queries and not keys:
            raise FormatError("budget: of no query and no key")
        return cls(
            nonce=require_bytes(fields["nonce"], what="nonce", length=limits.NONCE_BYTES),
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            at_s=require_int(fields["at_s"], what="at_s"),
            queries=tuple(map(QueryBudget.from_value_untrusted, queries)),
            privacy=tuple(map(PrivacySpent.from_value_untrusted, privacy)),
            keys=tuple(map(KeyBudget.from_value_untrusted, keys)),
            sequence=fields["sequence"],
            head=require_bytes(fields["head"], what="head", length=DIGEST_BYTES),
        )


_BUDGET_KEYS: Final = frozenset(
    {"nonce", "agreement", "enclave", "at_s", "queries", "privacy", "keys", "sequence", "head"}
)


def _require_window(window: Value) -> None:
    if window not in WINDOWS:
        raise FormatError(f"budget: got window {str(window)[:64]!r}, expected one of {list(WINDOWS)}")
