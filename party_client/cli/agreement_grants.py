"""`concordat agreement grants`: the smallest grants for the queries of an agreement, as lines to paste.

The file may come from another organisation and may be one that the enclave would refuse; nothing is written.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from party_client.agreements import Granting, compile_toml, granting, load_agreed
from party_client.agreements.granting import ColumnGrant
from party_client.cli.present import emit, json_option, say


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--query", "query_id", help="Only what this query needs. Default: all queries together.")
@json_option
def grants(*, file: Path, query_id: str | None, as_json: bool) -> None:
    """Say which grants the queries in FILE still need.

    FILE is what people write (TOML) or the compiled agreement; it may be one that the enclave would refuse.
    For each owner and dataset: the uses that are missing, those that no query needs, and the columns as lines
    to paste. The exit status is 1 if no grant would allow a query.

    \b
    Example:
      concordat agreement grants flights.toml --query delay_by_wind
    """
    agreement = compile_toml(file) if file.suffix == ".toml" else load_agreed(file).agreement
    found = granting(agreement, query_id)
    emit(as_json, _facts(found), lambda out: _render(found, out))
    if found.refused:
        raise click.exceptions.Exit(1)


def _facts(found: Granting) -> dict[str, object]:
    return {
        "queries": found.queries,
        "is_complete": found.is_complete,
        "datasets": [
            {**vars(dataset), "columns": [vars(column) for column in dataset.columns]}
            for dataset in found.datasets
        ],
        "refused": [vars(query) for query in found.refused],
    }


def _render(found: Granting, out: Console) -> None:
    for dataset in found.datasets:
        missing = [column for column in dataset.columns if column.missing]
        spare = [column for column in dataset.columns if column.spare]
        say(out, f"{dataset.owner}: {dataset.dataset}", style="bold")
        if not dataset.columns:
            say(out, "  grants what the queries need" + (", and no more" if found.is_complete else ""))
        if missing:
            say(out, "  missing, in place of the same lines under [datasets.columns]:")
            _lines(missing, out)
        if spare:
            say(out, "  granted and needed by no query; without it, and with all that is needed:")
            _lines(spare, out, tight=True)
    for query in found.refused:
        say(out, f"no grant would allow {query.query}: {query.refusal}", style="bold red")
        if query.hint:
            say(out, f"  {query.hint}")


def _lines(columns: list[ColumnGrant], out: Console, *, tight: bool = False) -> None:
    for column in columns:
        changed = column.spare if tight else column.missing
        out.print(
            f"    {column.tight_line if tight else column.line}  # {', '.join(changed)}", soft_wrap=True
        )
