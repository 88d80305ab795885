"""`concordat agreement`: write, understand, compare and sign an agreement, and pass it around.

Files and answers of the coordinator come from others: what a command prints or signs is what it computed from
the bytes itself. The clock is this computer's, and every sentence that depends on it says what it showed.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from party_client import files
from party_client.agreements import (
    approval_status,
    check,
    compile_toml,
    diff,
    load_agreed,
    load_approval,
    require_not_expired,
    sign,
)
from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.describe import facts
from party_client.agreements.errors import AgreementError
from party_client.agreements.releases import MEANINGS
from party_client.agreements.signing import require_party
from party_client.attestation import Anchors
from party_client.attestation.emulator import require_fitting
from party_client.cli.agreement_board import approve, fetch, list_agreements, submit
from party_client.cli.agreement_grants import grants
from party_client.cli.agreement_preview import preview
from party_client.cli.agreement_text import render_agreement, render_approvals, render_changes, render_report
from party_client.cli.leak_report_text import report_facts
from party_client.cli.options import identity_option
from party_client.cli.present import console, emit, json_option, note, say
from party_client.cli.release_change import history_facts, history_lines, release_change
from party_client.cli.trust import Trust, trust_options
from party_client.identity import Identity
from party_client.leak_report import LeakReport, leak_report
from party_client.pages.leak_report_page import leak_report_page
from protos.formats.agreement import Agreement
from protos.plan import compile_query
from protos.release.history import AgreedReleases

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(name="agreement")
def group() -> None:
    """Write, understand, compare and sign an agreement."""


for command in (grants, preview, submit, approve, fetch, list_agreements, release_change):
    group.add_command(command)


@group.command("compile")
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=NEW_FILE, help="Default: FILE with the ending .agreement.")
@json_option
def compile_command(*, file: Path, output: Path | None, as_json: bool) -> None:
    """Turn what people wrote (TOML) into what they will sign.

    \b
    Example:
      concordat agreement compile flights.toml -o flights.agreement
    """
    agreement = compile_toml(file)
    for query in agreement.queries:
        compile_query(agreement, query)  # an agreement whose queries cannot run is not worth a signature
    path = output or file.with_suffix(".agreement")
    save_agreement(path, agreement)
    digest = agreement.digest()
    emit(
        as_json,
        {"digest": digest, "file": path},
        lambda out: out.print(f"{path}\ndigest {digest.hex()}", soft_wrap=True),
    )


@group.command("check")
@click.argument("file", type=FILE)
@click.option(
    "--html", "page", type=NEW_FILE, metavar="FILE", help="Also write the report as one page, with pictures."
)
@trust_options
@json_option
def check_command(*, file: Path, page: Path | None, trust: Trust, as_json: bool) -> None:
    """Explain what the agreement in FILE would let happen. Read it before you sign.

    For each query: whose columns are used and by which grant, what leaves and to whom, whose units the
    thresholds count, how far one person reaches, what shows beside the values, what runs add up to, and what
    could still be worked out. The page of --html needs nothing else to be read, and prints. The exit status
    is 1 if the enclave would refuse a query, if the agreement has expired, or if it is for the unsigned
    emulator and --unsafe-emulator was not given.

    \b
    Example:
      concordat agreement check flights.agreement --html flights.html
    """
    agreed = load_agreed(file)
    roots = trust.anchors()
    found = _report(agreed.agreement, roots)
    if page is not None:
        files.replace(page, leak_report_page(found).encode())

    def render(out: Console) -> None:
        render_report(found, out)
        _render_changes_of_releases(agreed, out)

    emit(as_json, {**_check_facts(found), "release_changes": history_facts(agreed)}, render)
    _require_signable(found, roots)


@group.command()
@click.argument("file", type=FILE)
@json_option
def show(*, file: Path, as_json: bool) -> None:
    """Show everything that the agreement in FILE says.

    \b
    Example:
      concordat agreement show flights.agreement
    """
    agreed = load_agreed(file)
    agreement = agreed.agreement

    def render(out: Console) -> None:
        render_agreement(agreement, out)
        _render_changes_of_releases(agreed, out)

    emit(as_json, {**facts(agreement), "release_changes": history_facts(agreed)}, render)


@group.command("diff")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@json_option
def diff_command(*, before: Path, after: Path, as_json: bool) -> None:
    """Show in words what differs between two agreements.

    Changes that let more happen stand out. Release changes in the files are no part of the agreements; it is
    said where they differ.

    \b
    Example:
      concordat agreement diff last_year.agreement flights.agreement
    """
    first, second = load_agreed(before), load_agreed(after)
    changes = diff(first.agreement, second.agreement)
    same_history = first.head == second.head

    def render(out: Console) -> None:
        render_changes(changes, out)
        if not same_history:
            for path, agreed in ((before, first), (after, second)):
                say(out, "\n".join(["", f"Releases by {path}", *history_lines(agreed)]))

    value = {
        "before": first.agreement.digest(),
        "after": second.agreement.digest(),
        "changes": [vars(item) for item in changes],
        "same_release_changes": same_history,
    }
    emit(as_json, value, render)


@group.command("sign")
@click.argument("file", type=FILE)
@identity_option
@trust_options
@click.option("-o", "--output", type=NEW_FILE, help="Default: FILE with the ending .YOU.approval.")
@click.option("--yes", is_flag=True, help="Sign without explaining and asking.")
@json_option
def sign_command(
    *,
    file: Path,
    identity: Identity,
    trust: Trust,
    output: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Explain the agreement in FILE, then sign it.

    It explains as `check` does. With --yes it says no more than who vouches for the enclave, where that is
    not AWS.

    \b
    Example:
      concordat agreement sign flights.agreement --identity keys/airline.key
    """
    agreement = load_agreed(file).agreement
    require_party(agreement, identity)
    roots = trust.anchors()
    found = _report(agreement, roots)
    _require_signable(found, roots)
    not_aws = [
        f"{one.kind}: release {one.name}: {MEANINGS[one.kind]}" for one in found.check.releases_not_aws
    ]
    if not yes:
        render_report(found, console(stderr=True))
        _require_consent(agreement, identity)
    elif not as_json:
        for warning in not_aws:
            note(warning)
    approval = sign(agreement, identity, now=datetime.now(UTC), roots=roots)
    path = output or file.with_suffix(f".{identity.id}.approval")
    files.replace(path, approval)
    emit(
        as_json,
        {
            "digest": agreement.digest(),
            "party": identity.id,
            "file": path,
            "unsigned_emulator": found.check.is_unsigned_emulator,
            "warnings": not_aws,
        },
        lambda out: out.print(f"{path}\nsigned as {identity.id}: {agreement.digest().hex()}", soft_wrap=True),
    )


@group.command()
@click.argument("file", type=FILE)
@click.argument("approval_files", type=FILE, nargs=-1, metavar="APPROVAL...")
@json_option
def approvals(*, file: Path, approval_files: tuple[Path, ...], as_json: bool) -> None:
    """Say who has signed FILE and who is missing.

    Every APPROVAL is verified. The exit status is 1 while somebody is missing.

    \b
    Example:
      concordat agreement approvals flights.agreement *.approval
    """
    agreement = load_agreed(file).agreement
    messages = [load_approval(path) for path in approval_files]
    status = approval_status(agreement, messages)
    value = {
        "digest": agreement.digest(),
        "in_force": status.in_force,
        "signed": [{"party": item.party, "signed_at_s": item.signed_at_s} for item in status.signed],
        "missing": list(status.missing),
    }
    emit(as_json, value, lambda out: render_approvals(agreement, status, out))
    if not status.in_force:
        raise click.exceptions.Exit(1)


def _render_changes_of_releases(agreed: AgreedReleases, out: Console) -> None:
    """What counts in place of the agreement's own releases, if parties have changed them in this file."""
    if agreed.changes:
        say(out, "\n".join(["", "Releases after the changes in this file", *history_lines(agreed)]))


def _report(agreement: Agreement, roots: Anchors) -> LeakReport:
    return leak_report(check(agreement, now=datetime.now(UTC), roots=roots))


def _require_signable(found: LeakReport, roots: Anchors) -> None:
    """Raises for what makes a signature pointless: queries that cannot run, a time that is over.

    And for the unsigned emulator, unless it was asked for by name and nothing else is in the agreement.
    """
    require_fitting(found.check.agreement.releases, roots)
    for query in found.check.refused:
        raise AgreementError(f"the enclave would refuse this agreement: {query.refusal}", hint=query.hint)
    require_not_expired(found.check.agreement, now=found.check.validity.now)


def _require_consent(agreement: Agreement, identity: Identity) -> None:
    if not sys.stdin.isatty():
        raise AgreementError(
            "nobody is here to be asked, so nothing was signed",
            hint="read what `concordat agreement check` says, then add --yes",
        )
    if not click.confirm(f"\nSign {agreement.id} as {identity.id}?", err=True):
        raise AgreementError("not signed, as you wished")


def _check_facts(report: LeakReport) -> dict[str, object]:
    found = report.check
    return {
        "digest": found.agreement.digest(),
        "id": found.agreement.id,
        "validity": {**vars(found.validity), "sentence": found.validity.sentence},
        "releases": [vars(release) for release in found.releases],
        "releases_changed_by": found.releases_changed_by,
        "state": found.state,
        "unsigned_emulator": found.is_unsigned_emulator,
        "queries": [
            {
                **vars(query),
                "uses": [vars(use) for use in query.uses],
                "thresholds": [vars(threshold) for threshold in query.thresholds],
            }
            for query in found.queries
        ],
        "datasets": [vars(dataset) for dataset in found.datasets],
        "keys": [vars(key) for key in found.keys],
        "privacy": [asdict(budget) for budget in found.budgets],
        "warnings": found.warnings,
        "report": report_facts(report),
    }
