"""What one identity does with the keys of one enclave: `client.keys(job, agreement)`.

The enclave is verified once, when it is first needed; its answers are opened with this identity's key and
believed when the key of its attested bundle signed them. Raises `ConcordatError` subclasses, nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from party_client.attestation import VerifiedEnclave
from party_client.keys.errors import DoesNotDecryptError, KeyAnswerError, PublicKeysError
from party_client.keys.prepared import PreparedUse, prepare, require_usable
from party_client.keys.public import VerifiedPublicKeys, verify_public_keys
from protos.formats.errors import FormatError, SealError, SignatureError
from protos.formats.key_answer import KeyAnswer, open_answer
from protos.formats.key_ring import DECRYPT, ENCRYPT, HMAC, SIGN, TOKENISE
from protos.formats.limits import NONCE_BYTES
from protos.release.history import Agreed, agreed_releases

if TYPE_CHECKING:
    from pandas import Series

    from party_client.client import Client


class JobKeys:
    """The keys of a job's enclave, for the client's identity."""

    def __init__(self, client: Client, job_id: str, agreement: Agreed) -> None:
        self._client: Final = client
        self._job_id: Final = job_id
        self._agreed: Final = agreed_releases(agreement)

    @cached_property
    def enclave(self) -> VerifiedEnclave:
        """The job's enclave, verified. Raises `AttestationError`."""
        return self._client.verify(self._job_id, self._agreed)

    def public(self) -> VerifiedPublicKeys:
        """The public halves, attested for a fresh nonce by the very enclave that `enclave` is.

        Raises `AttestationError`, and `PublicKeysError` for those of another one, genuine as it may be.
        """
        client, nonce = self._client, secrets.token_bytes(NONCE_BYTES)
        document, public_keys = client.coordinator.get_public_keys(self._job_id, nonce)
        verified = verify_public_keys(
            document, public_keys, agreed=self._agreed, roots=client.roots, nonce=nonce, now=client.clock()
        )
        if verified.keys.enclave_id != self.enclave.keys.enclave_id:
            raise PublicKeysError(
                f"public keys: got those of enclave {verified.keys.enclave_id.hex()}, expected those of "
                f"{self.enclave.keys.enclave_id.hex()}",
                hint="the coordinator shows you another enclave's keys; ask its operator why",
            )
        return verified

    def prepare(self, key_id: str, use: str, content: bytes) -> PreparedUse:
        """A use to be approved, and then given to `send`."""
        return prepare(
            self._agreed.agreement,
            key_id,
            use,
            content,
            enclave=self.enclave,
            identity=self._client.identity,
        )

    def send(self, prepared: PreparedUse, approvals: Sequence[bytes] = ()) -> bytes:
        """What comes out; sending the same again gives the same and counts once."""
        answer = self._answer(prepared, approvals)
        if answer.output is None:
            raise DoesNotDecryptError(prepared.request.key)
        return answer.output

    def sign(self, key_id: str, message: bytes) -> bytes:
        """A signature over `message`: Ed25519, ECDSA in DER, or RSA-PSS, as the key is."""
        return self.send(self.prepare(key_id, SIGN, message))

    def decrypt(self, key_id: str, sealed: bytes) -> bytes:
        """What was encrypted to the key. Raises `DoesNotDecryptError`, which counts as a use."""
        return self.send(self.prepare(key_id, DECRYPT, sealed))

    def encrypt(self, key_id: str, plaintext: bytes) -> bytes:
        """AES-256-GCM: nonce, ciphertext, tag."""
        return self.send(self.prepare(key_id, ENCRYPT, plaintext))

    def hmac(self, key_id: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return self.send(self.prepare(key_id, HMAC, message))

    def tokenise(self, key_id: str, values: Series[Any]) -> Series[Any]:
        """A token for each of `values`, with its index and name; a null has none.

        Each different value is sent and counted once, in uses of some ten thousand values.
        """
        import pandas as pd  # noqa: PLC0415 - takes longer than most commands

        from party_client.keys.tokenising import Identifiers  # noqa: PLC0415 - pyarrow

        require_usable(self._agreed.agreement, key_id, TOKENISE, self._client.identity.id)
        identifiers = Identifiers(values)
        outputs = [self.send(self.prepare(key_id, TOKENISE, one)) for one in identifiers.contents()]
        tokens = identifiers.with_tokens(outputs)
        return pd.Series(tokens.to_pylist(), index=values.index, name=values.name, dtype="object")

    def _answer(self, prepared: PreparedUse, approvals: Sequence[bytes]) -> KeyAnswer:
        client = self._client
        sealed = client.coordinator.use_key(self._job_id, prepared.call(self.enclave, approvals))
        try:
            return open_answer(
                sealed,
                request_digest=prepared.request.digest(),
                receiver=client.identity.id,
                key=client.identity.receiving_key,
                signing_key=self.enclave.keys.signing_key,
            )
        except (SealError, SignatureError, FormatError) as error:
            raise KeyAnswerError(
                f"the answer is not one of this enclave to this use: {error.message}",
                hint="send the same use again; if it stays so, the coordinator passes on something else",
            ) from error
