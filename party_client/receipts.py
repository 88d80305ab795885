"""Decides whether a receipt proves what it says: offline, years later, from the one file.

Reads a file from anybody. A `VerifiedReceipt` has passed every step below; otherwise one `ConcordatError`
leaves.

    1  the file is a receipt                         4  the claims are about that agreement and fit it
    2  its agreement is well-formed                  5  an agreed release attested exactly these claims,
    3  all parties signed it, once, in order            bound to that agreement, under a trusted root

What the caller still has to do: see that the agreement is the one meant (compare its digest, or pass it), and
that its parties' keys are those of the real parties. Anybody can agree with themselves.
Followed: protos/README.md, "Receipt"; the attestation steps are those of `attestation.verifier`.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from enum import Enum
from typing import ClassVar, Final

from party_client.attestation import (
    AgreementInPcr16,
    AllOf,
    AllowedReleases,
    Anchors,
    Binding,
    EmulatorUnsafe,
    TrustedRoot,
    TrustedRoots,
    VerifiedAttestation,
    verify_replay,
)
from party_client.attestation.chain import load_certificate_untrusted
from party_client.attestation.document import parse_untrusted
from party_client.attestation.emulator import require_fitting
from party_client.attestation.errors import BindingMismatchError
from party_client.attestation.expectations import require_release
from protos.formats.agreement import Agreement
from protos.formats.approvals import AgreementInForce, verify_approvals_untrusted
from protos.formats.binding import receipt_user_data
from protos.formats.budget import IN_ALL, window_limits
from protos.formats.errors import ConcordatError
from protos.formats.identifiers import DIGEST_BYTES
from protos.formats.query import Query
from protos.formats.receipt import Claims, Receipt
from protos.plan.stakes import allowance_of
from protos.release.history import Agreed, AgreedReleases, agreed_releases

_MINT: Final = object()


class ReceiptError(ConcordatError):
    """A receipt does not prove what it says."""

    code = "receipt/refused"
    next_step: ClassVar[str] = "do not believe it; ask whoever gave it to you for the true one"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint if hint is not None else self.next_step)


class ReceiptMismatchError(ReceiptError):
    """The parts of a receipt, or a receipt and what was asked for, do not fit together."""

    code = "receipt/mismatch"
    next_step = "this is not about what you asked for: do not use the result, and fetch it again"


class ReceiptNotAttestedError(ReceiptError):
    """The claims are not those for which the enclave's document was made."""

    code = "receipt/not-attested"
    next_step = "somebody altered it after the enclave had made it: believe nothing in it, and fetch it again"


class RootFrom(Enum):
    """Why the root of trust above the attestation is believed."""

    CALLER = "a root that you trust"
    AGREEMENT = "the root that all parties named in the agreement"
    NOBODY = "no root: the UNSIGNED EMULATOR signs nothing"


@dataclass(frozen=True, kw_only=True)
class VerifiedReceipt:
    """A receipt that passed every step. Made by `verify_receipt` and nothing else."""

    receipt: Receipt
    claims: Claims
    in_force: AgreementInForce
    attestation: VerifiedAttestation
    release_name: str
    root_from: RootFrom
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("a VerifiedReceipt comes from verify_receipt, and from nowhere else")

    @property
    def agreement(self) -> Agreement:
        """The agreement under which the result was released."""
        return self.in_force.agreement


def verify_receipt(
    data: bytes, *, roots: Anchors, agreement: Agreed | None = None, believe_agreement: bool = False
) -> VerifiedReceipt:
    """The receipt in the file `data`, verified.

    With `agreement`, it must be the one in the receipt; if that has changes of its releases, they count.
    With `believe_agreement`, a root that is not among `roots` counts if its fingerprint is the one that all
    parties signed for the release; `root_from` then says so, and whoever shows the result must too. Raises
    `FormatError`, `SignatureError`, `ReceiptError` or `AttestationError`.
    """
    receipt = Receipt.decode_untrusted(data)  # step 1
    carried = Agreement.decode_untrusted(receipt.agreement)  # step 2
    agreed = agreed_releases(carried if agreement is None else agreement)
    if agreed.agreement.digest() != carried.digest():
        raise ReceiptMismatchError(
            f"the receipt is about agreement {carried.digest().hex()[:16]}…, expected "
            f"{agreed.agreement.digest().hex()[:16]}…",
            hint="compare the two with `concordat agreement diff`",
        )
    in_force = verify_approvals_untrusted(carried, receipt.approvals)  # step 3
    claims = Claims.decode_untrusted(receipt.claims)
    require_claims_fit(claims, carried)  # step 4
    require_fitting(carried.releases, roots)
    root_from = RootFrom.CALLER
    if isinstance(roots, EmulatorUnsafe):
        root_from = RootFrom.NOBODY
    elif believe_agreement and (named := _root_named(receipt, carried, roots)) is not None:
        roots, root_from = named, RootFrom.AGREEMENT
    attestation = _verify_attestation(receipt, agreed, roots)  # step 5
    release = require_release(attestation.document, attestation.root, agreed.releases)
    return VerifiedReceipt(
        receipt=receipt,
        claims=claims,
        in_force=in_force,
        attestation=attestation,
        release_name=release.name,
        root_from=root_from,
        mint=_MINT,
    )


def require_claims_fit(claims: Claims, agreement: Agreement) -> None:
    """Raises `ReceiptMismatchError` or `FormatError` unless `agreement` allows what `claims` say was done."""
    if claims.agreement_digest != agreement.digest():
        raise _mismatch("agreement", claims.agreement_digest.hex()[:16], agreement.digest().hex()[:16])
    queries = {query.id: query for query in agreement.queries}
    if claims.query not in queries:
        raise _mismatch("query", claims.query, "one of the agreement's")
    query = queries[claims.query]
    if claims.query_digest != query.digest():
        raise _mismatch("query digest", claims.query_digest.hex()[:16], query.digest().hex()[:16])
    query.require_parameters(claims.parameters)
    if claims.requested_by not in query.run_by:
        raise _mismatch("requested by", claims.requested_by, "somebody whom the query lets run")
    if sorted(claims.receivers) != sorted(query.receivers):
        raise _mismatch("receivers", ", ".join(claims.receivers), ", ".join(query.receivers))
    owners = {dataset.id: dataset.owner for dataset in agreement.datasets}
    for used in claims.datasets:
        if owners.get(used.dataset) != used.party:
            raise _mismatch(
                f"owner of {used.dataset}", used.party, owners.get(used.dataset, "no such dataset")
            )
    if claims.runs_left >= query.max_runs:
        raise _mismatch("runs left", str(claims.runs_left), f"fewer than {query.max_runs}")
    _require_budget_fits(claims, query, agreement)
    _require_privacy_fits(claims, query, agreement)
    is_first = claims.previous == bytes(DIGEST_BYTES)
    if is_first != (claims.sequence == 1):
        raise _mismatch(
            "place in the ledger", f"number {claims.sequence}", "the first one to follow no other"
        )


def _require_budget_fits(claims: Claims, query: Query, agreement: Agreement) -> None:
    bounds = list(window_limits(query, all_queries=agreement.limits.max_runs).items())
    charged = [(charge.window, charge.limit) for charge in claims.budget]
    if charged != bounds:
        raise _mismatch("budget", str(charged), str(bounds))
    left = min(charge.after for charge in claims.budget if charge.window in IN_ALL)
    if claims.runs_left != left:
        raise _mismatch("runs left", str(claims.runs_left), f"{left}, as its budget says")


def _require_privacy_fits(claims: Claims, query: Query, agreement: Agreement) -> None:
    """With noise at least one owner is charged, each one's budget is the agreed one, and no one else is."""
    agreed = [(entry.owner, entry.noise, *allowance_of(entry).in_units()) for entry in agreement.privacy]
    charged = [
        (after.owner, after.noise, after.allowed.amount, after.allowed.delta)
        for after in (charge.after for charge in claims.privacy)
    ]
    if bool(charged) != (query.noise is not None):
        got = "a charge to privacy budgets" if charged else "no charge to privacy budgets"
        raise _mismatch("privacy", got, "one if and only if the query has noise")
    if charged != [account for account in agreed if account in charged]:
        owners = ", ".join(entry.owner for entry in agreement.privacy) or "nobody"
        raise _mismatch("privacy", f"charges to {[owner for owner, *_ in charged]}", f"budgets of {owners}")


def _verify_attestation(receipt: Receipt, agreed: AgreedReleases, roots: Anchors) -> VerifiedAttestation:
    agreement = agreed.agreement
    enclave = [AllowedReleases(agreed.releases), AgreementInPcr16(agreement.digest())]
    claims = Binding(receipt_user_data(receipt.claims))
    try:
        verified = verify_replay(receipt.attestation, roots=roots, policy=AllOf([*enclave, claims]))
    except BindingMismatchError as error:
        raise ReceiptNotAttestedError(
            f"receipt: its claims are not the ones that the enclave attested ({error.message})"
        ) from error
    signed_at_s = verified.document.signed_at.timestamp()
    if not agreement.valid_from_s <= signed_at_s < agreement.valid_until_s:
        raise ReceiptMismatchError(
            f"the result was attested at {verified.document.signed_at:%Y-%m-%d %H:%M:%S} UTC, when the "
            "agreement was not valid",
            hint="the parties did not agree to a release at that time: do not use the result",
        )
    return verified


def _root_named(receipt: Receipt, agreement: Agreement, roots: TrustedRoots) -> TrustedRoots | None:
    """The root in the document's own chain, if all parties signed its fingerprint and it is new.

    The certificate comes from the document and is believed for its fingerprint alone, which is in the
    agreement; a document that brings another root finds none here.
    """
    _, document = parse_untrusted(receipt.attestation)
    top = load_certificate_untrusted(document.cabundle[0], "cabundle[0]")
    root = TrustedRoot("named in the agreement", top)
    if root.sha256 in {known.sha256 for known in roots}:
        return None
    if root.sha256 not in {release.root_sha256 for release in agreement.releases}:
        return None
    return TrustedRoots((root,))


def _mismatch(what: str, got: str, wanted: str) -> ReceiptMismatchError:
    return ReceiptMismatchError(f"receipt: {what}: got {got}, expected {wanted}")
