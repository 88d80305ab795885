"""`concordat agreement release-change`: accept further releases of the enclave, or end some, by a quorum.

A change is a file that its proposer hands round; each party that agrees hands back its signature; `apply`
puts both into the agreement's file, which every command takes with `--agreement`. Everything from others is
verified before it is shown as true, signed or kept.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from party_client import files
from party_client.agreements.agreement_file import load_agreed, load_approval
from party_client.agreements.errors import AgreementError
from party_client.agreements.release_changes import (
    change_sentences,
    gap_sentences,
    propose,
    sign_release_change,
    with_change,
)
from party_client.agreements.release_text import load_releases
from party_client.cli.options import identity_option
from party_client.cli.present import console, emit, json_option, note, say, warn
from party_client.identity import Identity
from party_client.times import validity_text
from protos.release.change import CHANGE_MAX_BYTES, ReleaseChange, verify_change_approval_untrusted
from protos.release.history import AgreedReleases, releases_after

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


class _End(click.ParamType[tuple[str, int]]):
    name = "end"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """NAME=2026-12-01T00:00:00Z as (name, seconds), or a usage error."""
        name, _, text = value.rpartition("=")
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            time = datetime.min
        if not name or time.tzinfo is None or time.microsecond:
            self.fail("expected NAME=TIME with a zone, such as 1.0=2026-12-01T00:00:00Z", param, ctx)
        return name, int(time.timestamp())


@click.group(name="release-change")
def release_change() -> None:
    """Accept further enclave code, or end some."""


@release_change.command("propose")
@click.argument("file", type=FILE)
@click.option(
    "--add", "added", type=FILE, multiple=True, metavar="TOML", help="File of [[releases]] to accept."
)
@click.option("--end", "ends", type=_End(), multiple=True, metavar="NAME=TIME", help="End a release earlier.")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="CHANGE", help="Where the change goes.")
@json_option
def propose_command(
    *, file: Path, added: tuple[Path, ...], ends: tuple[tuple[str, int], ...], output: Path, as_json: bool
) -> None:
    """Write the next change of an agreement's releases.

    Nobody has signed it yet. Every release of --add needs `valid_from` and `valid_until`. For a move without
    a gap, let the new one begin before the old one ends.

    \b
    Example:
      concordat agreement release-change propose flights.agreement \\
          --add release.toml --end 1.0=2026-12-01T00:00:00Z -o second.change
    """
    agreed = load_agreed(file)
    releases = [release for path in added for release in load_releases(path)]
    change = propose(agreed, added=releases, ends_s=dict(ends))
    files.create(output, change.encode(), mode=files.PUBLIC)
    _show(agreed, change, as_json=as_json, file=output)


@release_change.command("sign")
@click.argument("file", type=FILE)
@click.argument("change_file", type=FILE, metavar="CHANGE")
@identity_option
@click.option("-o", "--output", type=NEW_FILE, help="Default: CHANGE.YOU.approval.")
@click.option("--yes", is_flag=True, help="Sign without explaining and asking.")
@json_option
def sign_command(
    *, file: Path, change_file: Path, identity: Identity, output: Path | None, yes: bool, as_json: bool
) -> None:
    """Explain CHANGE, then sign it.

    Sign for an added release only what you would have signed for in the agreement itself: code that you, or
    somebody you chose, built and compared.

    \b
    Example:
      concordat agreement release-change sign flights.agreement second.change \\
          --identity keys/airline.key
    """
    agreed, change = load_agreed(file), _load_change(change_file)
    releases_after(agreed, change)
    if not yes:
        _render(agreed, change, console(stderr=True))
        if not sys.stdin.isatty():
            raise AgreementError(
                "nobody is here to be asked, so nothing was signed",
                hint="read what `concordat agreement release-change show` says, then add --yes",
            )
        if not click.confirm(f"\nSign this change as {identity.id}?", err=True):
            raise AgreementError("not signed, as you wished")
    approval = sign_release_change(agreed, change, identity, now=datetime.now(UTC))
    path = output or change_file.with_name(f"{change_file.name}.{identity.id}.approval")
    files.replace(path, approval)
    value = {"change": change.digest(), "party": identity.id, "file": path}
    emit(as_json, value, lambda out: say(out, f"{path}\nsigned as {identity.id}: {change.digest().hex()}"))


@release_change.command("apply")
@click.argument("file", type=FILE)
@click.argument("change_file", type=FILE, metavar="CHANGE")
@click.argument("approval_files", type=FILE, nargs=-1, required=True, metavar="SIGNED...")
@click.option("-o", "--output", type=NEW_FILE, help="Default: FILE itself.")
@json_option
def apply_command(
    *, file: Path, change_file: Path, approval_files: tuple[Path, ...], output: Path | None, as_json: bool
) -> None:
    """Put a signed CHANGE into the agreement's FILE.

    The agreement and its digest stay what they are. Hand the file to everybody who verifies enclaves, results
    or receipts: a file without the change refuses added releases, and goes on accepting ended ones.

    \b
    Example:
      concordat agreement release-change apply flights.agreement \\
          second.change second.change.*.approval
    """
    agreed = load_agreed(file)
    approvals = [load_approval(path) for path in approval_files]
    after = with_change(agreed, _load_change(change_file), approvals)
    path = output or file
    files.replace(path, after.encode())
    emit(
        as_json,
        {"file": path, **history_facts(after)},
        lambda out: say(out, "\n".join([str(path), *history_lines(after)])),
    )


@release_change.command()
@click.argument("file", type=FILE)
@click.argument("change_file", type=FILE, required=False, metavar="[CHANGE]")
@click.argument("approval_files", type=FILE, nargs=-1, metavar="[APPROVAL...]")
@json_option
def show(*, file: Path, change_file: Path | None, approval_files: tuple[Path, ...], as_json: bool) -> None:
    """Show the changes in FILE, or what CHANGE would do.

    With APPROVALs, also who has signed it. The exit status is 1 if the change could not stand.

    \b
    Example:
      concordat agreement release-change show flights.agreement second.change
    """
    agreed = load_agreed(file)
    if change_file is None:
        emit(as_json, history_facts(agreed), lambda out: say(out, "\n".join(history_lines(agreed))))
        return
    change = _load_change(change_file)
    signed = [
        verify_change_approval_untrusted(agreed.agreement, change, load_approval(path)).party
        for path in approval_files
    ]
    _show(agreed, change, as_json=as_json, file=change_file, signed=sorted(set(signed)))


def history_facts(agreed: AgreedReleases) -> dict[str, Any]:
    """What counts now and how it came to that, for JSON."""
    return {
        "release_quorum": agreed.agreement.release_quorum,
        "changes": [
            {
                "number": change.number,
                "digest": change.digest(),
                "signed_by": [approval.party for approval in approvals],
            }
            for change, approvals in agreed.changes
        ],
        "releases": [vars(release) for release in agreed.releases],
        "gaps": gap_sentences(agreed, agreed.releases),
    }


def history_lines(agreed: AgreedReleases) -> list[str]:
    """The same for people."""
    return [
        *(
            f"change {change.number}  {change.digest().hex()[:16]}…, signed by "
            f"{', '.join(approval.party for approval in approvals)}"
            for change, approvals in agreed.changes
        ),
        *(
            f"release {release.name!r}, valid {validity_text(release.valid_from_s, release.valid_until_s)}: "
            f"PCR0 {release.pcr0.hex()}"
            for release in agreed.releases
        ),
        *gap_sentences(agreed, agreed.releases),
    ]


def _load_change(path: Path) -> ReleaseChange:
    return ReleaseChange.decode_untrusted(files.read(path, max_bytes=CHANGE_MAX_BYTES, private=False))


def _show(
    agreed: AgreedReleases,
    change: ReleaseChange,
    *,
    as_json: bool,
    file: Path,
    signed: list[str] | None = None,
) -> None:
    after = releases_after(agreed, change)
    value = {
        "file": file,
        "digest": change.digest(),
        "number": change.number,
        "does": change_sentences(agreed, change),
        "release_quorum": agreed.agreement.release_quorum,
        "signed_by": signed or [],
        "gaps": gap_sentences(agreed, after),
    }
    emit(as_json, value, lambda out: _render(agreed, change, out, signed=signed or []))
    if not as_json and not signed:
        note(f"{file}: hand it round; each party signs with `concordat agreement release-change sign`")


def _render(
    agreed: AgreedReleases, change: ReleaseChange, out: Console, *, signed: list[str] | None = None
) -> None:
    agreement = agreed.agreement
    lines = [
        f"release change {change.number} of {agreement.id}",
        f"digest {change.digest().hex()}",
        *change_sentences(agreed, change),
        f"counts once {agreement.release_quorum} of {len(agreement.parties)} parties have signed it",
    ]
    if signed is not None:
        lines.append(f"signed by {', '.join(signed) or 'nobody'}")
    say(out, "\n".join(lines))
    for sentence in gap_sentences(agreed, releases_after(agreed, change)):
        warn(out, sentence)
