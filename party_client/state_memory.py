"""What this party has seen of the states of enclaves, so that an older one or another one is noticed.

Whoever keeps an enclave's sealed state could take up an old one, or one twice. So the newest entry of each
ledger that a receipt or a signed budget showed is kept in the party's own folder, and which life of which
enclave it made a statement for last. Another folder remembers other things. Raises `StateForkedError`,
`StatementMeanwhileError`, `FormatError` or `FileAccessError`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from party_client import files
from protos.formats.agreement import Agreement
from protos.formats.budget import Budget
from protos.formats.canonical import Value, decode_map_untrusted, encode, require_bytes, require_int
from protos.formats.errors import ConcordatError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES
from protos.formats.receipt import Claims
from protos.formats.state import NOTHING_YET

ENTRY_LABEL: Final = "concordat/seen-ledger-entry/v1"
WITNESSED_LABEL: Final = "concordat/witnessed-life/v1"
_FILE_MAX_BYTES: Final = 1024
_LOCK: Final = "lock"


class StateForkedError(ConcordatError):
    """An enclave shows another ledger than the one that this party has seen."""

    code = "state/forked"


class StatementMeanwhileError(ConcordatError):
    """This party made another statement while this one was decided on."""

    code = "state/meanwhile"


@dataclass(frozen=True)
class SeenEntry:
    """The newest entry of an enclave's ledger that this party has seen."""

    sequence: int
    head: bytes
    """Of the ledger after it."""


@dataclass(frozen=True)
class Witnessed:
    """The last statement of this party."""

    enclave_id: bytes
    life: bytes
    before: bytes | None
    """The life that the statement was about; None: it let a state begin."""


class StateMemory:
    """What is remembered under one agreement."""

    def __init__(self, folder: Path, agreement_digest: bytes) -> None:
        self._folder = folder
        self._agreement = agreement_digest.hex()

    def saw(self, enclave_id: bytes, *, sequence: int, head: bytes, previous: bytes | None = None) -> None:
        """A verified message showed that the ledger has this entry, after the head `previous` if it says so.

        An older entry than the newest one known is no news. Raises `StateForkedError`.
        """
        if sequence == 0:
            return
        with self._alone():
            seen = self.newest(enclave_id)
            if sequence == seen.sequence and head != seen.head:
                raise _forked(sequence, head, seen.head)
            if sequence == seen.sequence + 1 and previous not in (None, seen.head):
                raise _forked(seen.sequence, previous or b"", seen.head)
            if sequence > seen.sequence:
                value = {"label": ENTRY_LABEL, "sequence": sequence, "head": head}
                files.replace(self._entry(enclave_id), encode(value))

    def newest(self, enclave_id: bytes) -> SeenEntry:
        """The newest entry known; sequence 0 before the first."""
        path = self._entry(enclave_id)
        if not path.exists():
            return SeenEntry(0, NOTHING_YET)
        fields = _read(path, ENTRY_LABEL, "sequence", "head")
        return SeenEntry(
            require_int(fields["sequence"], what=f"{path}: sequence", low=1),
            require_bytes(fields["head"], what=f"{path}: head", length=DIGEST_BYTES),
        )

    def witnessed(self) -> Witnessed | None:
        """The last statement made; None: there is none."""
        path = self._witnessed
        if not path.exists():
            return None
        fields = _read(path, WITNESSED_LABEL, "enclave", "life", "before")
        before = fields["before"]
        return Witnessed(
            _id(fields["enclave"], path),
            _id(fields["life"], path),
            None if before is None else _id(before, path),
        )

    def will_witness(self, statement: Witnessed, *, last: Witnessed | None) -> None:
        """Keep it, before it is sent, if `last` is still the last one. Raises `StatementMeanwhileError`."""
        with self._alone():
            if self.witnessed() != last:
                raise StatementMeanwhileError(
                    "another command made a statement for this party meanwhile",
                    hint="say it again: what to say may have changed with it",
                )
            value = {"enclave": statement.enclave_id, "life": statement.life, "before": statement.before}
            files.replace(self._witnessed, encode({"label": WITNESSED_LABEL, **value}))

    @property
    def _witnessed(self) -> Path:
        return self._folder / f"{self._agreement}.witnessed"

    def _entry(self, enclave_id: bytes) -> Path:
        return self._folder / f"{self._agreement}.{enclave_id.hex()}.seen"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Until the other commands are through: one that is slower must not put back what it read before."""
        files.make_folder(self._folder)
        with (self._folder / _LOCK).open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def remember_budget(folder: Path, agreement: Agreement, budget: Budget) -> None:
    """What a verified budget shows of an enclave's state, if the agreement has any."""
    if agreement.state is not None:
        memory = StateMemory(folder, agreement.digest())
        memory.saw(budget.enclave_id, sequence=budget.sequence, head=budget.head)


def remember_claims(folder: Path, agreement: Agreement, claims: Claims) -> None:
    """What a verified receipt shows of it."""
    if agreement.state is not None:
        memory, head = StateMemory(folder, agreement.digest()), claims.head()
        memory.saw(claims.enclave_id, sequence=claims.sequence, head=head, previous=claims.previous)


def _read(path: Path, label: str, *keys: str) -> dict[str, Value]:
    data = files.read(path, max_bytes=_FILE_MAX_BYTES, private=False)
    return decode_map_untrusted(data, label=label, keys=frozenset(keys), max_bytes=_FILE_MAX_BYTES)


def _id(value: Value, path: Path) -> bytes:
    return require_bytes(value, what=f"{path}: id", length=ENCLAVE_ID_BYTES)


def _forked(sequence: int, got: bytes, known: bytes) -> StateForkedError:
    return StateForkedError(
        f"entry {sequence} of the enclave's ledger is {got.hex()[:16]}…, this client has seen "
        f"{known.hex()[:16]}… in its place",
        hint="two lives went on from one state, so runs were charged in one that the other does not know: do "
        "not send data or witness, and tell the other parties",
    )
