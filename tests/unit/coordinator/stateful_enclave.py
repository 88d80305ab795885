"""A fake enclave whose state outlives it: it waits for one witness, and has a record of all that it does."""

from __future__ import annotations

import os
import socket

from protos.formats.calls import Refusal
from protos.formats.canonical import Value
from tests.unit.coordinator.fake_enclave import RECEIVERS, Behaviour, FakeEnclave, RefusedError

WITNESS = "airline"
OUTDATED = b"a statement that knows more"
_Answer = tuple[dict[str, Value], bytes]


class StatefulEnclave(FakeEnclave):
    """One life of an enclave with state."""

    def __init__(self, listener: socket.socket, behaviour: Behaviour) -> None:
        super().__init__(listener, behaviour)
        self.life = os.urandom(16)
        self.offered: list[bytes] = []
        self.written: list[tuple[bytes, Value]] = []
        """Records of this life, and the run that each is about."""
        self.is_taken_up = False

    def standing(self) -> Value:
        missing = [] if self.is_taken_up else [WITNESS]
        return {
            "life": self.life,
            "missing": missing,
            "records": len(self.offered),
            "taken_up": self.is_taken_up,
        }

    def write(self, what: bytes, run: Value = None) -> None:
        self.written.append((b"record: " + what, run))

    def on_status(self, header: dict[str, Value], body: bytes) -> _Answer:
        fields, body = super().on_status(header, body)
        return {**fields, "state": self.standing()}, body

    def on_restore(self, header: dict[str, Value], body: bytes) -> _Answer:
        assert not self.is_taken_up
        self.offered.append(body)
        return {}, b""

    def on_proposal(self, header: dict[str, Value], body: bytes) -> _Answer:
        return {}, b"proposal after %d" % len(self.offered)

    def on_witness(self, header: dict[str, Value], body: bytes) -> _Answer:
        if body == OUTDATED:
            raise RefusedError(Refusal.STATE_BEHIND)
        self.is_taken_up = True
        self.write(b"begun")
        return {"state": self.standing()}, b""

    def on_record(self, header: dict[str, Value], body: bytes) -> _Answer:
        index = header["sequence"] - len(self.offered) - 1
        if not 0 <= index < len(self.written):
            raise RefusedError(Refusal.UNKNOWN)
        record, run = self.written[index]
        return {"released": run}, record

    def on_begin(self, header: dict[str, Value], body: bytes) -> _Answer:
        self.require_taken_up()
        return super().on_begin(header, body)

    def on_finish(self, header: dict[str, Value], body: bytes) -> _Answer:
        answer = super().on_finish(header, body)
        self.write(b"accepted")
        return answer

    def on_run(self, header: dict[str, Value], body: bytes) -> _Answer:
        self.require_taken_up()
        if not any(upload.accepted for upload in self.uploads.values()):
            raise RefusedError(Refusal.NOT_READY)
        is_new = header["run"] not in self.runs
        answer = super().on_run(header, body)
        if is_new:
            self.write(b"run", {"run": header["run"], "receivers": list(RECEIVERS)})
        return answer

    def on_budget(self, header: dict[str, Value], body: bytes) -> _Answer:
        self.write(b"what the answer tells of")
        return super().on_budget(header, body)

    def require_taken_up(self) -> None:
        if not self.is_taken_up:
            raise RefusedError(Refusal.STATE_WANTED)
