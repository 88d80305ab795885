"""`concordat kms explain`: why a key opens for an enclave, or does not, as its policy has it.

Reads an attestation document of anybody's and, if given, what somebody read of a live key. The document is
verified first, as KMS does; what follows is a model of AWS's evaluation and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from party_client import files
from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AttestationError,
    verify_replay,
)
from party_client.attestation.document import parse_untrusted
from party_client.cli.kms_options import FILE, terms_options
from party_client.cli.present import emit, json_option, say, time, warn
from party_client.cli.trust import Trust, trust_options
from party_client.kms import KeyTerms, load_snapshot, plan
from party_client.kms.evaluation import KeyAccess
from party_client.kms.explaining import Answer, Verdict, explain_access
from party_client.kms.policy import read_policy_untrusted
from protos.formats.limits import ATTESTATION_DOCUMENT_MAX_BYTES

KEPT_OUT_STATUS: Final = 1
MODEL: Final = "by a model of AWS's evaluation; AWS itself never says why"


@click.command()
@terms_options
@click.option(
    "--document", "file", type=FILE, required=True, metavar="FILE", help="An enclave's attestation document."
)
@click.option(
    "--from", "export", type=FILE, metavar="FILE", help="A live key's policy, as `kms export` wrote it."
)
@trust_options
@json_option
def explain(*, terms: KeyTerms, file: Path, export: Path | None, trust: Trust, as_json: bool) -> None:
    """Say what lets an enclave in, or keeps it out.

    AWS says no more than AccessDenied. This holds the enclave's document (`concordat job document` writes a
    job's) against the planned policy, or against the live one, as of the time at which it was signed. Exit
    status: 0 it gets every data key, 1 it does not.

    \b
    Example:
      concordat kms explain flights.agreement --party airline \\
          --parent arn:aws:iam::444455556666:role/parent \\
          --administrator arn:aws:iam::111122223333:role/key-admin \\
          --document document.cbor
    """
    data = files.read(file, max_bytes=ATTESTATION_DOCUMENT_MAX_BYTES, private=False)
    _, document = parse_untrusted(data)
    refusal = _refusal(data, trust)
    answers = explain_access(terms, _access(terms, export), document)
    is_let_in = refusal is None and all(answer.is_let_in for answer in answers)
    value = {
        "let_in": is_let_in,
        "document": {"signed_at": document.signed_at, "module_id": document.module_id, "refusal": refusal},
        "answers": [_facts(answer) for answer in answers],
    }

    def render(out: Console) -> None:
        say(out, f"document   of {document.module_id}, signed at {time(document.signed_at)}")
        warn(out, None if refusal is None else f"KMS takes no such document: {refusal}")
        for answer in answers:
            _render(answer, out)
        say(out, MODEL)

    emit(as_json, value, render)
    if not is_let_in:
        raise click.exceptions.Exit(KEPT_OUT_STATUS)


def _refusal(document: bytes, trust: Trust) -> str | None:
    """Why KMS, which believes the roots of `trust`, would not look at any statement."""
    anything = AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()])
    try:
        verify_replay(document, roots=trust.anchors(), policy=anything)
    except AttestationError as error:
        return error.message
    return None


def _access(terms: KeyTerms, export: Path | None) -> KeyAccess:
    if export is not None:
        return load_snapshot(export).access
    policy = read_policy_untrusted(plan(terms).key_policy, what="key policy", with_principals=True)
    return KeyAccess(terms.place.key_arn("planned"), policy)


def _render(answer: Answer, out: Console) -> None:
    name = "state of enclaves" if answer.subject.startswith("#") else f"dataset {answer.subject}"
    say(out, f"\n{name}: {'let in' if answer.is_let_in else 'KEPT OUT'}", style="bold")
    if answer.is_let_in:
        say(out, f"  allowed by {', '.join(answer.allowed_by)}, denied by none")
        return
    for verdict in answer.verdicts:
        if verdict.clauses:
            say(out, f"  {verdict.statement} {_does(verdict)}")
            for clause in verdict.clauses:
                say(out, f"    - {clause.sentence}")


def _does(verdict: Verdict) -> str:
    return "does not let it in:" if verdict.allows else "denies it:"


def _facts(answer: Answer) -> dict[str, Any]:
    return {
        "subject": answer.subject,
        "let_in": answer.is_let_in,
        "allowed_by": list(answer.allowed_by),
        "denied_by": list(answer.denied_by),
        "statements": [
            {
                "statement": verdict.statement,
                "effect": "Allow" if verdict.allows else "Deny",
                "applies": verdict.applies,
                "conditions": [vars(clause) for clause in verdict.clauses],
            }
            for verdict in answer.verdicts
        ],
    }
