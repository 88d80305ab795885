"""`concordat result`: fetch the result of a run, verify its receipt in full, open it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from party_client import files
from party_client.cli.agreed import agreement_option, held_back, job_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import identity_option, state_option
from party_client.cli.present import counted, emit, json_option, note, say, table
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from protos.formats.errors import ConcordatError
from protos.formats.identifiers import RUN_ID_BYTES, from_hex
from protos.release.history import AgreedReleases

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_SHOWN_ROWS = 40


class _RunId(click.ParamType[bytes]):
    name = "run"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """16 bytes, or a usage error."""
        try:
            return from_hex(value, length=RUN_ID_BYTES, what="run")
        except ConcordatError as error:
            self.fail(error.message, param, ctx)


@click.group(name="result")
def group() -> None:
    """Fetch, verify and open the result of a run."""


@group.command()
@click.argument("run_id", metavar="RUN", type=_RunId())
@job_option
@agreement_option
@identity_option
@click.option("-o", "--output", type=NEW_FILE, help="Write the table to this file (.csv or .parquet).")
@click.option("--receipt", "receipt_file", type=NEW_FILE, help="Keep the receipt in this file.")
@state_option
@connection_options
@trust_options
@json_option
def get(
    *,
    run_id: bytes,
    job_id: str,
    agreed: AgreedReleases,
    identity: Identity,
    output: Path | None,
    receipt_file: Path | None,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Fetch the result of RUN, verify its receipt, and open it.

    \b
    Example:
      concordat result get b4e02980cac411cfa208326b13a65d40 \\
          --job 26fc3eef023ae66d --agreement flights.agreement \\
          --identity keys/analyst.key -o delays.csv --receipt delays.receipt
    """
    from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow
    from party_client.noisy_columns import as_facts  # noqa: PLC0415
    from party_client.results import Result, beside, require_format  # noqa: PLC0415

    paths = [path for path in (output, receipt_file) if path is not None]
    files.require_absent(*paths)
    if output is not None:
        require_format(output)
    with connect(connection, identity_id=identity.id) as coordinator:
        client = Client(coordinator, identity, roots=trust.anchors(), state=state)
        result: Result = client.result(job_id, agreed, run_id)
    if receipt_file is not None:
        files.create(receipt_file, result.receipt_bytes, mode=files.PUBLIC)
    if output is not None:
        result.save(output)
    claims = result.receipt.claims
    warning = root_warning(result.receipt.attestation.root)
    value = {
        "run": run_id,
        "query": claims.query,
        "parameters": dict(claims.parameters),
        "rows": result.table.num_rows,
        "columns": result.table.column_names,
        "suppressed": [item.to_value() for item in result.suppressed],
        "noise": as_facts(result.noise),
        "release": result.receipt.release_name,
        "output": output,
        "receipt": receipt_file,
        "unsigned_emulator": result.receipt.attestation.is_unsigned_emulator,
        "warning": warning,
    }

    def render(out: Console) -> None:
        if output is None:
            shown = result.frame.head(_SHOWN_ROWS)
            rows = [[str(cell) for cell in row] for row in shown.itertuples(index=False)]
            noisy = {item.column for item in result.noise}
            out.print(table([f"{name} (noisy)" if name in noisy else name for name in shown.columns], rows))
        else:
            shape = f"{counted(result.table.num_rows, 'row')} of {', '.join(result.table.column_names)}"
            say(out, f"{output}  {shape}")
            if result.noise and beside(output).exists():
                say(out, f"{beside(output)}  which columns are off by noise, and by how much")
        if receipt_file is not None:
            say(out, f"{receipt_file}  the receipt, which anybody can verify")
        for column in result.noise:
            note(f"NOISY: {column.sentence}")
        for suppression in result.suppressed:
            note(held_back(suppression))
        note(f"receipt verified: query {claims.query} under agreement {claims.agreement_digest.hex()[:16]}…")
        if warning:
            note(warning)

    emit(as_json, value, render)
