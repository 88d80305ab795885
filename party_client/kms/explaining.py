"""Which statement of a key's policy lets an enclave's document in, and which condition keeps it out.

Pure. AWS says `AccessDenied` and never why, so the party works it out itself, with the model that `check`
uses: what an enclave that shows this document would get, were it to ask as the enclave's role at the time at
which the document was signed. Whether the document is genuine is KMS's first question and not asked here.
Followed: docs/kms.md, "When KMS says no".
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from party_client.attestation.document import AttestationDocument
from party_client.attestation.measurements import ZERO_PCR
from party_client.kms.conditions import holds
from party_client.kms.evaluation import KeyAccess, concerns, decide
from party_client.kms.policy import Condition, Statement
from party_client.kms.probes import DECRYPT
from party_client.kms.request import IMAGE, REGISTER_KEY, Openness, Request
from party_client.kms.terms import KeyTerms, iso_time

_NAMES: Final = {IMAGE: "PCR0", "pcr16": "PCR16"}
_ABOUT: Final = {IMAGE: " (the image)", "pcr0": " (the image)", "pcr16": " (the agreement)"}
_SHOWN: Final = 24


@dataclass(frozen=True)
class Clause:
    """One condition of one statement, and how the document stands to it."""

    operator: str
    key: str
    got: tuple[str, ...]
    """Empty: the request has no such key."""
    expected: tuple[str, ...]
    sentence: str
    """For people."""


@dataclass(frozen=True)
class Verdict:
    """What one statement does to the request."""

    statement: str
    allows: bool
    applies: bool
    clauses: tuple[Clause, ...]
    """Of an allowance that does not apply: what does not hold. Of a denial that applies: all that does."""


@dataclass(frozen=True)
class Answer:
    """What would come of asking for one data key."""

    subject: str
    """The dataset, or `#state`."""
    is_let_in: bool
    allowed_by: tuple[str, ...]
    denied_by: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    """Of every statement that is about such a request."""


def explain_access(terms: KeyTerms, access: KeyAccess, document: AttestationDocument) -> tuple[Answer, ...]:
    """An answer for each data key of `terms`."""
    return tuple(_answer(access, request, subject) for subject, request in _requests(terms, document))


def _requests(terms: KeyTerms, document: AttestationDocument) -> Iterator[tuple[str, Request]]:
    for subject in terms.subjects:
        yield (
            subject,
            Request(
                terms.place.role_arn,
                DECRYPT,
                encryption_context=terms.encryption_context(subject),
                registers={f"PCR{index}": value.hex() for index, value in document.pcrs.items()},
                values={
                    "aws:currenttime": (iso_time(int(document.signed_at.timestamp())),),
                    "aws:securetransport": ("true",),
                },
            ),
        )


def _answer(access: KeyAccess, request: Request, subject: str) -> Answer:
    decision = decide(access, request)
    return Answer(
        subject=subject,
        is_let_in=decision.is_allowed,
        allowed_by=tuple(source.label for source in decision.sources),
        denied_by=decision.denied_by,
        verdicts=tuple(
            _verdict(statement, request)
            for statement in access.policy
            if concerns(access, statement, request)
        ),
    )


def _verdict(statement: Statement, request: Request) -> Verdict:
    answers = [(condition, holds(condition, request)) for condition in statement.conditions]
    applies = all(answer is True for _, answer in answers)
    shown = [one for one, answer in answers if (answer is True) is not statement.allows]
    if applies is statement.allows:  # nothing to say of what lets in, or of a denial that is about others
        shown = []
    return Verdict(
        statement.label,
        statement.allows,
        applies,
        tuple(_clause(condition, request) for condition in sorted(shown, key=_registers_first)),
    )


def _registers_first(condition: Condition) -> bool:
    return not condition.key.startswith(REGISTER_KEY)


def _clause(condition: Condition, request: Request) -> Clause:
    found = request.value(condition.key)
    got = () if isinstance(found, Openness) else found
    return Clause(condition.operator, condition.key, got, condition.values, _sentence(condition, got))


def _sentence(condition: Condition, got: tuple[str, ...]) -> str:
    """ "PCR16 (the agreement) is 14ac…, expected 5b02…"."""
    name = condition.key
    register = name.removeprefix(REGISTER_KEY)
    if name.startswith(REGISTER_KEY):
        name = f"{_NAMES.get(register, register.upper())}{_ABOUT.get(register, '')}"
    said = ", ".join(map(_short, got)) or "not there"
    if got == (ZERO_PCR.hex(),):
        said = "all zero, as in debug mode"
    elif not got and register == "pcr16":
        said = "not there: the enclave is bound to no agreement"
    wanted = " or ".join(map(_short, condition.values))
    relation = "at least " if "GreaterThan" in condition.comparison else ""
    relation = "before " if "LessThan" in condition.comparison else relation
    return f"{name} is {said}, {'and not' if condition.negated else 'expected'} {relation}{wanted}"


def _short(value: str) -> str:
    """Registers and digests by their beginning."""
    is_hexadecimal = len(value) > _SHOWN and all(digit in string.hexdigits for digit in value)
    return f"{value[:16]}…" if is_hexadecimal else value
