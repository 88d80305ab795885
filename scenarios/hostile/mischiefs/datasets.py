"""Treacheries with datasets on their way: whose they are, whole, in order, in their place, and arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from protos.formats import cose
from protos.formats.binding import KeyBundle
from protos.formats.limits import NONCE_BYTES
from protos.formats.sealed import ACCEPTANCE_LABEL, MANIFEST_LABEL, Manifest, acceptance_payload
from scenarios.hostile.forgery import sealed_dataset
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief, Refuser
from scenarios.hostile.recordings import Part, SealedUpload

_OWN_ROWS = 20


class DatasetOfItsOwn(Mischief):
    """Anybody can seal to an enclave; whose dataset it is, the signature says."""

    name = "dataset-of-its-own"
    deed = "puts a dataset of its own into the publisher's place"
    attacks = (11, 14)
    refuser = Refuser.ENCLAVE
    code = "bad-signature"

    def forwarded(self, at: Holdings, job: Job, upload: SealedUpload) -> SealedUpload:
        """Readers that the operator made up, sealed as well as the publisher could."""
        emails = [f"invented{row}@example.org" for row in range(_OWN_ROWS)]
        rows = pd.DataFrame({"email": emails, "segment": ["chess"] * _OWN_ROWS})
        return sealed_dataset(at, job, upload.dataset, rows, by=at.impostors["publisher"])


class DatasetOfAnEarlierJob(Mischief):
    """What the publisher sent once, sent again without asking."""

    name = "dataset-of-an-earlier-job"
    deed = "replays the dataset that the publisher sealed for an earlier job"
    attacks = (13,)
    refuser = Refuser.ENCLAVE
    code = "wrong-place"

    def forwarded(self, at: Holdings, job: Job, upload: SealedUpload) -> SealedUpload:  # noqa: ARG002
        """The earlier upload, genuine from header to manifest."""
        return at.first_job.upload_of(upload.dataset)


class _Rearranges(Mischief):
    """Hands on other parts than it got, under the publisher's own header and manifest."""

    attacks = (12,)
    refuser = Refuser.ENCLAVE
    code = "does-not-open"

    def forwarded(self, at: Holdings, job: Job, upload: SealedUpload) -> SealedUpload:  # noqa: ARG002
        """The upload with its parts rearranged."""
        return replace(upload, parts=tuple(self.rearranged(upload.parts)))

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """What the enclave gets in the place of `parts`."""
        raise NotImplementedError


class ChunkDropped(_Rearranges):
    """Clumsily: the gap shows."""

    name = "chunk-dropped"
    deed = "drops a chunk and hands on the rest"
    code = "out-of-order"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """Without the second."""
        return [parts[0], *parts[2:]]


class ChunkSwallowed(_Rearranges):
    """The gap is closed by counting anew."""

    name = "chunk-swallowed"
    deed = "drops a chunk and numbers the rest anew"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """Without the second, and nobody sees a gap."""
        return _numbered([parts[0], *parts[2:]])


class ChunksSwapped(_Rearranges):
    """The same rows in another order."""

    name = "chunks-swapped"
    deed = "hands on two chunks in the wrong order"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """The first two change places."""
        return _numbered([parts[1], parts[0], *parts[2:]])


class ChunkTwice(_Rearranges):
    """So that some people count twice."""

    name = "chunk-twice"
    deed = "hands on a chunk twice, so that its rows count twice"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """The first once more, as if it were another."""
        return _numbered([parts[0], parts[0], *parts[1:]])


class DatasetCutShort(_Rearranges):
    """So that some people do not count."""

    name = "dataset-cut-short"
    deed = "leaves the end of the dataset away"
    code = "manifest-mismatch"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """Without the last."""
        return parts[:-1]


class CutSaidToBeTheEnd(_Rearranges):
    """The same, and says that this was all."""

    name = "cut-said-to-be-the-end"
    deed = "leaves the end away and marks the chunk before it as the last"

    def rearranged(self, parts: tuple[Part, ...]) -> Sequence[Part]:
        """Without the last, and the one before it takes its place."""
        return [*parts[:-2], replace(parts[-2], last=True)]


class ChunkOfAnEarlierJob(Mischief):
    """The same party, the same dataset, the same place in it; another job."""

    name = "chunk-of-an-earlier-job"
    deed = "splices a chunk in that the publisher sealed for an earlier job"
    attacks = (12,)
    refuser = Refuser.ENCLAVE
    code = "does-not-open"

    def forwarded(self, at: Holdings, job: Job, upload: SealedUpload) -> SealedUpload:  # noqa: ARG002
        """The second chunk is the earlier second chunk."""
        earlier = at.first_job.upload_of(upload.dataset)
        return replace(upload, parts=(upload.parts[0], earlier.parts[1], *upload.parts[2:]))


class AcceptanceForged(Mischief):
    """Everything arrived, says the one that threw it away."""

    name = "acceptance-forged"
    deed = "delivers nothing and signs the acceptance itself"
    attacks = (11,)
    code = "upload/not-accepted"

    def acceptance(self, at: Holdings, job: Job, upload: SealedUpload) -> bytes:
        """What the enclave would say, but for the key."""
        keys = KeyBundle.decode_untrusted(job.enclave.attest(bytes(NONCE_BYTES)).key_bundle)
        publisher = at.agreement.participant(at.agreement.dataset(upload.dataset).owner)
        signed = cose.verify_untrusted(
            upload.signed_manifest,
            typ=MANIFEST_LABEL,
            public_key=publisher.signing_key,
            max_bytes=len(upload.signed_manifest),
        )
        payload = acceptance_payload(Manifest.decode_untrusted(signed).digest(), keys.enclave_id)
        return cose.sign(payload, typ=ACCEPTANCE_LABEL, key=at.operator.signing_key)


class AcceptanceOfAnEarlierJob(Mischief):
    """A genuine acceptance, of the same rows, by another enclave."""

    name = "acceptance-of-an-earlier-job"
    deed = "delivers nothing and hands out the acceptance of an earlier job"
    attacks = (11, 13)
    code = "upload/not-accepted"

    def acceptance(self, at: Holdings, job: Job, upload: SealedUpload) -> bytes:  # noqa: ARG002 - throws it away
        """What the earlier enclave said of the earlier upload."""
        return at.first_job.acceptances[upload.dataset]


def _numbered(parts: Sequence[Part]) -> list[Part]:
    return [replace(part, number=number) for number, part in enumerate(parts)]
