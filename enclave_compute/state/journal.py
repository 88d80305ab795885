"""This life's own records: every entry of its ledger, sealed as it is written.

An entry and its record come into being in one step, so whoever can fetch a release can fetch its charge as
well. Records are handed out by number, as often as they are asked for.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from enclave_compute.errors import RefusedError
from enclave_compute.state.content import Content, StateKey
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.state import StateRecord


class Journal:
    """The records of one life. Safe to read from any thread; one at a time writes."""

    def __init__(self, place: StateRecord, key: StateKey) -> None:
        """`place`: a record of this life without content; its sequence is the first to be written."""
        self._place = place
        self._key = key
        self._first = place.sequence
        self._records: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def life(self) -> bytes:
        """Whose records these are."""
        return self._place.life

    @property
    def agreement_digest(self) -> bytes:
        """Under which agreement."""
        return self._place.agreement_digest

    @property
    def enclave_id(self) -> bytes:
        """Whose ledger it is."""
        return self._place.enclave_id

    def require_room(self) -> None:
        """Raises `RefusedError` when a state can have no further entry."""
        if self._first + len(self._records) > limits.STATE_RECORDS_MAX:
            raise RefusedError(Refusal.OVER_LIMIT, "the state has as many entries as it may have")

    def write(self, content: Content) -> None:
        """Seal the next entry."""
        with self._lock:
            self.require_room()
            place = replace(self._place, sequence=self._first + len(self._records))
            self._records.append(self._key.seal(place, content).encode())

    def record(self, sequence: int) -> bytes:
        """The record of entry `sequence`. Raises `RefusedError` if this life has written none there."""
        with self._lock:
            index = sequence - self._first
            if not 0 <= index < len(self._records):
                raise RefusedError(Refusal.UNKNOWN, "this life has written no such record")
            return self._records[index]
