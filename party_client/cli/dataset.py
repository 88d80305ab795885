"""`concordat dataset`: check a party's own data against the agreement, and send it to the enclave.

Reads the party's own file. Nothing is sent before the enclave has been verified, and what is shown are rows,
columns and sizes, never a value. Data that waits for enclaves without its owner is in `dataset_sealed`.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from party_client.cli.agreed import agreement_option, job_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.dataset_deposits import deposit, deposits, withdraw
from party_client.cli.dataset_reading import csv_settings, reading_options
from party_client.cli.dataset_sealed import seal
from party_client.cli.options import identity_option, state_option
from party_client.cli.present import counted, emit, json_option, note, progress, say, size, warn
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from protos.release.history import AgreedReleases

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="dataset")
def group() -> None:
    """Check your data against the agreement, and send or deposit it for the enclave."""


@group.command()
@click.argument("file", type=FILE)
@agreement_option
@reading_options
@json_option
def check(
    *,
    file: Path,
    agreed: AgreedReleases,
    dataset_id: str,
    delimiter: str | None,
    nulls: tuple[str, ...],
    ignore_extra: bool,
    as_json: bool,
) -> None:
    """Read FILE as the agreement wants it, and send nothing.

    \b
    Example:
      concordat dataset check flights.csv --dataset flights \\
          --agreement flights.agreement
    """
    from party_client.datasets import Reading, encode_chunks, open_source  # noqa: PLC0415 - pyarrow
    from party_client.runs import require_dataset  # noqa: PLC0415

    dataset = require_dataset(agreed.agreement, dataset_id)
    source = open_source(file, csv=csv_settings(file, delimiter, nulls), ignore_extra=ignore_extra)
    reading = Reading(source, dataset)
    chunks = size_bytes = 0
    with progress(f"reading {file.name}", total_bytes=source.size_bytes, as_json=as_json) as advance:
        position_bytes = 0
        for chunk in encode_chunks(reading, dataset, compression="none", source=source):
            chunks, size_bytes = chunks + 1, size_bytes + len(chunk.plaintext)
            advance(chunk.position_bytes - position_bytes)
            position_bytes = chunk.position_bytes
    value = {"dataset": dataset.id, "rows": reading.rows, "chunks": chunks, "bytes": size_bytes}
    emit(
        as_json,
        value,
        lambda out: say(
            out,
            f"{file} is as agreed for {dataset.id}: {counted(reading.rows, 'row')}, "
            f"{counted(len(dataset.columns), 'column')}, {size(size_bytes)} to send",
        ),
    )


@group.command()
@click.argument("file", type=FILE)
@agreement_option
@job_option
@identity_option
@reading_options
@click.option(
    "--compression",
    type=click.Choice(["none", "zstd"]),
    help="Default: zstd, and none for a coordinator on this machine.",
)
@click.option("--restart", is_flag=True, help="Forget an interrupted upload of this dataset; begin anew.")
@state_option
@connection_options
@trust_options
@json_option
def send(
    *,
    file: Path,
    agreed: AgreedReleases,
    job_id: str,
    identity: Identity,
    dataset_id: str,
    delimiter: str | None,
    nulls: tuple[str, ...],
    ignore_extra: bool,
    compression: str | None,
    restart: bool,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Verify the job's enclave, then seal FILE to it and send it.

    An interrupted upload is continued by the same command. What was sent to an enclave that is gone is of no
    use to anybody: the same command then seals anew to the next one.

    \b
    Example:
      concordat dataset send flights.csv --dataset flights \\
          --job 26fc3eef023ae66d --agreement flights.agreement \\
          --identity keys/airline.key
    """
    from party_client.client import Client, UploadOptions  # noqa: PLC0415 - gRPC and pyarrow

    roots = trust.anchors()
    with (
        connect(connection, identity_id=identity.id) as coordinator,
        progress(f"sending {file.name}", total_bytes=file.stat().st_size, as_json=as_json) as advance,
    ):
        client = Client(coordinator, identity, roots=roots, state=state)
        options = UploadOptions(
            csv=csv_settings(file, delimiter, nulls),
            ignore_extra=ignore_extra,
            compression=compression,
            restart=restart,
            progress=advance,
            notify=note,
        )
        acceptance = client.upload(job_id, agreed, dataset_id, file, options)
    warning = root_warning(acceptance.enclave.attestation.root)
    manifest = acceptance.manifest
    value = {
        "dataset": acceptance.dataset,
        "rows": manifest.rows,
        "chunks": manifest.chunks,
        "bytes": manifest.plaintext_bytes,
        "manifest": manifest.digest(),
        "enclave": acceptance.enclave.keys.enclave_id,
        "release": acceptance.enclave.release_name,
        "resumed_at_chunk": acceptance.resumed_at,
        "unsigned_emulator": acceptance.enclave.attestation.is_unsigned_emulator,
        "warning": warning,
    }

    def render(out: Console) -> None:
        enclave = acceptance.enclave
        say(out, f"verified   enclave {enclave.keys.enclave_id.hex()}, release {enclave.release_name}")
        sent = f"{counted(manifest.rows, 'row')}, {size(manifest.plaintext_bytes)}"
        say(out, f"accepted   {acceptance.dataset}: {sent} in {counted(manifest.chunks, 'chunk')}")
        say(out, f"manifest   {manifest.digest().hex()}")
        warn(out, warning)

    emit(as_json, value, render)


for command in (seal, deposit, deposits, withdraw):
    group.add_command(command)
