"""`concordat kms`: plan the policies of your own key in AWS KMS, and see who else could decrypt with it.

Agreement files, with their release changes, are verified here. What is planned comes from them and from the
options alone; what is checked was read by this command or by somebody else, and is taken as their word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from party_client import files
from party_client.cli import kms_explain
from party_client.cli.kms_options import FILE, reader_options, terms_options
from party_client.cli.kms_text import plan_facts, render_plan, render_report, report_facts
from party_client.cli.present import emit, json_option
from party_client.kms import KeyTerms, check_key, plan, terraform
from party_client.kms.live import Reader
from party_client.kms.policy import read_json_untrusted
from party_client.kms.snapshot import FILE_MAX_BYTES, read_snapshot_untrusted

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
FOUND_STATUS: Final = 1


@click.group(name="kms")
def group() -> None:
    """Tie your own KMS key to an agreement, and check it."""


@group.command("plan")
@terms_options
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
@terms_options
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


group.add_command(kms_explain.explain)


def _exported(path: Path) -> Any:
    return read_json_untrusted(files.read(path, max_bytes=FILE_MAX_BYTES, private=False), what=str(path))
