"""The SIMULATED security module: answers what one enclave asks over its socket, as the real one would.

Reads requests made by the enclave, which may be anything; every request gets an answer or one of the NSM's
error names, and no request ends the module. Messages are CBOR behind a length of four bytes, big-endian.
Shapes and errors as in aws-nitro-enclaves-nsm-api `src/api/mod.rs` and QEMU `hw/virtio/virtio-nsm.c`.
"""

from __future__ import annotations

import io
import secrets
import socket
from collections.abc import Callable
from typing import Any, Final

import cbor2

from scenarios.machine.documents import DocumentSigner
from scenarios.machine.pcrs import PCR_COUNT, PcrBank, PcrIndexError, PcrLockedError

REQUEST_MAX_BYTES: Final = 0x1000
USER_DATA_MAX_BYTES: Final = 512
PUBLIC_KEY_MAX_BYTES: Final = 1024
_LENGTH_BYTES: Final = 4
_RANDOM_BYTES: Final = 256
_DEPTH_MAX: Final = 4
_U16_MAX: Final = 0xFFFF
_VERSION: Final = (1, 0, 0)
_DRAIN_BYTES: Final = 64 * 1024


Fields = dict[Any, Any]
"""The fields of a request or response by name; what a request holds is checked one by one."""


class _RefusedError(Exception):
    """Ends one request with the NSM's error name in the first argument."""


class SimulatedNsm:
    """The security module of one enclave."""

    def __init__(self, pcrs: PcrBank, signer: DocumentSigner) -> None:
        self._pcrs = pcrs
        self._signer = signer
        self._handlers: Final[dict[str, Callable[[Fields], Fields | None]]] = {
            "DescribeNSM": self._describe_nsm,
            "GetRandom": self._get_random,
            "DescribePCR": self._describe_pcr,
            "ExtendPCR": self._extend_pcr,
            "LockPCR": self._lock_pcr,
            "LockPCRs": self._lock_pcrs,
            "Attestation": self._attestation,
        }

    def answer_untrusted(self, request: bytes) -> bytes:
        """The response to `request`; nothing escapes, whatever the bytes."""
        try:
            response = self._answer(*_parse_untrusted(request))
        except _RefusedError as refusal:
            response = {"Error": refusal.args[0]}
        except PcrIndexError:
            response = {"Error": "InvalidIndex"}
        except PcrLockedError:
            response = {"Error": "ReadOnlyIndex"}
        return cbor2.dumps(response)

    def _answer(self, name: str, fields: Fields) -> object:
        handler = self._handlers.get(name)
        if handler is None:
            raise _RefusedError("InvalidOperation")
        answer = handler(fields)
        return name if answer is None else {name: answer}

    def _describe_pcr(self, fields: Fields) -> Fields:
        data, locked = self._pcrs.describe(_u16(fields, "index"))
        return {"lock": locked, "data": data}

    def _extend_pcr(self, fields: Fields) -> Fields:
        return {"data": self._pcrs.extend(_u16(fields, "index"), _bytes(fields, "data"))}

    def _lock_pcr(self, fields: Fields) -> None:
        self._pcrs.lock(_u16(fields, "index"))

    def _lock_pcrs(self, fields: Fields) -> None:
        self._pcrs.lock_first(_u16(fields, "range"))

    def _get_random(self, _fields: Fields) -> Fields:
        return {"random": secrets.token_bytes(_RANDOM_BYTES)}

    def _describe_nsm(self, _fields: Fields) -> Fields:
        major, minor, patch = _VERSION
        return {
            "version_major": major,
            "version_minor": minor,
            "version_patch": patch,
            "module_id": str(self._signer.module_id),
            "max_pcrs": PCR_COUNT,
            "locked_pcrs": sorted(self._pcrs.locked()),
            "digest": "SHA384",
        }

    def _attestation(self, fields: Fields) -> Fields:
        document = self._signer.sign(
            self._pcrs.locked(),
            user_data=_optional_bytes(fields, "user_data", USER_DATA_MAX_BYTES),
            nonce=_optional_bytes(fields, "nonce", USER_DATA_MAX_BYTES),
            public_key=_optional_bytes(fields, "public_key", PUBLIC_KEY_MAX_BYTES),
        )
        return {"document": document}


def serve(stream: socket.socket, nsm: SimulatedNsm) -> None:
    """Answers on `stream` until the other end is closed."""
    with stream:
        try:
            while header := _receive(stream, _LENGTH_BYTES):
                length = int.from_bytes(header, "big")
                if length > REQUEST_MAX_BYTES:
                    _drain(stream, length)
                    response = cbor2.dumps({"Error": "InputTooLarge"})
                else:
                    response = nsm.answer_untrusted(_receive(stream, length))
                stream.sendall(len(response).to_bytes(_LENGTH_BYTES, "big") + response)
        except (EOFError, OSError):
            return  # the enclave ended in the middle of a message


def _parse_untrusted(request: bytes) -> tuple[str, Fields]:
    """Name and fields of a request: a bare text, or a map of one name to its fields."""
    stream = io.BytesIO(request)
    try:
        value = cbor2.CBORDecoder(stream, max_depth=_DEPTH_MAX, allow_duplicate_keys=False).decode()
    except Exception as error:  # cbor2 raises many types on hostile input
        raise _RefusedError("InvalidOperation") from error
    if stream.tell() != len(request):
        raise _RefusedError("InvalidOperation")
    if type(value) is str:
        return value, {}
    if type(value) is dict and len(value) == 1:
        ((name, fields),) = value.items()
        if type(name) is str and type(fields) is dict:
            return name, fields
    raise _RefusedError("InvalidOperation")


def _u16(fields: Fields, key: str) -> int:
    value = fields.get(key)
    if type(value) is not int or not 0 <= value <= _U16_MAX:
        raise _RefusedError("InvalidOperation")
    return value


def _bytes(fields: Fields, key: str) -> bytes:
    value = fields.get(key)
    if type(value) is not bytes:
        raise _RefusedError("InvalidOperation")
    return value


def _optional_bytes(fields: Fields, key: str, max_bytes: int) -> bytes | None:
    if fields.get(key) is None:
        return None
    value = _bytes(fields, key)
    if len(value) > max_bytes:
        raise _RefusedError("InputTooLarge")
    return value


def _receive(stream: socket.socket, length: int) -> bytes:
    """`length` bytes, or none at the end of the stream. Raises `EOFError` when it ends in between."""
    received = bytearray()
    while len(received) < length:
        part = stream.recv(length - len(received))
        if not part:
            if received:
                raise EOFError
            return b""
        received += part
    return bytes(received)


def _drain(stream: socket.socket, length: int) -> None:
    while length > 0:
        part = stream.recv(min(length, _DRAIN_BYTES))
        if not part:
            raise EOFError
        length -= len(part)
