"""`concordat kms`: plan the policies of your own key in AWS KMS, and see who else could decrypt with it.

Agreement files, with their release changes, are verified here. What is planned comes from them and from the
options alone; what is checked was read by this command or by somebody else, and is taken as their word.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from party_client import files
from party_client.agreements import load_agreed
from party_client.cli.kms_text import plan_facts, render_plan, render_report, report_facts
from party_client.cli.present import emit, json_option, note
from party_client.kms import KeyTerms, Place, check_key, key_terms, plan, terraform
from party_client.kms.agreed import agreed_whereabouts
from party_client.kms.live import Reader
from party_client.kms.policy import read_json_untrusted
from party_client.kms.snapshot import FILE_MAX_BYTES, read_snapshot_untrusted
from party_client.kms.terms import require_party

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
SIMULATED: Final = "SIMULATED KMS: releases under any root; AWS KMS lets none but its own in"
FOUND_STATUS: Final = 1
_AGREED: Final = "[default: as agreed]"
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(name="kms")
def group() -> None:
    """Tie your own KMS key to an agreement, and check it."""


def _terms_options(command: _Command) -> _Command:
    """Adds what says who may do what with the key; gives the command `terms: KeyTerms`."""

    @functools.wraps(command)
    def with_terms(
        *args: Any,
        agreement_file: Path,
        party: str,
        account: str | None,
        region: str | None,
        role: str | None,
        simulated: bool,
        **options: Any,
    ) -> Any:
        agreed = load_agreed(agreement_file)
        require_party(agreed.agreement, party)
        where = agreed_whereabouts(agreed.agreement, party, account=account, region=region, role=role)
        people = [options.pop(name) for name in ("parents", "administrators", "sealers")]
        if simulated:
            note(SIMULATED)
        place = Place(*where, *people)
        terms = key_terms(agreed, party=party, place=place, now=datetime.now(UTC), simulated=simulated)
        return command(*args, terms=terms, **options)

    arns: Any = functools.partial(click.option, multiple=True, metavar="ARN")
    decorators = (
        click.argument("agreement_file", type=FILE, metavar="AGREEMENT"),
        click.option("--party", required=True, help="Whose key it is: your id in the agreement."),
        click.option("--account", help=f"Your AWS account, which owns the key.  {_AGREED}"),
        click.option("--region", help=f"Where the key is.  {_AGREED}"),
        click.option("--role", help=f"Name of the enclave's role in your account.  {_AGREED}"),
        arns("--parent", "parents", required=True, help="Who may take that role on; once for each."),
        arns("--administrator", "administrators", required=True, help="Who may change the key."),
        arns("--sealer", "sealers", help="Who may make data keys outside, to seal your data."),
        click.option(
            "--simulated-kms",
            "simulated",
            is_flag=True,
            help="For a SIMULATED KMS: take releases that AWS does not vouch for.",
        ),
    )
    decorated: Any = with_terms
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return cast(_Command, decorated)


def reader_options(command: _Command) -> _Command:
    """Adds where a live key is read; gives the command `profile`, `endpoint` and `authority`."""
    profile = click.option("--profile", metavar="NAME", help="Of your AWS configuration.")
    endpoint = click.option("--endpoint", metavar="URL", help="Of a SIMULATED KMS, instead of AWS's.")
    authority = click.option(
        "--ca", "authority", type=FILE, metavar="PEM", help="Who signed that endpoint's certificate."
    )
    return profile(endpoint(authority(command)))


@group.command("plan")
@_terms_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "terraform"]),
    default="text",
    show_default=True,
    help="For people, for programs, or a file NAME.tf.json.",
)
@click.option("-o", "--output", type=NEW_FILE, metavar="FILE", help="Write it there.  [default: print it]")
def plan_command(*, terms: KeyTerms, form: str, output: Path | None) -> None:
    """Print the policies that tie your key to AGREEMENT.

    The key's policy, the enclave's role and its session policy: the key opens for the releases of the
    agreement, under this agreement, for your datasets and in their time, and for nobody else.

    \b
    Example:
      concordat kms plan flights.agreement --party airline \\
          --parent arn:aws:iam::444455556666:role/parent \\
          --administrator arn:aws:iam::111122223333:role/key-admin
    """
    made = plan(terms)
    if form == "text" and output is None:
        emit(False, None, lambda out: render_plan(made, out))
        return
    text = terraform(made) if form == "terraform" else json.dumps(plan_facts(made), indent=2) + "\n"
    if form == "text":
        raise click.UsageError("-o writes what programs read: add --format json or --format terraform")
    if output is None:
        click.echo(text, nl=False)
    else:
        files.replace(output, text.encode())


@group.command("check")
@_terms_options
@click.option("--key", help="The live key: id, ARN or alias.")
@click.option(
    "--from", "source", type=FILE, metavar="FILE", help="What `kms export` wrote, instead of --key."
)
@reader_options
@json_option
def check_command(
    *,
    terms: KeyTerms,
    key: str | None,
    source: Path | None,
    profile: str | None,
    endpoint: str | None,
    authority: Path | None,
    as_json: bool,
) -> None:
    """Say who else could decrypt with your key, and why.

    The key's policy, its grants and properties, and the policies of your account's users and roles are held
    against what `plan` would write. Exit status: 0 nothing found, 1 something found or nothing to be read,
    2 wrong usage.

    \b
    Example:
      concordat kms check flights.agreement --party airline \\
          --parent arn:aws:iam::444455556666:role/parent \\
          --administrator arn:aws:iam::111122223333:role/key-admin --from key.json
    """
    if (key is None) == (source is None):
        raise click.UsageError("give one of --key and --from")
    if source is not None:
        value = _exported(source)
    else:
        value = Reader(terms.place.region, profile, endpoint, authority).read(str(key))
    report = check_key(terms, read_snapshot_untrusted(value))
    emit(as_json, report_facts(report, terms), lambda out: render_report(report, terms, out))
    if report.findings:
        raise click.exceptions.Exit(FOUND_STATUS)


@group.command("export")
@click.option("--key", required=True, help="The live key: id, ARN or alias.")
@click.option("--region", required=True, help="Where the key is.")
@reader_options
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="Write it there.")
def export_command(
    *,
    key: str,
    region: str,
    profile: str | None,
    endpoint: str | None,
    authority: Path | None,
    output: Path,
) -> None:
    """Read a live key, for somebody else to check.

    The file has no key material and no credentials, but it shows who may do what in your account.

    \b
    Example:
      concordat kms export --key alias/concordat-flights-airline \\
          --region eu-central-1 -o key.json
    """
    found = Reader(region, profile, endpoint, authority).read(key)
    files.create(output, (json.dumps(found, indent=2, default=str) + "\n").encode())


def _exported(path: Path) -> Any:
    return read_json_untrusted(files.read(path, max_bytes=FILE_MAX_BYTES, private=False), what=str(path))
