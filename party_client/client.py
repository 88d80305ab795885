"""The Python interface of a party or an analyst: everything the command does, as one typed object.

Nothing the coordinator says is believed: `upload` verifies the enclave before it seals, `result` verifies the
receipt before it opens, `witness` compares with what was seen before. Raises `ConcordatError` subclasses,
nothing else.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from party_client.agreements import approval_by, sign
from party_client.attestation import Anchors, TrustedRoots, VerifiedEnclave
from party_client.budgets import budget_request, verify_budget_untrusted
from party_client.datasets import CsvSettings, open_source
from party_client.deposits import Deposited, Depositing, DepositState, deposit_states
from party_client.identity import Identity
from party_client.job_enclave import verify_job_enclave, verify_waiting_enclave
from party_client.jobs import wait_until_running
from party_client.keys.job_keys import JobKeys
from party_client.release_memory import require_not_older
from party_client.results import Expected, Result, open_verified
from party_client.runs import (
    RunInterruptedError,
    RunLostError,
    RunPendingError,
    RunRefusedError,
    require_dataset,
    require_runnable,
)
from party_client.state_memory import StateMemory, remember_budget, remember_claims
from party_client.transport import Coordinator, DeadlineError, TransportError, UnavailableError
from party_client.upload import Acceptance, Upload
from party_client.witnessing import Decided, Statement, make_statement, verify_proposal_untrusted
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.budget import Budget
from protos.formats.errors import FormatError
from protos.formats.identifiers import RUN_ID_BYTES
from protos.formats.limits import KIB, RESULT_MAX_BYTES
from protos.formats.query import ParameterValue
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.release.history import Agreed, agreed_releases
from protos.v1 import concordat_pb2 as wire

if TYPE_CHECKING:
    from pandas import DataFrame

STATE_VARIABLE: Final = "CONCORDAT_HOME"
RUN_WAIT_S: Final = 3600.0
_POLL_LEAST_S, _POLL_MOST_S = 0.02, 1.0
_POLL_SHARE: Final = 1 / 16
"""Of the time waited so far: the pause before the next question, so that no run is seen much too late."""
_SEALED_RESULT_MAX_BYTES: Final = RESULT_MAX_BYTES + 64 * KIB


def utc_now() -> datetime:
    """The computer's clock."""
    return datetime.now(UTC)


def default_state() -> Path:
    """Where unfinished uploads and release changes are remembered unless somebody says otherwise."""
    return Path(os.environ.get(STATE_VARIABLE) or Path.home() / ".concordat")


@dataclass(frozen=True, kw_only=True)
class UploadOptions:
    """How a dataset is read and sent; the defaults are right for most."""

    csv: CsvSettings | None = None
    ignore_extra: bool = False
    """Leave columns out that are not in the agreement, instead of refusing them."""
    compression: str | None = None
    """"none" or "zstd"; None: zstd unless the coordinator is on this machine."""
    restart: bool = False
    """Forget an unfinished upload of this dataset."""
    progress: Callable[[int], None] = lambda _: None
    notify: Callable[[str], None] = lambda _: None


class Client:
    """What one identity does through one coordinator. Not to be shared between threads.

    Everybody has the agreement (read with `load_agreed` if its releases may have changed), and the root of
    trust if the enclave is simulated (AWS's is built in). `address` is the coordinator's HOST:PORT, and the
    folder `tls` has everybody's certificate.

    >>> from pathlib import Path
    >>> from party_client import Client, Identity, TrustedRoots, load_agreement
    >>> agreement = load_agreement("reach.agreement")
    >>> roots = TrustedRoots.from_pem(Path("simulated-root.pem").read_bytes(), name="simulated")
    >>> def client_of(who):
    ...     return Client.connect(address, identity=Identity.load(f"{who}.key"), tls="tls", roots=roots)

    All parties sign the agreement; then an enclave can be bound to it.

    >>> with client_of("publisher") as client:
    ...     client.put_agreement(agreement)
    ...     approval = client.approve(agreement)
    >>> with client_of("advertiser") as client:
    ...     approval = client.approve(agreement)
    ...     job = client.start_job(agreement)

    Each owner sends its dataset: a CSV or Parquet file, or a pandas DataFrame.

    >>> with client_of("publisher") as client:
    ...     accepted = client.upload(job, agreement, "visits", "visits.csv")
    >>> with client_of("advertiser") as client:
    ...     accepted = client.upload(job, agreement, "purchases", "purchases.csv")
    >>> accepted.manifest.rows, accepted.enclave.release_name
    (5, 'test')

    The analyst asks, and gets what was agreed.

    >>> with client_of("analyst") as client:
    ...     run = client.run(job, agreement, "totals", {"least": 0})
    ...     result = client.result(job, agreement, run)
    >>> result.frame
      segment  purchases  total
    0   sport          3     60
    >>> result.suppressed[0].rule, result.suppressed[0].groups_at_most
    ('fewer than 2 distinct visits.email of publisher', 10)
    >>> result.save("totals.csv")
    """

    def __init__(
        self,
        coordinator: Coordinator,
        identity: Identity,
        *,
        roots: Anchors,
        state: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`roots` are the authorities whose attestation counts; `state` is this party's own folder.

        `EmulatorUnsafe` in place of roots is for agreements with the unsigned emulator, and refuses others.
        """
        self.coordinator: Final = coordinator
        self.identity: Final = identity
        self.roots: Final = roots
        self.state: Final = state if state is not None else default_state()
        self.clock: Final = clock
        self._states: Final = self.state / "states"

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        identity: Identity,
        tls: Path | str | None = None,
        roots: Anchors | None = None,
        state: Path | None = None,
    ) -> Client:
        """A client of the coordinator at HOST:PORT, over TLS with the certificate of the identity's id.

        `tls` is the folder with ca.pem, ID.pem and ID.key.pem; without it only a coordinator on this machine
        is spoken to. `roots` are AWS's unless others are given. Leave it as a context manager, or `close` it.
        """
        if tls is None:
            coordinator = Coordinator.in_plaintext(address)
        else:
            coordinator = Coordinator.over_tls(address, Path(tls), identity.id)
        return cls(coordinator, identity, roots=TrustedRoots.aws() if roots is None else roots, state=state)

    def close(self) -> None:
        """Ends the connection."""
        self.coordinator.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put_agreement(self, agreement: Agreement) -> None:
        """Pins the agreement to the coordinator's board, for the other parties to fetch and sign."""
        stored = self.coordinator.put_agreement(agreement.encode())
        if stored != agreement.digest():
            raise FormatError("the coordinator stored another agreement than the one that was sent")

    def approve(self, agreement: Agreement) -> bytes:
        """Signs the agreement as this identity and pins the approval; the signed message.

        Signs once: an approval of this identity's that is on the board already is pinned again instead, for
        whoever pinned it there may take it down. Raises `NotAPartyError`, `ExpiredError`, and for the
        unsigned emulator, accepted or not, what `sign` raises.
        """
        stored = self.coordinator.get_agreement(agreement.digest())
        approval = approval_by(agreement, self.identity.id, stored.approvals)
        if approval is None:
            approval = sign(agreement, self.identity, now=self.clock(), roots=self.roots)
        self.coordinator.put_approval(agreement.digest(), approval)
        return approval

    def start_job(self, agreement: Agreement) -> str:
        """Asks for an enclave and waits until it says that it is bound to the agreement; the job's id.

        Raises `JobNotRunningError`. Whether it is true is for `verify`, which `upload` and `run` call.
        """
        job = self.coordinator.start_job(agreement.digest())
        return wait_until_running(self.coordinator, job.job_id).job_id

    def verify(self, job_id: str, agreement: Agreed) -> VerifiedEnclave:
        """Challenges the job's enclave with a fresh nonce and verifies its answer: all eleven steps.

        Raises `AttestationError`, or `ReleaseChangeError` when the agreement lacks a change of its releases
        that this party's `state` remembers.
        """
        agreed = agreed_releases(agreement)
        require_not_older(agreed, self.state / "releases")
        return verify_job_enclave(self.coordinator, job_id, agreed, roots=self.roots, now=self.clock())

    def upload(
        self,
        job_id: str,
        agreement: Agreed,
        dataset_id: str,
        data: Path | str | DataFrame,
        options: UploadOptions | None = None,
    ) -> Acceptance:
        """Verifies the enclave, then reads, seals and sends a dataset, or the rest of an interrupted one.

        Raises `DatasetError`, `AttestationError`, `UploadError` or `TransportError`.
        """
        options = options or UploadOptions()
        local = "none" if self.coordinator.is_local else "zstd"
        return Upload(
            coordinator=self.coordinator,
            job_id=job_id,
            verify=lambda: self.verify(job_id, agreement),
            dataset=require_dataset(agreed_releases(agreement).agreement, dataset_id),
            identity=self.identity,
            source=open_source(data, csv=options.csv, ignore_extra=options.ignore_extra),
            journals=self.state / "uploads",
            compression=options.compression or local,
            progress=options.progress,
            notify=options.notify,
            restart=options.restart,
        ).send()

    def deposit(
        self, agreement: Agreed, path: Path | str, progress: Callable[[int], None] = lambda _: None
    ) -> Deposited:
        """Leaves a file that `seal_dataset` made with the coordinator, for enclaves that come later.

        Anybody may, not only the owner. Raises `SealedFileError`, `SignatureError`, `UploadInterruptedError`
        or `TransportError`.
        """
        return Depositing(
            coordinator=self.coordinator,
            agreement=agreed_releases(agreement).agreement,
            path=Path(path),
            progress=progress,
        ).send()

    def deposits(self, agreement: Agreed) -> list[DepositState]:
        """What waits with the coordinator under an agreement, and which of it an enclave accepted.

        That is proved where the acceptance is this client's to see and its job's enclave still there; all
        else is the coordinator's word.
        """
        agreed = agreed_releases(agreement)
        require_not_older(agreed, self.state / "releases")

        def verify(job_id: str) -> VerifiedEnclave:
            return verify_job_enclave(self.coordinator, job_id, agreed, roots=self.roots, now=self.clock())

        listed = self.coordinator.list_deposits(agreed.agreement.digest())
        return list(deposit_states(listed, verify))

    def withdraw(self, agreement: Agreed, upload_id: bytes, *, deposited_by: str = "") -> None:
        """Asks the coordinator to delete a deposit: one's own, or as its operator that of another caller.

        It may keep a copy all the same. What ends that one is the owner's key.
        """
        digest = agreed_releases(agreement).agreement.digest()
        self.coordinator.remove_deposit(digest, upload_id, deposited_by=deposited_by)

    def run(
        self,
        job_id: str,
        agreement: Agreed,
        query_id: str,
        parameters: Mapping[str, ParameterValue] | None = None,
        *,
        run_id: bytes | None = None,
        enclave: VerifiedEnclave | None = None,
    ) -> bytes:
        """Asks for a run of a query and waits until it is released; its id (16 bytes).

        Asking again with the same `run_id` gives the same run. `enclave` is one that was verified a moment
        ago; without it, the job's is verified now. Raises `RunError` when the run was refused, and, with its
        id, when the waiting was broken off.
        """
        agreed = agreed_releases(agreement)
        query = require_runnable(agreed.agreement, query_id, self.identity.id)
        chosen = query.require_parameters(parameters or {})
        run_id = run_id if run_id is not None else secrets.token_bytes(RUN_ID_BYTES)
        request = RunRequest(
            run_id=run_id,
            agreement_digest=agreed.agreement.digest(),
            enclave_id=(enclave or self.verify(job_id, agreed)).keys.enclave_id,
            query=query_id,
            requested_by=self.identity.id,
            parameters=chosen,
        )
        signed = cose.sign(request.encode(), typ=RUN_REQUEST_LABEL, key=self.identity.signing_key)
        try:
            self.coordinator.request_run(job_id, run_id, signed)
            self.wait(job_id, run_id)
        except (KeyboardInterrupt, UnavailableError, DeadlineError) as error:
            why = error.message if isinstance(error, TransportError) else "interrupted"
            raise RunInterruptedError(run_id, why) from error
        return run_id

    def wait(self, job_id: str, run_id: bytes, *, at_most_s: float = RUN_WAIT_S) -> None:
        """Returns when the run is released. Raises `RunError` when it was refused, lost or takes too long."""
        waited_s = 0.0
        while (run := self.coordinator.get_run(job_id, run_id)).state == wire.RUN_STATE_RUNNING:
            if waited_s >= at_most_s:
                raise RunPendingError(run_id, waited_s)
            pause_s = min(max(_POLL_LEAST_S, waited_s * _POLL_SHARE), _POLL_MOST_S)
            time.sleep(pause_s)
            waited_s += pause_s
        if run.state == wire.RUN_STATE_REFUSED:
            raise RunRefusedError(run.refusal)
        if run.state != wire.RUN_STATE_RELEASED:
            raise RunLostError(run_id)

    def budget(self, job_id: str, agreement: Agreed, *, enclave: VerifiedEnclave | None = None) -> Budget:
        """What the enclave says is left of the agreed runs, for every query and window; it costs nothing.

        `enclave` is one that was verified a moment ago; without it, the job's is verified now. Raises
        `AttestationError`, `SignatureError`, `BudgetError` or `TransportError`.
        """
        agreed = agreed_releases(agreement)
        verified = enclave or self.verify(job_id, agreed)
        nonce, signed = budget_request(agreed.agreement, verified, self.identity)
        answer = self.coordinator.get_budget(job_id, signed)
        left = verify_budget_untrusted(answer, nonce=nonce, agreement=agreed.agreement, enclave=verified)
        remember_budget(self._states, agreed.agreement, left)
        return left

    def witness(self, job_id: str, agreement: Agreed, *, decided: Decided | None = None) -> Statement:
        """Verifies the enclave, and lets it take up what it proposes, unless this party knows better.

        Raises `WitnessError`, `StateForkedError`, `AttestationError`, `SignatureError` or `TransportError`.
        """
        agreed = agreed_releases(agreement)
        require_not_older(agreed, self.state / "releases")
        enclave, proposed = verify_waiting_enclave(
            self.coordinator, job_id, agreed, roots=self.roots, now=self.clock()
        )
        statement = make_statement(
            verify_proposal_untrusted(proposed, agreement=agreed.agreement, enclave=enclave),
            agreement=agreed.agreement,
            enclave=enclave,
            identity=self.identity,
            memory=StateMemory(self._states, agreed.agreement.digest()),
            decided=decided or Decided(),
        )
        self.coordinator.put_state_statement(job_id, statement.signed)
        return statement

    def keys(self, job_id: str, agreement: Agreed) -> JobKeys:
        """The keys that the job's enclave made and keeps: their public halves, and what they can do."""
        return JobKeys(self, job_id, agreement)

    def result(
        self,
        job_id: str,
        agreement: Agreed,
        run_id: bytes,
        *,
        query_id: str | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Result:
        """Fetches a released result, verifies its receipt in full and opens it.

        `query_id` and `parameters`, when given, must be what the receipt says was run. Raises `ReceiptError`,
        `AttestationError`, `SealError`, `SignatureError` or `FormatError`.
        """
        require_not_older(agreed_releases(agreement), self.state / "releases")
        receipt, sealed = self.coordinator.fetch_result(
            job_id, run_id, self.identity.id, max_bytes=_SEALED_RESULT_MAX_BYTES
        )
        expected = Expected(agreement, run_id, query_id, parameters)
        result = open_verified(sealed, receipt, expected=expected, identity=self.identity, roots=self.roots)
        remember_claims(self._states, result.receipt.agreement, result.receipt.claims)
        return result
