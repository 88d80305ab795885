"""For any tables: no row leaves that too few stand behind, and no order or extra rule changes what leaves."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.columnar import decode_chunk_untrusted
from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError, compile_query
from tests import engine_world as world
from tests.chunk_tables import chunk
from tests.engine_world import column, rows_of, with_threshold

LEFT = Dataset(
    "visits",
    "shop",
    (
        column("person", "int64", "join", "count_distinct"),
        column("place", "text", "group", "filter", nullable=True),
        column("spent", "int64", "sum", "avg", "count", nullable=True),
    ),
    "person",
    2,
    (),
    1000,
    1_000_000,
)
RIGHT = Dataset(
    "members",
    "club",
    (
        column("person", "int64", "join"),
        column("house", "int64", "count_distinct"),
        column("level", "int64", "group", "filter"),
    ),
    "house",
    2,
    ("person",),
    1000,
    1_000_000,
)
SQL = (
    "SELECT v.place, m.level, COUNT(*) AS n, SUM(v.spent) AS s, AVG(v.spent) AS a, "
    "SUM(CASE WHEN v.place = 'x' THEN v.spent ELSE 0 END) AS c "
    "FROM visits v JOIN members m ON v.person = m.person GROUP BY v.place, m.level"
)

PERSONS = st.integers(0, 8)
VISITS = st.lists(
    st.tuples(
        PERSONS, st.sampled_from(["x", "y", None]), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
    ),
    max_size=40,
)
MEMBERS = st.dictionaries(PERSONS, st.tuples(st.integers(0, 5), st.integers(0, 1))).map(
    lambda found: [(person, *rest) for person, rest in found.items()]
)
EXAMPLES = settings(max_examples=40)


ENGINE = Engine(128, 1)


def released(visits: list[Any], members: list[Any], left: Dataset = LEFT, right: Dataset = RIGHT) -> Released:
    tables = {left: world.table(left, visits), right: world.table(right, members)}
    for dataset, rows in tables.items():
        world.load(ENGINE, dataset, rows)
    try:
        return release(ENGINE, world.plan_of(SQL, datasets=(left, right)), {})
    finally:
        for dataset in tables:
            ENGINE.drop(dataset.id)


def groups(visits: list[Any], members: list[Any]) -> dict[Any, list[tuple[Any, ...]]]:
    """The joined rows (person, place, spent, house) by group, worked out the slow way."""
    found = defaultdict(list)
    for person, place, spent in visits:
        for other, house, level in members:
            if person == other:
                found[place, level].append((person, place, spent, house))
    return found


def enough(rows: list[tuple[Any, ...]], threshold: int) -> bool:
    return min(len({row[0] for row in rows}), len({row[3] for row in rows})) >= threshold


def int64_or_null(total: int) -> int | None:
    return total if -(2**63) <= total < 2**63 else None


@EXAMPLES
@given(VISITS, MEMBERS, st.integers(1, 4), st.integers(1, 4))
def test_exactly_the_rows_and_values_with_enough_units_of_every_owner_leave(
    visits: list[Any], members: list[Any], shop: int, club: int
) -> None:
    found = released(visits, members, with_threshold(LEFT, shop), with_threshold(RIGHT, club))
    threshold = max(shop, club)
    expected = {}
    for key, rows in groups(visits, members).items():
        known = [row for row in rows if row[2] is not None]
        chosen = known if key[0] == "x" else []
        spent = [row[2] for row in known]
        if enough(rows, threshold):
            expected[key] = (
                len(rows),
                int64_or_null(sum(spent)) if enough(known, threshold) else None,
                float(sum(spent)) / len(spent) if enough(known, threshold) else None,
                int64_or_null(sum(row[2] for row in chosen)) if enough(chosen, threshold) else None,
            )
    assert {row[:2]: row[2:] for row in rows_of(found)} == expected
    assert found.rows == len(expected)


@EXAMPLES
@given(st.data(), VISITS, MEMBERS)
def test_order_of_the_input_never_changes_a_byte(
    data: st.DataObject, visits: list[Any], members: list[Any]
) -> None:
    shuffled = released(data.draw(st.permutations(visits)), data.draw(st.permutations(members)))
    assert shuffled == released(visits, members)


@EXAMPLES
@given(VISITS, MEMBERS, st.integers(1, 4), st.integers(0, 3))
def test_stricter_threshold_never_shows_a_row_that_was_held_back(
    visits: list[Any], members: list[Any], threshold: int, more: int
) -> None:
    lenient = with_threshold(LEFT, threshold), with_threshold(RIGHT, threshold)
    before = rows_of(released(visits, members, *lenient))
    for stricter in (
        (lenient[0], with_threshold(RIGHT, threshold + more)),
        (with_threshold(LEFT, threshold + more), lenient[1]),
    ):
        after = rows_of(released(visits, members, *stricter))
        assert {row[:3] for row in after} <= {row[:3] for row in before}


@EXAMPLES
@given(VISITS, MEMBERS, st.lists(PERSONS, max_size=30))
def test_rows_of_one_owner_never_help_another_over_the_threshold(
    visits: list[Any], members: list[Any], padding: list[int]
) -> None:
    """However many rows the shop repeats, a group with too few houses of the club stays back."""
    people = {person for person, _, _ in visits}
    padded = visits + [(person, "x", 1) for person in padding if person in people]
    for place, level, *_ in rows_of(released(padded, members)):
        assert enough(groups(padded, members)[place, level], 2)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("SELECT()*,.$'\"=<>+-/ fromaswhvistdglu123\n", max_size=60)))
def test_any_text_is_a_plan_or_a_refusal(text: str) -> None:
    for sql in (text, f"SELECT {text}", f"SELECT COUNT(*) AS n FROM visits WHERE {text}"):
        try:
            query = world.query(sql)
        except Exception as error:
            assert type(error).__name__ == "FormatError"
            continue
        try:
            compile_query(world.agreement(LEFT, RIGHT), query)
        except QueryRefusedError as refusal:
            assert refusal.message.startswith("query q: ")


PLAIN = chunk(world.table(LEFT, [(1, "x", 2), (2, None, None), (3, "yy", -1)]))
FEW_TEXTS = world.table(LEFT, [(n, "x" * (n % 9), n) for n in range(50)])
DICTIONARY = chunk(FEW_TEXTS.set_column(1, "place", FEW_TEXTS.column(1).combine_chunks().dictionary_encode()))


@settings(max_examples=500)
@given(
    st.sampled_from([PLAIN, DICTIONARY]),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
)
def test_any_damage_to_a_chunk_is_a_refusal_or_other_values(
    good: bytes, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(good)
    for position, value in changes:
        damaged[position % len(good)] = value
    ENGINE.create(LEFT)
    try:
        rows = ENGINE.append_untrusted("visits", bytes(damaged))
        assert ENGINE.finish("visits") == rows
    except RefusedError as refusal:
        assert refusal.refusal in ("schema-mismatch", "over-limit")
    finally:
        ENGINE.drop("visits")


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(["none", "zstd"]))
def test_any_bytes_are_a_chunk_or_a_refusal(data: bytes, compression: str) -> None:
    for attempt in (data, PLAIN[: len(data)] + data, data + PLAIN):
        try:
            decode_chunk_untrusted(LEFT.columns, attempt, compression=compression)
        except RefusedError as refusal:
            assert refusal.refusal in ("schema-mismatch", "over-limit")
