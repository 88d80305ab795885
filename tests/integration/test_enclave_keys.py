"""Every kind of key in an enclave that is a confined process: made and used there, and what comes out."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from protos.formats.calls import Op
from protos.formats.canonical import decode_untrusted
from protos.formats.key_answer import PublicKeys
from protos.formats.limits import MIB
from tests import key_world
from tests.integration.test_enclave_process import booted
from tests.key_world import KEYS, RSA_KEYS, identifiers, key, output

MESSAGE = b"what is to be signed"
SHA256 = hashes.SHA256()


def test_every_kind_of_key_in_the_confined_process(tmp_path: Path) -> None:
    with booted(tmp_path) as enclave:
        parent = enclave.parent
        (root,) = parent.roots
        largest = key("largest", "rsa-4096", "sign")
        agreed = key_world.agreement(root.sha256, (*KEYS, *RSA_KEYS, largest))
        parent.bind(agreed)
        body = parent.call(Op.KEYS, nonce=bytes(32)).body
        encoded = decode_untrusted(body, max_bytes=MIB, what="keys")["public_keys"]
        halves = {
            half.key: load_der_public_key(half.spki) for half in PublicKeys.decode_untrusted(encoded).keys
        }
        for key_id, half in halves.items():
            if key_id == "notary":
                continue
            if isinstance(half, rsa.RSAPublicKey) and key_id == "rsa_open":
                oaep = padding.OAEP(padding.MGF1(SHA256), SHA256, None)
                assert output(parent, agreed, key_id, "decrypt", half.encrypt(MESSAGE, oaep)) == MESSAGE
                continue
            signature = output(parent, agreed, key_id, "sign", MESSAGE)
            assert signature is not None
            if isinstance(half, rsa.RSAPublicKey):
                half.verify(signature, MESSAGE, padding.PSS(padding.MGF1(SHA256), 32), SHA256)
            elif isinstance(half, EllipticCurvePublicKey):
                chosen = SHA256 if half.curve.key_size == 256 else hashes.SHA384()
                half.verify(signature, MESSAGE, ECDSA(chosen))
            else:
                assert isinstance(half, Ed25519PublicKey)
                half.verify(signature, MESSAGE)
        sealed = output(parent, agreed, "vault", "encrypt", MESSAGE)
        assert sealed is not None
        assert output(parent, agreed, "vault", "decrypt", sealed) == MESSAGE
        assert len(output(parent, agreed, "codes", "hmac", MESSAGE) or b"") == 32
        tokens = output(parent, agreed, "tokens", "tokenise", identifiers("ann@x.org", " ANN@x.org"))
        assert tokens is not None
        assert tokens[:16] == tokens[16:]
