"""What the coordinator may ask of an enclave, and the closed list of codes with which an enclave refuses.

Names only: both sides of the socket use them, and nothing that leaves an enclave as an error says more than
one of these codes. What a call carries is in `protos/README.md`, "Calls".
"""

from __future__ import annotations

from enum import StrEnum


class Op(StrEnum):
    """The "op" of a request frame."""

    STATUS = "status"
    BIND = "bind"
    ATTEST = "attest"
    BEGIN = "begin"
    CHUNK = "chunk"
    FINISH = "finish"
    ERRAND = "errand"
    RUN = "run"
    RESULT = "result"
    RECEIPT = "receipt"
    BUDGET = "budget"
    CLOSE = "close"


class Refusal(StrEnum):
    """Why an enclave said no. The same code whatever the data: no value, count or size is in it."""

    MALFORMED = "malformed"
    """The request is not what the specification says."""
    WRONG_PHASE = "wrong-phase"
    """The enclave is not in a phase where this can be asked."""
    ALREADY_BOUND = "already-bound"
    """An enclave is bound for life to one agreement; this is another one."""
    NOT_IN_FORCE = "not-in-force"
    """Not all parties signed this agreement, or somebody else did."""
    NOT_VALID_NOW = "not-valid-now"
    """The NSM's signed time is outside the validity of the agreement, or of this release in it."""
    UNKNOWN = "unknown"
    """No such dataset, upload, run or receiver here."""
    NOT_ALLOWED = "not-allowed"
    """The agreement does not let this participant do this."""
    BAD_SIGNATURE = "bad-signature"
    """Not signed by the participant whom it is from."""
    WRONG_PLACE = "wrong-place"
    """Made for another agreement, enclave, dataset or upload."""
    DOES_NOT_OPEN = "does-not-open"
    """Sealed bytes were altered, reordered, truncated or made for another key."""
    KEY_WANTED = "key-wanted"
    """The dataset is sealed under a key in KMS that has not been fetched yet."""
    KMS_DENIED = "kms-denied"
    """KMS refused the key: its policy does not let this code under this agreement in, or not now."""
    KMS_FAILED = "kms-failed"
    """KMS was not reached, is not the one that was agreed, or answered something else than the key."""
    OUT_OF_ORDER = "out-of-order"
    """A chunk number that is not the next one; "next" says which is."""
    OVER_LIMIT = "over-limit"
    """More than the agreement or the specification allows."""
    SCHEMA_MISMATCH = "schema-mismatch"
    """The dataset is not of the agreed shape, or breaks a rule such as uniqueness."""
    TOO_SMALL = "too-small"
    """The dataset has fewer rows or privacy units than the agreement asks for."""
    MANIFEST_MISMATCH = "manifest-mismatch"
    """What arrived is not what the signed manifest says."""
    SLOT_TAKEN = "slot-taken"
    """The slot holds a complete dataset already."""
    NOT_READY = "not-ready"
    """A dataset that this query needs has not been accepted yet."""
    QUERY_REFUSED = "query-refused"
    """The agreement's query does something that its rules do not allow."""
    NO_RUNS_LEFT = "no-runs-left"
    """The agreed number of runs is used up."""
    NO_RUNS_NOW = "no-runs-now"
    """The agreed number of runs in a day, a week or a month is used up; later there will be more."""
    PRIVACY_SPENT = "privacy-spent"
    """The run would cost more than an owner's privacy budget has left."""
    OUT_OF_RESOURCES = "out-of-resources"
    """The run needs more memory than the agreement gives."""
    INTERNAL = "internal"
    """A fault of the enclave itself; it says nothing more."""
