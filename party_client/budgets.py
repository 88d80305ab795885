"""What is left of the agreed runs and uses of keys, by the word of a verified enclave.

Reads a statement that the coordinator carried. It counts when the key that the attested bundle names signed
it, over the nonce just sent and about this agreement; so the coordinator can keep it back, and can neither
make one nor show an old one. Follows `protos/README.md`, "Budget".
"""

from __future__ import annotations

import secrets

from party_client.attestation import VerifiedEnclave
from party_client.identity import Identity
from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.budget import (
    BUDGET_LABEL,
    BUDGET_REQUEST_LABEL,
    Budget,
    BudgetRequest,
    window_limits,
)
from protos.formats.errors import ConcordatError
from protos.formats.key_budget import KeyBudget, key_limits
from protos.formats.limits import NONCE_BYTES
from protos.plan.stakes import allowance_of


class BudgetError(ConcordatError):
    """A statement of what is left is not the one that was asked for."""

    code = "budget/refused"


def budget_request(agreement: Agreement, enclave: VerifiedEnclave, identity: Identity) -> tuple[bytes, bytes]:
    """(nonce, signed request) with which `identity` asks `enclave`."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    request = BudgetRequest(nonce, agreement.digest(), enclave.keys.enclave_id, identity.id)
    return nonce, cose.sign(request.encode(), typ=BUDGET_REQUEST_LABEL, key=identity.signing_key)


def verify_budget_untrusted(
    answer: bytes, *, nonce: bytes, agreement: Agreement, enclave: VerifiedEnclave
) -> Budget:
    """The statement in `answer`. Raises `SignatureError`, `FormatError` or `BudgetError`."""
    payload = cose.verify_untrusted(
        answer,
        typ=BUDGET_LABEL,
        public_key=enclave.keys.signing_key,
        max_bytes=limits.BUDGET_MAX_BYTES,
    )
    budget = Budget.decode_untrusted(payload)
    asked = (nonce, agreement.digest(), enclave.keys.enclave_id)
    if (budget.nonce, budget.agreement_digest, budget.enclave_id) != asked:
        raise BudgetError(
            "budget: got an answer to another question than the one just asked",
            hint="ask again; if it stays so, the coordinator shows you old answers",
        )
    stated = [
        (query.query, [(window.window, window.limit) for window in query.windows]) for query in budget.queries
    ]
    agreed = [
        (query.id, list(window_limits(query, all_queries=agreement.limits.max_runs).items()))
        for query in agreement.queries
    ]
    if stated != agreed:
        raise BudgetError(
            "budget: got other windows than those of the agreement",
            hint="are this client and the enclave of releases that go together?",
        )
    if [(key.key, _limits(key)) for key in budget.keys] != [
        (key.id, list(key_limits(key).items())) for key in agreement.keys
    ]:
        raise BudgetError(
            "budget: got other bounds of keys than those of the agreement",
            hint="are this client and the enclave of releases that go together?",
        )
    accounts = [
        (account.owner, account.noise, account.allowed.amount, account.allowed.delta)
        for account in budget.privacy
    ]
    if accounts != [
        (entry.owner, entry.noise, *allowance_of(entry).in_units()) for entry in agreement.privacy
    ]:
        raise BudgetError(
            "budget: got other privacy budgets than those of the agreement",
            hint="are this client and the enclave of releases that go together?",
        )
    return budget


def _limits(key: KeyBudget) -> list[tuple[str, int]]:
    return [(window.window, window.limit) for window in key.windows]
