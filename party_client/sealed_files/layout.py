"""How a sealed file is laid out: a first line, then records with their lengths, and a signed end.

first line ‖ signed header ‖ chunk 0 ‖ chunk 1 ‖ … ‖ length 0 ‖ signed manifest ‖ signed end. The end is the
owner's signature over a digest of every byte before it, so that a copy can be told from a damaged one without
the data key. Followed: protos/README.md, "Sealed file".
"""

from __future__ import annotations

from typing import Final

from protos.formats.canonical import decode_map_untrusted, encode, require_bytes
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES
from protos.formats.limits import AEAD_TAG_BYTES, CHUNK_CIPHERTEXT_MAX_BYTES, KIB

END_LABEL: Final = "concordat/sealed-file/v1"
FIRST_LINE: Final = b"concordat/sealed-file/v1\n"
LENGTH_BYTES: Final = 4
CHUNK_MIN_BYTES: Final = AEAD_TAG_BYTES + 1
CHUNK_MAX_BYTES: Final = CHUNK_CIPHERTEXT_MAX_BYTES
END_MAX_BYTES: Final = KIB


class SealedFileError(FormatError):
    """A file is no sealed dataset, not all of one, or not as its owner signed it."""

    code = "sealed-file/malformed"


def end_payload(digest: bytes) -> bytes:
    """What the owner signs last: SHA-384 of every byte before that signature's record."""
    return encode({"label": END_LABEL, "digest": digest})


def end_digest_untrusted(payload: bytes) -> bytes:
    """The digest in the payload of a signed end."""
    fields = decode_map_untrusted(
        payload, label=END_LABEL, keys=frozenset({"digest"}), max_bytes=END_MAX_BYTES
    )
    return require_bytes(fields["digest"], what="digest of the file", length=DIGEST_BYTES)
