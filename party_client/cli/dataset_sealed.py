"""`concordat dataset seal`: data that waits for enclaves and needs its owner no more.

Reads the party's own file, and its key's policy as KMS or an export says it. Shown are rows, sizes and keys'
names, never a value.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console

from party_client import files
from party_client.cli.agreed import agreement_option
from party_client.cli.dataset_reading import csv_settings, reading_options
from party_client.cli.kms_options import SIMULATED, reader_options
from party_client.cli.options import identity_option
from party_client.cli.present import counted, emit, json_option, note, progress, say, size, warn
from party_client.identity import Identity
from protos.formats.kms import KeyService
from protos.release.history import AgreedReleases

if TYPE_CHECKING:
    from party_client.kms import SealingKey
    from party_client.kms.access import Reach

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
UNCHECKED: Final = (
    "UNCHECKED: nobody looked at the key's policy; whoever it lets decrypt can read what is sealed under it"
)


@click.command()
@click.argument("file", type=FILE)
@agreement_option
@identity_option
@reading_options
@click.option("--kms-key", "key_arn", required=True, metavar="ARN", help="Your key, as an ARN.")
@click.option("-o", "--output", type=NEW_FILE, metavar="FILE", help="[default: FILE with .sealed]")
@click.option(
    "--administrator", "administrators", multiple=True, metavar="ARN", help="Who may change the key."
)
@click.option("--sealer", "sealers", multiple=True, metavar="ARN", help="Who may make data keys for you.")
@click.option(
    "--from", "export", type=FILE, metavar="FILE", help="Check what `kms export` wrote, not the live key."
)
@click.option("--unchecked-key", is_flag=True, help="Look at no policy: you know who can decrypt.")
@click.option(
    "--simulated-kms", "simulated", is_flag=True, help="For a SIMULATED KMS: releases under any root."
)
@click.option(
    "--compression",
    type=click.Choice(["none", "zstd"]),
    default="zstd",
    show_default=True,
    help="Of the chunks, before they are sealed.",
)
@reader_options
@json_option
def seal(
    *,
    file: Path,
    agreed: AgreedReleases,
    identity: Identity,
    dataset_id: str,
    delimiter: str | None,
    nulls: tuple[str, ...],
    ignore_extra: bool,
    output: Path | None,
    compression: str,
    profile: str | None,
    endpoint: str | None,
    authority: Path | None,
    as_json: bool,
    **of_key: Any,
) -> None:
    """Seal FILE under your key in KMS, for enclaves that come later.

    The key's policy is looked at first: whoever it lets decrypt can read what is sealed under it. Then KMS
    makes a data key, and FILE becomes one sealed file, which anybody may deposit. You need not be there when
    it is used.

    \b
    Example:
      concordat dataset seal flights.csv --dataset flights \\
          --agreement flights.agreement --identity keys/airline.key \\
          --kms-key arn:aws:kms:eu-central-1:111122223333:key/1234 \\
          --administrator arn:aws:iam::111122223333:role/key-admin \\
          --sealer arn:aws:iam::111122223333:role/sealer
    """
    from party_client.kms.access import Reach  # noqa: PLC0415
    from party_client.kms.agreed import is_aws  # noqa: PLC0415
    from party_client.runs import require_dataset  # noqa: PLC0415
    from party_client.seal_to_file import SUFFIX, SealOptions, require_may_seal, seal_dataset  # noqa: PLC0415

    dataset = require_dataset(agreed.agreement, dataset_id)
    service = require_may_seal(agreed.agreement, dataset, identity, now=datetime.now(UTC))
    reach = Reach(profile, endpoint, authority)
    key = _sealing_key(agreed, identity.id, service, reach=reach, **of_key)
    warning = None if is_aws(service) else _not_aws(service)
    with progress(f"sealing {file.name}", total_bytes=file.stat().st_size, as_json=as_json) as advance:
        options = SealOptions(
            csv=csv_settings(file, delimiter, nulls),
            ignore_extra=ignore_extra,
            compression=compression,
            progress=advance,
            reach=reach,
        )
        target = output or file.with_suffix(SUFFIX)
        made = seal_dataset(agreed, dataset_id, file, target, identity=identity, key=key, options=options)
    manifest = made.manifest
    findings = () if key.report is None else key.report.findings
    value = {
        "dataset": dataset.id,
        "file": made.path,
        "rows": manifest.rows,
        "chunks": manifest.chunks,
        "bytes": manifest.plaintext_bytes,
        "file_bytes": made.size_bytes,
        "upload": made.header.context.upload_id,
        "manifest": manifest.digest(),
        "kms_key": key.arn,
        "key_checked": key.report is not None,
        "findings": [one.code for one in findings],
        "warning": warning,
    }

    def render(out: Console) -> None:
        what = f"{counted(manifest.rows, 'row')}, {size(manifest.plaintext_bytes)}"
        say(out, f"sealed     {dataset.id}: {what} in {counted(manifest.chunks, 'chunk')}, in {made.path}")
        say(out, f"key        {key.arn}")
        say(out, f"manifest   {manifest.digest().hex()}")
        for one in findings:
            say(out, f"note       {one.kind.what} [{one.code}]")
        warn(out, None if key.report is not None else UNCHECKED)
        warn(out, warning)

    emit(as_json, value, render)


def _sealing_key(
    agreed: AgreedReleases,
    party: str,
    service: KeyService,
    *,
    reach: Reach,
    key_arn: str,
    administrators: tuple[str, ...],
    sealers: tuple[str, ...],
    export: Path | None,
    unchecked_key: bool,
    simulated: bool,
) -> SealingKey:
    """The key, once its policy was looked at. Raises `KmsError`, and `UsageError` if nobody said how."""
    from party_client import kms  # noqa: PLC0415
    from party_client.kms.access import reached  # noqa: PLC0415
    from party_client.kms.live import Reader  # noqa: PLC0415
    from party_client.kms.policy import read_json_untrusted  # noqa: PLC0415
    from party_client.kms.snapshot import FILE_MAX_BYTES, read_snapshot_untrusted  # noqa: PLC0415

    if simulated:
        note(SIMULATED)
    if unchecked_key:
        if administrators or sealers or export:
            raise click.UsageError("--unchecked-key looks at no policy: leave the options about it out")
        return kms.unchecked_key(key_arn, service)
    if not administrators:
        raise click.UsageError(
            "say who may change the key (--administrator, as for `concordat kms check`), or --unchecked-key"
        )
    place = kms.Place(service.account, service.region, service.role, (), administrators, sealers)
    terms = kms.key_terms(agreed, party=party, place=place, now=datetime.now(UTC), simulated=simulated)
    if export is not None:
        data = files.read(export, max_bytes=FILE_MAX_BYTES, private=False)
        value = read_json_untrusted(data, what=str(export))
    else:
        service.require_key_arn(key_arn)
        with reached(service, reach) as access:
            value = Reader.of(access).read(key_arn)
    return kms.checked_key(key_arn, service, terms=terms, snapshot=read_snapshot_untrusted(value))


def _not_aws(service: KeyService) -> str:
    return f"NOT AWS: the key is in a service at {service.endpoint}; whoever runs it can read the data"
