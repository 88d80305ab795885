"""Signs SIMULATED attestation documents in exactly the shape of AWS's.

An untagged COSE_Sign1 array; protected header {1: -35}; payload an indefinite-length map in AWS's key order
with null for what is absent, as AWS has sent since August 2025; signature the raw 96 bytes r || s. The chain
is renewed while at least 38 minutes of the leaf are left, as on genuine documents; the module id stays.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from scenarios.machine.pki import Chain, Clock, Issuer, issue_chain, utc_now

_PROTECTED: Final = bytes.fromhex("a1013822")
_INDEFINITE_MAP: Final = b"\xbf"
_BREAK: Final = b"\xff"
_SCALAR_BYTES: Final = 48
_RENEW_BEFORE_END: Final = timedelta(minutes=38)


@dataclass(frozen=True)
class ModuleId:
    """Which enclave on which instance: `i-` and 17 hex digits, `-enc` and 16."""

    instance_id: str
    enclave_id: str

    @classmethod
    def random(cls) -> ModuleId:
        """A new enclave on a new instance."""
        return cls(f"i-0{secrets.token_hex(8)}", f"0{secrets.token_hex(8)[1:]}")

    def __str__(self) -> str:
        return f"{self.instance_id}-enc{self.enclave_id}"


class DocumentSigner:
    """The part of the hypervisor that vouches for one enclave."""

    def __init__(self, root: Issuer, module_id: ModuleId, *, clock: Clock = utc_now) -> None:
        self.module_id = module_id
        self._root = root
        self._clock = clock
        self._chain = self._issue()

    def sign(
        self,
        pcrs: dict[int, bytes],
        *,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """A document for the locked registers `pcrs`, dated now."""
        now = self._clock()
        if self._chain.leaf.certificate.not_valid_after_utc - now < _RENEW_BEFORE_END:
            self._chain = self._issue()
        fields = {
            "module_id": str(self.module_id),
            "digest": "SHA384",
            "timestamp": int(now.timestamp() * 1000),
            "pcrs": pcrs,
            "certificate": self._chain.leaf.der,
            "cabundle": list(self._chain.cabundle),
            "public_key": public_key,
            "user_data": user_data,
            "nonce": nonce,
        }
        return cose_sign1(_indefinite_map(fields), self._chain.leaf.key)

    def _issue(self) -> Chain:
        return issue_chain(
            self._root,
            instance_id=self.module_id.instance_id,
            enclave_id=self.module_id.enclave_id,
            now=self._clock(),
        )


def cose_sign1(payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """An untagged COSE_Sign1 with ES384 over `payload` (RFC 9053 section 2.1: r || s, 48 bytes each)."""
    to_sign = cbor2.dumps(["Signature1", _PROTECTED, b"", payload])
    r, s = decode_dss_signature(key.sign(to_sign, ec.ECDSA(hashes.SHA384())))
    signature = r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")
    return cbor2.dumps([_PROTECTED, {}, payload, signature])


def _indefinite_map(fields: dict[str, object]) -> bytes:
    items = b"".join(cbor2.dumps(key) + cbor2.dumps(value) for key, value in fields.items())
    return _INDEFINITE_MAP + items + _BREAK
