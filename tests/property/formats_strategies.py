"""Hypothesis strategies for what `protos.formats` reads and writes, and for bytes that are nearly right."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

from protos.formats import hpke
from protos.formats.agreement import Agreement, Limits
from protos.formats.binding import KeyBundle
from protos.formats.budget import WINDOWS, Budget, BudgetRequest, Charge, QueryBudget, WindowLeft
from protos.formats.canonical import Value
from protos.formats.participants import Participant, Release
from protos.formats.privacy import NOISE_KINDS, NoiseKind, PrivacyEntry, QueryNoise
from protos.formats.privacy_loss import LossUnits, PrivacyCharge, PrivacySpent
from protos.formats.query import Parameter, Query
from protos.formats.receipt import Claims, Receipt, Suppression, UsedDataset
from protos.formats.result import ResultContext, SealedResult
from protos.formats.rules import Clamp, Rules
from protos.formats.run_request import RunRequest
from protos.formats.schema import EXACT_TYPES, PLAIN_TYPES, USES, Column, Dataset
from protos.formats.sealed import Manifest, SealedContext, SealedHeader
from protos.formats.state import NOTHING_YET
from tests.property.key_strategies import KEY_BUDGETS, KEY_MESSAGES, agreed_keys
from tests.property.kms_strategies import KEY_SERVICES, state_terms
from tests.property.state_strategies import STATE_MESSAGES

INT64 = st.integers(-(2**63), 2**63 - 1)
RUNS = st.none() | st.integers(1, 1_000_000)
COUNTS = st.integers(0, 2**63 - 1)
VALIDITIES: st.SearchStrategy[tuple[int | None, int | None]] = st.one_of(
    st.tuples(st.none() | COUNTS, st.none()),
    st.tuples(st.none(), COUNTS),
    st.lists(COUNTS, min_size=2, max_size=2, unique=True).map(lambda ends: (min(ends), max(ends))),
)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" \n"), min_size=1, max_size=40
)
# Any Unicode text but halves of surrogate pairs, which no encoding has.
ANY_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def exactly(length: int) -> st.SearchStrategy[bytes]:
    """Long keys are repeated short ones: hypothesis need not choose each of a thousand bytes."""
    if length > 64:
        return st.binary(min_size=1, max_size=16).map(lambda some: (some * length)[:length])
    return st.binary(min_size=length, max_size=length)


def values(leaves: int = 20) -> st.SearchStrategy[Value]:
    """Whatever has an encoding."""
    scalars = st.none() | st.booleans() | INT64 | ANY_TEXTS | st.binary(max_size=40)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ANY_TEXTS, inner, max_size=5),
        max_leaves=leaves,
    )


def sets_of(
    items: st.SearchStrategy[str], *, least: int = 0, most: int = 4
) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, min_size=least, max_size=most, unique=True).map(lambda found: tuple(sorted(found)))


@st.composite
def columns(draw: st.DrawFn, *, name: str, nullable: bool | None = None) -> Column:
    decimals = st.integers(1, 38).flatmap(
        lambda precision: st.integers(0, precision).map(lambda scale: f"decimal({precision},{scale})")
    )
    type_ = draw(st.sampled_from(sorted(PLAIN_TYPES)) | decimals)
    exact = type_ in EXACT_TYPES or type_.startswith("decimal")
    uses = draw(st.frozensets(st.sampled_from(sorted(USES if exact else USES - {"avg", "sum"}))))
    normalise = draw(st.sampled_from(["none", "email/v1"])) if type_ == "text" else "none"
    is_nullable = draw(st.booleans()) if nullable is None else nullable
    clamp = draw(st.none() | clamps(type_)) if exact else None
    return Column(name, type_, is_nullable, uses, normalise, clamp)


@st.composite
def clamps(draw: st.DrawFn, type_: str) -> Clamp:
    scale = 0 if type_ == "int64" else int(type_[:-1].partition(",")[2])
    digits = 18 if type_ == "int64" else int(type_[:-1].partition("(")[2].partition(",")[0])
    most = 10**digits - 1
    ends = sorted(draw(st.lists(st.integers(-most, most), min_size=2, max_size=2)))
    low, high = (f"{Decimal(end).scaleb(-scale, Context(prec=60)):f}" for end in ends)
    return Clamp(low, high)


@st.composite
def rules(
    draw: st.DrawFn, *, names: list[str], others: list[str], people: list[str], queries: list[str]
) -> Rules:
    """Rules of a dataset with columns `names`, of which the first is its unit, without an opt-out."""
    kinds = draw(st.sampled_from([(), ("aggregation",), ("list",), ("aggregation", "list"), ("custom",)]))
    forbidden = sets_of(st.sampled_from(names[1:])) if names[1:] else st.just(())
    return Rules(
        analyses=kinds,
        only_queries=draw(sets_of(st.sampled_from(queries))) if kinds == ("custom",) else (),
        joined_with=draw(st.none() | (sets_of(st.sampled_from(others)) if others else st.just(()))),
        forbidden=draw(forbidden),
        receivers=draw(st.none() | sets_of(st.sampled_from(people))),
        single_units=draw(st.booleans()),
        max_rows_per_unit=draw(st.none() | st.integers(1, 1_000_000)),
    )


@st.composite
def datasets(
    draw: st.DrawFn, *, name: str, owners: list[str], others: list[str], people: list[str], queries: list[str]
) -> Dataset:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    made = [draw(columns(name=each, nullable=False if each == names[0] else None)) for each in names]
    made_rules = draw(rules(names=names, others=others, people=people, queries=queries))
    max_rows = draw(st.integers(1, 2**40))
    least = st.integers(0, max_rows)
    return Dataset(
        id=name,
        owner=draw(st.sampled_from(owners)),
        columns=tuple(draw(st.permutations(made))),
        privacy_unit=names[0],
        threshold=draw(st.integers(1 if made_rules.single_units else 2, 100_000)),
        unique=tuple(draw(st.lists(st.sampled_from(names), unique=True))),
        max_rows=max_rows,
        max_bytes=draw(st.integers(1, 2**63 - 1)),
        rules=replace(made_rules, min_rows=draw(least), min_units=draw(least)),
        kms=draw(st.none() | KEY_SERVICES),
    )


@st.composite
def parameters(draw: st.DrawFn, *, name: str) -> Parameter:
    if draw(st.booleans()):
        low, high = sorted([draw(INT64), draw(INT64)])
        return Parameter(name, low=low, high=high)
    if draw(st.booleans()):
        first, last = sorted([draw(st.dates()), draw(st.dates())])
        return Parameter(name, low=first.isoformat(), high=last.isoformat())
    if draw(st.booleans()):
        least, most = sorted([draw(st.decimals("-9", "9", places=3)), draw(st.decimals("-9", "9", places=3))])
        return Parameter(name, low=f"{least + 0}", high=f"{most + 0}")
    return Parameter(name, choices=draw(sets_of(TEXTS, least=1)))


DOMAINS = st.one_of(
    st.lists(TEXTS, min_size=1, max_size=3, unique=True),
    st.lists(INT64, min_size=1, max_size=3, unique=True),
    st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
).map(lambda values: tuple(sorted(values)))
WEIGHTS = st.dictionaries(NAMES, st.integers(2, 1000), max_size=2).map(lambda of: tuple(sorted(of.items())))
NOISE = st.one_of(
    st.builds(QueryNoise, st.just("selected"), st.just(()), WEIGHTS),
    st.builds(QueryNoise, st.just("declared"), st.lists(DOMAINS, max_size=3).map(tuple), WEIGHTS),
)
PRIVACY: st.SearchStrategy[tuple[str, str, NoiseKind]] = st.sampled_from(
    [("1", "0.000001", "gaussian"), ("0.5", "0", "laplace"), ("20", "0.001", "laplace")]
)


@st.composite
def queries(draw: st.DrawFn, *, name: str, people: list[str]) -> Query:
    holes = draw(st.lists(NAMES, max_size=3, unique=True))
    return Query(
        id=name,
        sql=draw(TEXTS),
        parameters=tuple(draw(parameters(name=hole)) for hole in holes),
        run_by=draw(sets_of(st.sampled_from(people), least=1)),
        receivers=draw(sets_of(st.sampled_from(people), least=1)),
        max_runs=draw(st.integers(1, 1_000_000)),
        many_to_many=draw(st.booleans()),
        per_day=draw(RUNS),
        per_week=draw(RUNS),
        per_month=draw(RUNS),
        noise=draw(st.none() | NOISE),
    )


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Any agreement that makes sense, of a few parties."""
    people = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    owners = people[: draw(st.integers(1, len(people)))]
    members = [
        Participant(
            name, draw(TEXTS), bytes([index]) + draw(exactly(31)), draw(exactly(hpke.PUBLIC_KEY_BYTES))
        )
        for index, name in enumerate(people)
    ]
    pcrs = [draw(exactly(47)) + b"\x01" for _ in range(3)]
    asked = draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    held = draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    kept = draw(st.lists(NAMES, max_size=2, unique=True))
    start, end = sorted(draw(st.lists(COUNTS, min_size=2, max_size=2, unique=True)))
    return Agreement(
        id=draw(NAMES),
        title=draw(TEXTS),
        purpose=draw(TEXTS),
        valid_from_s=start,
        valid_until_s=end,
        parties=tuple(members[: len(owners)]),
        analysts=tuple(members[len(owners) :]),
        datasets=tuple(
            draw(
                datasets(
                    name=name,
                    owners=owners,
                    others=[other for other in held if other != name],
                    people=people,
                    queries=asked,
                )
            )
            for name in held
        ),
        queries=tuple(draw(queries(name=name, people=people)) for name in asked),
        releases=(Release(draw(TEXTS), pcrs[0], pcrs[1], pcrs[2], draw(exactly(32)), *draw(VALIDITIES)),),
        limits=Limits(
            draw(st.integers(64, 2**22)),
            draw(st.integers(1, 128)),
            draw(st.integers(1, 10**6)),
            draw(st.integers(0, 300)),
        ),
        logged=draw(st.sampled_from(["nothing", "phases"])),
        privacy=tuple(PrivacyEntry(owner, *draw(PRIVACY)) for owner in owners if draw(st.booleans())),
        release_quorum=draw(st.none() | st.integers(1, len(owners))),
        state=draw(st.none() | state_terms(owners)),
        keys=tuple(draw(agreed_keys(name=name, parties=owners, people=people)) for name in kept),
    )


CHOSEN = st.dictionaries(NAMES, INT64 | ANY_TEXTS, max_size=4)
SEALED_CONTEXTS = st.builds(
    SealedContext,
    agreement_digest=exactly(48),
    enclave_id=exactly(16),
    party=NAMES,
    dataset=NAMES,
    schema_digest=exactly(48),
    upload_id=exactly(16),
    compression=st.sampled_from(["none", "zstd"]),
)
SEALED_HEADERS = st.builds(
    SealedHeader, context=SEALED_CONTEXTS, wrapped_key=exactly(hpke.OVERHEAD_BYTES + 32)
)
ENVELOPE_HEADERS = st.builds(
    SealedHeader,
    context=st.builds(
        lambda context, key: replace(context, enclave_id=None, kms_key=key), SEALED_CONTEXTS, NAMES
    ),
    wrapped_key=st.binary(min_size=1, max_size=6144),
)
MANIFESTS = st.builds(
    Manifest,
    header_digest=exactly(48),
    rows=COUNTS,
    plaintext_bytes=COUNTS,
    chunks=st.integers(1, 2**24),
    tags_digest=exactly(48),
)
CHARGES = st.builds(
    lambda window, limit, before: Charge(window, limit, min(limit, before), min(limit, before) - 1),
    st.sampled_from(WINDOWS),
    st.integers(1, 1_000_000),
    st.integers(1, 1_000_000),
)
LOSSES = st.tuples(st.integers(1, 2**160), st.integers(0, 2**160), st.integers(0, 2**160))
ACCOUNTS = st.builds(
    lambda owner, noise, amounts, deltas: PrivacySpent(
        owner, noise, LossUnits(amounts[0] + amounts[1], deltas[0]), LossUnits(sum(amounts), sum(deltas))
    ),
    NAMES,
    st.sampled_from(NOISE_KINDS),
    LOSSES,
    LOSSES,
)
PRIVACY_CHARGES = ACCOUNTS.map(lambda after: PrivacyCharge(LossUnits(1, after.spent.delta), after))
WINDOWS_LEFT = st.builds(
    lambda window, limit, left: WindowLeft(window, limit, min(limit, left)),
    st.sampled_from(WINDOWS),
    st.integers(1, 1_000_000),
    st.integers(0, 1_000_000),
)
BUDGETS = st.builds(
    lambda sequence, head, **fields: Budget(
        **fields, sequence=sequence, head=head if sequence else NOTHING_YET
    ),
    sequence=COUNTS,
    head=exactly(48).filter(any),
    nonce=exactly(32),
    agreement_digest=exactly(48),
    enclave_id=exactly(16),
    at_s=COUNTS,
    queries=st.lists(
        st.builds(QueryBudget, NAMES, st.lists(WINDOWS_LEFT, min_size=1, max_size=5).map(tuple)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    privacy=st.lists(ACCOUNTS, max_size=2).map(tuple),
    keys=st.lists(KEY_BUDGETS, max_size=2).map(tuple),
)
CLAIMS = st.builds(
    Claims,
    agreement_digest=exactly(48),
    enclave_id=exactly(16),
    run_id=exactly(16),
    query=NAMES,
    query_digest=exactly(48),
    parameters=CHOSEN,
    requested_by=NAMES,
    receivers=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    datasets=st.lists(
        st.builds(
            UsedDataset, dataset=NAMES, party=NAMES, upload_id=exactly(16), manifest_digest=exactly(48)
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    suppressed=st.lists(
        st.builds(Suppression, TEXTS, st.sampled_from([None, 0, *(10**power for power in range(19))])),
        max_size=3,
    ).map(tuple),
    result_digest=exactly(48),
    sequence=st.integers(1, 2**63 - 1),
    previous=exactly(48),
    runs_left=COUNTS,
    budget=st.lists(CHARGES, min_size=1, max_size=5).map(tuple),
    privacy=st.lists(PRIVACY_CHARGES, max_size=2).map(tuple),
)
MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    "agreement": agreements(),
    "key-bundle": st.builds(
        KeyBundle, enclave_id=exactly(16), hpke_public_key=exactly(1216), signing_key=exactly(32)
    ),
    "sealed-header": SEALED_HEADERS,
    "envelope-header": ENVELOPE_HEADERS,
    "manifest": MANIFESTS,
    "run-request": st.builds(
        RunRequest,
        run_id=exactly(16),
        agreement_digest=exactly(48),
        enclave_id=exactly(16),
        query=NAMES,
        requested_by=NAMES,
        parameters=CHOSEN,
    ),
    "claims": CLAIMS,
    "budget-request": st.builds(
        BudgetRequest,
        nonce=exactly(32),
        agreement_digest=exactly(48),
        enclave_id=exactly(16),
        requested_by=NAMES,
    ),
    "budget": BUDGETS,
    **STATE_MESSAGES,
    **KEY_MESSAGES,
}
PARTS = st.binary(min_size=1, max_size=200)
SEALED_RESULTS = st.builds(
    SealedResult,
    context=st.builds(
        ResultContext,
        agreement_digest=exactly(48),
        enclave_id=exactly(16),
        run_id=exactly(16),
        receiver=NAMES,
    ),
    sealed=PARTS,
)
RECEIPTS = st.builds(
    Receipt,
    claims=PARTS,
    attestation=PARTS,
    agreement=PARTS,
    approvals=st.lists(PARTS, min_size=1, max_size=3).map(tuple),
)


@st.composite
def edited(draw: st.DrawFn, message: bytes) -> bytes:
    """`message` with a byte changed, a piece cut out, put in, doubled or turned round; never as it was."""
    start = draw(st.integers(0, len(message) - 1))
    end = draw(st.integers(start + 1, min(len(message), start + 64)))
    piece = message[start:end]
    changed = draw(
        st.sampled_from([bytes([piece[0] ^ 1 << bit]) + piece[1:] for bit in range(8)])
        | st.sampled_from([b"", piece + piece, piece[::-1]])
        | st.binary(max_size=16)
        | st.just(message[end:] if draw(st.booleans()) else b"")
    )
    edited_message = message[:start] + changed + message[end:]
    return edited_message if edited_message != message else message + b"\x00"
