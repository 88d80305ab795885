"""How the plan for a key, and what a check of one found, are shown to people and to programs."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from party_client.cli.present import counted, say
from party_client.kms import Finding, KeyReport, KeyTerms, KmsPlan
from party_client.times import time_text, validity_text


def plan_facts(plan: KmsPlan) -> dict[str, Any]:
    """For programs: the policies as they are handed to AWS, and what they are for."""
    terms = plan.terms
    return {
        **_terms_facts(terms),
        "alias": plan.alias,
        "encryption_contexts": [terms.encryption_context(subject) for subject in terms.subjects],
        "key_policy": plan.key_policy,
        "role": {
            "name": terms.place.role,
            "trust_policy": plan.role_trust,
            "policy": plan.role_policy,
            "session_policy": plan.role_policy,
            "external_id": terms.agreement_digest.hex(),
        },
    }


def report_facts(report: KeyReport, terms: KeyTerms) -> dict[str, Any]:
    """For programs."""
    return {
        **_terms_facts(terms),
        "key": report.key_arn,
        "sound": not report.findings,
        "findings": [
            {
                "code": one.code,
                "where": one.where,
                "details": list(one.details),
                "what": one.kind.what,
                "why": one.kind.why,
                "change": one.kind.change,
            }
            for one in report.findings
        ],
        "trusted": list(report.trusted),
        "not_read": list(report.not_read),
    }


def render_plan(plan: KmsPlan, out: Console) -> None:
    """For people: in words, then each document."""
    _render_terms(plan.terms, out)
    place = plan.terms.place
    say(
        out,
        "\n".join(
            [
                f"  key        {plan.alias} in {place.account}, {place.region}",
                f"  role       {place.role_arn}",
                *(f"  parent     {name}" for name in place.parents),
                *(f"  sealer     {name}" for name in place.sealers),
                *(f"  changes it {name}: trusted not to" for name in place.administrators),
            ]
        ),
    )
    for title, document in (
        ("Policy of the key", plan.key_policy),
        ("Who may take the role on", plan.role_trust),
        ("Policy of the role, and of every session of it", plan.role_policy),
    ):
        say(out, f"\n{title}", style="bold")
        say(out, json.dumps(document, indent=2))


def render_report(report: KeyReport, terms: KeyTerms, out: Console) -> None:
    """For people: every finding with its reason and remedy, then who is trusted and what was not read."""
    _render_terms(terms, out)
    say(out, f"  key        {report.key_arn}\n")
    for number, finding in enumerate(report.findings, 1):
        _render_finding(number, finding, out)
    if report.findings:
        say(out, f"not sound: {counted(len(report.findings), 'finding')}", style="bold")
    else:
        say(out, "sound: it opens for the releases above under this agreement, and for nobody else")
    for sentence in report.trusted:
        say(out, sentence, lead="trusted: ")
    for sentence in report.not_read:
        say(out, sentence, lead="not read: ")


def _render_finding(number: int, finding: Finding, out: Console) -> None:
    kind = finding.kind
    say(out, f"{kind.what}  [{finding.code}]", lead=f"{number}. ", style="bold")
    say(out, f"   where   {finding.where}")
    for detail in finding.details:
        say(out, f"           {detail}")
    say(out, f"   why     {kind.why}")
    say(out, f"   change  {kind.change}\n")


def _render_terms(terms: KeyTerms, out: Console) -> None:
    if terms.is_simulated:
        say(out, "SIMULATED KMS: nothing here is for AWS", style="bold yellow")
    until = time_text(terms.valid_until_s)
    say(
        out,
        "\n".join(
            [
                f"{terms.party} in {terms.agreement_id}",
                f"  agreement  {terms.agreement_digest.hex()[:16]}…, until {until}",
                f"  PCR16      {terms.agreement_register[:16]}…",
                *(
                    f"  release    {one.name}, PCR0 {one.pcr0.hex()[:16]}…, "
                    f"{validity_text(one.valid_from_s, one.valid_until_s)}"
                    for one in terms.releases
                ),
                *(f"  left out   {name}: its time is over" for name in terms.left_out),
                *([f"  datasets   {', '.join(terms.datasets)}"] if terms.datasets else []),
                *(["  state      what enclaves seal of their own"] if terms.hosts_state else []),
            ]
        ),
    )


def _terms_facts(terms: KeyTerms) -> dict[str, Any]:
    return {
        "agreement": terms.agreement_digest.hex(),
        "party": terms.party,
        "simulated": terms.is_simulated,
        "releases": [
            {
                "name": one.name,
                "pcr0": one.pcr0.hex(),
                "valid_from_s": one.valid_from_s,
                "valid_until_s": one.valid_until_s,
            }
            for one in terms.releases
        ],
        "left_out": list(terms.left_out),
    }
