"""How the leak report looks on a screen, and what it is for programs: both say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding

from party_client.cli.present import counted, say, table
from party_client.leak_report import LeakReport, QueryReport
from party_client.leak_report.grants import ColumnGrants, DatasetGrants
from party_client.leak_report.run_budget import RunBudget

_INDENT: Final = (0, 0, 0, 4)


def report_facts(report: LeakReport) -> dict[str, Any]:
    """The report for JSON: of every query that would run, and of every dataset."""
    return {
        "queries": [{"id": query.check.id, **_query_facts(query)} for query in report.queries],
        "datasets": [asdict(dataset) for dataset in report.datasets],
    }


def _query_facts(query: QueryReport) -> dict[str, Any]:
    facts = asdict(query)
    del facts["check"]  # it stands beside the report
    return facts


def render_reach(query: QueryReport, out: Console) -> None:
    """How far one row and one unit of every owner reach."""
    _subheading("How far one of them reaches at most, whatever the data is", out)
    rows = [
        (
            f"{stake.owner}:",
            f"{stake.dataset}.{stake.unit}",
            f"{stake.fan_out.row_reaches_rows:,}",
            f"{stake.fan_out.unit_reaches_rows:,}",
            f"{stake.fan_out.unit_reaches_groups:,}",
        )
        for stake in query.stakes
    ]
    columns = ["", "unit", "joined rows of one row", "joined rows of one unit", "rows of the result it is in"]
    out.print(Padding(table(columns, rows), _INDENT, expand=False))
    _bullets(dict.fromkeys(reason for stake in query.stakes for reason in stake.fan_out.because), out)


def render_observations(query: QueryReport, out: Console) -> None:
    """What shows beside the values, and what several runs show together."""
    _subheading("What a run shows beside the values, and to whom", out)
    _bullets(
        (f"{item.topic} ({', '.join(item.seen_by)}): {item.sentence}" for item in query.observations), out
    )
    _subheading("What runs add up to", out)
    _bullets((*_budget(query.budget), *query.budget.sentences), out)


def _budget(budget: RunBudget) -> Iterator[str]:
    choices = "nothing to choose" if budget.choices == 1 else f"{budget.choices:,} ways to choose"
    results = counted(budget.different_results, "different result")
    yield f"at most {counted(budget.runs, 'run')}, {choices}, {results}"


def render_grants(dataset: DatasetGrants, out: Console) -> None:
    """Every column of a dataset, what it may be used for, and by which queries it is."""
    rows = [(column.column, column.type, _marks(column), _granted(column)) for column in dataset.columns]
    out.print(Padding(table(["column", "type", "", "granted, and used by"], rows), _INDENT, expand=False))


def _marks(column: ColumnGrants) -> str:
    return ", ".join(mark for mark, holds in (("unit", column.is_unit), ("key", column.is_key)) if holds)


def _granted(column: ColumnGrants) -> str:
    grants = (f"{grant.use}: {', '.join(grant.queries) or 'no query'}" for grant in column.grants)
    return "; ".join(grants) or "nothing"


def _subheading(text: str, out: Console) -> None:
    say(out, f"  {text}:", style="italic")


def _bullets(sentences: Iterable[str], out: Console) -> None:
    for sentence in sentences:
        say(out, f"    - {sentence}")
