"""Whether a run is allowed, and what it releases: a signed request in, a receipt and sealed results out.

Reads a request that a participant signed and the coordinator carried. What comes out of the data has been
through `disclosure`; here it is described in claims, attested, and sealed to each receiver of the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enclave_compute import disclosure
from enclave_compute.binding import Bound, require_valid_now
from enclave_compute.clock import NsmClock
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.ledger import Ledger, Release
from enclave_compute.nsm import Nsm
from protos.formats import cose, limits
from protos.formats.binding import receipt_user_data
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, SignatureError
from protos.formats.participants import Participant
from protos.formats.query import ParameterValue, Query
from protos.formats.receipt import Claims, Receipt, UsedDataset
from protos.formats.result import ResultContext, result_digest, seal_result
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest


@dataclass(frozen=True)
class _Allowed:
    """A request that the agreement allows, with its parameters checked."""

    request: RunRequest
    signed_request: bytes
    query: Query
    parameters: Mapping[str, ParameterValue]


class Runs:
    """The runs of one enclave life. Not thread-safe: the caller lets one run at a time in."""

    def __init__(self, bound: Bound, *, keys: EnclaveKeys, engine: Engine, nsm: Nsm, clock: NsmClock) -> None:
        self._bound = bound
        self._keys = keys
        self._engine = engine
        self._nsm = nsm
        self._clock = clock
        self._ledger = Ledger(bound.agreement)

    def released(self, run_id: bytes) -> Release:
        """What run `run_id` released. Raises `RefusedError` when there is no such run."""
        release = self._ledger.release(run_id)
        if release is None:
            raise RefusedError(Refusal.UNKNOWN, "no such run")
        return release

    def run(self, signed_request: bytes, used: tuple[UsedDataset, ...]) -> Release:
        """Carry out the request over the `used` datasets, or give back what it released before."""
        allowed = self._require_allowed(signed_request)
        if (earlier := self._ledger.release(allowed.request.run_id)) is not None:
            if earlier.signed_request != signed_request:
                raise RefusedError(Refusal.WRONG_PLACE, "this run id stands for another request")
            return earlier
        require_valid_now(self._bound.agreement, self._clock)
        runs_left = self._ledger.require_runs_left(allowed.query)
        plan = self._bound.plans[allowed.query.id]
        released = disclosure.release(self._engine, plan, allowed.parameters)
        claims = self._claims(allowed, released, used, runs_left)
        release = self._seal(allowed, released.table_ipc, claims)
        self._ledger.write(claims, release)
        return release

    def _require_allowed(self, signed_request: bytes) -> _Allowed:
        asker, request = self._verify_request(signed_request)
        agreement = self._bound.agreement
        if (request.agreement_digest, request.enclave_id) != (self._bound.digest, self._keys.enclave_id):
            raise RefusedError(Refusal.WRONG_PLACE, "the request is for another agreement or enclave")
        try:
            query = agreement.query(request.query)
        except KeyError as error:
            raise RefusedError(Refusal.UNKNOWN, "no such query in the agreement") from error
        if request.requested_by != asker.id or asker.id not in query.run_by:
            raise RefusedError(Refusal.NOT_ALLOWED, f"{asker.id} may not run {query.id}")
        try:
            parameters = query.require_parameters(request.parameters)
        except FormatError as error:
            raise RefusedError(Refusal.NOT_ALLOWED, error.message) from error
        return _Allowed(request, signed_request, query, parameters)

    def _verify_request(self, signed_request: bytes) -> tuple[Participant, RunRequest]:
        agreement = self._bound.agreement
        most = limits.RUN_REQUEST_MAX_BYTES
        kid = cose.signer_untrusted(signed_request, max_bytes=most, what="run request")
        people = {
            cose.key_id(person.signing_key): person for person in (*agreement.parties, *agreement.analysts)
        }
        if kid not in people:
            raise RefusedError(Refusal.BAD_SIGNATURE, "signed by nobody of the agreement")
        asker = people[kid]
        try:
            payload = cose.verify_untrusted(
                signed_request, typ=RUN_REQUEST_LABEL, public_key=asker.signing_key, max_bytes=most
            )
        except SignatureError as error:
            raise RefusedError(Refusal.BAD_SIGNATURE, error.message) from error
        return asker, RunRequest.decode_untrusted(payload)

    def _claims(
        self,
        allowed: _Allowed,
        released: disclosure.Released,
        used: tuple[UsedDataset, ...],
        runs_left: int,
    ) -> Claims:
        sequence, previous = self._ledger.next_entry()
        return Claims(
            agreement_digest=self._bound.digest,
            enclave_id=self._keys.enclave_id,
            run_id=allowed.request.run_id,
            query=allowed.query.id,
            query_digest=allowed.query.digest(),
            parameters=allowed.parameters,
            requested_by=allowed.request.requested_by,
            receivers=allowed.query.receivers,
            datasets=used,
            suppressed=released.suppressed,
            result_digest=result_digest(released.table_ipc),
            sequence=sequence,
            previous=previous,
            runs_left=runs_left,
        )

    def _seal(self, allowed: _Allowed, table_ipc: bytes, claims: Claims) -> Release:
        encoded = claims.encode()
        receipt = Receipt(
            claims=encoded,
            attestation=self._nsm.attest(user_data=receipt_user_data(encoded)),
            agreement=self._bound.agreement_bytes,
            approvals=self._bound.approvals,
        )
        sealed_results = {}
        for receiver in allowed.query.receivers:
            context = ResultContext(self._bound.digest, self._keys.enclave_id, claims.run_id, receiver)
            key = self._bound.agreement.participant(receiver).receiving_key
            sealed_results[receiver] = seal_result(table_ipc, context=context, receiving_key=key).encode()
        return Release(allowed.signed_request, receipt.encode(), sealed_results)
