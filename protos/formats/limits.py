"""Every bound on foreign input, with its unit, in one place.

All bounds are inclusive: a value equal to the limit is accepted.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Attestation (AWS "attestation_process.md"; the NSM driver's response buffer is 0x3000 bytes).
ATTESTATION_DOCUMENT_MAX_BYTES: Final = 12 * KIB
NONCE_BYTES: Final = 32
USER_DATA_EMIT_MAX_BYTES: Final = 512
USER_DATA_ACCEPT_MAX_BYTES: Final = 1024

# Agreement and approvals.
AGREEMENT_MAX_BYTES: Final = MIB
APPROVAL_MAX_BYTES: Final = 4 * KIB
PARTIES_MAX: Final = 64
# Of the engine, in one enclave.
THREADS_MAX: Final = 128
# Of one agreement, genuine or not: what a board keeps and an enclave looks through.
APPROVALS_MAX: Final = 4 * PARTIES_MAX
DATASETS_MAX: Final = 64
COLUMNS_MAX: Final = 2_000
QUERIES_MAX: Final = 256
SQL_MAX_CHARACTERS: Final = 20_000
SQL_MAX_DEPTH: Final = 60
NAME_MAX_CHARACTERS: Final = 64
TEXT_MAX_CHARACTERS: Final = 4_000

# Differential privacy. More than e^20 = 485 million would hardly be a promise.
EPSILON_MIN: Final = Fraction(1, 10**6)
EPSILON_MAX: Final = Fraction(20)
DELTA_MIN: Final = Fraction(1, 10**30)
DELTA_MAX: Final = Fraction(1, 1000)
NOISY_CELLS_MAX: Final = 2**18

# Sealed datasets. A chunk travels as one gRPC message and one frame.
CHUNK_PLAINTEXT_MAX_BYTES: Final = MIB
AEAD_TAG_BYTES: Final = 16
CHUNK_CIPHERTEXT_MAX_BYTES: Final = CHUNK_PLAINTEXT_MAX_BYTES + AEAD_TAG_BYTES
CHUNKS_MAX: Final = 2**24
CHUNK_MAX_ROWS: Final = 2**20
SEALED_HEADER_MAX_BYTES: Final = 8 * KIB
KMS_CIPHERTEXT_MAX_BYTES: Final = 6144  # of `CiphertextBlob` (AWS KMS API Reference)
MANIFEST_MAX_BYTES: Final = 4 * KIB
CELL_MAX_BYTES: Final = 64 * KIB

# Errands: TLS records on their way between an enclave and a party's KMS, and what comes in them.
ERRANDS_MAX: Final = 16
ERRAND_STEPS_MAX: Final = 64
ERRAND_FRAME_MAX_BYTES: Final = 64 * KIB
ERRAND_MAX_BYTES: Final = 256 * KIB
CREDENTIALS_MAX_BYTES: Final = 10 * KIB
KMS_ANSWER_MAX_BYTES: Final = 64 * KIB
KMS_MESSAGE_MAX_BYTES: Final = 8 * KIB  # CiphertextForRecipient; of a data key it is some 500 bytes

# Results and receipts.
RESULT_MAX_BYTES: Final = 32 * MIB - 4  # with its 4-byte length it fills the largest bucket
RECEIPT_MAX_BYTES: Final = 4 * MIB
RUN_REQUEST_MAX_BYTES: Final = 16 * KIB
BUDGET_MAX_BYTES: Final = 128 * KIB

# State that outlives its enclave. A record has the claims of a run (64 KiB) and its request, or all keys.
STATE_RECORD_MAX_BYTES: Final = 256 * KIB
STATE_RECORDS_MAX: Final = 2**16
STATE_STATEMENT_MAX_BYTES: Final = 4 * KIB

# Uses of keys that stay in the enclave. An input and its salt fill no more than a bucket of 1 MiB.
KEY_INPUT_MAX_BYTES: Final = MIB - KIB
KEY_REQUEST_MAX_BYTES: Final = 4 * KIB
KEY_CALL_MAX_BYTES: Final = MIB + 512 * KIB
KEY_ANSWER_MAX_BYTES: Final = MIB + 8 * KIB
PUBLIC_KEYS_MAX_BYTES: Final = 64 * KIB

# Frames between the coordinator and the enclave.
FRAME_HEADER_MAX_BYTES: Final = 8 * KIB
FRAME_BODY_MAX_BYTES: Final = 36 * MIB
