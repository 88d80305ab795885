"""LIKE against the engine and against a slow reading of patterns; what is not a pattern is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.engine import Engine
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from protos.plan.patterns import PATTERN_MAX_CHARACTERS, WILDCARDS_MAX
from tests.engine_world import SINGLE, column, load, plan_of, rows_of, run, table

NAMES = Dataset(
    id="names",
    owner="shop",
    columns=(column("id", "int64"), column("name", "text", "filter", "group", nullable=True)),
    privacy_unit="id",
    threshold=1,
    unique=("id",),
    max_rows=1000,
    max_bytes=1_000_000,
    rules=SINGLE,
)
BY_NAME = "SELECT name, COUNT(*) AS n FROM names WHERE name {} '{}' GROUP BY name"
letters = st.text(alphabet="ab%_é\n'", max_size=6)


@settings(max_examples=60)
@given(names=st.lists(letters, min_size=1, max_size=8, unique=True), pattern=letters)
def test_like_is_what_a_pattern_says(names: list[str], pattern: str) -> None:
    means = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    fits = {name for name in names if re.fullmatch(means, name, re.DOTALL)}
    rows = table(NAMES, [*enumerate(names), (len(names), None)])
    quoted = pattern.replace("'", "''")
    for word, expected in (("LIKE", fits), ("NOT LIKE", set(names) - fits)):
        assert {name for name, _ in rows_of(run(BY_NAME.format(word, quoted), {NAMES: rows}))} == expected


def test_longest_pattern_is_quick_on_a_text_that_nearly_fits() -> None:
    engine = Engine(512, 1)
    load(engine, NAMES, table(NAMES, [(number, "a" * 4000) for number in range(100)]))
    plan = plan_of(BY_NAME.format("LIKE", "%_a" * WILDCARDS_MAX + "b"), datasets=(NAMES,))
    with engine.execute(plan, {}) as computed:
        assert computed.numbers(["COUNT(*)"]) == (0,)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("id LIKE '1%'", "LIKE needs text, got int64"),
        ("name LIKE name", "expected a pattern that stands in the text"),
        ("name LIKE upper('a%')", "expected a pattern that stands in the text"),
        (f"name LIKE '{'a' * (PATTERN_MAX_CHARACTERS + 1)}'", "of at most 200 characters"),
        (f"name LIKE '{'%a' * (WILDCARDS_MAX + 1)}'", "at most 8 times %"),
        (r"name LIKE 'a\%'", r"a pattern with \\ is not allowed"),
        ("name LIKE 'a!%' ESCAPE '!'", "ESCAPE is not allowed here"),
        ("name LIKE ANY ('a', 'b')", "expected a pattern that stands in the text"),
        ("name ILIKE 'a'", "ILIKE is not allowed here"),
        ("name SIMILAR TO 'a'", "SIMILARTO is not allowed here"),
        ("name GLOB 'a*'", "GLOB is not allowed here"),
        ("regexp_matches(name, 'a')", "REGEXP"),
    ],
)
def test_anything_else_is_refused(condition: str, message: str) -> None:
    with pytest.raises(QueryRefusedError, match=message):
        plan_of(f"SELECT COUNT(*) AS n FROM names WHERE {condition}", datasets=(NAMES,))


def test_longest_pattern_is_allowed() -> None:
    pattern = "%" * WILDCARDS_MAX + "a" * (PATTERN_MAX_CHARACTERS - WILDCARDS_MAX)
    assert plan_of(BY_NAME.format("LIKE", pattern), datasets=(NAMES,)).where is not None


def test_pattern_is_a_condition_and_its_column_is_filtered_on() -> None:
    plan = plan_of(
        "SELECT COUNT(CASE WHEN name LIKE 'a%' THEN id END) AS n FROM names",
        datasets=(
            Dataset(
                **{
                    **vars(NAMES),
                    "columns": (column("id", "int64", "count"), column("name", "text", "filter")),
                }
            ),
        ),
    )
    assert {(use.column, use.use) for use in plan.usages} == {("id", "count"), ("name", "filter")}
