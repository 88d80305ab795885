"""Results and receipts: what is believed, and every way in which they are not."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from party_client.attestation import AttestationError, TrustedRoots
from party_client.client import Client
from party_client.files import FileExistsAlreadyError
from party_client.identity import Identity
from party_client.receipts import (
    ReceiptMismatchError,
    ReceiptNotAttestedError,
    RootFrom,
    VerifiedReceipt,
    require_claims_fit,
    verify_receipt,
)
from party_client.results import Expected, Result, ResultFileError, open_verified
from party_client.runs import RequestError, RunRefusedError, parse_parameters
from protos.formats.binding import attestation_user_data, receipt_user_data
from protos.formats.budget import Charge
from protos.formats.errors import ConcordatError, FormatError, SealError, SignatureError
from protos.formats.receipt import Claims, Receipt
from protos.formats.result import ResultContext, SealedResult, seal_result
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import (
    ANALYST,
    PUBLISHER,
    PURCHASES,
    STRANGER,
    VISITS,
    Enclave,
    agreement,
    approve,
    seal,
    simulated_enclave,
)


class Released:
    """A run that was released, with everything that the coordinator holds of it."""

    def __init__(self, enclave: Enclave) -> None:
        (root,) = enclave.roots
        self.agreement = agreement(root.sha256)
        enclave.bind(self.agreement)
        for dataset, table in (("visits", VISITS), ("purchases", PURCHASES)):
            enclave.upload(seal(self.agreement, enclave.keys(), dataset, [table]))
        self.enclave = enclave
        self.roots = enclave.roots
        self.coordinator = DirectCoordinator(enclave)
        self.run_id = self.client().run(JOB, self.agreement, "totals", {"least": 0})
        self.receipt_bytes, self.sealed = self.coordinator.fetch_result(
            JOB, self.run_id, "analyst", max_bytes=10**6
        )
        self.receipt = Receipt.decode_untrusted(self.receipt_bytes)
        self.claims = Claims.decode_untrusted(self.receipt.claims)

    def client(self, identity: Identity = ANALYST) -> Client:
        return Client(self.coordinator, identity, roots=self.roots)

    def open(
        self,
        *,
        sealed: bytes | None = None,
        receipt: bytes | None = None,
        identity: Identity = ANALYST,
        **expected: Any,
    ) -> Result:
        return open_verified(
            sealed or self.sealed,
            receipt or self.receipt_bytes,
            expected=Expected(**{"agreement": self.agreement, "run_id": self.run_id, **expected}),
            identity=identity,
            roots=self.roots,
        )

    def verify(self, **changes: Any) -> VerifiedReceipt:
        return verify_receipt(replace(self.receipt, **changes).encode(), roots=self.roots)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    with simulated_enclave(tmp_path_factory.mktemp("machine")) as enclave:
        yield Released(enclave)


def test_a_result_opens_for_its_receiver(released: Released) -> None:
    result = released.client().result(
        JOB, released.agreement, released.run_id, query_id="totals", parameters={"least": 0}
    )
    assert result.frame.to_dict("records") == [{"segment": "sport", "purchases": 3, "total": 60}]
    assert [item.groups_at_most for item in result.suppressed].count(0) < len(result.suppressed)
    assert result.receipt.claims.run_id == released.run_id
    assert result.receipt.root_from is RootFrom.CALLER


def test_a_result_for_another_request_is_refused(released: Released) -> None:
    for expected in (
        {"run_id": bytes(16)},
        {"query": "another"},
        {"parameters": {"least": 1}},
        {"agreement": replace(released.agreement, title="Another")},
    ):
        with pytest.raises(ReceiptMismatchError):
            released.open(**expected)


def test_a_result_does_not_open_for_others(released: Released) -> None:
    with pytest.raises(ReceiptMismatchError, match="does not name publisher"):
        released.open(identity=PUBLISHER)
    impostor = Identity.generate("analyst", "Not the analyst")
    with pytest.raises(SealError, match="does not open for analyst") as caught:
        released.open(identity=impostor)
    assert "fetch it again" in (caught.value.hint or "")


def test_a_result_that_the_receipt_does_not_name_is_refused(released: Released) -> None:
    """The analyst's key is public: anybody can seal something to it."""
    context = SealedResult.decode_untrusted(released.sealed).context
    forged = seal_result(b"other bytes", context=context, receiving_key=ANALYST.public.receiving_key)
    with pytest.raises(ReceiptMismatchError, match="another result"):
        released.open(sealed=forged.encode())


def test_a_result_of_another_run_is_refused(released: Released) -> None:
    context = SealedResult.decode_untrusted(released.sealed).context
    for change in ({"run_id": bytes(16)}, {"enclave_id": bytes(16)}, {"receiver": "publisher"}):
        other = ResultContext(**{**vars(context), **change})
        forged = seal_result(b"", context=other, receiving_key=ANALYST.public.receiving_key)
        with pytest.raises(ReceiptMismatchError, match="another run, enclave or receiver"):
            released.open(sealed=forged.encode())


def test_a_receipt_is_verified_under_given_roots(released: Released) -> None:
    verified = verify_receipt(released.receipt_bytes, roots=released.roots, agreement=released.agreement)
    assert verified.claims == released.claims
    assert verified.release_name == "test"
    assert verified.agreement.digest() == released.agreement.digest()
    assert verified.attestation.how == "replay"


def test_a_root_that_is_not_trusted_counts_only_if_the_parties_named_it_and_it_is_asked_for(
    released: Released,
) -> None:
    with pytest.raises(AttestationError, match="trusted root"):
        verify_receipt(released.receipt_bytes, roots=TrustedRoots.aws())
    verified = verify_receipt(released.receipt_bytes, roots=TrustedRoots.aws(), believe_agreement=True)
    assert verified.root_from is RootFrom.AGREEMENT


def test_a_root_that_the_parties_did_not_name_never_counts(released: Released, tmp_path: Path) -> None:
    """Another simulator's document over the same claims: the agreement names the first one's root."""
    with simulated_enclave(tmp_path) as other:
        other.bind(agreement(next(iter(other.roots)).sha256))
        nsm = other.life._nsm
        document = nsm.attest(user_data=receipt_user_data(released.receipt.claims))
    forged = replace(released.receipt, attestation=document).encode()
    with pytest.raises(AttestationError, match="trusted root"):
        verify_receipt(forged, roots=TrustedRoots.aws(), believe_agreement=True)
    with pytest.raises(AttestationError):
        verify_receipt(forged, roots=other.roots)


def test_every_part_of_a_receipt_is_tied_to_the_others(released: Released) -> None:
    other = replace(released.agreement, title="Another title")
    document, _ = released.enclave.attest(bytes(32))
    changes: list[tuple[dict[str, Any], type[ConcordatError]]] = [
        ({"claims": replace(released.claims, suppressed=()).encode()}, ReceiptNotAttestedError),
        ({"claims": replace(released.claims, result_digest=bytes(48)).encode()}, ReceiptNotAttestedError),
        ({"claims": b"\xa0"}, FormatError),
        ({"agreement": other.encode()}, SignatureError),
        ({"agreement": other.encode(), "approvals": tuple(approve(other))}, ReceiptMismatchError),
        ({"approvals": released.receipt.approvals[:1]}, SignatureError),
        ({"approvals": released.receipt.approvals[:1] * 2}, SignatureError),
        ({"approvals": released.receipt.approvals[::-1]}, SignatureError),
        ({"approvals": (*released.receipt.approvals, released.receipt.approvals[0])}, SignatureError),
        ({"approvals": (*released.receipt.approvals, b"junk")}, FormatError),
        ({"attestation": document}, ReceiptNotAttestedError),  # made for a party, not for a receipt
        ({"attestation": released.receipt.attestation[:-1]}, AttestationError),
    ]
    for change, expected in changes:
        with pytest.raises(expected):
            released.verify(**change)


def test_no_bit_of_a_receipt_can_be_turned(released: Released) -> None:
    for position in range(0, len(released.receipt_bytes), 61):
        altered = bytearray(released.receipt_bytes)
        altered[position] ^= 0x01
        with pytest.raises(ConcordatError):
            verify_receipt(bytes(altered), roots=released.roots)


@pytest.mark.parametrize(
    "change",
    [
        {"agreement_digest": bytes(48)},
        {"query": "another"},
        {"query_digest": bytes(48)},
        {"parameters": {"least": 101}},
        {"parameters": {}},
        {"requested_by": "publisher"},
        {"receivers": ("analyst", "publisher")},
        {"runs_left": 3},
        {"runs_left": 1},
        {"budget": (Charge("query", 3, 3, 2),)},
        {"budget": (Charge("query", 3, 3, 2), Charge("agreement", 6, 6, 5))},
        {"budget": (Charge("query", 3, 3, 2), Charge("agreement", 5, 5, 4), Charge("day", 1, 1, 0))},
        {"budget": (Charge("query", 3, 3, 2), Charge("query", 3, 3, 2), Charge("agreement", 5, 5, 4))},
        {"sequence": 2},
        {"previous": b"\x01" * 48},
    ],
    ids=str,
)
def test_claims_must_be_what_the_agreement_allows(released: Released, change: dict[str, Any]) -> None:
    with pytest.raises((ReceiptMismatchError, FormatError)):
        require_claims_fit(replace(released.claims, **change), released.agreement)


def test_a_dataset_of_somebody_else_is_not_in_the_claims(released: Released) -> None:
    first, *rest = released.claims.datasets
    changed = replace(released.claims, datasets=(replace(first, party="advertiser"), *rest))
    with pytest.raises(ReceiptMismatchError, match="owner of visits"):
        require_claims_fit(changed, released.agreement)


def test_a_result_attested_outside_the_validity_is_refused(released: Released) -> None:
    over = replace(released.agreement, valid_until_s=released.agreement.valid_from_s + 1)
    with pytest.raises(ConcordatError):
        released.verify(agreement=over.encode(), approvals=tuple(approve(over)))


def test_a_verified_receipt_is_made_by_the_verifier_only(released: Released) -> None:
    verified = verify_receipt(released.receipt_bytes, roots=released.roots)
    with pytest.raises(TypeError, match="verify_receipt"):
        VerifiedReceipt(
            receipt=verified.receipt,
            claims=verified.claims,
            in_force=verified.in_force,
            attestation=verified.attestation,
            release_name="test",
            root_from=RootFrom.CALLER,
            mint=None,
        )


def test_requests_that_are_not_agreed_are_not_sent(released: Released) -> None:
    client = released.client(STRANGER)
    with pytest.raises(RequestError, match="stranger may not ask"):
        client.run(JOB, released.agreement, "totals", {"least": 0})
    with pytest.raises(RequestError, match="no query"):
        client.run(JOB, released.agreement, "everything")
    with pytest.raises(FormatError, match="least"):
        released.client().run(JOB, released.agreement, "totals", {"least": 101})


def test_a_refused_run_carries_the_enclaves_code(released: Released, tmp_path: Path) -> None:
    with simulated_enclave(tmp_path) as empty:
        agreed = agreement(next(iter(empty.roots)).sha256)
        empty.bind(agreed)
        client = Client(DirectCoordinator(empty), ANALYST, roots=empty.roots)
        with pytest.raises(RunRefusedError) as caught:
            client.run(JOB, agreed, "totals", {"least": 0})
    assert caught.value.refusal == "not-ready"
    assert caught.value.hint


def test_the_same_run_id_gives_the_same_run(released: Released) -> None:
    again = released.client().run(JOB, released.agreement, "totals", {"least": 0}, run_id=released.run_id)
    assert released.coordinator.fetch_result(JOB, again, "analyst", max_bytes=10**6)[0] == (
        released.receipt_bytes
    )


def test_parameters_are_read_as_the_query_declares_them(released: Released) -> None:
    query = released.agreement.query("totals")
    assert parse_parameters(query, ["least=7"]) == {"least": 7}
    for texts in (["least"], ["least=x"], ["least=1", "least=2"], ["other=1"]):
        with pytest.raises(RequestError):
            parse_parameters(query, texts)


def shown(released: Released, table: pa.Table) -> Result:
    """A result with another table, for what is about files."""
    return replace(released.open(), table=table)


TABLE = pa.table(
    {
        "name": ["a", None, "b"],
        "n": pa.array([1, None, 3], pa.int64()),
        "amount": pa.array([Decimal("1.50"), None, Decimal("2.00")], pa.decimal128(38, 2)),
        "day": pa.array([datetime.date(2013, 1, 31), None, None]),
    }
)


def test_frames_keep_integers_and_decimals_exact(released: Released) -> None:
    frame = shown(released, TABLE).frame
    assert frame["n"].dtype == pd.Int64Dtype()
    assert frame["amount"].tolist()[0] == Decimal("1.50")


def test_files_hold_the_table_and_overwrite_nothing(released: Released, tmp_path: Path) -> None:
    result = shown(released, TABLE)
    result.save(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "name,n,amount,day\na,1,1.50,2013-01-31\n,,,\nb,3,2.00,\n"
    result.save(tmp_path / "a.parquet")
    assert pa.parquet.read_table(tmp_path / "a.parquet").equals(TABLE)
    with pytest.raises(FileExistsAlreadyError):
        result.save(tmp_path / "a.csv")
    with pytest.raises(ResultFileError):
        result.save(tmp_path / "a.xlsx")


def test_texts_that_need_quotation_marks_get_them(released: Released, tmp_path: Path) -> None:
    texts = pa.table({"n": [1, 2, 3, 4], "name": ["a,b", 'say "x"', "", None]})
    shown(released, texts).save(tmp_path / "a.csv")
    read = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert read["name"].tolist() == ["a,b", 'say "x"', "", ""]
    assert (tmp_path / "a.csv").read_text().count('""') >= 3


def test_the_two_bindings_of_a_document_can_never_be_confused(released: Released) -> None:
    claims = released.receipt.claims
    assert receipt_user_data(claims) != attestation_user_data(bytes(48), claims, bytes(16))
