"""What leaves is what pandas computes in the clear, less what the thresholds hold back."""

from __future__ import annotations

import datetime as dt
import math
import random
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from enclave_compute import disclosure, table
from enclave_compute.disclosure import refusal_of, release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, LimitExceededError, SealError, SignatureError
from protos.formats.query import Parameter
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from tests import chunk_tables
from tests import engine_world as world
from tests.engine_world import (
    FLIGHTS,
    FROM,
    JOINED,
    MEMORY_MIB,
    WEATHER,
    YEAR,
    rows_of,
    run,
    slot,
    with_threshold,
)

FLIGHT_COUNT = 3000
SLOT_COUNT = 200


@cache
def flights() -> pa.Table:
    chance = random.Random(7)
    rows = [
        (
            number,
            f"N{chance.randrange(300)}",
            slot(chance.randrange(SLOT_COUNT + 20)),
            chance.choice(["EWR", "JFK", "LGA", "Zürich", None]),
            chance.choice([None, *range(-20, 200)]),
            Decimal(chance.randrange(100_000)) / 100,
            dt.datetime(2013, chance.randrange(1, 13), 5, chance.randrange(24), 30),
            "secret",
        )
        for number in range(FLIGHT_COUNT)
    ]
    return world.table(FLIGHTS, rows)


@cache
def weather() -> pa.Table:
    chance = random.Random(8)
    rows = [
        (
            slot(number),
            chance.choice([None, 0.0, 3.5, 12.25, 30.0]),
            chance.choice([None, *(Decimal(n) / 10 for n in range(-100, 300, 7))]),
            dt.date(2013, 1 + number % 12, 5),
            number % 3 == 0,
            f"station {number % 40}",
        )
        for number in range(SLOT_COUNT)
    ]
    return world.table(WEATHER, rows)


def frame(rows: pa.Table) -> pd.DataFrame:
    read = rows.to_pandas()
    for name in rows.column_names:
        if pa.types.is_decimal(rows.schema.field(name).type):
            read[name] = pd.to_numeric(read[name])
    return read


@cache
def joined() -> pd.DataFrame:
    return frame(flights()).merge(frame(weather()), on="slot")


def released(sql: str, *parameters: Any, **options: Any) -> pd.DataFrame:
    both = {FLIGHTS: flights(), WEATHER: weather()}
    found = run(sql, both, *parameters, **options)
    return frame(pa.ipc.open_stream(found.table_ipc).read_all())


def expected(groups: Any, **aggregates: Any) -> pd.DataFrame:
    """The groups with at least three planes and three stations, in the order of their keys."""
    counted = groups.agg(
        _planes=("tailnum", "nunique"), _stations=("station", "nunique"), **aggregates
    ).reset_index()
    kept: pd.DataFrame = counted[(counted._planes >= 3) & (counted._stations >= 3)]
    return kept.drop(columns=["_planes", "_stations"]).reset_index(drop=True)


def test_counts_sums_and_averages_are_those_of_pandas() -> None:
    got = released(
        f"SELECT origin, wet, COUNT(*) AS n, COUNT(delay) AS known, SUM(delay) AS total, "
        f"COUNT(DISTINCT tailnum) AS planes, AVG(delay) AS mean, MIN(delay) AS least, "
        f"MAX(delay) AS most, SUM(fare) AS paid "
        f"{JOINED} GROUP BY origin, wet"
    )
    want = expected(
        joined().groupby(["origin", "wet"], dropna=False),
        n=("fare", "size"),
        known=("delay", "count"),
        total=("delay", "sum"),
        planes=("tailnum", "nunique"),
        mean=("delay", "mean"),
        least=("delay", "min"),
        most=("delay", "max"),
        paid=("fare", "sum"),
    )
    pd.testing.assert_frame_equal(got, want, check_dtype=False)
    assert len(got) == 10


def band_of(wind: float) -> str:
    if math.isnan(wind):
        return "?"
    return "windy" if wind > 10 else "calm"


def test_bands_and_conditional_sums_are_those_of_pandas() -> None:
    got = released(
        f"SELECT CASE WHEN wind > 10 THEN 'windy' WHEN wind IS NULL THEN '?' ELSE 'calm' END AS band, "
        f"SUM(CASE WHEN delay > $least THEN fare ELSE 0 END) AS late, floor(temp / 10) * 10 AS tens "
        f"{JOINED} WHERE w.day < DATE '2013-09-01' GROUP BY band, tens",
        YEAR,
        given={"least": 60},
    )
    rows = joined()
    rows = rows[rows.day < dt.date(2013, 9, 1)]
    band = rows.wind.map(band_of)
    want = expected(
        rows.assign(band=band, tens=rows.temp // 10 * 10, late=rows.fare.where(rows.delay > 60, 0)).groupby(
            ["band", "tens"], dropna=False
        ),
        late=("late", "sum"),
    )[["band", "late", "tens"]]
    merged = got.merge(want, on=["band", "tens"], suffixes=("", "_clear"))
    assert len(merged) == len(got) == len(want) > 8
    shown = merged[merged.late.notna()]
    assert len(shown) > 8
    pd.testing.assert_series_equal(shown.late, shown.late_clear, check_names=False)


def test_left_join_keeps_only_groups_with_units_on_both_sides() -> None:
    got = rows_of(
        run(
            f"SELECT wind, COUNT(*) AS n {JOINED.replace('JOIN', 'LEFT JOIN')} GROUP BY wind",
            {FLIGHTS: flights(), WEATHER: weather()},
        )
    )
    matched = joined().groupby("wind").size()
    unmatched = FLIGHT_COUNT - len(joined()) + int(joined().wind.isna().sum())
    assert got == [*((wind, count) for wind, count in matched.items()), (None, unmatched)]


def test_parameters_choose_rows() -> None:
    sql = f"SELECT COUNT(*) AS n {JOINED} WHERE origin = $origin AND delay >= $least"
    got = released(sql, FROM, YEAR, given={"origin": "JFK", "least": 100})
    rows = joined()
    assert got.n.tolist() == [int(((rows.origin == "JFK") & (rows.delay >= 100)).sum())]


PEOPLE = Dataset(
    "people",
    "clinic",
    (
        world.column("person", "int64", "count_distinct"),
        world.column("town", "text", "group"),
        world.column("income", "int64", "avg", "sum", "count", "min", nullable=True),
        world.column("ill", "bool", "filter"),
    ),
    "person",
    3,
    (),
    1000,
    1_000_000,
)


def people(rows: list[tuple[Any, ...]]) -> dict[Dataset, pa.Table]:
    return {PEOPLE: world.table(PEOPLE, rows)}


def test_groups_below_the_threshold_are_held_back_and_reported() -> None:
    rows = [(n, "big", 1, True) for n in range(3)] + [(n, "small", 1, True) for n in range(2)]
    found = run("SELECT town, COUNT(*) AS n FROM people GROUP BY town", people(rows))
    assert rows_of(found) == [("big", 3)]
    assert found.rows == 1
    (note,) = found.suppressed
    assert (note.rule, note.groups_at_most) == ("fewer than 3 distinct people.person of clinic", 10)


def test_result_without_groups_is_held_back_too() -> None:
    found = run("SELECT COUNT(*) AS n FROM people", people([(1, "a", 1, True), (2, "a", 1, True)]))
    assert rows_of(found) == []
    assert found.suppressed[0].groups_at_most == 10
    assert rows_of(run("SELECT COUNT(*) AS n FROM people", people([]))) == []


def test_value_that_few_stand_behind_is_held_back_alone() -> None:
    rows = [(n, "a", None, n == 1) for n in range(9)] + [(9, "a", 1_000_000, True)]
    found = run(
        "SELECT town, COUNT(*) AS n, AVG(income) AS mean, COUNT(income) AS known, "
        "COUNT(CASE WHEN ill THEN person END) AS ill FROM people GROUP BY town".replace(
            "THEN person", "THEN income"
        ),
        people(rows),
    )
    assert rows_of(found) == [("a", 10, None, None, None)]
    assert [note.groups_at_most for note in found.suppressed] == [10, 10]
    assert found.suppressed[1].rule == "a value with fewer than 3 distinct units behind it"


def test_constant_else_does_not_hide_that_few_were_chosen() -> None:
    rows = [(n, "a", 5, n < 2) for n in range(10)] + [(n, "b", 5, n < 4) for n in range(10)]
    sql = "SELECT town, SUM(CASE WHEN ill THEN income ELSE 0 END) AS s FROM people GROUP BY town"
    assert rows_of(run(sql, people(rows))) == [("a", None), ("b", 20)]


@pytest.mark.parametrize(
    ("count", "bucket"), [(0, 0), (1, 10), (10, 10), (11, 100), (100, 100), (101, 1000), (12345, 100_000)]
)
def test_what_is_reported_is_rounded_up(count: int, bucket: int) -> None:
    assert disclosure._bucket(count) == bucket


def test_people_joined_by_their_id_are_counted_once() -> None:
    visits = Dataset(
        "visits", "shop", (world.column("person", "int64", "join"),), "person", 2, ("person",), 10, 10
    )
    buys = Dataset("buys", "bank", (world.column("person", "int64", "join"),), "person", 4, (), 10, 10)
    sql = "SELECT COUNT(*) AS n FROM visits v {} JOIN buys b ON v.person = b.person"
    inner = world.plan_of(sql.format(""), datasets=(visits, buys))
    assert len(inner.thresholds) == 2
    assert [counted.source for counted in inner.counted] == ["v"]
    left = world.plan_of(sql.format("LEFT"), datasets=(visits, buys))
    assert [counted.source for counted in left.counted] == ["v", "b"]


AWKWARD = (
    "SELECT wet, origin, leaves, w.day, temp, wind, COUNT(*) AS n, AVG(delay) AS mean, MIN(origin) AS first "
    f"{JOINED} GROUP BY wet, origin, leaves, w.day, temp, wind"
)


def loose(dataset: Dataset) -> Dataset:
    return with_threshold(dataset, 1)


def test_bytes_do_not_depend_on_threads_chunks_or_the_order_of_rows() -> None:
    results = set()
    for threads, seed in ((1, 0), (2, 1), (2, 2)):
        engine = Engine(MEMORY_MIB, threads)
        for dataset, rows in ((loose(FLIGHTS), flights()), (loose(WEATHER), weather())):
            order = list(range(rows.num_rows))
            random.Random(seed).shuffle(order)
            world.load(engine, dataset, rows.take(order), chunk_rows=100 + 200 * seed)
        plan = world.plan_of(AWKWARD, datasets=(loose(FLIGHTS), loose(WEATHER)))
        results.add(release(engine, plan, {}).table_ipc)
    assert len(results) == 1


def test_large_result_is_one_batch_with_the_same_bytes_whatever_the_threads() -> None:
    wide = Dataset(
        "wide", "owner", (world.column("x", "int64", "group"),), "x", 1, (), 10**6, 10**8, world.SINGLE
    )
    rows = world.table(wide, [(n * 7919 % 400_000,) for n in range(400_000)])
    results = {run("SELECT x FROM wide GROUP BY x", {wide: rows}, threads=n).table_ipc for n in (1, 2)}
    (data,) = results
    (batch,) = pa.ipc.open_stream(data)
    assert batch.num_rows == 400_000
    assert batch.column(0).to_pylist() == list(range(400_000))


def test_rows_come_sorted_by_every_column_with_nulls_last() -> None:
    both = {loose(FLIGHTS): flights(), loose(WEATHER): weather()}
    got = rows_of(run(AWKWARD, both))
    assert len(got) > 1000

    def key(row: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return [
            (value is None, value.encode() if isinstance(value, str) else value if value is not None else 0)
            for value in row
        ]

    assert got == sorted(got, key=key)


def test_nothing_lies_under_a_null() -> None:
    """The bytes of values that are NULL in the result, among them the ones held back, are zeros."""
    rows = [(n, "a", None, True) for n in range(9)] + [(9, "a", 0x0123456789ABCDEF, True)]
    found = run(
        "SELECT town, SUM(income) AS s, AVG(income) AS m, MIN(income) AS l FROM people GROUP BY town",
        people(rows),
    )
    assert rows_of(found) == [("a", None, None, None)]
    assert (0x0123456789ABCDEF).to_bytes(8, "little") not in found.table_ipc
    (batch,) = pa.ipc.open_stream(found.table_ipc)
    for column in batch.columns[1:]:
        validity, values = column.buffers()
        assert validity is not None
        assert values is not None
        assert set(values.to_pybytes()) == set(validity.to_pybytes()) == {0}


def test_result_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = people([(n, f"town {n % 5}", 1, True) for n in range(50)])
    sql = "SELECT town, COUNT(*) AS n FROM people GROUP BY town"
    size = len(run(sql, rows).table_ipc)
    monkeypatch.setattr("protos.formats.limits.RESULT_MAX_BYTES", size)
    run(sql, rows)
    for most in (size - 1, 5):
        monkeypatch.setattr("protos.formats.limits.RESULT_MAX_BYTES", most)
        with pytest.raises(RefusedError) as caught:
            run(sql, rows)
        assert caught.value.refusal is Refusal.OVER_LIMIT


def test_engine_can_be_asked_again_after_it_ran_out_of_memory() -> None:
    columns = (world.column("unit", "int64"), world.column("x", "text", "group"))
    dataset = Dataset("wide", "owner", columns, "unit", 1, (), 10**6, 10**8, world.SINGLE)
    engine = Engine(64, 1)
    engine.create(dataset)
    for part in range(45):
        rows = [(n % 100, f"{part} {n} {'x' * 300}") for n in range(2000)]
        engine.append_untrusted("wide", chunk_tables.chunk(world.table(dataset, rows)))
    large = world.plan_of("SELECT x FROM wide GROUP BY x", datasets=(dataset,))
    with pytest.raises(RefusedError) as caught:
        release(engine, large, {})
    assert caught.value.refusal is Refusal.OUT_OF_RESOURCES
    small = world.plan_of("SELECT COUNT(*) AS n FROM wide", datasets=(dataset,))
    assert rows_of(release(engine, small, {})) == [(90_000,)]


REFUSALS: dict[Refusal, Exception] = {
    Refusal.SLOT_TAKEN: RefusedError(Refusal.SLOT_TAKEN, "the slot of 17 people is taken"),
    Refusal.QUERY_REFUSED: QueryRefusedError("no"),
    Refusal.OVER_LIMIT: LimitExceededError("17 bytes"),
    Refusal.MALFORMED: FormatError("17"),
    Refusal.BAD_SIGNATURE: SignatureError("no"),
    Refusal.DOES_NOT_OPEN: SealError("no"),
    Refusal.OUT_OF_RESOURCES: MemoryError(),
    Refusal.INTERNAL: KeyError("a value"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_error_leaves_as_one_code(refusal: Refusal) -> None:
    assert refusal_of(REFUSALS[refusal]) is refusal


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 64, 1000])
def test_bits_are_packed_as_arrow_does(length: int) -> None:
    flags = bytearray(random.Random(length).choices((0, 1), k=length))
    packed = pa.array([bool(flag) for flag in flags], pa.bool_()).buffers()[1]
    assert table._bits(flags) == (packed.to_pybytes()[: (length + 7) // 8] if packed else b"")


def test_sum_that_does_not_fit_is_null_and_not_an_error() -> None:
    rows = [(n, "a", 2**63 - 1, True) for n in range(3)] + [(n, "b", 2**62, n > 1) for n in range(4)]
    found = run("SELECT town, SUM(income) AS s, AVG(income) AS m FROM people GROUP BY town", people(rows))
    assert rows_of(found) == [("a", None, float(2**63)), ("b", None, float(2**62))]


def test_threshold_of_one_shows_a_single_person() -> None:
    alone = world.with_threshold(PEOPLE, 1)
    rows = world.table(alone, [(1, "a", 5, True)])
    assert rows_of(run("SELECT town, SUM(income) AS s FROM people GROUP BY town", {alone: rows})) == [
        ("a", 5)
    ]


def test_dates_and_decimals_that_a_run_chooses() -> None:
    since = Parameter("since", low="2013-01-01", high="2013-12-31")
    cheap = Parameter("cheap", low="0.00", high="999.95")
    sql = "SELECT COUNT(*) AS n FROM flights WHERE leaves >= $since AND fare < $cheap"
    given = {"since": "2013-07-01", "cheap": "500.00"}
    uses = FLIGHTS.column("fare").uses | {"filter"}
    dataset = world.with_column(FLIGHTS, replace(FLIGHTS.column("fare"), uses=uses))
    found = run(sql, {dataset: flights()}, since, cheap, given=given)
    frame = flights().to_pandas()
    chosen = frame[(frame.leaves >= "2013-07-01") & (frame.fare < Decimal("500.00"))]
    assert rows_of(found) == [(len(chosen),)]
