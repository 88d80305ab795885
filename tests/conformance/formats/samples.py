"""One whole computation with fixed keys: every format of `protos.formats`, each value fitting the others.

Two parties and an analyst, one agreement, one upload, one run and its receipt. Keys are derived from public
labels, so nothing here is a secret. HPKE is randomised: what was sealed once is kept in `sealed_once.json`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protos.formats import cose
from protos.formats.agreement import Agreement, Limits
from protos.formats.approvals import sign_approval
from protos.formats.binding import KeyBundle, attestation_user_data, receipt_user_data
from protos.formats.budget import (
    BUDGET_LABEL,
    BUDGET_REQUEST_LABEL,
    Budget,
    BudgetRequest,
    Charge,
    QueryBudget,
    WindowLeft,
)
from protos.formats.canonical import encode
from protos.formats.frames import Frame
from protos.formats.participants import Release
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.privacy_loss import LossUnits, PrivacyCharge, PrivacySpent
from protos.formats.query import Parameter, Query
from protos.formats.receipt import Claims, Receipt, Suppression, UsedDataset
from protos.formats.result import ResultContext, SealedResult, pad, result_digest
from protos.formats.rules import Clamp, OptOut, Rules
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.formats.schema import Column, Dataset
from protos.formats.sealed import (
    ACCEPTANCE_LABEL,
    HEADER_LABEL,
    KEY_BYTES,
    MANIFEST_LABEL,
    ChunkSealer,
    Manifest,
    SealedContext,
    SealedHeader,
    acceptance_payload,
)
from tests.conformance.formats import sample_keys
from tests.conformance.formats.sample_kms import KEY_SERVICE, KMS_KEY, STATE_TERMS
from tests.conformance.formats.sample_people import Person, derived
from tests.conformance.nitro.cases import Laboratory
from tests.conformance.nitro.signing import pcr_bank

SEALED_ONCE = Path(__file__).parent / "sealed_once.json"
SIGNED_AT_S = 1_767_268_800
CHUNKS = (b"first chunk", b"second chunk", b"last chunk")
RESULT = b"an Arrow IPC stream stands here"


AIRLINE, WEATHER, ANALYST, STRANGER = map(Person, ("airline", "weather", "analyst", "stranger"))
ENCLAVE = Person("enclave")
ENCLAVE_ID = derived("enclave id", 16)
UPLOAD_ID = derived("upload id", 16)
RUN_ID = derived("run id", 16)
DATA_KEY = derived("data key", KEY_BYTES)
FLIGHTS = Dataset(
    id="flights",
    owner="airline",
    columns=(
        Column("flight_id", "int64", nullable=False, uses=frozenset()),
        Column("tailnum", "text", nullable=False, uses=frozenset({"count_distinct", "join"})),
        Column("day", "date", nullable=False, uses=frozenset({"filter", "group", "join"})),
        Column(
            "dep_delay",
            "decimal(9,2)",
            nullable=True,
            uses=frozenset({"avg", "sum"}),
            clamp=Clamp(low="-60.00", high="600.00"),
        ),
        Column("contact", "text", nullable=True, uses=frozenset(), normalise="email/v1"),
    ),
    privacy_unit="tailnum",
    threshold=10,
    unique=("flight_id",),
    max_rows=1_000_000,
    max_bytes=500_000_000,
    rules=Rules(forbidden=("contact",), max_rows_per_unit=50, min_rows=3, min_units=2),
    kms=KEY_SERVICE,
)
WIND = Dataset(
    id="wind",
    owner="weather",
    columns=(
        Column("station", "hex128", nullable=False, uses=frozenset({"count", "output"})),
        Column("day", "date", nullable=False, uses=frozenset({"join"})),
        Column("gust", "float64", nullable=True, uses=frozenset({"filter", "max"})),
    ),
    privacy_unit="station",
    threshold=2,
    unique=(),
    max_rows=10_000,
    max_bytes=1_000_000,
    rules=Rules(
        analyses=("aggregation", "list"),
        joined_with=("flights",),
        receivers=("airline", "analyst"),
        opt_out=OptOut("closed", "station"),
    ),
)
CLOSED = Dataset(
    id="closed",
    owner="weather",
    columns=(Column("station", "hex128", nullable=False, uses=frozenset({"opt_out"})),),
    privacy_unit="station",
    threshold=1,
    unique=(),
    max_rows=10_000,
    max_bytes=1_000_000,
    rules=Rules(analyses=(), single_units=True),
)
QUERY = Query(
    id="delay_by_day",
    sql="SELECT f.day AS day, AVG(f.dep_delay) AS delay\nFROM flights AS f JOIN wind AS w ON f.day = w.day\n"
    "WHERE w.gust > $gust\nGROUP BY f.day",
    parameters=(Parameter("gust", low=-1, high=300), Parameter("unit", choices=("knots", "m/s"))),
    run_by=("analyst",),
    receivers=("airline", "analyst"),
    max_runs=5,
    per_day=1,
    per_month=3,
    noise=QueryNoise("declared", domains=(("calm", "windy"), (1, 2)), weights=(("delay", 3),)),
)

SPENT = PrivacySpent("airline", "gaussian", LossUnits(2**151, 7), LossUnits(2**156 - 1, 2**140))
"""Not those of the entry in the agreement: any numbers that fit each other."""


@cache
def laboratory() -> Laboratory:
    """Signs documents at the one instant of the attestation vectors."""
    return Laboratory()


@cache
def agreement() -> Agreement:
    bank = pcr_bank()
    root_sha256 = hashlib.sha256(laboratory().chain.root.der).digest()
    return Agreement(
        id="flight_delays",
        title="Delays and wind",
        purpose="How gusts delay departures — nothing about single aircraft.",
        valid_from_s=1_767_225_600,
        valid_until_s=1_893_456_000,
        parties=(AIRLINE.participant(), WEATHER.participant()),
        analysts=(ANALYST.participant(),),
        datasets=(FLIGHTS, WIND, CLOSED),
        queries=(QUERY,),
        releases=(Release("0.1.0", bank[0], bank[1], bank[2], root_sha256, valid_until_s=1_800_000_000),),
        limits=Limits(memory_mib=2048, threads=2, max_runs=10, tick_s=1),
        privacy=(PrivacyEntry("airline", "1.5", "0.000001", "gaussian"),),
        release_quorum=2,
        state=STATE_TERMS,
        keys=sample_keys.AGREED_KEYS,
    )


def approval(person: Person, *, agreed: Agreement | None = None) -> bytes:
    digest = (agreed or agreement()).digest()
    return sign_approval(digest, party=person.id, key=person.signing, signed_at_s=SIGNED_AT_S)


@cache
def approvals() -> tuple[bytes, ...]:
    return (approval(AIRLINE), approval(WEATHER))


@cache
def key_bundle() -> KeyBundle:
    return KeyBundle(ENCLAVE_ID, ENCLAVE.receiving.public_key, ENCLAVE.signing_key)


def user_data() -> bytes:
    return attestation_user_data(agreement().digest(), key_bundle().encode(), ENCLAVE_ID)


def sealed_context() -> SealedContext:
    return SealedContext(
        agreement().digest(),
        ENCLAVE_ID,
        party="airline",
        dataset="flights",
        schema_digest=FLIGHTS.schema_digest(),
        upload_id=UPLOAD_ID,
        compression="zstd",
    )


def envelope_header() -> SealedHeader:
    """Of the same dataset, sealed under a key in KMS instead of to an enclave."""
    context = replace(sealed_context(), enclave_id=None, kms_key=KMS_KEY)
    return SealedHeader(context, b"a CiphertextBlob stands here")


def result_context() -> ResultContext:
    return ResultContext(agreement().digest(), ENCLAVE_ID, RUN_ID, "analyst")


def sealed_once(name: str) -> bytes:
    """`wrapped_key`, `sealed_result` or `share`: bytes that HPKE would make differently each time."""
    return bytes.fromhex(json.loads(SEALED_ONCE.read_text(encoding="utf-8"))[name])


@cache
def sealed_header() -> SealedHeader:
    return SealedHeader(sealed_context(), sealed_once("wrapped_key"))


def signed_header() -> bytes:
    return cose.sign(sealed_header().encode(), typ=HEADER_LABEL, key=AIRLINE.signing)


def chunk_key(data_key: bytes, header_digest: bytes) -> bytes:
    """As section 7 of the wire specification says."""
    return HKDF(hashes.SHA384(), 32, salt=None, info=b"concordat/chunk-key/v1" + header_digest).derive(
        data_key
    )


def sealed_chunks(chunks: tuple[bytes, ...] = CHUNKS) -> tuple[list[bytes], ChunkSealer]:
    sealer = ChunkSealer(DATA_KEY, sealed_header().digest())
    sealed = [sealer.seal(chunk, last=number == len(chunks) - 1) for number, chunk in enumerate(chunks)]
    return sealed, sealer


@cache
def manifest() -> Manifest:
    _, sealer = sealed_chunks()
    return Manifest(
        sealed_header().digest(),
        rows=3,
        plaintext_bytes=sealer.plaintext_bytes,
        chunks=sealer.chunks,
        tags_digest=sealer.tags_digest(),
    )


def signed_manifest() -> bytes:
    return cose.sign(manifest().encode(), typ=MANIFEST_LABEL, key=AIRLINE.signing)


def acceptance() -> bytes:
    payload = acceptance_payload(manifest().digest(), ENCLAVE_ID)
    return cose.sign(payload, typ=ACCEPTANCE_LABEL, key=ENCLAVE.signing)


@cache
def run_request() -> RunRequest:
    parameters: dict[str, int | str] = {"gust": 40, "unit": "knots"}
    return RunRequest(RUN_ID, agreement().digest(), ENCLAVE_ID, QUERY.id, "analyst", parameters)


def signed_run_request() -> bytes:
    return cose.sign(run_request().encode(), typ=RUN_REQUEST_LABEL, key=ANALYST.signing)


@cache
def sealed_result() -> SealedResult:
    return SealedResult(result_context(), sealed_once("sealed_result"))


@cache
def claims() -> Claims:
    used = UsedDataset("flights", "airline", UPLOAD_ID, manifest().digest())
    return Claims(
        agreement().digest(),
        ENCLAVE_ID,
        RUN_ID,
        query=QUERY.id,
        query_digest=QUERY.digest(),
        parameters=run_request().parameters,
        requested_by="analyst",
        receivers=QUERY.receivers,
        datasets=(used, UsedDataset("wind", "weather", derived("wind upload", 16), derived("wind", 48))),
        suppressed=(Suppression("fewer than 10 distinct tailnum of airline", 100),),
        result_digest=result_digest(RESULT),
        sequence=1,
        previous=bytes(48),
        runs_left=4,
        budget=(
            Charge("query", limit=5, before=5, after=4),
            Charge("agreement", limit=10, before=10, after=9),
            Charge("day", limit=1, before=1, after=0),
            Charge("month", limit=3, before=3, after=2),
        ),
        privacy=(PrivacyCharge(LossUnits(2**150, 7), SPENT),),
    )


@cache
def receipt() -> Receipt:
    encoded = claims().encode()
    pcr16 = hashlib.sha384(bytes(48) + agreement().digest()).digest()
    document = laboratory().document(user_data=receipt_user_data(encoded), pcrs=pcr_bank(pcr16=pcr16))
    return Receipt(encoded, document, agreement().encode(), approvals())


def budget_request() -> BudgetRequest:
    return BudgetRequest(derived("budget nonce", 32), agreement().digest(), ENCLAVE_ID, "analyst")


def budget() -> Budget:
    asked = budget_request()
    left = QueryBudget(QUERY.id, (WindowLeft("query", 5, 4), WindowLeft("day", 1, 0)))
    head, of_keys = claims().head(), sample_keys.KEY_BUDGETS
    place = asked.nonce, asked.agreement_digest, ENCLAVE_ID, SIGNED_AT_S
    return Budget(*place, (left,), (SPENT,), of_keys, 1, head)


def signed_budget_request() -> bytes:
    return cose.sign(budget_request().encode(), typ=BUDGET_REQUEST_LABEL, key=ANALYST.signing)


def signed_budget() -> bytes:
    return cose.sign(budget().encode(), typ=BUDGET_LABEL, key=ENCLAVE.signing)


def frame() -> Frame:
    header = {"op": "chunk", "id": 7, "upload": UPLOAD_ID, "number": 0, "last": False}
    return Frame(header, sealed_chunks()[0][0])


@cache
def messages() -> dict[str, bytes]:
    """One good message of every format in `readers.READERS`, by its name there."""
    from tests.conformance.formats import sample_state

    signers = {person.id: person.signing for person in (AIRLINE, ANALYST, ENCLAVE)}
    return {
        **sample_state.messages(),
        "cbor": encode([None, True, -1, 2**63 - 1, "ü", b"\x00", {"a": [], "b": {}, "aa": 24}]),
        "agreement": agreement().encode(),
        "approval": approvals()[0],
        "key-bundle": key_bundle().encode(),
        "sealed-header": sealed_header().encode(),
        "envelope-header": envelope_header().encode(),
        "signed-header": signed_header(),
        "manifest": manifest().encode(),
        "signed-manifest": signed_manifest(),
        "acceptance": acceptance(),
        "run-request": run_request().encode(),
        "signed-run-request": signed_run_request(),
        "sealed-result": sealed_result().encode(),
        "padded-result": pad(RESULT),
        "claims": claims().encode(),
        "receipt": receipt().encode(),
        "budget-request": budget_request().encode(),
        "signed-budget-request": signed_budget_request(),
        "budget": budget().encode(),
        "signed-budget": signed_budget(),
        **sample_keys.messages(agreement().digest(), ENCLAVE_ID, signers),
        "frame": frame().prefix() + frame().body,
    }
