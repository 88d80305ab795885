"""One request frame in, one answer frame out: the boundary between the hostile parent and this life.

Every field is checked for type and size here before `Life` sees it. Whatever goes wrong, what leaves is a
code of the closed list (`disclosure.refusal_of`), never a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from enclave_compute.disclosure import refusal_of
from enclave_compute.errors import RefusedError
from enclave_compute.kms.request import KeyRequest
from enclave_compute.kms.signing import Credentials
from enclave_compute.life import Life
from protos.formats import limits
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import Value, encode, require_bytes, require_int, require_text
from protos.formats.frames import Frame
from protos.formats.identifiers import RUN_ID_BYTES, UPLOAD_ID_BYTES, require_slug

_ERRANDS_MAX_BYTES: Final = 2 * limits.KIB
_MISSING_SHOWN_MAX: Final = 8
"""A header has room for so many witnesses; when these have spoken, others are shown."""

Answer = tuple[dict[str, Value], bytes]
"""Fields to add to the answer's header, and its body."""


def answer_untrusted(life: Life, request: Frame) -> Frame:
    """The answer to `request`. Never raises: a fault of ours is the code `internal`."""
    try:
        op = _op(request.header.get("op"))
        fields, body = _HANDLERS[op](life, request.header, request.body)
        return Frame({"id": _id(request), "ok": True, **fields}, body)
    except Exception as error:
        header: dict[str, Value] = {"id": _id(request), "error": str(refusal_of(error))}
        if isinstance(error, RefusedError) and error.next_chunk is not None:
            header["next"] = error.next_chunk
        return Frame(header)


def _op(value: Value) -> Op:
    try:
        return Op(value)
    except ValueError as error:
        raise RefusedError(Refusal.MALFORMED, "no such op") from error


def _id(request: Frame) -> int:
    value = request.header.get("id")
    return value if type(value) is int and value >= 0 else 0


def _status(life: Life, _header: dict[str, Value], _body: bytes) -> Answer:
    slots = [{"dataset": name, "complete": complete} for name, complete in life.slots().items()]
    state = _standing(life)
    return {"phase": str(life.phase), "slots": slots, "errands": _errands(life.wanted()), "state": state}, b""


def _bind(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    life.bind(body)
    return {"phase": str(life.phase)}, b""


def _attest(life: Life, header: dict[str, Value], _body: bytes) -> Answer:
    nonce = require_bytes(header.get("nonce"), what="nonce", length=limits.NONCE_BYTES)
    document, key_bundle = life.attest(nonce)
    return {}, encode({"document": document, "key_bundle": key_bundle})


def _begin(life: Life, header: dict[str, Value], body: bytes) -> Answer:
    dataset = require_slug(header.get("dataset"), what="dataset")
    next_chunk, wanted = life.begin(dataset, _upload(header), body)
    return {"next": next_chunk} if wanted is None else {"next": 0, "errand": _errand_of(wanted)}, b""


def _chunk(life: Life, header: dict[str, Value], body: bytes) -> Answer:
    number = require_int(header.get("number"), what="number", high=limits.CHUNKS_MAX)
    if type(last := header.get("last")) is not bool:
        raise RefusedError(Refusal.MALFORMED, "last is true or false")
    return {"next": life.chunk(_upload(header), body, number=number, last=last)}, b""


def _finish(life: Life, header: dict[str, Value], body: bytes) -> Answer:
    return {}, life.finish(_upload(header), body)


def _errand(life: Life, header: dict[str, Value], body: bytes) -> Answer:
    subject = require_text(header.get("subject"), what="subject", max_characters=limits.NAME_MAX_CHARACTERS)
    if "step" not in header:
        return {"done": False}, life.first_errand(subject, Credentials.decode_untrusted(body))
    step = require_int(header["step"], what="step", low=1)
    to_send, done = life.step_errand(subject, step, body)
    return {"done": done}, to_send


def _restore(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    life.restore(body)
    return {}, b""


def _proposal(life: Life, _header: dict[str, Value], _body: bytes) -> Answer:
    return {}, life.proposal()


def _witness(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    life.witness(body)
    return {"state": _standing(life)}, b""


def _record(life: Life, header: dict[str, Value], _body: bytes) -> Answer:
    sequence = require_int(header.get("sequence"), what="sequence", low=1, high=limits.STATE_RECORDS_MAX)
    record, released = life.record(sequence)
    run: Value = None
    if released is not None:
        run = {"run": released.run_id, "receivers": list(released.receivers)}
    return {"released": run}, record


def _run(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    return {"receivers": list(life.run(body).receivers)}, b""


def _result(life: Life, header: dict[str, Value], _body: bytes) -> Answer:
    receiver = require_slug(header.get("receiver"), what="receiver")
    sealed_results = life.released(Op.RESULT, _run_id(header)).sealed_results
    if receiver not in sealed_results:
        raise RefusedError(Refusal.UNKNOWN, "not a receiver of this run")
    return {}, sealed_results[receiver]


def _receipt(life: Life, header: dict[str, Value], _body: bytes) -> Answer:
    return {}, life.released(Op.RECEIPT, _run_id(header)).receipt


def _budget(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    return {}, life.budget(body)


def _keys(life: Life, header: dict[str, Value], _body: bytes) -> Answer:
    nonce = require_bytes(header.get("nonce"), what="nonce", length=limits.NONCE_BYTES)
    document, public_keys = life.public_keys(nonce)
    return {}, encode({"document": document, "public_keys": public_keys})


def _key_use(life: Life, _header: dict[str, Value], body: bytes) -> Answer:
    return {}, life.use_key(body)


def _close(life: Life, _header: dict[str, Value], _body: bytes) -> Answer:
    life.close()
    return {"phase": str(life.phase)}, b""


def _errands(requests: list[KeyRequest]) -> list[Value]:
    """As many as a header has room for; begin tells those that are left out here."""
    errands: list[Value] = []
    for request in requests:
        errands.append(_errand_of(request))
        if len(encode(errands)) > _ERRANDS_MAX_BYTES:
            return errands[:-1]
    return errands


def _errand_of(request: KeyRequest) -> dict[str, Value]:
    """What the parent has to know to run an errand."""
    service = request.service
    return {
        "subject": request.subject,
        "endpoint": service.endpoint,
        "role": service.role_arn,
        "region": service.region,
        "party": request.party,
    }


def _standing(life: Life) -> Value:
    standing = life.standing()
    if standing is None:
        return None
    return {
        "life": standing.life,
        "missing": [*standing.missing[:_MISSING_SHOWN_MAX]],
        "records": standing.offered_records,
        "taken_up": standing.is_taken_up,
    }


def _upload(header: dict[str, Value]) -> bytes:
    return require_bytes(header.get("upload"), what="upload", length=UPLOAD_ID_BYTES)


def _run_id(header: dict[str, Value]) -> bytes:
    return require_bytes(header.get("run"), what="run", length=RUN_ID_BYTES)


_HANDLERS: Final[dict[Op, Callable[[Life, dict[str, Value], bytes], Answer]]] = {
    Op.STATUS: _status,
    Op.BIND: _bind,
    Op.ATTEST: _attest,
    Op.BEGIN: _begin,
    Op.CHUNK: _chunk,
    Op.FINISH: _finish,
    Op.ERRAND: _errand,
    Op.RESTORE: _restore,
    Op.PROPOSAL: _proposal,
    Op.WITNESS: _witness,
    Op.RECORD: _record,
    Op.RUN: _run,
    Op.RESULT: _result,
    Op.RECEIPT: _receipt,
    Op.BUDGET: _budget,
    Op.KEYS: _keys,
    Op.KEY_USE: _key_use,
    Op.CLOSE: _close,
}
