"""Treacheries with enclaves: something else answers than the enclave that was agreed on."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from protos.formats.binding import KeyBundle, attestation_user_data
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief
from scenarios.hostile.recordings import Evidence
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.pcrs import PcrBank
from scenarios.machine.pki import load_or_create_root

_PCR16 = 16


class KeysSwapped(Mischief):
    """The man in the middle: the document is genuine, the key is his."""

    name = "keys-swapped"
    deed = "hands out the enclave's genuine document with a key of its own"
    attacks = (36,)
    code = "attestation/binding-mismatch"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:
        """A bundle to whose datasets the operator has the key."""
        genuine = super().evidence(at, job, nonce)
        keys = KeyBundle.decode_untrusted(genuine.key_bundle)
        swapped = replace(keys, hpke_public_key=at.operator.receiving_key.public_key)
        return replace(genuine, key_bundle=swapped.encode())


class OldDocument(Mischief):
    """A genuine answer to somebody's earlier challenge."""

    name = "old-document"
    deed = "replays an attestation document of an earlier enclave"
    attacks = (1, 2)
    code = "attestation/nonce-mismatch"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002 - the nonce is ignored
        """The first one that was ever seen. Its nonce was somebody's then, and cannot be this one."""
        return at.first_job.evidence[0]


class OwnRoot(Mischief):
    """No enclave at all: a program that signs what an enclave would say."""

    name = "own-root"
    deed = "writes the document itself, with all the right values, under a root of its own"
    attacks = (6, 17)
    code = "attestation/untrusted-root"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002 - there is no enclave
        """A perfect document but for who vouches for it."""
        module_id = ModuleId.random()
        release = at.agreement.releases[0]
        pcrs = PcrBank(
            pcr0=release.pcr0, pcr1=release.pcr1, pcr2=release.pcr2, instance_id=module_id.instance_id
        )
        pcrs.extend(_PCR16, at.agreement.digest())
        pcrs.lock(_PCR16)
        keys = KeyBundle(bytes(16), at.operator.receiving_key.public_key, at.operator.public.signing_key)
        user_data = attestation_user_data(at.agreement.digest(), keys.encode(), keys.enclave_id)
        with tempfile.TemporaryDirectory() as folder:
            signer = DocumentSigner(load_or_create_root(Path(folder)), module_id)
        return Evidence(signer.sign(pcrs.locked(), user_data=user_data, nonce=nonce), keys.encode())


class DebugMode(Mischief):
    """The agreed image with its console open."""

    name = "debug-mode"
    deed = "runs the agreed image in debug mode, where it can read along"
    attacks = (3,)
    code = "attestation/debug-mode"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002 - of another enclave
        """Of an enclave whose registers 0, 1 and 2 are zeros."""
        return at.debug_enclave.attest(nonce)


class ChangedCode(Mischief):
    """Almost the agreed image."""

    name = "changed-code"
    deed = "runs the enclave with one changed line, which lets every row out"
    attacks = (4,)
    code = "attestation/measurement-mismatch"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002 - of another enclave
        """Of an enclave that measures something else."""
        return at.altered_enclave.attest(nonce)


class AnotherAgreementOnTheGenuineImage(Mischief):
    """Genuine code that serves other people."""

    name = "another-agreement"
    deed = "binds the genuine image to an agreement of its own, with the parties' names on its own keys"
    attacks = (10,)
    code = "attestation/agreement-mismatch"

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002 - of another enclave
        """Of an enclave that would release to the operator's keys."""
        return at.impostors_enclave.attest(nonce)
