"""Every case of this folder is what it says, and together they meet every refusal that there is."""

from __future__ import annotations

import ast
import math
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import protos.plan
from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.plan import QueryRefusedError, compile_query
from tests.engine_world import MEMORY_MIB, load, table
from tests.queries.cases import Case, all_cases
from tests.queries.rendering import shown

CASES = all_cases()
ALLOWED = [case for case in CASES if case.plan is not None]
REFUSED = [case for case in CASES if case.refused is not None]
CASES_AT_LEAST = 150
_DIGEST: Final = re.compile(r"[0-9a-f]{96}")
_PACKAGE: Final = Path(protos.plan.__path__[0])
_SECTIONS: Final = {
    "aggregates.aggregate_type": "Types",
    "analyses": "Rules of a dataset",
    "arithmetic": "Types",
    "lists": "Lists",
    "noise": "Noise",
    "noisy_outputs": "Noise",
    "stakes": "Noise",
    "value_bounds": "Noise",
    "rules": "Rules",
    "selections": "Derived tables",
    "unions": "UNION ALL",
    "windows": "Windows",
}
"""What a module, or a function in it, follows that refuses; all others follow the grammar."""
_UNREACHED: Final = {
    # the agreement bounds what it is about first
    ("noise", "raise QueryRefusedError(error.message, hint=error.hint) from error"),
    ("compiler", "raise refusal.in_query(query.id) from refusal"),  # says whose refusal it is, of all of them
    ("syntax", "raise QueryRefusedError(f'got {len(sql)} characters of SQL"),  # the agreement bounds it first
    (
        "unions",
        "raise refuse(node, sql, hint='UNION ALL is between SELECTs')",
    ),  # the parser knows nothing else
}


@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: f"{case.theme}: {case.name}")
def test_allowed(case: Case) -> None:
    assert shown(compile_query(case.agreement, case.query)) == case.plan


@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: f"{case.theme}: {case.name}")
def test_allowed_is_something_that_the_engine_runs(case: Case) -> None:
    """Over no rows: behind what comes out is nobody, so nothing leaves but noise in declared rows."""
    engine = Engine(MEMORY_MIB, 1)
    for dataset in case.agreement.datasets:
        load(engine, dataset, table(dataset, []))
    chosen = {
        parameter.name: parameter.choices[0] if parameter.choices else parameter.low
        for parameter in case.query.parameters
    }
    given = case.query.require_parameters(
        {name: value for name, value in chosen.items() if value is not None}
    )
    plan = compile_query(case.agreement, case.query)
    rows = release(engine, plan, given).rows
    if plan.noise is None or plan.noise.domains is None:
        assert rows == 0
    else:
        assert rows <= math.prod(map(len, plan.noise.domains))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.theme}: {case.name}")
def test_refused(case: Case) -> None:
    refusal = refusal_of(case)
    assert refusal.message == f"query {case.id}: {case.refused}"
    assert _DIGEST.sub("…", refusal.hint or "") == (case.hint or "")
    assert (refusal.place is None) == (" (line " not in refusal.message)
    assert refusal.place is None or str(refusal.place) in refusal.message
    frame = raised_by(refusal)
    module = Path(frame.filename).stem
    assert case.rule == _SECTIONS.get(f"{module}.{frame.name}", _SECTIONS.get(module, "Grammar"))


def test_there_are_enough_of_both_kinds() -> None:
    assert len(CASES) >= CASES_AT_LEAST
    assert len(ALLOWED) >= CASES_AT_LEAST / 2
    assert len(REFUSED) >= CASES_AT_LEAST / 2


def test_each_case_is_another_one_and_expects_one_thing() -> None:
    assert all((case.plan is None) != (case.refused is None) for case in CASES)
    assert len({(case.theme, case.name) for case in CASES}) == len(CASES)
    different = {
        (
            case.sql,
            case.many_to_many,
            str((case.id, case.change, case.parameters, case.receivers, case.noise, case.privacy)),
        )
        for case in CASES
    }
    assert len(different) == len(CASES)


def test_page_names_every_file() -> None:
    page = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    assert {case.theme for case in CASES} | {"datasets"} == set(re.findall(r"\]\((\w+)\.toml\)", page))


def test_rules_are_sections_of_the_specification() -> None:
    headings = set(
        re.findall(r"^##+ (.*)$", (_PACKAGE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {case.rule for case in REFUSED} <= headings
    assert {case.rule for case in REFUSED} == {*_SECTIONS.values(), "Grammar"}


def test_every_refusal_occurs() -> None:
    """Each `raise` in `protos/plan` that refuses a query is where some case ends."""
    frames = [raised_by(refusal_of(case)) for case in REFUSED]
    met = {(Path(frame.filename).stem, frame.lineno) for frame in frames}
    missed = [
        f"{module}: {text[:120]}"
        for module, first, last, text in raises()
        if not any((module, line) in met for line in range(first, last + 1))
        and not any(module == where and text.startswith(start) for where, start in _UNREACHED)
    ]
    assert missed == []


def refusal_of(case: Case) -> QueryRefusedError:
    with pytest.raises(QueryRefusedError) as caught:
        compile_query(case.agreement, case.query)
    return caught.value


def raised_by(refusal: QueryRefusedError) -> traceback.FrameSummary:
    """Where it was first raised."""
    assert refusal.__cause__ is not None
    return traceback.extract_tb(refusal.__cause__.__traceback__)[-1]


def raises() -> Iterator[tuple[str, int, int, str]]:
    for path in sorted(_PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and "Error" not in ast.unparse(node).replace(
                "QueryRefusedError", ""
            ):
                yield path.stem, node.lineno, node.end_lineno or node.lineno, ast.unparse(node)
