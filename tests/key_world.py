"""Keys in the world of tests: an agreement with one of each kind, and uses of them as askers send them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from party_client.identity import Identity
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.binding import KeyBundle
from protos.formats.calls import Op
from protos.formats.key_answer import KeyAnswer, open_answer
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import (
    KEY_REQUEST_LABEL,
    KeyCall,
    KeyRequest,
    input_digest,
    seal_input,
    sign_key_approval,
)
from tests import world
from tests.chunk_tables import chunk
from tests.world import PUBLISHER, Parent

PARTIES = ("advertiser", "publisher")


def key(key_id: str, kind: str, *uses: str, **changes: object) -> AgreedKey:
    """A key that both parties may use as often as they like, with changes."""
    base = AgreedKey(key_id, kind, frozenset(uses), used_by=PARTIES, max_uses=100)
    return replace(base, **changes)  # type: ignore[arg-type]


TOKENS = replace(
    AgreedKey("tokens", "hmac-sha256", frozenset({"tokenise"}), PARTIES, max_uses=5, max_values=10),
    normalise="email/v1",
)
KEYS = (
    key("p256", "ecdsa-p256", "sign"),
    key("p384", "ecdsa-p384", "sign"),
    key("edwards", "ed25519", "sign", max_uses=3, per_day=2),
    key("notary", "ed25519", "sign", approved_by=PARTIES),
    key("vault", "aes-256", "encrypt", "decrypt"),
    key("one_way", "aes-256", "encrypt"),
    key("codes", "hmac-sha256", "hmac"),
    TOKENS,
)
RSA_KEYS = (
    key("rsa_sign", "rsa-2048", "sign"),
    key("rsa_open", "rsa-2048", "decrypt", used_by=("publisher",)),
)
"""Making these takes longer than most tests."""


def agreement(root_sha256: bytes, keys: Sequence[AgreedKey] = KEYS, **changes: object) -> Agreement:
    """An agreement on keys alone: no datasets, no queries."""
    none: dict[str, object] = {"datasets": (), "queries": (), "keys": tuple(keys)}
    return world.agreement(root_sha256, **{**none, **changes})


def identifiers(*texts: str) -> bytes:
    """A column of identifiers, laid out as they are sent."""
    return chunk(pa.table({"identifier": pa.array(texts, pa.string())}))


@dataclass(frozen=True)
class Use:
    """One use of a key as its asker made it, so that a test can rearrange it."""

    request: KeyRequest
    signed_request: bytes
    sealed_input: bytes
    asker: Identity

    def call(self, *approvals: bytes) -> bytes:
        """The body of the call."""
        return KeyCall(self.signed_request, approvals, self.sealed_input).encode()

    def approved_by(self, who: Identity) -> bytes:
        """The approval of `who`."""
        return sign_key_approval(
            self.request.digest(), party=who.id, key=who.signing_key, signed_at_s=world.VALID_FROM_S
        )

    def opened(self, sealed: bytes, keys: KeyBundle) -> KeyAnswer:
        """The answer as the asker opens it."""
        return open_answer(
            sealed,
            request_digest=self.request.digest(),
            receiver=self.asker.id,
            key=self.asker.receiving_key,
            signing_key=keys.signing_key,
        )


def use(
    agreed: Agreement,
    keys: KeyBundle,
    key_id: str,
    how: str,
    content: bytes,
    *,
    asker: Identity = PUBLISHER,
    sealed_content: bytes | None = None,
    **changes: object,
) -> Use:
    """A use of `key_id`; the request can be falsified, and another input sealed than it was signed for."""
    salt = os.urandom(32)
    request = KeyRequest(
        request_id=os.urandom(16),
        agreement_digest=agreed.digest(),
        enclave_id=keys.enclave_id,
        key=key_id,
        use=how,
        requested_by=asker.id,
        input_digest=input_digest(salt, content),
    )
    request = replace(request, **changes)  # type: ignore[arg-type]
    signed = cose.sign(request.encode(), typ=KEY_REQUEST_LABEL, key=asker.signing_key)
    sent = content if sealed_content is None else sealed_content
    sealed = seal_input(sent, salt=salt, request=request, public_key=keys.hpke_public_key)
    return Use(request, signed, sealed, asker)


def answered(parent: Parent, made: Use, *approvals: bytes) -> KeyAnswer:
    """What comes back for `made`. Raises `RefusedByEnclaveError`."""
    return made.opened(parent.call(Op.KEY_USE, made.call(*approvals)).body, parent.keys())


def output(parent: Parent, agreed: Agreement, key_id: str, how: str, content: bytes) -> bytes | None:
    """What a use that needs nobody's approval gives."""
    return answered(parent, use(agreed, parent.keys(), key_id, how, content)).output
