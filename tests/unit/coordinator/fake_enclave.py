"""An enclave that only keeps accounts: it speaks the frames of the real one, opens nothing, computes nothing.

It checks what the coordinator is responsible for: chunks arrive whole and in order, and a run with one id is
executed once. A "manifest" is the BLAKE2b hash over all chunks and last flags. What it is told to do wrong is
in `Behaviour`. Runs in a thread of a test, or as a process: `python -m tests.unit.coordinator.fake_enclave`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from protos.formats.calls import Refusal
from protos.formats.canonical import Value, decode_untrusted, encode
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import FRAME_BODY_MAX_BYTES
from tests.unit.coordinator.key_service import DENIED, GRANTED, Conversation

RECEIPT = b"receipt of "
RECEIVERS = ["airline", "analyst"]
ENVELOPE = b"envelope "
"""How a header begins whose dataset needs a key."""
STATE = "#state"
ROLE = "arn:aws:iam::111122223333:role/concordat-enclave"
REGION = "eu-central-1"


class RefusedError(Exception):
    def __init__(self, refusal: Refusal, **fields: Value) -> None:
        super().__init__(refusal)
        self.header: dict[str, Value] = {"error": refusal.value, **fields}


@dataclass
class Behaviour:
    """What this enclave does other than a good one."""

    refuse_bind: str = ""
    chunk_delay_s: float = 0.0
    run_delay_s: float = 0.0
    drop_connection_at_chunk: int = -1
    """Once, instead of answering this chunk."""
    refuse_chunk: int = -1
    forget_upload_at_chunk: int = -1
    """Once: as if another upload had taken its slot."""
    journal: Path | None = None
    """Every run that is executed is written there."""
    endpoint: str = ""
    """HOST:PORT of the key service that it names."""
    certificate: Path | None = None
    """Of the key service that it believes."""
    wants_state: bool = False
    names_subject: str = ""
    """In place of the dataset that a begun upload is for."""
    errand: Callable[[dict[str, Value], bytes], tuple[dict[str, Value], bytes]] | None = None
    """What it answers to each step of an errand, in place of what makes sense."""


@dataclass
class Upload:
    header: bytes
    dataset: str
    next_chunk: int = 0
    seen: hashlib.blake2b = field(default_factory=hashlib.blake2b)
    accepted: bytes = b""


class FakeEnclave:
    """One life, served on a listening socket."""

    def __init__(self, listener: socket.socket, behaviour: Behaviour) -> None:
        self.listener = listener
        self.behaviour = behaviour
        self.bound: bytes | None = None
        self.uploads: dict[bytes, Upload] = {}
        self.runs: dict[bytes, bytes] = {}
        self.executed = 0
        self.asked_status = 0
        self.closed = threading.Event()
        self.lock = threading.Lock()
        self.keys: set[str] = set()
        """Subjects whose key it has."""
        self.wanted: set[str] = {STATE} if behaviour.wants_state else set()
        self.errands: dict[str, tuple[Conversation, int]] = {}
        """By subject: the conversation, and the step that comes next."""
        self.credentials: list[Value] = []
        self.connections: set[socket.socket] = set()

    def serve(self) -> None:
        with self.listener:
            while not self.closed.is_set():
                try:
                    connection, _ = self.listener.accept()
                except OSError:
                    return
                threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection: socket.socket) -> None:
        self.connections.add(connection)
        with connection, contextlib.suppress(OSError):
            while not self.closed.is_set():
                frame = read_frame_untrusted(lambda n_bytes: read_exactly(connection, n_bytes))
                with self.lock:
                    answer = self.answer(frame)
                connection.sendall(answer.prefix() + answer.body)
        self.connections.discard(connection)
        if self.closed.is_set():
            self.die()

    def die(self) -> None:
        """End at once, as a process does that is killed."""
        self.closed.set()
        for end in (self.listener, *self.connections):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def answer(self, frame: Frame) -> Frame:
        try:
            name = str(frame.header["op"]).replace("-", "_")
            fields, body = getattr(self, f"on_{name}")(frame.header, frame.body)
        except RefusedError as refused:
            return Frame({"id": frame.header["id"], **refused.header})
        return Frame({"id": frame.header["id"], "ok": True, **fields}, body)

    def on_status(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        slots = [{"dataset": u.dataset, "complete": bool(u.accepted)} for u in self.uploads.values()]
        self.asked_status += 1
        phase = "collecting" if self.bound else "empty"
        errands = [self.errand_for(subject) for subject in sorted(self.wanted)]
        return {"phase": phase, "slots": slots, "errands": errands}, b""

    def on_bind(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        if self.behaviour.refuse_bind:
            raise RefusedError(Refusal(self.behaviour.refuse_bind))
        if self.bound not in (None, body):
            raise RefusedError(Refusal.ALREADY_BOUND)
        decode_untrusted(body, max_bytes=FRAME_BODY_MAX_BYTES, what="bind")
        self.bound = body
        return {"phase": "collecting"}, b""

    def on_attest(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        return {}, encode({"document": b"document for " + header["nonce"], "key_bundle": b"bundle"})

    def on_begin(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        if body == b"badly signed":
            raise RefusedError(Refusal.BAD_SIGNATURE)
        dataset = header["dataset"]
        for other_id in [key for key, u in self.uploads.items() if u.dataset == dataset]:
            if other_id != header["upload"]:
                if self.uploads[other_id].accepted:
                    raise RefusedError(Refusal.SLOT_TAKEN)
                del self.uploads[other_id]
        upload = self.uploads.setdefault(header["upload"], Upload(body, dataset))
        if self.lacks_key(upload):
            self.wanted.add(dataset)
            return {"next": 0, "errand": self.errand_for(self.behaviour.names_subject or dataset)}, b""
        return {"next": upload.next_chunk}, b""

    def on_chunk(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        upload = self.upload(header)
        number = header["number"]
        if self.lacks_key(upload):
            raise RefusedError(Refusal.KEY_WANTED)
        if number == self.behaviour.drop_connection_at_chunk:
            self.behaviour.drop_connection_at_chunk = -1
            raise ConnectionAbortedError
        if number == self.behaviour.forget_upload_at_chunk:
            self.behaviour.forget_upload_at_chunk = -1
            del self.uploads[header["upload"]]
            raise RefusedError(Refusal.UNKNOWN)
        if number == self.behaviour.refuse_chunk:
            raise RefusedError(Refusal.DOES_NOT_OPEN)
        if number > upload.next_chunk:
            raise RefusedError(Refusal.OUT_OF_ORDER, next=upload.next_chunk)
        if number == upload.next_chunk:
            time.sleep(self.behaviour.chunk_delay_s)
            upload.seen.update(body + bytes([header["last"]]))
            upload.next_chunk += 1
        return {"next": upload.next_chunk}, b""

    def on_finish(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        upload = self.upload(header)
        if body != upload.seen.digest():
            raise RefusedError(Refusal.MANIFEST_MISMATCH)
        upload.accepted = b"accepted " + body
        return {}, upload.accepted

    def on_errand(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        subject = header["subject"]
        if self.behaviour.errand is not None:
            return self.behaviour.errand(header, body)
        if subject not in self.wanted:
            raise RefusedError(Refusal.UNKNOWN)
        if "step" not in header:
            credentials = decode_untrusted(body, max_bytes=10_000, what="credentials")
            self.credentials.append(credentials)
            assert self.behaviour.certificate is not None
            request = f"{credentials['access_key_id']} {subject}\n".encode()
            conversation = Conversation(self.behaviour.certificate, request)
            self.errands[subject] = (conversation, 1)
            return {"done": False}, conversation.step(b"")
        conversation, step = self.errands.pop(subject)
        assert header["step"] == step
        try:
            outgoing = conversation.step(body)
        except ssl.SSLError:
            raise RefusedError(Refusal.KMS_FAILED) from None
        if conversation.answer == DENIED:
            raise RefusedError(Refusal.KMS_DENIED)
        if conversation.answer == GRANTED:
            self.wanted.remove(subject)
            self.keys.add(subject)
            return {"done": True}, b""
        if not body:
            raise RefusedError(Refusal.KMS_FAILED)
        self.errands[subject] = (conversation, step + 1)
        return {"done": False}, outgoing

    def on_run(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        if body == b"not allowed":
            raise RefusedError(Refusal.NOT_ALLOWED)
        if header["run"] not in self.runs:
            time.sleep(self.behaviour.run_delay_s)
            self.runs[header["run"]] = body
            self.executed += 1
            if self.behaviour.journal:
                with self.behaviour.journal.open("a") as journal:
                    journal.write(header["run"].hex() + "\n")
        return {"receivers": RECEIVERS}, b""

    def on_result(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        return {}, sealed_result(header["run"], header["receiver"])

    def on_receipt(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        return {}, RECEIPT + header["run"]

    def on_budget(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        return {}, b"budget for " + body

    def on_keys(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        return {}, encode({"document": b"document for " + header["nonce"], "public_keys": b"keys"})

    def on_key_use(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        if body == b"too often":
            raise RefusedError(Refusal.NO_USES_LEFT)
        return {}, b"answer to " + body

    def on_close(self, header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
        self.closed.set()
        return {}, b""

    def errand_for(self, subject: str) -> Value:
        return {
            "subject": subject,
            "endpoint": self.behaviour.endpoint,
            "role": ROLE,
            "region": REGION,
            "party": "airline",
        }

    def lacks_key(self, upload: Upload) -> bool:
        return upload.header.startswith(ENVELOPE) and upload.dataset not in self.keys

    def upload(self, header: dict[str, Value]) -> Upload:
        if header["upload"] not in self.uploads:
            raise RefusedError(Refusal.UNKNOWN)
        return self.uploads[header["upload"]]


def sealed_result(run_id: bytes, receiver: str) -> bytes:
    """About 1.2 MB, so that it takes several parts."""
    return hashlib.shake_256(run_id + receiver.encode()).digest(1_200_000)


def manifest_of(chunks: list[bytes]) -> bytes:
    """What `finish` expects after exactly these chunks."""
    seen = hashlib.blake2b()
    for number, chunk in enumerate(chunks):
        seen.update(chunk + bytes([number == len(chunks) - 1]))
    return seen.digest()


def read_exactly(connection: socket.socket, n_bytes: int) -> bytes:
    data = connection.recv(n_bytes, socket.MSG_WAITALL)
    if len(data) != n_bytes:
        raise ConnectionResetError
    return data


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(16)
    return listener


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--never-listen", action="store_true")
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--refuse-bind", default="")
    parser.add_argument("--run-delay-s", type=float, default=0.0)
    parser.add_argument("--chunk-delay-s", type=float, default=0.0)
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--certificate", type=Path)
    options = parser.parse_args()
    if options.never_listen:
        sys.exit("error: this machine has no memory left")
    behaviour = Behaviour(
        refuse_bind=options.refuse_bind,
        run_delay_s=options.run_delay_s,
        chunk_delay_s=options.chunk_delay_s,
        journal=options.journal,
        endpoint=options.endpoint,
        certificate=options.certificate,
    )
    FakeEnclave(listen(options.socket), behaviour).serve()


if __name__ == "__main__":
    main()
