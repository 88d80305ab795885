"""Ties this enclave to one agreement for life, in a register that anybody can check from outside.

Reads the coordinator's copy of the agreement and of whatever was pinned to it as approvals: the first genuine
one of each party counts, and a stranger's neither counts nor harms. After `bind` PCR16 is SHA-384(48 zero
bytes followed by the agreement's digest) and locked, so every attestation document shows it and a party's own
KMS can demand it. The register is only touched when everything else has been verified. An enclave whose own
registers are those of a release in the agreement serves no longer than that release is valid; whether it is
of one at all is for the parties to check, who may have agreed on others since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from enclave_compute.clock import NsmClock
from enclave_compute.errors import RefusedError
from enclave_compute.nsm import Nsm
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.approvals import genuine_approvals_untrusted, verify_approvals_untrusted
from protos.formats.calls import Refusal
from protos.formats.canonical import decode_untrusted, require_bytes, require_fields, require_list
from protos.formats.errors import SignatureError
from protos.formats.participants import Release
from protos.plan import Plan, QueryRefusedError, compile_query

AGREEMENT_PCR: Final = 16
_CODE_PCRS: Final = (0, 1, 2)
_BIND_MAX_BYTES: Final = limits.AGREEMENT_MAX_BYTES + limits.APPROVALS_MAX * (limits.APPROVAL_MAX_BYTES + 8)


@dataclass(frozen=True)
class BindRequest:
    """The body of a bind call."""

    agreement: bytes
    approvals: tuple[bytes, ...]

    @classmethod
    def decode_untrusted(cls, body: bytes) -> BindRequest:
        """Parse; `FormatError` for anything else."""
        value = decode_untrusted(body, max_bytes=_BIND_MAX_BYTES, what="bind")
        fields = require_fields(value, frozenset({"agreement", "approvals"}), what="bind")
        approvals = require_list(fields["approvals"], what="approvals", max_items=limits.APPROVALS_MAX)
        return cls(
            agreement=require_bytes(
                fields["agreement"], what="agreement", max_length=limits.AGREEMENT_MAX_BYTES
            ),
            approvals=tuple(
                require_bytes(item, what="approval", max_length=limits.APPROVAL_MAX_BYTES)
                for item in approvals
            ),
        )


@dataclass(frozen=True)
class Bound:
    """An agreement that this enclave is bound to, with the plan of each of its queries."""

    agreement: Agreement
    digest: bytes
    agreement_bytes: bytes
    approvals: tuple[bytes, ...]
    """One of each party, in their order: they go into receipts."""
    plans: dict[str, Plan]
    own_releases: tuple[Release, ...]
    """Those of the agreement that are this very code, whatever their root; none if it was agreed on later."""


def bind(request: BindRequest, *, nsm: Nsm, clock: NsmClock) -> Bound:
    """Verify, then extend PCR16 and lock it. Raises `RefusedError` or `FormatError`; then nothing changed."""
    agreement = Agreement.decode_untrusted(request.agreement)
    approvals = genuine_approvals_untrusted(agreement, request.approvals)
    try:
        in_force = verify_approvals_untrusted(agreement, approvals)
    except SignatureError as error:
        raise RefusedError(Refusal.NOT_IN_FORCE, error.message) from error
    own_releases = _own_releases(agreement, nsm)
    require_valid_now(agreement, own_releases, clock)
    plans = _compile(agreement)
    _lock(nsm, in_force.digest)
    return Bound(agreement, in_force.digest, request.agreement, approvals, plans, own_releases)


def require_valid_now(agreement: Agreement, own_releases: Sequence[Release], clock: NsmClock) -> None:
    """Raises `RefusedError` when agreement or own release are not valid, by the security module's clock."""
    now_s = clock.now_s()
    if not agreement.valid_from_s <= now_s < agreement.valid_until_s:
        raise RefusedError(Refusal.NOT_VALID_NOW, "outside the agreement's validity")
    if own_releases and not any(release.is_valid_at(now_s) for release in own_releases):
        raise RefusedError(Refusal.NOT_VALID_NOW, "outside the validity of this enclave's release")


def _own_releases(agreement: Agreement, nsm: Nsm) -> tuple[Release, ...]:
    code = tuple(nsm.describe_pcr(index).data for index in _CODE_PCRS)
    return tuple(
        release for release in agreement.releases if (release.pcr0, release.pcr1, release.pcr2) == code
    )


def _compile(agreement: Agreement) -> dict[str, Plan]:
    # Now rather than at the first run: a query that may not run is found before anybody sends data.
    try:
        return {query.id: compile_query(agreement, query) for query in agreement.queries}
    except QueryRefusedError as error:
        raise RefusedError(Refusal.QUERY_REFUSED, error.message) from error


def _lock(nsm: Nsm, digest: bytes) -> None:
    state = nsm.describe_pcr(AGREEMENT_PCR)
    if state.locked or any(state.data):
        raise RefusedError(Refusal.ALREADY_BOUND, "PCR16 is not fresh: this enclave has been bound before")
    nsm.extend_pcr(AGREEMENT_PCR, digest)
    nsm.lock_pcr(AGREEMENT_PCR)
